"""The inner loops of the int8 products keep the busiest pipe of out-of-order cores busy, by LLVM's models of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from c_build import build

SCRIPT = Path(__file__).with_name("mca.py")
MOST_OF_PIPE = 1.1  # cycles simulated, of those that the busiest pipe needs
INNER_LOOP = 32  # multiplications, at least


@pytest.mark.parametrize("kernel", ["qgemm/neon.c", "qgemm/neondot.c", "fgemm/neon.c"])
def test_inner_loops_do_not_stall(kernel: str) -> None:
    command = [sys.executable, str(SCRIPT), str(build("aarch64")), kernel]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if output.startswith("skipped: "):
        pytest.skip(output.strip())
    lines = [line.split() for line in output.splitlines()[1:]]
    if not any(line[-1].startswith("N1Unit") for line in lines):
        pytest.skip("this llvm-mca has no model of neoverse-n1 of its own (LLVM 16 and later have)")
    loops = [line for line in lines if line[2] != "cortex-a55" and int(line[4]) >= INNER_LOOP]
    assert loops
    stalls = [line for line in loops if float(line[5]) > MOST_OF_PIPE * float(line[6])]
    assert not stalls, stalls
