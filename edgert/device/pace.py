"""How fast and in what pieces a line is fed: measured round trips, frame sizes by the errors seen, and the window."""

from __future__ import annotations

import math

_BACKOFF = 1.6
_MOST_BACKED_OFF_S = 2.0  # on a line that loses a frame in two, asking costs little and waiting costs all
_MOST_BACKOFFS = 16


class Line:
    """When the bytes that were handed to the line will have left it. Times in seconds of one monotonic clock.

    A serial line's driver takes bytes long before they are sent: at 115200 baud 4 KiB of its buffer are a third of
    a second. What an answer waited for behind them says nothing about the device, so it is not measured with it.
    """

    def __init__(self, bytes_per_second: float | None) -> None:
        self.bytes_per_second = bytes_per_second
        self._free_at = 0.0

    def sent(self, now: float, wire_bytes: int) -> float:
        """Accounts for bytes that were just handed over; when the last of them will have left."""
        if self.bytes_per_second is None:
            return now
        self._free_at = max(self._free_at, now) + wire_bytes / self.bytes_per_second
        return self._free_at


class RoundTrips:
    """How long an answer takes once its request has left the line (RFC 6298: mean and deviation, smoothed)."""

    def __init__(self, first_s: float, least_timeout_s: float) -> None:
        self._mean = first_s / 3
        self._deviation = first_s / 6
        self._least_timeout_s = least_timeout_s
        self._measured = False
        self._backoffs = 0

    def measured(self, seconds: float) -> None:
        seconds = max(seconds, 0.0)
        if not self._measured:
            self._mean, self._deviation, self._measured = seconds, seconds / 2, True
        else:
            self._deviation += (abs(seconds - self._mean) - self._deviation) / 4
            self._mean += (seconds - self._mean) / 8
        self._backoffs = 0

    def timed_out(self) -> None:
        self._backoffs = min(self._backoffs + 1, _MOST_BACKOFFS)

    @property
    def usual_s(self) -> float:
        """What nearly every answer comes within."""
        return self._mean + 4 * self._deviation

    @property
    def timeout_s(self) -> float:
        """After how long without an answer a request counts as lost; longer after each that was."""
        measured = max(self.usual_s, self._least_timeout_s)
        return max(measured, min(measured * _BACKOFF**self._backoffs, _MOST_BACKED_OFF_S))


class FrameSizes:
    """How much payload goes into a frame: much, for there is a header to each; little, where frames get damaged.

    With e losses a byte on the wire, h bytes of header, and a loss that costs this frame and the one in flight behind
    it, a payload of n bytes costs h/n + 2*e*n more than itself, which is least at n = sqrt(h / (2*e)). e is counted;
    older losses count less. Beside that the size is halved at every loss and doubled at every frame that arrives, so
    that a line which suddenly takes nothing large gets small frames before the count says so.
    """

    LEAST = 64
    _FIRST = 1024
    _FORGET = 7 / 8  # at every loss: about the last eight count

    def __init__(self, most: int, overhead: int) -> None:
        self._most = max(most, 1)
        self._least = min(self.LEAST, self._most)
        self._overhead = overhead
        self._ramp = float(min(self._FIRST, self._most))
        self._wire_bytes = 0.0
        self._losses = 0.0

    @property
    def size(self) -> int:
        best = math.inf
        if self._losses:
            best = math.sqrt(self._overhead * self._wire_bytes / (2 * self._losses))
        return int(max(self._least, min(best, self._ramp, self._most)))

    def arrived(self, wire_bytes: int) -> None:
        self._wire_bytes += wire_bytes
        self._ramp = min(self._ramp * 2, self._most)

    def lost(self, wire_bytes: int) -> None:
        self._losses = self._losses * self._FORGET + 1
        self._wire_bytes = self._wire_bytes * self._FORGET + wire_bytes
        self._ramp = max(min(self._ramp, self.size) / 2, self._least)


def window_bytes(line: Line, trips: RoundTrips, frame_bytes: int) -> float:
    """How many bytes on the wire may wait for answers: what the line carries in a round trip, and two frames, so
    that one is sent while the next one is ready. Unbounded where the line's speed is not known."""
    if line.bytes_per_second is None:
        return math.inf
    return line.bytes_per_second * trips.usual_s + 2 * frame_bytes
