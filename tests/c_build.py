"""Builds the C core and its test programs with CMake, once a session and kind. Build folders stay in the repository's
root (build-<kind>, not tracked), so that a second run compiles only what changed; processes that test beside each other
take turns."""

from __future__ import annotations

import fcntl
import functools
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def cross(architecture: str, compiler: str) -> list[str]:
    """Static programs for another architecture, to run under qemu-user."""
    return [
        "-DEDGERT_TESTS=ON", "-DEDGERT_STATIC=ON", "-DCMAKE_SYSTEM_NAME=Linux",
        f"-DCMAKE_SYSTEM_PROCESSOR={architecture}", f"-DCMAKE_C_COMPILER={compiler}",
    ]  # fmt: skip


KINDS = {
    "plain": ["-DEDGERT_TESTS=ON"],
    "sanitized": ["-DEDGERT_TESTS=ON", "-DEDGERT_SANITIZE=ON"],
    "aarch64": cross("aarch64", "aarch64-linux-gnu-gcc"),
    "armv7": cross("armv7", "arm-linux-gnueabihf-gcc"),
    "libfuzzer": ["-DEDGERT_FUZZ=ON", "-DEDGERT_SANITIZE=ON", "-DCMAKE_C_COMPILER=clang"],
}


def skip_or_fail(reason: str) -> None:
    """Skips the test visibly; in CI, which installs everything, what is missing is a failure."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@functools.cache
def build(kind: str) -> Path:
    """The folder with the programs of this kind. Skips the test when CMake or the compiler is missing."""
    cmake = shutil.which("cmake") or ""
    if not cmake:
        skip_or_fail("cmake is not installed (pip install cmake)")
    for option in KINDS[kind]:
        compiler = option.removeprefix("-DCMAKE_C_COMPILER=")
        if compiler != option and shutil.which(compiler) is None:
            skip_or_fail(f"{compiler}, which builds the {kind} programs, is not installed")
    folder = ROOT / f"build-{kind}"
    configure = [cmake, "-S", str(ROOT / "ext"), "-B", str(folder), *KINDS[kind]]
    folder.mkdir(exist_ok=True)
    with open(folder / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in (configure, [cmake, "--build", str(folder), "-j", str(os.cpu_count())]):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                pytest.fail(f"{' '.join(command)}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
    return folder


def run(program: Path, *arguments: object, timeout_s: float = 600) -> str:
    """Output of a test program; fails the test with what it printed when its exit status is not 0."""
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=1:allocator_may_return_null=1"}
    command = [str(program), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, env=environment)
    if done.returncode:
        pytest.fail(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-6000:]}")
    return done.stdout
