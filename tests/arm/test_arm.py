"""Builds the C core and its test programs for ARM and runs them under qemu-user on processors with and without the
optional instruction sets: a kernel that executes an instruction which its processor lacks gets SIGILL here.

Needs CMake, a cross compiler and qemu-user (Debian: gcc-aarch64-linux-gnu, gcc-arm-linux-gnueabihf, qemu-user).
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from c_build import ROOT, build, skip_or_fail

# Architecture, processor as qemu-user names it, and the instruction sets that test_isa must find there.
PROCESSORS = [
    ("aarch64", "cortex-a53", "scalar neon"),
    ("aarch64", "cortex-a72", "scalar neon"),
    ("aarch64", "cortex-a76", "scalar neon neondot"),
    ("aarch64", "max", "scalar neon neondot neoni8mm"),
    ("armv7", "cortex-a7", "scalar neon"),
    ("armv7", "cortex-a9", "scalar neon"),  # no fused multiply-add
    ("armv7", "max", "scalar neon"),
]
EMULATORS = {"aarch64": "qemu-aarch64", "armv7": "qemu-arm"}
PROGRAMS = sorted(path.stem for path in (ROOT / "tests" / "c").glob("test_*.c"))


def run_on(architecture: str, processor: str, program: Path, *arguments: object) -> str:
    """Output of a program on an emulated processor; fails the test when its exit status is not 0."""
    emulator = shutil.which(EMULATORS[architecture])
    if emulator is None:
        skip_or_fail(f"{EMULATORS[architecture]} is not installed (Debian: qemu-user)")
    command = [str(emulator), "-cpu", processor, str(program), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode:
        pytest.fail(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return done.stdout


@pytest.mark.parametrize(("architecture", "processor", "instruction_sets"), PROCESSORS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_program(architecture: str, processor: str, instruction_sets: str, program: str) -> None:
    output = run_on(architecture, processor, build(architecture) / program)
    if output.startswith(f"{program}: skipped: "):
        pytest.skip(output.strip())
    assert "cases passed" in output
    if program == "test_isa":
        found = re.search(r"this processor has (.*)", output)
        assert found is not None
        assert found[1] == instruction_sets
