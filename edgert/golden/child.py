"""What runs in the process of edgert.golden.apart."""

from __future__ import annotations

import contextlib
import marshal
import os
import resource
import signal
import sys
from typing import Any

_SESSION_BYTES = 1 << 30  # the default of ert_session_options.memory_limit: what edgert.load gives a model
_MORE_SECONDS = 2  # the parent's clock ends the check; these end it when the parent is gone


def main() -> None:
    """Standard input: the package's path, the runs, and the limits. The answer goes to the pipe whose number is the
    argument: "passed <session bytes>", "failed <why>", or "memory"."""
    reply = int(sys.argv[1])
    path, golden, limits = (marshal.load(sys.stdin.buffer) for _ in range(3))
    limit_time(limits["seconds"])
    text, code = _checked(path, golden, int(limits["memory_bytes"]))
    with contextlib.suppress(OSError):  # nobody is there any more
        os.write(reply, text.encode("utf-8", "replace")[:4096])
    os._exit(code)  # a library's own cleaning up has no part in the verdict


def _checked(path: str, golden: list[dict[str, Any]], memory_bytes: int) -> tuple[str, int]:
    from edgert.errors import EdgertError, OutOfMemoryError
    from edgert.golden.check import check

    try:
        limit_memory(memory_bytes, path)
        return f"passed {check(path, golden, min(memory_bytes, _SESSION_BYTES))}", 0
    except (OutOfMemoryError, MemoryError) as error:
        return f"memory {' '.join(str(error).split())}", 1
    except EdgertError as error:
        return f"failed {' '.join(str(error).split())}", 1
    except Exception as error:
        return f"fault {type(error).__name__}: {error}", 1


def limit_time(seconds: float) -> None:
    """Of the process, by the clock and by the processor's time; before anything of the package is read."""
    whole = max(1, int(seconds) + _MORE_SECONDS)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(whole)
    _limit(resource.RLIMIT_CPU, whole)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    with contextlib.suppress(OSError):
        os.nice(5)  # the line's bytes come first


def limit_memory(memory_bytes: int, path: str) -> None:
    """Beyond what Python and edgert take so far, and the file, which is mapped."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")
    with open("/proc/self/statm") as sizes:
        now = int(sizes.read().split()[0]) * resource.getpagesize()
    _limit(resource.RLIMIT_AS, now + os.stat(path).st_size + memory_bytes)


def _limit(which: int, value: int) -> None:
    """At most what somebody, as a systemd unit, allowed before; a limit is never raised."""
    _, hard = resource.getrlimit(which)
    most = min(value, sys.maxsize) if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (most, most))
