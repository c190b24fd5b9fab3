"""The order of uploads over simulated lines: every fault, no clock."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass

import pytest

from edgert.device.pace import FrameSizes, Line, RoundTrips
from edgert.device.transfer import Transfer

HEADER_BYTES = 100


@dataclass(frozen=True)
class Road:
    """Probabilities of what happens to a frame, in either direction; delay in seconds beside the line's time."""

    bytes_per_second: float = 11520
    delay_s: float = 0.01
    loss: float = 0.0
    loss_per_byte: float = 0.0
    repeat: float = 0.0
    late: float = 0.0  # comes after what was sent behind it
    bad_chunk: float = 0.0  # the receiver finds a chunk wrong and expects it again
    forgets: tuple[float, ...] = ()  # times at which the receiver is back at its last whole chunk
    chunk_bytes: int = 4096
    busy: tuple[tuple[float, float], ...] = ()  # (from, to): the receiver answers nothing until then


class Simulation:
    """A receiver as the agent is one, and the line to it."""

    def __init__(self, size: int, road: Road, seed: int) -> None:
        self.size, self.road = size, road
        self.random = random.Random(seed)
        self.now = 0.0
        self.received = 0
        self.sent_bytes = 0
        self._events: list[tuple[float, int, str, tuple[int, ...]]] = []
        self._count = 0
        self._free_at = 0.0
        self._forgets = list(road.forgets)

    def upload(self, limit_s: float = 3600.0) -> Transfer:
        line = Line(self.road.bytes_per_second)
        sizes = FrameSizes(4096, HEADER_BYTES)
        transfer = Transfer(self.size, 0, line, RoundTrips(0.6, 0.15), sizes, 8, 0.0)
        sequence = 0
        while not transfer.done:
            assert self.now < limit_s, f"{transfer.done_to} of {self.size} after {self.now:.0f} s"
            transfer.expire(self.now)
            piece = transfer.next_piece()
            if piece is not None:
                offset, most = piece
                length = min(most, self.size - offset)
                assert length > 0
                sequence = (sequence + 1) % 256
                wire = length + HEADER_BYTES
                transfer.sent(sequence, offset, offset + length, wire, self.now)
                self._free_at = max(self._free_at, self.now) + wire / self.road.bytes_per_second
                self.sent_bytes += length
                self._carry("request", self._free_at, wire, (sequence, offset, length))
            else:
                assert transfer.due is not None, "nothing is waited for, and nothing is sent"
                self._until(transfer.due, transfer)
            self._until(self.now, transfer)
        return transfer

    def _carry(self, kind: str, at: float, wire_bytes: int, content: tuple[int, ...]) -> None:
        road = self.road
        if self.random.random() < road.loss + 1 - (1 - road.loss_per_byte) ** wire_bytes:
            return
        for _ in range(1 + (self.random.random() < road.repeat)):
            late = self.random.uniform(0, 0.5) if self.random.random() < road.late else 0.0
            self._count += 1
            heapq.heappush(self._events, (at + road.delay_s / 2 + late, self._count, kind, content))

    def _until(self, time: float, transfer: Transfer) -> None:
        """Lets time pass, to the first answer that the sender gets if one comes before."""
        while self._events and self._events[0][0] <= time:
            at, _, kind, content = heapq.heappop(self._events)
            self.now = max(self.now, at)
            if kind == "answer":
                transfer.answered(content[0], content[1], self.now)
                return
            busy = next((end for begin, end in self.road.busy if begin <= self.now < end), None)
            if busy is not None:
                self._count += 1
                heapq.heappush(self._events, (busy, self._count, kind, content))
                continue
            sequence, offset, length = content
            self._receive(offset, length)
            self._carry("answer", self.now, 30, (sequence, self.received))
        self.now = max(self.now, time)

    def _receive(self, offset: int, length: int) -> None:
        chunk = self.road.chunk_bytes
        if self._forgets and self._forgets[0] <= self.now:
            self._forgets.pop(0)
            self.received = self.received // chunk * chunk
        if offset != self.received:
            return
        end = offset + length
        if end // chunk > offset // chunk and self.random.random() < self.road.bad_chunk:
            end = offset // chunk * chunk
        self.received = end


ROADS = {
    "clean": Road(),
    "long": Road(bytes_per_second=300_000, delay_s=0.4),
    "losses": Road(loss=0.05),
    "bit errors": Road(loss_per_byte=3e-4),
    "half lost": Road(loss=0.5),
    "repeats": Road(repeat=0.3),
    "late": Road(late=0.2),
    "wrong chunks": Road(bad_chunk=0.2),
    "restarts": Road(forgets=(1.0, 2.0, 2.1, 5.0), loss=0.01),
    "busy": Road(busy=((0.5, 3.0), (6.0, 6.4))),
    "all": Road(
        loss=0.03, loss_per_byte=1e-5, repeat=0.1, late=0.1, bad_chunk=0.05, forgets=(3.0,), busy=((1.0, 2.0),)
    ),
}


@pytest.mark.parametrize("name", ROADS)
def test_everything_arrives(name: str) -> None:
    for seed in range(10):
        simulation = Simulation(60_000, ROADS[name], seed)
        simulation.upload()
        assert simulation.received == simulation.size, f"seed {seed}"


def test_a_clean_line_is_kept_busy_and_nothing_goes_twice() -> None:
    simulation = Simulation(200_000, ROADS["clean"], 0)
    transfer = simulation.upload()
    assert transfer.lost == 0
    assert simulation.sent_bytes == simulation.size
    ideal = simulation.size / simulation.road.bytes_per_second
    assert ideal / simulation.now > 0.95


def test_a_long_way_is_filled_to_what_the_receiver_takes() -> None:
    road = ROADS["long"]
    simulation = Simulation(2_000_000, road, 0)
    simulation.upload()
    most = 8 * 4096 / road.delay_s  # eight frames a round trip
    assert simulation.size / simulation.now > 0.8 * most


@pytest.mark.parametrize(("loss_per_byte", "least"), [(1e-5, 0.85), (1e-4, 0.6), (1e-3, 0.15)])
def test_frames_fit_the_errors(loss_per_byte: float, least: float) -> None:
    """Of the line's rate, over many seeds; fixed frames of 4096 bytes would give 0.75, 0.2 and none."""
    rates = []
    for seed in range(10):
        simulation = Simulation(150_000, Road(loss_per_byte=loss_per_byte), seed)
        simulation.upload()
        rates.append(simulation.size / simulation.now / simulation.road.bytes_per_second)
    assert sum(rates) / len(rates) > least, rates


def test_after_errors_frames_grow_again() -> None:
    sizes = FrameSizes(4096, HEADER_BYTES)
    for _ in range(10):
        sizes.lost(sizes.size + HEADER_BYTES)
    assert sizes.size < 200
    for _ in range(2000):
        sizes.arrived(sizes.size + HEADER_BYTES)
    assert sizes.size > 2000


def test_silence_is_probed_with_one_frame() -> None:
    transfer = Transfer(100_000, 0, Line(11520), RoundTrips(0.6, 0.15), FrameSizes(4096, 100), 8, 0.0)
    sequence = 0
    while (piece := transfer.next_piece()) is not None:
        transfer.sent(sequence, piece[0], piece[0] + piece[1], piece[1] + 100, 0.0)
        sequence += 1
    assert sequence > 1
    assert transfer.due is not None
    transfer.expire(transfer.due + 60)
    piece = transfer.next_piece()
    assert piece is not None
    assert piece[0] == 0
    transfer.sent(sequence, 0, piece[1], piece[1] + 100, 61.0)
    assert transfer.next_piece() is None  # one at a time until something answers


def test_the_first_piece_goes_alone_where_it_must() -> None:
    transfer = Transfer(100_000, 0, Line(None), RoundTrips(0.6, 0.15), FrameSizes(4096, 100), 8, 0.0, first_alone=True)
    assert transfer.next_piece() == (0, 1024)
    transfer.sent(1, 0, 1024, 1124, 0.0)
    assert transfer.next_piece() is None
    transfer.answered(1, 1024, 0.1)
    assert transfer.next_piece() is not None
    transfer.sent(2, 1024, 2048, 1124, 0.1)
    assert transfer.next_piece() is not None
    transfer.answered(2, 0, 0.2)  # it begins anew
    transfer.sent(3, 0, 1024, 1124, 0.2)
    assert transfer.next_piece() is None


def test_answers_that_cannot_be_are_ignored() -> None:
    transfer = Transfer(1000, 0, Line(11520), RoundTrips(0.6, 0.15), FrameSizes(400, 100), 8, 0.0)
    transfer.sent(7, 0, 400, 500, 0.0)
    transfer.answered(8, 400, 0.1)  # nothing was asked under this number
    transfer.answered(7, 2000, 0.1)  # beyond the end
    transfer.answered(7, -1, 0.1)
    assert transfer.done_to == 0
    transfer.answered(7, 400, 0.1)
    assert transfer.done_to == 400


def test_what_the_receiver_has_already_is_skipped() -> None:
    transfer = Transfer(100_000, 0, Line(11520), RoundTrips(0.6, 0.15), FrameSizes(4096, 100), 8, 0.0)
    transfer.sent(1, 0, 1024, 1124, 0.0)
    transfer.answered(1, 65536, 0.2)
    piece = transfer.next_piece()
    assert piece is not None
    assert piece[0] == 65536


def test_a_timeout_follows_the_round_trips() -> None:
    trips = RoundTrips(0.6, 0.15)
    assert 0.3 < trips.timeout_s < 3
    for _ in range(30):
        trips.measured(0.02)
    assert trips.timeout_s == 0.15
    for _ in range(30):
        trips.measured(1.0)
    assert trips.timeout_s > 1.0
    before = trips.timeout_s
    trips.timed_out()
    assert before <= trips.timeout_s <= max(2.0, before)
