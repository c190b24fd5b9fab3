"""The bytes of a process, such as ssh's or adb's, that runs `edgert agent --stdio` somewhere else."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import cast

from edgert.device.errors import LinkError
from edgert.device.words import last_line

HELD_BYTES = 1 << 18  # what was read ahead of the caller; reading pauses beyond
STDERR_BYTES = 1 << 14  # the end of what it complained is kept
EXIT_SECONDS = 5.0  # from the end of its output to the end of a process
COMPLAINT_SECONDS = 0.5  # from the end of a process to the end of its complaints
CLOSE_SECONDS = 2.0  # from the end of its input to the end of a process that nobody wants any more
POLL_SECONDS = 0.01

Explain = Callable[[int, str], LinkError]
"""What a process that ended with this exit code and these last lines of stderr means for a person."""


def agent_command(agent: str, home: str | None, more_path: Sequence[str]) -> str:
    """What the device's shell is given: the agent, found in more places than a shell without a terminal knows.

    It says a zero byte first, which ends a frame and begins none, when the way to the device stands: from then on a
    silence is that of the agent, which takes a while to start on a small machine.
    """
    where = "" if home is None else f" --home {_quoted(home)}"
    path = ":".join(("$PATH", *more_path))
    script = f'printf "\\000"; PATH="{path}"; export PATH; exec {agent} agent --stdio{where}'
    return f"sh -c {shlex.quote(script)}"  # whatever the user's shell is


def _quoted(path: str) -> str:
    return f'"$HOME"/{shlex.quote(path[2:])}' if path.startswith("~/") else shlex.quote(path)


class ProcessStream:
    """A ByteStream over the standard input and output of a process."""

    framing = "cobs"
    bytes_per_second: float | None = None
    lossy = False

    def __init__(self, transport: asyncio.SubprocessTransport, process: _Process, text: str, explain: Explain) -> None:
        self._transport = transport
        self._process = process
        self._text = text
        self._explain = explain
        self._closed = False

    @classmethod
    async def open(
        cls,
        argv: Sequence[str],
        text: str,
        explain: Explain,
        start_seconds: float,
    ) -> ProcessStream:
        """Starts the process and waits for its first byte. Raises LinkError when it ends without one, or is silent."""
        loop = asyncio.get_running_loop()
        try:
            transport, process = await loop.subprocess_exec(
                _Process,
                *argv,
                # Without a terminal it can ask nothing; an interrupt of ours is ours to pass on, by close().
                start_new_session=True,
            )
        except OSError as error:
            raise LinkError(f"{argv[0]} cannot be started: {error.strerror or error}") from error
        stream = cls(transport, process, text, explain)
        process.read_pause = cast(asyncio.ReadTransport, transport.get_pipe_transport(1))
        try:
            async with asyncio.timeout(start_seconds):
                await process.arrived()
            if not process.received:
                raise await stream._failure()
        except TimeoutError:
            await stream.close()
            raise LinkError(
                f"{text}: no connection within {start_seconds:.0f} s{stream._complaint()}; "
                "check that the device is switched on and on the network"
            ) from None
        except BaseException:
            await stream.close()
            raise
        return stream

    async def read(self) -> bytes:
        await self._process.arrived()
        data = self._process.take()
        if not data and not self._closed:
            failure = await self._failure()
            if self._transport.get_returncode() != 0:
                raise failure
        return data

    async def write(self, data: bytes) -> None:
        pipe = cast(asyncio.WriteTransport, self._transport.get_pipe_transport(0))
        if self._closed or pipe is None or pipe.is_closing():
            raise await self._failure()
        pipe.write(data)
        await self._process.writable()

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        pipe = self._transport.get_pipe_transport(0)
        if pipe is not None:
            pipe.close()  # an agent ends with its input, and ssh with the agent
        for how in (None, signal.SIGTERM, signal.SIGKILL):
            if how is not None:
                with suppress(ProcessLookupError):
                    os.killpg(self._transport.get_pid(), how)  # what it started (ProxyCommand) with it
            if await self._ended(CLOSE_SECONDS):
                break
        self._transport.close()

    def describe(self) -> str:
        return self._text

    def error_text(self) -> str:
        return bytes(self._process.complaints).decode(errors="replace").strip()

    async def _ended(self, seconds: float) -> bool:
        """Whether the process ended within so long. Its pipes may stay open: ssh's shared connections keep them."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._transport.get_returncode() is None:
                    await asyncio.sleep(POLL_SECONDS)
        return self._transport.get_returncode() is not None

    async def _failure(self) -> LinkError:
        """The error that the end of the process means."""
        if not await self._ended(EXIT_SECONDS):
            return LinkError(f"{self._text}: the connection was closed{self._complaint()}")
        with suppress(TimeoutError):
            async with asyncio.timeout(COMPLAINT_SECONDS):
                await self._process.complained.wait()
        code = self._transport.get_returncode()
        return self._explain(-1 if code is None else code, self.error_text())

    def _complaint(self) -> str:
        text = last_line(self.error_text())
        return f" ({text})" if text else ""


class _Process(asyncio.SubprocessProtocol):
    """What came from a process, and whether more may be given to it."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.complaints = bytearray()
        self.complained = asyncio.Event()
        self.read_pause: asyncio.ReadTransport | None = None
        self._news = asyncio.Event()
        self._ended = False
        self._may_write = asyncio.Event()
        self._may_write.set()

    async def arrived(self) -> None:
        """Returns when there are bytes, or when there will be none."""
        while not self.received and not self._ended:
            self._news.clear()
            await self._news.wait()

    def take(self) -> bytes:
        data = bytes(self.received)
        self.received.clear()
        if self.read_pause is not None and not self.read_pause.is_closing():
            self.read_pause.resume_reading()
        return data

    async def writable(self) -> None:
        await self._may_write.wait()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 2:
            self.complaints += data
            del self.complaints[:-STDERR_BYTES]
            return
        self.received += data
        if len(self.received) > HELD_BYTES and self.read_pause is not None:
            self.read_pause.pause_reading()
        self._news.set()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == 0:
            self._may_write.set()  # the next write says what happened
        elif fd == 1:
            self._ended = True
            self._news.set()
        else:
            self.complained.set()

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()
