"""A serial line that misbehaves: two ptys and, between them, a process that carries bytes at the line's true rate.

Each direction carries baud / 10 bytes a second and never more, as a UART with 8 data bits does. Faults come by a seeded
pattern of positions in the stream, so that the same seed gives the same faults to the same bytes. The ends are symbolic
links (`host`, `device` in the folder given), like those of /dev/serial/by-id: after the line hung up they lead to a new
pty, as a port that was unplugged and plugged in again.

As a program: `line_proxy.py FOLDER` with a Pattern as JSON on its standard input, then a command a line; the class Line
starts and steers it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import pty
import random
import select
import subprocess
import sys
import time
import tty
from dataclasses import asdict, dataclass
from pathlib import Path

TICK_S = 0.002
READ_BYTES = 1 << 16
HELD_BYTES = 1 << 18  # that a slow reader may leave in the line's buffers; more is overrun and lost
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


class End:
    """A pty: programs open the link, the line its other side."""

    def __init__(self, link: Path) -> None:
        self._link = link
        self.plug()

    def plug(self) -> None:
        self.master, slave = pty.openpty()
        tty.setraw(slave)
        self._slave = slave  # held open: a program that closes the port does not hang the line up
        os.set_blocking(self.master, False)
        new = self._link.with_name(f".{self._link.name}.new")
        new.symlink_to(os.ttyname(slave))
        new.replace(self._link)

    def hang_up(self) -> None:
        os.close(self._slave)
        os.close(self.master)
        self.plug()


class Direction:
    """From one end to the other."""

    def __init__(self, pattern: Pattern, name: str, source: End, sink: End) -> None:
        self._rate = pattern.bytes_per_second
        self.source, self.sink = source, sink
        self._faults = (ByteFaults(pattern, name), FrameFaults(pattern, name))
        self._free_at = time.monotonic()  # until then the line carries what it has
        self._held = b""
        self.carried = 0
        self.lost = 0
        self.faulty = True

    def step(self, now: float, silent: bool) -> None:
        room = int((now - self._free_at) * self._rate)
        if room > 0:
            data = self._read(min(room, READ_BYTES))
            self.carried += len(data)
            self._free_at += len(data) / self._rate
            if len(data) < room and len(data) < READ_BYTES:
                self._free_at = now  # an idle line saves nothing up
            for faults in self._faults if self.faulty else ():
                data = faults.apply(data) if data else faults.release()
            if silent:
                self.lost += len(data)
            else:
                self._held += data
        if self._held:
            with contextlib.suppress(BlockingIOError):
                self._held = self._held[os.write(self.sink.master, self._held) :]
            if len(self._held) > HELD_BYTES:
                self.lost += len(self._held) - HELD_BYTES
                self._held = self._held[:HELD_BYTES]

    def flush(self) -> None:
        self._held = b""

    @property
    def faults(self) -> int:
        return sum(faults.count for faults in self._faults)

    def _read(self, most: int) -> bytes:
        try:
            return os.read(self.source.master, most)
        except BlockingIOError:
            return b""
        except OSError as error:
            if error.errno == errno.EIO:
                return b""
            raise


def carry(folder: Path, pattern: Pattern) -> None:
    """Until standard input ends."""
    host, device = End(folder / "host"), End(folder / "device")
    down, up = Direction(pattern, "down", host, device), Direction(pattern, "up", device, host)
    silences, host_hang_ups = list(pattern.silences), list(pattern.host_hang_ups)
    device_hang_ups = list(pattern.device_hang_ups)
    silent_until = 0.0
    print("ready", flush=True)
    os.set_blocking(0, False)
    while True:
        select.select([0], [], [], TICK_S)
        with contextlib.suppress(BlockingIOError):
            commands = os.read(0, 4096).decode().split()
            if not commands:
                return
            for command in commands:
                if command == "clean":
                    down.faulty = up.faulty = False
                    silences, host_hang_ups, device_hang_ups = [], [], []
                elif command == "count":
                    print(
                        json.dumps({"down": down.carried, "up": up.carried, "faults": down.faults + up.faults}),
                        flush=True,
                    )
        now = time.monotonic()
        if silences and down.carried >= silences[0][0]:
            silent_until = now + silences.pop(0)[1]
        for end, hang_ups in ((host, host_hang_ups), (device, device_hang_ups)):
            if hang_ups and down.carried >= hang_ups[0]:
                hang_ups.pop(0)
                end.hang_up()
                down.flush()
                up.flush()
        for direction in (down, up):
            direction.step(now, now < silent_until)


class Line:
    """A line in a process of its own: `with Line(tmp_path, Pattern(baud=115200)) as line`."""

    def __init__(self, folder: Path, pattern: Pattern) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.host, self.device = folder / "host", folder / "device"
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-E", __file__, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._say(json.dumps(asdict(pattern)))
        assert self._hear() == "ready"

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def clean(self) -> None:
        """No more faults from now on."""
        self._say("clean")

    def counts(self) -> dict[str, int]:
        """Bytes carried from the host ("down") and to it ("up"), and faults, so far."""
        self._say("count")
        found: dict[str, int] = json.loads(self._hear())
        return found

    def _say(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{text}\n")
        self._process.stdin.flush()

    def _hear(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def main() -> None:
    described = json.loads(sys.stdin.readline())
    carry(Path(sys.argv[1]), Pattern(**described))


if __name__ == "__main__":
    main()
