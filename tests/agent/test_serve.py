"""The line beside the disk: what is queued, dropped and held back, and how a line ends."""

from __future__ import annotations

import os
import pty
import threading
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from agent.lines import SECONDS

from edgert.agent.serve import Stop, serve, write_all
from edgert.smp.framing import framing
from edgert.smp.message import Header, Message, Op


class Slow:
    """A server whose disk stalls: nothing is answered until `go` is set."""

    buf_count = 4

    def __init__(self) -> None:
        self.go = threading.Event()
        self.handled: list[bytes] = []
        self.ticks = 0

    def handle(self, message: bytes) -> bytes | None:
        assert self.go.wait(SECONDS)
        self.handled.append(message)
        return message

    def tick(self) -> None:
        self.ticks += 1


def message(number: int, size: int = 4000) -> bytes:
    return Message(Header(Op.WRITE, 0, 0, number % 256), {"d": "x" * size, "n": number}).to_bytes()


class Serving:
    def __init__(self, read_fd: int, write_fd: int, server: Slow, **options: object) -> None:
        self.stop = Stop()
        self.ended = ""
        self.lines = framing("cobs")
        self._thread = threading.Thread(target=self._run, args=(read_fd, write_fd, server), kwargs=options)
        self._thread.start()

    def _run(self, read_fd: int, write_fd: int, server: Slow, **options: object) -> None:
        self.ended = serve(read_fd, write_fd, framing("cobs"), server, self.stop, **options)  # type: ignore[arg-type]

    def join(self) -> str:
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()
        self.stop.close()
        return self.ended


@contextmanager
def serving(read_fd: int, write_fd: int, server: Slow, **options: object) -> Iterator[Serving]:
    made = Serving(read_fd, write_fd, server, **options)
    try:
        yield made
    finally:
        server.go.set()
        if made._thread.is_alive():
            made.stop.set()
            made.join()


@pytest.fixture
def pipes() -> Iterator[tuple[int, int, int, int]]:
    """(the agent's end to read, the test's to write, the test's to read, the agent's to write)."""
    there, back = os.pipe(), os.pipe()
    fds = [there[0], there[1], back[0], back[1]]
    yield fds[0], fds[1], fds[2], fds[3]
    for fd in fds:
        try:
            os.close(fd)
        except OSError:
            continue


def read_answers(fd: int, count: int) -> list[int]:
    """Their numbers."""
    lines, found = framing("cobs"), []
    while len(found) < count:
        found += [Message.from_bytes(one).body["n"] for one in lines.feed(os.read(fd, 65536))]
    return found


def test_a_pipe_is_read_while_the_disk_is_slow_and_then_holds_the_sender_back(
    pipes: tuple[int, int, int, int],
) -> None:
    server, (read_fd, ours, answers, write_fd) = Slow(), pipes
    with serving(read_fd, write_fd, server) as made:
        data = b"".join(made.lines.encode(message(number)) for number in range(100))
        os.set_blocking(ours, False)
        sent, quiet = 0, time.monotonic()
        while sent < len(data) and time.monotonic() - quiet < 1.0:
            try:
                sent += os.write(ours, data[sent : sent + 4096])
                quiet = time.monotonic()
            except BlockingIOError:
                time.sleep(0.01)
        # A window's worth and more was taken off the line, and not all that somebody may send.
        assert 2 * server.buf_count * 4000 < sent < 60 * 4000
        server.go.set()
        os.set_blocking(ours, True)
        reader = threading.Thread(target=os.write, args=(ours, data[sent:]))
        reader.start()
        assert read_answers(answers, 100) == list(range(100))
        reader.join(SECONDS)
        os.close(ours)
        assert made.join() == "the line was closed"


def test_a_serial_line_does_not_wait_so_what_is_too_much_is_dropped_whole() -> None:
    server = Slow()
    master, slave = pty.openpty()
    tty.setraw(slave)
    try:
        with serving(slave, slave, server, lossy=True) as made:
            count = 3 * 2 * server.buf_count
            for number in range(count):
                write_all(master, made.lines.encode(message(number)), seconds=SECONDS)  # it is drained all the time
            time.sleep(0.2)
            server.go.set()
            found = read_answers(master, 2 * server.buf_count)
            assert found == sorted(found)
            assert found[: 2 * server.buf_count] == list(range(2 * server.buf_count))
            # The next one is heard again.
            write_all(master, made.lines.encode(message(count)), seconds=SECONDS)
            while found[-1] != count:
                found += read_answers(master, 1)
            assert len(server.handled) < count
    finally:
        os.close(master)
        os.close(slave)


def test_time_passes_also_in_a_flood(pipes: tuple[int, int, int, int]) -> None:
    server, (read_fd, ours, answers, write_fd) = Slow(), pipes
    server.go.set()
    with serving(read_fd, write_fd, server) as made:
        end = time.monotonic() + SECONDS
        while server.ticks < 2 and time.monotonic() < end:
            write_all(ours, made.lines.encode(message(1, 10)))
            read_answers(answers, 1)
        assert server.ticks >= 2


def test_a_line_on_which_nothing_comes_is_given_up(pipes: tuple[int, int, int, int]) -> None:
    server, (read_fd, _ours, _answers, write_fd) = Slow(), pipes
    with serving(read_fd, write_fd, server, idle_seconds=0.2) as made:
        assert made.join() == "no message came for 0 s"
    assert server.ticks > 0


def test_a_reader_that_is_gone_ends_the_line(pipes: tuple[int, int, int, int]) -> None:
    server, (read_fd, ours, answers, write_fd) = Slow(), pipes
    server.go.set()
    os.close(answers)
    with serving(read_fd, write_fd, server) as made:
        write_all(ours, made.lines.encode(message(1)))
        assert made.join() == "the answer could not be written: Broken pipe"


def test_stopping_wakes_a_line_that_waits(pipes: tuple[int, int, int, int]) -> None:
    server, (read_fd, _ours, _answers, write_fd) = Slow(), pipes
    with serving(read_fd, write_fd, server) as made:
        made.stop.set()
        made.stop.set()
        assert made.join() == "the agent was asked to end"


def test_nobody_waits_for_ever_for_a_peer_that_does_not_read(pipes: tuple[int, int, int, int]) -> None:
    _read_fd, ours, _answers, _write_fd = pipes
    with pytest.raises(TimeoutError, match="nothing was read at the other end"):
        write_all(ours, bytes(1 << 20), seconds=0.1)
