"""What reads a line and who answers it, fuzzed for a bounded time: each target says what must hold."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

FUZZ_SECONDS = int(os.environ.get("EDGERT_FUZZ_SECONDS", "15"))  # for each target
FOLDER = Path(__file__).parent
MEMORY = Path("/dev/shm")


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """Where writing a file through to the disk takes no time, if there is such a place."""
    if not os.access(MEMORY, os.W_OK):
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp(dir=MEMORY))
    yield folder
    shutil.rmtree(folder)


# The least inputs that say something: those of the agent are whole conversations.
@pytest.mark.parametrize(
    ("target", "options", "least"),
    [("fuzz_smp", ["-max_len=2000"], 1000), ("fuzz_agent", ["-max_len=600", "-len_control=0"], 20)],
)
def test_fuzz(target: str, options: list[str], least: int, tmp_path: Path, scratch: Path) -> None:
    if importlib.util.find_spec("atheris") is None:
        # Its wheels are for x86-64; there, CI installs it, and a missing one is a failure.
        assert not (os.environ.get("CI") and platform.machine() == "x86_64"), "atheris is not installed"
        pytest.skip("needs atheris: pip install 'edgert[test]' on x86-64")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    run = subprocess.run(
        [
            # A process begins with the most memory that the one had which started it: a shell has little.
            "sh",
            "-c",
            '"$@"; exit $?',
            "sh",
            sys.executable,
            "-W",
            "ignore",
            FOLDER / f"{target}.py",
            f"-max_total_time={FUZZ_SECONDS}",
            "-seed=6",
            "-timeout=60",
            "-rss_limit_mb=1024",
            f"-artifact_prefix={tmp_path}/",
            *options,
            corpus,
        ],
        capture_output=True,
        text=True,
        timeout=FUZZ_SECONDS + 180,
        env={**os.environ, "TMPDIR": str(scratch)},
    )
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-6000:]
    runs = re.search(r"Done (\d+) runs", run.stderr)
    assert runs is not None, run.stderr[-2000:]
    print(f"{runs[1]} inputs")
    assert int(runs[1]) >= least
