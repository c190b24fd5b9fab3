"""Real agents for tests: processes at pipes or at a pty, and a client that speaks frames to them."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from agent.pushing import Client

from edgert.smp.framing import framing
from edgert.smp.message import Header, Message, Op

SECONDS = 60.0  # any single wait, on a machine that is busy with other tests


class FrameLine:
    """Frames over a pair of file descriptors; `exchange` sends a message until its answer comes."""

    def __init__(self, read_fd: int, write_fd: int, name: str = "cobs") -> None:
        self.read_fd, self.write_fd = read_fd, write_fd
        self.framing = framing(name)
        self._came: list[bytes] = []

    def send(self, data: bytes) -> None:
        """Reads answers meanwhile, as every client must: an agent whose answers nobody takes stops reading."""
        rest = memoryview(data)
        poll = select.poll()
        for fd in {self.read_fd, self.write_fd}:  # a serial port is both
            reads, writes = fd == self.read_fd, fd == self.write_fd
            poll.register(fd, select.POLLIN * reads | select.POLLOUT * writes)
        while rest:
            ready = dict(poll.poll(SECONDS * 1000))
            assert ready, "the agent does not read"
            if ready.get(self.read_fd, 0) & ~select.POLLOUT:
                self._read()
            if ready.get(self.write_fd, 0) & select.POLLOUT:
                rest = rest[os.write(self.write_fd, rest[:4096]) :]

    def _read(self) -> None:
        data = os.read(self.read_fd, 65536)
        assert data, "the agent ended"
        self._came += self.framing.feed(data)

    def receive(self, seconds: float = SECONDS) -> list[bytes]:
        """Messages that came, waiting for the first; none when the time is up."""
        poll = select.poll()
        poll.register(self.read_fd, select.POLLIN)
        end = time.monotonic() + seconds
        while not self._came and poll.poll(max(0.0, end - time.monotonic()) * 1000):
            self._read()
        came, self._came = self._came, []
        return came

    def exchange(self, message: bytes, again_seconds: float = SECONDS) -> bytes:
        """Answers to other requests are dropped, as a client drops them."""
        sequence = Message.from_bytes(message).header.sequence
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            self.send(self.framing.encode(message))
            again = time.monotonic() + again_seconds
            while time.monotonic() < again:
                for answer in self.receive(max(0.0, again - time.monotonic())):
                    if Message.from_bytes(answer).header.sequence == sequence:
                        return answer
        raise AssertionError("the agent does not answer")

    def client(self, again_seconds: float = SECONDS) -> Client:
        return Client(lambda message: self.exchange(message, again_seconds))


def agent_command(*words: str | Path) -> list[str]:
    return [sys.executable, "-P", "-m", "edgert", "agent", *map(str, words)]


@contextmanager
def stdio_agent(home: Path, *words: str, program: Sequence[str] = ()) -> Iterator[subprocess.Popen[bytes]]:
    """`edgert agent --stdio`, ended at the end whatever happens. What it says stands in errors_of(home). program: one
    that takes edgert's words, in place of edgert."""
    command = agent_command("--stdio", "--home", home, *words)
    with errors_of(home).open("ab") as errors:
        process = subprocess.Popen(
            [*program, *command[command.index("agent") :]] if program else command,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, bufsize=0,
        )  # fmt: skip
    try:
        yield process
    finally:
        end(process)


def line_of(process: subprocess.Popen[bytes], name: str = "cobs") -> FrameLine:
    assert process.stdin is not None
    assert process.stdout is not None
    return FrameLine(process.stdout.fileno(), process.stdin.fileno(), name)


def errors_of(home: Path) -> Path:
    """Standard error of the agents of a home."""
    return home.with_name(f"{home.name}.errors")


def end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


@contextmanager
def tty_agent(home: Path, port: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """`edgert agent --tty port`, whose line is the test's to open."""
    with errors_of(home).open("ab") as errors:
        process = subprocess.Popen(
            agent_command("--tty", port, "--home", home, *words), stdin=subprocess.DEVNULL, stderr=errors
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(SECONDS)
        end(process)


def resident_bytes(pid: int) -> int:
    """Of a process: VmRSS."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) << 10
    raise AssertionError(f"no VmRSS of process {pid}")


def echo(text: str, sequence: int = 0) -> bytes:
    return Message(Header(Op.WRITE, 0, 0, sequence), {"d": text}).to_bytes()
