"""A real agent under strace: killed at a system call of a push, or with a call that fails. See agent_cuts.py."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("agent_cuts.py")
EXHAUSTIVE = os.environ.get("EDGERT_EXHAUSTIVE") == "1"
SEED = 6


def cuts(folder: Path, action: str, most: int, *words: str) -> dict[str, int]:
    if shutil.which("strace") is None:
        pytest.skip("needs strace, to interrupt the agent at its system calls")
    done = subprocess.run(
        [sys.executable, "-P", str(SCRIPT), str(folder), action, str(most), str(SEED), *words],
        capture_output=True,
        text=True,
        timeout=3000 if EXHAUSTIVE else 300,
    )
    if "strace cannot attach" in done.stderr:
        pytest.skip(f"needs the right to trace processes: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr[-4000:]
    result: dict[str, int] = json.loads(done.stdout)
    print(action, result)
    return result


@pytest.mark.parametrize(
    ("action", "in_ci"), [("signal=KILL", 40), ("error=ENOSPC", 20), ("error=EDQUOT", 5), ("error=EIO", 20)]
)
def test_a_push_that_is_cut_leaves_the_old_generation_or_the_new_one(action: str, in_ci: int, tmp_path: Path) -> None:
    """And takes the same push again, and the next one, after which nothing superfluous is left."""
    result = cuts(tmp_path, action, 0 if EXHAUSTIVE else in_ci)
    assert result["interrupted"] >= result["tried"] * 0.7  # how often a client asks for the status differs
    if action == "signal=KILL" or EXHAUSTIVE:
        assert result["old is current"] > 0
        assert result["new is current"] > 0


def test_a_cut_while_the_package_is_checked(tmp_path: Path) -> None:
    """Of the agent, or of the process that runs the package for it. Most of its calls are those of a Python that
    starts, and each takes a second, so even the long run tries some only."""
    result = cuts(tmp_path, "signal=KILL", 300 if EXHAUSTIVE else 8, "check")
    assert result["interrupted"] > 0
    assert result["old is current"] > 0
