"""A serial line that misbehaves: two ptys and, between them, a process that carries bytes at the line's true rate.

Each direction carries baud / 10 bytes a second and never more, as a UART with 8 data bits does. Faults are those of
line_faults.py. The ends are symbolic links (`host`, `device` in the folder given), like those of /dev/serial/by-id:
after the line hung up they lead to a new pty, as a port that was unplugged and plugged in again.

As a program: `line_proxy.py FOLDER` with a Pattern as JSON on its standard input, then a command a line; the class Line
starts and steers it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import pty
import select
import subprocess
import sys
import time
import tty
from dataclasses import asdict
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from device.line_faults import ByteFaults, FrameFaults, Pattern

TICK_S = 0.002
READ_BYTES = 1 << 16
HELD_BYTES = 1 << 18  # that a slow reader may leave in the line's buffers; more is overrun and lost


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
