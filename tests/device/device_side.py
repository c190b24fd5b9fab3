"""What stands on the device in these tests: programs that ssh and adb start there, and their homes."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
import time
from pathlib import Path

from edgert.device.address import Address
from edgert.device.connect import open_stream
from edgert.store.errors import BusyError
from edgert.store.home import Home


def write_edgert(folder: Path) -> Path:
    """`folder`/edgert, which runs the edgert that is tested: a login's environment does not name this Python."""
    path = os.environ.get("PYTHONPATH", "")
    return write_program(
        folder / "edgert", f'PYTHONPATH={shlex.quote(path)} exec {shlex.quote(sys.executable)} -P -m edgert "$@"'
    )


def write_program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


async def read_one(address: Address) -> bytes:
    """What comes first from the program there."""
    stream = await open_stream(address)
    try:
        async with asyncio.timeout(60):
            await stream.read()  # the first byte is the way's own
            return await stream.read()
    finally:
        await stream.close()


def wait_until_free(home: Path) -> None:
    """Until the agent of a connection that broke has noticed, and let go of the home."""
    give_up_at = time.monotonic() + 60
    while True:
        try:
            with Home(home).lock():
                return
        except BusyError:
            assert time.monotonic() < give_up_at, "an agent without a connection goes on"
            time.sleep(0.1)
