"""A stand-in for Android's adbd, which Debian does not have: what the real `adb` needs of a device at a TCP port.

    python adbd.py --environment HOME=/tmp/x --environment PATH=/tmp/x/bin:/usr/bin:/bin

prints its port and serves until its standard input ends. It speaks the transport protocol of the Android Open Source
Project (packages/modules/adb: protocol.txt; shell_protocol.h for what a shell's streams are wrapped in) as far as it
goes without authentication: CNXN, OPEN, OKAY, WRTE, CLSE, and the service "shell,v2,raw:COMMAND", for which it starts
real processes. --features leaves shell_v2 out for a device of before Android 7.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import struct
import sys
from contextlib import suppress

CNXN, OPEN, OKAY, WRTE, CLSE = (
    int.from_bytes(name, "little") for name in (b"CNXN", b"OPEN", b"OKAY", b"WRTE", b"CLSE")
)
VERSION = 0x01000001  # from here on the sum over a payload is not looked at
MAX_DATA = 1 << 18
HEADER = struct.Struct("<6I")  # command, arg0, arg1, length, sum, command's complement
STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN = range(5)  # the first byte of a packet of the shell protocol
PACKET = struct.Struct("<BI")


class Connection:
    """One adb server that connected."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, banner: str) -> None:
        self.reader = reader
        self.writer = writer
        self.banner = banner
        self.shells: dict[int, Shell] = {}  # by our id
        self.tasks: set[asyncio.Task[None]] = set()
        self.last_id = 0

    async def serve(self, environment: dict[str, str]) -> None:
        try:
            while True:
                command, arg0, arg1, length, _sum, complement = HEADER.unpack(
                    await self.reader.readexactly(HEADER.size)
                )
                if complement != command ^ 0xFFFFFFFF or length > MAX_DATA:
                    return
                data = await self.reader.readexactly(length)
                if command == CNXN:
                    self.send(CNXN, VERSION, MAX_DATA, self.banner.encode())
                elif command == OPEN:
                    self.open(arg0, data.rstrip(b"\0").decode(), environment)
                elif (shell := self.shells.get(arg1)) is not None:
                    if command == OKAY:
                        shell.may_write.set()
                    elif command == WRTE:
                        shell.incoming.put_nowait(data)  # one at a time: the next comes after our OKAY
                    elif command == CLSE:
                        shell.close()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            for shell in list(self.shells.values()):
                shell.close()
            self.writer.close()

    def open(self, theirs: int, service: str, environment: dict[str, str]) -> None:
        name, _, command = service.partition(":")
        if name.split(",")[:2] != ["shell", "v2"] or "raw" not in name.split(","):
            self.send(CLSE, 0, theirs)
            return
        self.last_id += 1
        shell = self.shells[self.last_id] = Shell(self, self.last_id, theirs)
        task = asyncio.create_task(shell.run(command, environment))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def send(self, command: int, arg0: int, arg1: int, data: bytes = b"") -> None:
        self.writer.write(
            HEADER.pack(command, arg0, arg1, len(data), sum(data) & 0xFFFFFFFF, command ^ 0xFFFFFFFF) + data
        )


class Shell:
    """One process of a connection. One WRTE is on its way in each direction, until the other side's OKAY."""

    def __init__(self, connection: Connection, ours: int, theirs: int) -> None:
        self.connection = connection
        self.ours, self.theirs = ours, theirs
        self.may_write = asyncio.Event()
        self.may_write.set()
        self.turn = asyncio.Lock()
        self.incoming: asyncio.Queue[bytes] = asyncio.Queue()
        self.process: asyncio.subprocess.Process | None = None
        self.closed = False

    async def run(self, command: str, environment: dict[str, str]) -> None:
        pipe = asyncio.subprocess.PIPE
        self.process = process = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment, start_new_session=True
        )
        self.connection.send(OKAY, self.ours, self.theirs)
        assert process.stdout is not None
        assert process.stderr is not None
        feeding = asyncio.create_task(self.feed(process))
        await asyncio.gather(self.forward(STDOUT, process.stdout), self.forward(STDERR, process.stderr))
        code = await process.wait()
        feeding.cancel()
        await self.write(PACKET.pack(EXIT, 1) + bytes([code & 0xFF]))
        if not self.closed:
            self.connection.send(CLSE, self.ours, self.theirs)
        self.connection.shells.pop(self.ours, None)

    async def feed(self, process: asyncio.subprocess.Process) -> None:
        """adb's input to the process's; packets of the shell protocol do not end where a WRTE does."""
        assert process.stdin is not None
        held = bytearray()
        while True:
            held += await self.incoming.get()
            while len(held) >= PACKET.size:
                kind, length = PACKET.unpack_from(held)
                if len(held) < PACKET.size + length:
                    break
                data = bytes(held[PACKET.size : PACKET.size + length])
                del held[: PACKET.size + length]
                with suppress(ConnectionError):
                    if kind == STDIN:
                        process.stdin.write(data)
                        await process.stdin.drain()
                    elif kind == CLOSE_STDIN:
                        process.stdin.close()
            if not self.closed:
                self.connection.send(OKAY, self.ours, self.theirs)

    async def forward(self, kind: int, source: asyncio.StreamReader) -> None:
        while data := await source.read(1 << 15):
            await self.write(PACKET.pack(kind, len(data)) + data)

    async def write(self, data: bytes) -> None:
        async with self.turn:
            await self.may_write.wait()
            if not self.closed:
                self.may_write.clear()
                self.connection.send(WRTE, self.ours, self.theirs, data)

    def close(self) -> None:
        """The other side is gone: so is the process, as with a device whose cable is pulled out."""
        self.closed = True
        self.may_write.set()
        if self.process is not None and self.process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGHUP)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--environment", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--features", default="shell_v2,cmd")
    asked = parser.parse_args()
    environment = dict(pair.split("=", 1) for pair in asked.environment)
    banner = f"device::ro.product.name=standin;ro.product.model=Stand_In;ro.product.device=x;features={asked.features}"
    serving: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        with suppress(asyncio.CancelledError):  # at the end of the test
            await Connection(reader, writer, banner).serve(environment)
        serving.discard(task)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)  # until the test lets go of us
    server.close()
    for task in serving:
        task.cancel()
    await asyncio.gather(*serving, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main())
