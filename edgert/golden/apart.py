"""The check in a process of its own: a package that crashes, hangs or eats memory must not hurt who received it.

The process limits itself before it opens anything: address space, processor time, no core dumps, no files written. It
ends when its time is up even if whoever started it is gone, and the kernel takes it first when memory runs out.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from typing import IO, Any

from edgert.golden.check import CheckError

_MAX_REPLY = 1 << 14
# It imports edgert from where this process did, and nothing from the folder that the agent was started in.
_START = """
import marshal, sys
sys.dont_write_bytecode = True
sys.path[:] = marshal.load(sys.stdin.buffer)
from edgert.golden.child import main
main()
"""


@dataclass(frozen=True)
class Checked:
    """A package that passed. session_bytes: the most that its session took; seconds: with the process's start."""

    session_bytes: int
    seconds: float


def check_apart(
    package: str | PathLike[str],
    golden: Sequence[dict[str, Any]] = (),
    *,
    timeout_seconds: float = 300.0,
    memory_bytes: int = 1 << 30,
) -> Checked:
    """Does what edgert.golden.check does, in a process of its own. Without runs it opens and binds the package.

    memory_bytes: that the process may take beyond Python, edgert and the package's file itself; its session takes no
    more than one that an application opens (1 GiB).
    Raises CheckError for a package that does not pass, whatever it did.
    """
    start = time.monotonic()
    limits = {"seconds": timeout_seconds, "memory_bytes": memory_bytes}
    path = [entry for entry in sys.path if isinstance(entry, str)]
    with _given(path, os.fspath(package), list(golden), limits) as given:
        reply, status = _run(given, start + timeout_seconds)
    seconds = time.monotonic() - start
    word, _, rest = reply.decode("utf-8", "replace").partition(" ")
    if status == 0 and word == "passed" and rest.isdecimal():
        return Checked(int(rest), seconds)
    if word == "failed":
        raise CheckError(rest)
    if status is None:
        raise CheckError(f"the model did not finish its check within {timeout_seconds:g} s on this device")
    if word == "memory":
        why = f": {rest}" if rest else ""
        raise CheckError(
            f"the model's check needs more memory than it may take on this device, {memory_bytes >> 20} MiB{why}"
        )
    if status < 0:
        raise CheckError(f"the model crashed in its check on this device ({_signal_name(-status)})")
    raise CheckError(
        f"the check could not be made on this device (exit code {status}): {rest[:400] or 'no reason given'}"
    )


def _given(path: list[str], package: str, golden: list[dict[str, Any]], limits: dict[str, float]) -> IO[bytes]:
    """What the child reads, as a file: a pipe would wait for a child that does not read."""
    in_memory = hasattr(os, "memfd_create")  # Linux
    file: IO[bytes] = os.fdopen(os.memfd_create("edgert-check"), "w+b") if in_memory else tempfile.TemporaryFile()  # noqa: SIM115
    for value in (path, package, golden, limits):
        marshal.dump(value, file)
    file.flush()
    file.seek(0)
    return file


def _run(given: IO[bytes], deadline: float) -> tuple[bytes, int | None]:
    """What the child said, and its exit code; None: it was ended because its time was up."""
    read, write = os.pipe()
    try:
        try:
            child = subprocess.Popen(
                [sys.executable, "-P", "-c", _START, str(write)],
                stdin=given,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(write,),
                start_new_session=True,  # what is typed to end the agent does not fail the model
            )
        finally:
            os.close(write)
        try:
            reply = _read(read, deadline)
            return reply, child.wait(max(0.0, deadline - time.monotonic()) + 0.1)
        except subprocess.TimeoutExpired:
            return reply, None
        finally:
            _end(child)
    finally:
        os.close(read)


def _read(pipe: int, deadline: float) -> bytes:
    """All that comes before the deadline, as far as there is room for it."""
    reply = b""
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    while (left := deadline - time.monotonic()) > 0:
        if poll.poll(left * 1000):
            piece = os.read(pipe, _MAX_REPLY)
            if not piece:
                break
            reply = (reply + piece)[:_MAX_REPLY]
    return reply


def _end(child: subprocess.Popen[bytes]) -> None:
    """The child, if it still runs, and whatever it started."""
    if child.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
