"""A way to an agent within the process, which can be cut at any byte."""

from __future__ import annotations

import asyncio

from edgert.agent.server import Server
from edgert.device.errors import LinkError
from edgert.smp.framing import framing


class MemoryLine:
    """A ByteStream to a server. Carries the bytes up to `cut_at` of what is written, and then is gone. `alter` may
    change what goes over it."""

    lossy = True
    bytes_per_second: float | None = None

    def __init__(self, server: Server, kind: str = "cobs", cut_at: int | None = None) -> None:
        self.framing = kind
        self.carried = 0
        self._server = server
        self._framing = framing(kind, server.buf_size)
        self._cut_at = cut_at
        self._answers: asyncio.Queue[bytes] = asyncio.Queue()
        self._gone = False

    async def read(self) -> bytes:
        if self._gone and self._answers.empty():
            raise LinkError("memory: the line is gone; call again to resume")
        return await self._answers.get()

    async def write(self, data: bytes) -> None:
        room = len(data) if self._cut_at is None else self._cut_at - self.carried
        self.carried += min(room, len(data))
        for message in self._framing.feed(data[:room]):
            answer = self._server.handle(message)
            if answer is not None:
                self._answers.put_nowait(self._framing.encode(answer))
        if room < len(data):
            self._gone = True
            raise LinkError("memory: the line is gone; call again to resume")
        await asyncio.sleep(0)

    async def close(self) -> None:
        self._gone = True

    def describe(self) -> str:
        return "memory"

    def error_text(self) -> str:
        return ""
