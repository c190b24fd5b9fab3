"""How a program starts with a model: opening it, the first invoke against a steady one, and the memory both take.

Each start runs in a process of its own, `python -P -m edgert.report.start MODEL THREADS`, which prints one JSON object.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

from edgert.errors import InputError

STEADY_INVOKES = 30
_TIMES = ("open_ms", "expand_ms", "first_ms", "steady_ms")


def measure_start(model: Path, threads: int, processes: int) -> dict[str, Any]:
    """Starts `processes` times: the best and the median of each time in milliseconds, and bytes of memory.

    memory_bytes: by how much the process's own memory grew from before the model was opened to after the first invoke;
    the mapped file is not among it, nor what fits into memory that it had and did not use. None where the system does
    not tell. expand_ms: the part of open_ms that expanding stored weights took; peak_bytes: the most that the session
    held meanwhile. Raises InputError with what went wrong.
    """
    found = [_start(model, threads) for _ in range(processes)]
    facts: dict[str, Any] = {"model": str(model), "threads": threads, "processes": processes}
    for key in _TIMES:
        facts[key] = min(one[key] for one in found)
        facts[key.replace("_ms", "_median_ms")] = median(one[key] for one in found)
    facts["first_over_steady"] = (
        facts["first_ms"] / facts["steady_ms"]
    )  # of the bests: a busy machine disturbs single ones
    for key in (
        "memory_bytes",
        "arena_bytes",
        "session_bytes",
        "peak_bytes",
        "expansion",
        "operators",
        "packed_in_file",
    ):
        facts[key] = found[0][key]
    return facts


def print_start(facts: dict[str, Any]) -> None:
    from edgert.report.console import print_facts
    from edgert.report.expansion import Expansion

    expanded = facts["expansion"] and {**facts["expansion"], "ms": facts["expand_ms"]}
    more = facts["peak_bytes"] - facts["session_bytes"]
    opening = f"; {_kib(more)} more while it opens" if more else ""
    extra = "" if facts["memory_bytes"] is None else f", {_kib(facts['memory_bytes'] - facts['arena_bytes'])} beyond it"
    print_facts(
        [
            ("open", f"{facts['open_ms']:.3f} ms (median {facts['open_median_ms']:.3f})"),
            (
                "first invoke",
                f"{facts['first_ms']:.3f} ms, {facts['first_over_steady']:.2f} times a steady one"
                f" ({facts['steady_ms']:.3f} ms)",
            ),
            ("memory", f"the arena {_kib(facts['arena_bytes'])}{extra}{opening}"),
            ("expanded", Expansion(**expanded).text() if expanded else None),
            ("packed", f"{facts['packed_in_file']} of {facts['operators']} operators use weights packed in the file"),
        ]
    )


def _kib(size: int) -> str:
    return f"{size / 1024:.0f} KiB"


def _start(model: Path, threads: int) -> dict[str, Any]:
    path = [str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-P", "-m", __name__, str(model), str(threads)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"the process ended with code {done.returncode}"]
        raise InputError(f"{model}: {lines[-1]}")
    facts: dict[str, Any] = json.loads(done.stdout)
    return facts


def _own_bytes() -> int | None:
    """Memory of this process that no file stands behind (Linux, Documentation/filesystems/proc.rst)."""
    try:
        lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Anonymous:")), None)


def main() -> None:
    from time import perf_counter

    import numpy as np

    from edgert.report.expansion import expansion
    from edgert.runtime.compat import Interpreter

    path, threads = sys.argv[1], int(sys.argv[2])
    np.zeros(1)
    _own_bytes()  # what it needs itself, it has now
    before = _own_bytes()
    begin = perf_counter()
    interpreter = Interpreter(path, num_threads=threads)
    interpreter.allocate_tensors()
    opened = perf_counter()
    interpreter.invoke()
    invoked = perf_counter()
    after = _own_bytes()
    steady = []
    for _ in range(STEADY_INVOKES):
        start = perf_counter()
        interpreter.invoke()
        steady.append(perf_counter() - start)
    session = interpreter._session
    operators = session.model.op_count
    expanded = expansion(session)
    facts = {
        "open_ms": 1e3 * (opened - begin),
        "expand_ms": expanded.ms if expanded else 0.0,
        "first_ms": 1e3 * (invoked - opened),
        "steady_ms": 1e3 * min(steady),
        "memory_bytes": None if before is None or after is None else after - before,
        "arena_bytes": session.arena_bytes,
        "session_bytes": session.total_bytes,
        "peak_bytes": session.peak_bytes,
        "expansion": expanded.describe() if expanded else None,
        "operators": operators,
        "packed_in_file": sum(session.packed_in_file(i) for i in range(operators)),
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
