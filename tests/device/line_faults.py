"""What a serial line does to bytes, by a seeded pattern: the same seed gives the same faults to the same bytes."""

from __future__ import annotations

import random
from dataclasses import dataclass

LONGEST_FRAME = 1 << 15
DELIMITERS = (0x00, 0x0A)  # that end a frame, in COBS and on a console


@dataclass(frozen=True)
class Pattern:
    """Rates are events a byte, in either direction; lengths in bytes are drawn from 1 to the one given.

    flips alter one bit; drops lose bytes; repeats send the last bytes again; swaps send bytes after those that follow
    them; frame_repeats and frame_swaps do so with whole frames. silences: seconds for which nothing gets across in
    either direction, at these positions of what the host sends; hang_ups: positions at which the host's end, or the
    device's, hangs up.
    """

    baud: int
    seed: int = 0
    flips: float = 0.0
    drops: float = 0.0
    drop_bytes: int = 20
    repeats: float = 0.0
    repeat_bytes: int = 200
    swaps: float = 0.0
    swap_bytes: int = 200
    frame_repeats: float = 0.0
    frame_swaps: float = 0.0
    silences: tuple[tuple[int, float], ...] = ()
    host_hang_ups: tuple[int, ...] = ()
    device_hang_ups: tuple[int, ...] = ()

    @property
    def bytes_per_second(self) -> float:
        return self.baud / 10


class ByteFaults:
    """Flips, drops, repeats and swaps of one direction, at positions of its own stream."""

    def __init__(self, pattern: Pattern, direction: str) -> None:
        self._pattern = pattern
        self._random = random.Random(f"{pattern.seed} {direction}")
        self._at = 0
        self._next = {kind: self._after(kind) for kind in ("flips", "drops", "repeats", "swaps")}
        self._tail = bytearray()  # what went out last
        self._to_drop = 0
        self._taken = bytearray()  # bytes that wait for those after them
        self._to_take = self._to_pass = 0
        self.count = 0

    def apply(self, data: bytes) -> bytes:
        """What comes out at the other end when these bytes go in."""
        out = bytearray()
        while data:
            kind = min(self._next, key=self._next.__getitem__)
            before = data[: int(max(0, min(self._next[kind] - self._at, len(data))))]
            self._at += len(before)
            self._carry(before, out)
            data = data[len(before) :]
            if data:
                data = self._fault(kind, data, out)
        self._tail += out
        del self._tail[: -self._pattern.repeat_bytes]
        return bytes(out)

    def release(self) -> bytes:
        """What waits for bytes after it that do not come: the line is idle, which also ends a burst of losses."""
        held, self._taken = bytes(self._taken), bytearray()
        self._to_take = self._to_pass = self._to_drop = 0
        return held

    def _after(self, kind: str) -> float:
        rate = getattr(self._pattern, kind)
        return self._at + int(self._random.expovariate(rate)) if rate > 0 else float("inf")

    def _fault(self, kind: str, data: bytes, out: bytearray) -> bytes:
        """Does it to what comes next; what is left to carry."""
        pattern = self._pattern
        self.count += 1
        if kind == "flips":
            self._carry(bytes([data[0] ^ 1 << self._random.randrange(8)]), out)
            self._at += 1
            data = data[1:]
        elif kind == "drops":
            self._to_drop = self._random.randint(1, pattern.drop_bytes)
        elif kind == "repeats":
            out += (self._tail + out)[-self._random.randint(1, pattern.repeat_bytes) :]
        elif not self._taken and not self._to_take:
            self._to_take = self._random.randint(1, pattern.swap_bytes)
            self._to_pass = self._random.randint(1, pattern.swap_bytes)
        self._next[kind] = max(self._after(kind), self._at + 1)
        return data

    def _carry(self, data: bytes, out: bytearray) -> None:
        dropped = min(self._to_drop, len(data))
        self._to_drop -= dropped
        data = data[dropped:]
        taken = min(self._to_take, len(data))
        self._to_take -= taken
        self._taken += data[:taken]
        data = data[taken:]
        if self._taken and not self._to_take:
            passed = min(self._to_pass, len(data))
            self._to_pass -= passed
            out += data[:passed]
            data = data[passed:]
            if not self._to_pass:
                out += self._taken
                self._taken.clear()
        out += data


class FrameFaults:
    """Whole frames of one direction that come twice, or after the one that follows them."""

    SHORTEST = 8  # bytes; what is less between two delimiters is no frame

    def __init__(self, pattern: Pattern, direction: str) -> None:
        self._pattern = pattern
        self._random = random.Random(f"{pattern.seed} frames {direction}")
        self._at = 0
        self._next = {kind: self._after(kind) for kind in ("frame_repeats", "frame_swaps")}
        self._kind = ""  # what is being done
        self._frame = bytearray()  # since it began
        self._kept = b""
        self.count = 0

    def apply(self, data: bytes) -> bytes:
        self._at += len(data)
        if not self._kind:
            self._kind = next((kind for kind, at in self._next.items() if at <= self._at), "")
            if not self._kind:
                return data
            self._next[self._kind] = self._after(self._kind)
            self.count += 1
        out = b""
        self._frame += data
        while self._kind and (end := self._end()):
            frame = bytes(self._frame[:end])
            del self._frame[:end]
            if self._kind == "frame_repeats":
                out, self._kind = out + frame + frame, ""
            elif self._kept:
                out, self._kind, self._kept = out + frame + self._kept, "", b""
            else:
                self._kept = frame
        if not self._kind or len(self._frame) > LONGEST_FRAME:
            out += self.release()
        return out

    def release(self) -> bytes:
        held, self._kept = self._kept + bytes(self._frame), b""
        self._frame.clear()
        self._kind = ""
        return held

    def _end(self) -> int:
        """How long the first frame is; 0 when it is not whole."""
        ends = [self._frame.find(delimiter, self.SHORTEST) + 1 for delimiter in DELIMITERS]
        return min((end for end in ends if end), default=0)

    def _after(self, kind: str) -> float:
        rate = getattr(self._pattern, kind)
        return self._at + self._random.expovariate(rate) if rate > 0 else float("inf")
