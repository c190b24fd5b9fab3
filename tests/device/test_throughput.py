"""What pushes use of a line's raw rate. The bounds themselves are measured by tests/bench/push.py, for long enough."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from bench.push import BOUNDS, measure
from device.test_client import File, Server

from edgert.device.client import Client
from edgert.device.source import PlainSource
from edgert.smp.groups import FsCommand, Group
from edgert.smp.message import Message

NAME = f"/edgert/{'0' * 64}"


class CountingServer(Server):
    carried = 0

    async def write(self, data: bytes) -> None:
        self.carried += len(data)
        await super().write(data)


@pytest.mark.parametrize(("framing", "baud"), BOUNDS)
def test_few_bytes_go_over_the_line_beside_the_payload(framing: str, baud: int) -> None:
    """Counted and not timed: frames as large as the line's speed allows, from the first second on."""
    content = bytes(range(1, 256)) * (baud // 200)  # 12 seconds of the line; no zeros, which would suit COBS

    def handler(request: Message) -> list[Message]:
        return file(request) if request.header.group == Group.FS else []

    file = File()
    server = CountingServer(handler, kind=framing, buf_size=1 << 14)
    server.bytes_per_second = baud / 10

    async def run() -> None:
        async with Client(server) as client:
            before = server.carried
            await client.upload(PlainSource(content), 0, (Group.FS, FsCommand.FILE), lambda _: {"name": NAME})
            server.carried -= before

    asyncio.run(run())
    assert file.content == content
    assert len(content) / server.carried > BOUNDS[framing, baud] + 0.01


@pytest.mark.parametrize(("framing", "baud"), [case for case in BOUNDS if case[1] > 115_200])
def test_the_line_is_kept_busy(framing: str, baud: int, tmp_path: Path) -> None:
    """The best of three, with room for a machine that does other things beside."""
    measured = []
    for attempt in range(3):
        (tmp_path / str(attempt)).mkdir()
        measured.append(measure(framing, baud, 1.5, tmp_path / str(attempt)))
        if measured[-1].send > measured[-1].bound - 0.1:
            return
    raise AssertionError(f"{measured}")
