"""Damaged packages: every one is refused with a message or runs, and the sanitizers see nothing."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from c_build import build, run
from packages import PACKAGES, write_package

MUTATIONS = int(os.environ.get("EDGERT_MUTATIONS", "200000"))  # for each package
FUZZ_SECONDS = int(os.environ.get("EDGERT_FUZZ_SECONDS", "60"))  # for each target


@pytest.mark.parametrize("name", PACKAGES)
def test_mutations(name: str, tmp_path: Path) -> None:
    package = write_package(name, tmp_path)
    output = run(build("sanitized") / "mutate", package, 1, MUTATIONS, timeout_s=3600)
    print(output)
    counts = re.search(r"(\d+) truncations and (\d+) mutations .*: (\d+) refused, (\d+) ran", output)
    assert counts is not None, output
    truncations, mutations, refused, ran = map(int, counts.groups())
    assert truncations == package.stat().st_size
    assert mutations == MUTATIONS
    assert refused + ran == 1 + truncations + mutations
    assert ran > mutations // 20, "almost nothing ran: the mutations no longer reach the operators"


@pytest.mark.parametrize("target", ["fuzz_load", "fuzz_invoke"])
def test_libfuzzer(target: str, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for name in PACKAGES:
        write_package(name, corpus)
    run(
        build("libfuzzer") / target,
        f"-max_total_time={FUZZ_SECONDS}",
        "-timeout=20",
        "-rss_limit_mb=2048",
        f"-artifact_prefix={tmp_path}/",
        corpus,
        timeout_s=FUZZ_SECONDS + 120,
    )
