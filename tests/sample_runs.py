"""The samples' scripts, and how to run one as a person does: a process in a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SAMPLES = Path(__file__).resolve().parents[1] / "samples"
PI, FIRMWARE = SAMPLES / "raspberry-pi", SAMPLES / "firmware"
DIGITS = SAMPLES / "digits"
SECONDS = 120.0  # that a script may take on a busy machine


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


def environment(**more: str) -> dict[str, str]:
    """Of a process that finds the edgert that is tested, and no home or key of the person who runs the tests."""
    cleared = ("EDGERT_HOME", "STATE_DIRECTORY", "NOTIFY_SOCKET", "EDGERT_PROBE", "XDG_CONFIG_HOME")
    return {**{name: value for name, value in os.environ.items() if name not in cleared}, **more}


def start(script: Path, *words: object, cwd: Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    command = [sys.executable, str(script), *map(str, words)]
    return subprocess.Popen(
        command, cwd=cwd, env=dict(env or environment()), text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def run(script: Path, *words: object, cwd: Path, env: Mapping[str, str] | None = None) -> Ended:
    return ended(start(script, *words, cwd=cwd, env=env))


def ended(process: subprocess.Popen[str], seconds: float = SECONDS) -> Ended:
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"it did not end within {seconds} s; it said:\n{out}\n{err}") from None
    return Ended(process.returncode, out, err)
