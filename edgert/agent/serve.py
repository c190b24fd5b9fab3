"""A line's bytes to the server, and its answers back.

Two threads. The reader does nothing but drain the line and take frames apart, so that a serial port's buffer of a few
kilobytes does not run over while the disk flushes a checkpoint. The caller's thread answers. Between them lie as many
messages as a client may have on their way, twice: that is all that can be queued.
"""

from __future__ import annotations

import os
import queue
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

READ_BYTES = 1 << 16
WRITE_BYTES = 4096  # PIPE_BUF: a pipe that poll calls writable takes as much without blocking
WRITE_SECONDS = 30.0  # a peer that reads no answers for so long is gone
TICK_SECONDS = 0.5
# Without a byte on a serial line: a frame that has begun was cut off, and whoever comes next may speak otherwise.
GAP_SECONDS = 1.0


class Framing(Protocol):
    """What edgert.smp.framing.framing gives."""

    def encode(self, message: bytes) -> bytes: ...
    def feed(self, data: bytes) -> list[bytes]: ...
    def reset(self) -> None: ...


class Answering(Protocol):
    """What edgert.agent.server.Server is to a line."""

    buf_count: int

    def handle(self, message: bytes) -> bytes | None: ...
    def tick(self) -> None: ...


class Stop:
    """Asks the loops to end, from a signal's handler or another thread; wakes those that wait for a line."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.wake_fd, self._write_fd = os.pipe()

    def set(self) -> None:
        if not self._event.is_set():
            self._event.set()
            os.write(self._write_fd, b"\0")

    def is_set(self) -> bool:
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        return self._event.wait(seconds)

    def close(self) -> None:
        os.close(self.wake_fd)
        os.close(self._write_fd)

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT ask to end: what is being written to the disk is finished first."""

        def ask(_number: int, _frame: FrameType | None) -> None:
            self.set()

        before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def serve(
    read_fd: int,
    write_fd: int,
    framing: Framing,
    server: Answering,
    stop: Stop,
    *,
    lossy: bool = False,
    idle_seconds: float | None = None,
) -> str:
    """Answers what comes in at `read_fd` until the line ends, and says in a few words why it ended.

    lossy: a serial line, which does not wait: a message that finds the queue full is dropped, and its sender repeats
    it. Elsewhere reading pauses, and the pipe holds the sender back.
    idle_seconds: the line is given up when no message came for so long.
    """
    messages: queue.Queue[bytes | None] = queue.Queue(2 * server.buf_count)
    # Ends this line's reader; `stop` ends the whole agent.
    line_over = Stop()
    reader = threading.Thread(
        target=_read, args=(read_fd, framing, messages, (stop, line_over), lossy), name="edgert-line", daemon=True
    )
    reader.start()
    try:
        return _answer(write_fd, framing, server, messages, stop, idle_seconds)
    finally:
        line_over.set()
        reader.join(WRITE_SECONDS)
        if not reader.is_alive():
            line_over.close()


def _answer(
    write_fd: int,
    framing: Framing,
    server: Answering,
    messages: queue.Queue[bytes | None],
    stop: Stop,
    idle_seconds: float | None,
) -> str:
    last = ticked = time.monotonic()
    while not stop.is_set():
        if time.monotonic() - ticked >= 2 * TICK_SECONDS:  # a flood that is no request must not stop the clock
            server.tick()
            ticked = time.monotonic()
        try:
            message = messages.get(timeout=TICK_SECONDS)
        except queue.Empty:
            server.tick()
            ticked = time.monotonic()
            if idle_seconds is not None and time.monotonic() - last > idle_seconds:
                return f"no message came for {idle_seconds:.0f} s"
            continue
        if message is None:
            return "the line was closed"
        answer = server.handle(message)
        last = time.monotonic()
        if answer is not None:
            try:
                write_all(write_fd, framing.encode(answer))
            except OSError as error:
                return f"the answer could not be written: {error.strerror or error}"
    return "the agent was asked to end"


def write_all(fd: int, data: bytes, seconds: float = WRITE_SECONDS) -> None:
    """Raises OSError (TimeoutError among them) when the other end is gone, or takes nothing for `seconds`."""
    rest = memoryview(data)
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    while rest:
        if not poll.poll(seconds * 1000):
            raise TimeoutError(f"nothing was read at the other end for {seconds:.0f} s")
        try:
            rest = rest[os.write(fd, rest[:WRITE_BYTES]) :]
        except BlockingIOError:
            continue


def _read(
    fd: int, framing: Framing, messages: queue.Queue[bytes | None], stops: tuple[Stop, Stop], lossy: bool
) -> None:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    for stop in stops:
        poll.register(stop.wake_fd, select.POLLIN)

    def put(message: bytes | None) -> None:
        while not any(stop.is_set() for stop in stops):
            try:
                messages.put(message, timeout=0 if lossy and message is not None else TICK_SECONDS)
                return
            except queue.Full:
                if lossy and message is not None:
                    return

    try:
        _drain(fd, framing, put, poll, stops, lossy)
    finally:
        put(None)


def _drain(
    fd: int,
    framing: Framing,
    put: Callable[[bytes], None],
    poll: select.poll,
    stops: tuple[Stop, Stop],
    lossy: bool,
) -> None:
    while not any(stop.is_set() for stop in stops):
        found = poll.poll(GAP_SECONDS * 1000 if lossy else None)
        if not found:
            framing.reset()
        if all(ready != fd for ready, _events in found):
            continue  # only woken, to look at `stops`
        try:
            data = os.read(fd, READ_BYTES)
        except BlockingIOError:
            continue
        except OSError:  # EIO: the line hung up
            data = b""
        for message in framing.feed(data):
            put(message)
        if not data:
            break
