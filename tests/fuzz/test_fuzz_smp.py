"""What reads a line, fuzzed for a bounded time: tests/fuzz/fuzz_smp.py says what must hold."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

FUZZ_SECONDS = int(os.environ.get("EDGERT_FUZZ_SECONDS", "20"))
TARGET = Path(__file__).with_name("fuzz_smp.py")


def test_readers_of_a_line(tmp_path: Path) -> None:
    if importlib.util.find_spec("atheris") is None:
        # Its wheels are for x86-64; there, CI installs it, and a missing one is a failure.
        assert not (os.environ.get("CI") and platform.machine() == "x86_64"), "atheris is not installed"
        pytest.skip("needs atheris: pip install 'edgert[test]' on x86-64")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    run = subprocess.run(
        [
            sys.executable,
            TARGET,
            f"-max_total_time={FUZZ_SECONDS}",
            "-seed=6",
            "-timeout=10",
            "-rss_limit_mb=1024",
            "-max_len=2000",
            f"-artifact_prefix={tmp_path}/",
            corpus,
        ],
        capture_output=True,
        text=True,
        timeout=FUZZ_SECONDS + 120,
    )
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-6000:]
    runs = re.search(r"Done (\d+) runs", run.stderr)
    assert runs is not None, run.stderr[-2000:]
    print(f"{runs[1]} inputs")
    assert int(runs[1]) > 1000, "so few inputs say nothing"
