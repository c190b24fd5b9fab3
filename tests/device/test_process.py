"""The bytes of a process: what is read ahead is bounded, and no process can keep us waiting or be left behind."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from edgert.device.errors import LinkError
from edgert.device.transports import process
from edgert.device.transports.process import HELD_BYTES, ProcessStream


@pytest.fixture(autouse=True)
def _ended_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """These processes take no notice of the end of their input; a device's agent does."""
    monkeypatch.setattr(process, "CLOSE_SECONDS", 0.3)


def explained(code: int, complaints: str) -> LinkError:
    return LinkError(f"code {code}: {complaints}")


def run(script: str, use: Callable[[ProcessStream], Awaitable[None]], start_seconds: float = 60) -> None:
    async def opened() -> None:
        stream = await ProcessStream.open(["/bin/sh", "-c", script], "a process", explained, start_seconds)
        try:
            async with asyncio.timeout(60):
                await use(stream)
        finally:
            await stream.close()
            await stream.close()  # twice is as good as once

    asyncio.run(opened())


async def write_on(stream: ProcessStream) -> None:
    while True:
        await stream.write(bytes(1 << 16))
        await asyncio.sleep(0)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_what_is_read_ahead_is_bounded() -> None:
    async def use(stream: ProcessStream) -> None:
        await asyncio.sleep(0.5)  # it could have said hundreds of megabytes
        held = len(await stream.read())
        assert HELD_BYTES < held < 4 * HELD_BYTES

    run("exec cat /dev/zero", use)


def test_writing_waits_for_a_process_that_does_not_read() -> None:
    async def use(stream: ProcessStream) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(write_on(stream), 0.5)

    run("echo; exec sleep 60", use)


def test_the_end_is_explained_to_whoever_reads_or_writes() -> None:
    async def use(stream: ProcessStream) -> None:
        assert await stream.read() == b"x"
        with pytest.raises(LinkError, match="code 3: it is late"):
            await stream.read()
        with pytest.raises(LinkError, match="code 3: it is late"):
            await write_on(stream)  # the first may still find the pipe open

    run("printf x; echo it is late >&2; exit 3", use)


def test_an_end_without_a_word_before_the_first_byte() -> None:
    async def use(stream: ProcessStream) -> None:
        raise AssertionError("it never came to that")

    with pytest.raises(LinkError, match="code 1: no"):
        run("echo no >&2; exit 1", use)
    with pytest.raises(LinkError, match=r"a process: no connection within 0 s \(knocking\); check that the device"):
        run("echo knocking >&2; exec sleep 60", use, start_seconds=0.4)
    with pytest.raises(LinkError, match=r"/no/such cannot be started: No such file"):
        asyncio.run(ProcessStream.open(["/no/such"], "a process", explained, 1))


def test_a_process_that_will_not_end_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    child = tmp_path / "child"

    async def use(stream: ProcessStream) -> None:
        await stream.read()

    run(f"trap '' TERM HUP; sleep 600 & echo $! > {child}; echo; while :; do sleep 600; done", use)
    give_up_at = time.monotonic() + 20
    while not gone(int(child.read_text())):
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


def test_what_stays_behind_on_purpose_keeps_nobody_waiting(tmp_path: Path) -> None:
    """A connection that ssh shares outlives the ssh that made it, with that one's standard error."""
    child = tmp_path / "child"

    async def use(stream: ProcessStream) -> None:
        assert await stream.read() == b"\n"
        assert await stream.read() == b""

    began = time.monotonic()
    run(f"setsid sleep 600 >&2 & echo $! > {child}; echo", use)
    assert time.monotonic() - began < 30
    os.kill(int(child.read_text()), 9)
