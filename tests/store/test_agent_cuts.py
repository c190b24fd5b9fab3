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


@pytest.mark.parametrize(
    ("action", "in_ci"), [("signal=KILL", 40), ("error=ENOSPC", 20), ("error=EDQUOT", 5), ("error=EIO", 20)]
)
def test_a_push_that_is_cut_leaves_the_old_generation_or_the_new_one(action: str, in_ci: int, tmp_path: Path) -> None:
    """And takes the same push again, and the next one, after which nothing superfluous is left."""
    if shutil.which("strace") is None:
        pytest.skip("needs strace, to interrupt the agent at its system calls")
    most = 0 if EXHAUSTIVE else in_ci
    done = subprocess.run(
        [sys.executable, "-P", str(SCRIPT), str(tmp_path), action, str(most), str(SEED)],
        capture_output=True,
        text=True,
        timeout=3000 if EXHAUSTIVE else 300,
    )
    if "strace cannot attach" in done.stderr:
        pytest.skip(f"needs the right to trace processes: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr[-4000:]
    result = json.loads(done.stdout)
    print(action, result)
    assert result["interrupted"] >= result["tried"] * 0.8
    assert result["old is current"] > 0
    assert result["new is current"] > 0
