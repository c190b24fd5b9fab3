"""The order of an upload: which piece goes next, what an answer means, when a piece counts as lost.

No input or output here, so that every order of losses, duplicates and delays can be tested without a clock. The
receiver takes pieces in order alone and answers every one, right or wrong, with the offset that it expects next
(go-back-N with the receiver's word for it).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from edgert.device.pace import FrameSizes, Line, RoundTrips, window_bytes

_REMEMBERED = 64  # requests whose late answers still count; far below the 256 numbers that a request can have


@dataclass(frozen=True)
class Sent:
    """A piece under way: its offsets, its size on the wire, when it left the line and when it counts as lost."""

    offset: int
    expects: int
    wire_bytes: int
    left_at: float
    due: float
    turn: int


class Transfer:
    """One upload. Times are seconds of the caller's clock. first_alone: nothing goes out behind the piece at offset 0
    before that is taken, for receivers which otherwise take it for a piece of what they have."""

    def __init__(
        self,
        end: int,
        start: int,
        line: Line,
        trips: RoundTrips,
        sizes: FrameSizes,
        most_in_flight: int,
        now: float,
        first_alone: bool = False,
    ) -> None:
        self.end = end
        self.done_to = start  # what the receiver last said that it expects
        self.next = start
        self.accepted_at = now  # when the receiver last took a piece
        self.lost = 0
        self._line = line
        self._trips = trips
        self._sizes = sizes
        self._most_in_flight = most_in_flight
        self._first_alone = first_alone
        self._in_flight: OrderedDict[int, Sent] = OrderedDict()
        self._late: OrderedDict[int, Sent] = OrderedDict()
        self._turn = 0  # counts the times that sending went back
        self._probing = False  # after silence: one piece at a time until something answers

    @property
    def done(self) -> bool:
        return self.done_to >= self.end

    def next_piece(self) -> tuple[int, int] | None:
        """The offset and the most bytes of the piece to send now; None when it is the answers' turn."""
        if not self._in_flight and self.next != self.done_to:
            self._go_back(self.done_to)  # whatever was sent beyond it, no answer is on its way any more
        if self.next >= self.end:
            return None
        in_flight = len(self._in_flight)
        alone = self._probing or (self._first_alone and self.done_to == 0)
        if in_flight >= (1 if alone else self._most_in_flight):
            return None
        size = self._sizes.size
        waiting = sum(sent.wire_bytes for sent in self._in_flight.values())
        if in_flight and waiting + size > window_bytes(self._line, self._trips, size):
            return None
        return self.next, size

    def sent(self, sequence: int, offset: int, expects: int, wire_bytes: int, now: float) -> None:
        """A piece went out under this number; `expects` is the answer that it should get."""
        self._in_flight.pop(sequence, None)
        self._late.pop(sequence, None)
        left_at = self._line.sent(now, wire_bytes)
        due = left_at + self._trips.timeout_s
        self._in_flight[sequence] = Sent(offset, expects, wire_bytes, left_at, due, self._turn)
        if offset == self.next:
            self.next = expects

    def answered(self, sequence: int, expected: int, now: float) -> None:
        """The receiver answered this request: it expects this offset next. What is not of this upload is ignored."""
        if not 0 <= expected <= self.end:
            return
        sent = self._in_flight.get(sequence)
        if sent is None:
            late = self._late.pop(sequence, None)
            if late is not None:
                self._trips.measured(now - late.left_at)
                self._forward(expected, now)
            return
        # Answers come in order: those that were sent before this one will not be answered any more, or late.
        for earlier in list(self._in_flight):
            self._retire(earlier)
            if earlier == sequence:
                break
        self._late.pop(sequence, None)
        self._probing = False
        self._trips.measured(now - sent.left_at)
        if expected == sent.expects:
            self._sizes.arrived(sent.wire_bytes)
            self._forward(expected, now)
        elif sent.turn < self._turn or expected > max(sent.offset, self.done_to):
            # A piece from before sending went back, of which that is known; or one that it had already.
            self._forward(expected, now)
        else:
            if expected <= sent.offset:
                self._loss(sent.wire_bytes)
            self._go_back(expected)

    def refused(self, sequence: int, now: float) -> bool:
        """The receiver answered with an error; whether that was to a piece which is still waited for."""
        sent = self._in_flight.pop(sequence, None)
        if sent is None or sent.turn < self._turn:
            return False
        self._trips.measured(now - sent.left_at)
        self._go_back(self.done_to)
        self._probing = True
        return True

    def expire(self, now: float) -> None:
        """Counts what should have been answered by now as lost."""
        overdue = [sequence for sequence, sent in self._in_flight.items() if sent.due <= now]
        if not overdue:
            return
        current = [sent for sent in self._in_flight.values() if sent.turn == self._turn]
        lost = next((sent for sent in current if sent.due <= now), None)
        for sequence in overdue:
            self._retire(sequence)
        if lost is not None:
            # The device may as well be busy as deaf: one piece asks, the others wait for its answer.
            self._loss(lost.wire_bytes)
            self._trips.timed_out()
            self._go_back(self.done_to)
            self._probing = True
            for sequence in list(self._in_flight):
                self._retire(sequence)

    @property
    def due(self) -> float | None:
        """When `expire` has something to do, at the earliest."""
        return min((sent.due for sent in self._in_flight.values()), default=None)

    def _forward(self, expected: int, now: float) -> None:
        if expected > self.done_to:
            self.done_to = expected
            self.accepted_at = now
            self.next = max(self.next, expected)
            # Pieces were cut otherwise when they went the first time: none under way begins where it goes on.
            if self.next > expected and all(sent.offset != expected for sent in self._in_flight.values()):
                self._go_back(expected)

    def _loss(self, wire_bytes: int) -> None:
        self.lost += 1
        self._sizes.lost(wire_bytes)

    def _go_back(self, offset: int) -> None:
        self.done_to = self.next = offset
        self._turn += 1

    def _retire(self, sequence: int) -> None:
        self._late[sequence] = self._in_flight.pop(sequence)
        while len(self._late) > _REMEMBERED:
            self._late.popitem(last=False)
