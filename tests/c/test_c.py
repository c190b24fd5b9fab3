"""Runs the C test programs (every kernel against the scalar one, the pool, the public API) under ASan and UBSan."""

from __future__ import annotations

from pathlib import Path

import pytest
from c_build import build, run

PROGRAMS = sorted(path.stem for path in Path(__file__).parent.glob("test_*.c"))


@pytest.mark.parametrize("program", PROGRAMS)
def test_program(program: str) -> None:
    output = run(build("sanitized") / program)
    assert "cases passed" in output
