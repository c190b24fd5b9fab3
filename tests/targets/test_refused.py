"""A package that is meant for certain machines, and devices of all kinds: whether the agent takes it, and what it says.

The machines are told by EDGERT_PROBE; the agent is a process of its own, the package comes in a folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from device.pushes import home, key, package

from edgert import device
from edgert.manifest.keys import PrivateKey

PI_5 = {"architecture": "aarch64", "instruction_sets": "neon neondot", "page_size": 16384, "cores": 4}
PI_5["memory_bytes"] = 8 << 30


@dataclass(frozen=True)
class Stick:
    """What is carried to the devices: a package for the Pi 5, 64-bit."""

    folder: Path
    key: PrivateKey


@pytest.fixture(scope="module")
def stick(tmp_path_factory: pytest.TempPathFactory) -> Stick:
    folder, signer = tmp_path_factory.mktemp("stick"), key()
    model = package(folder / "model.ert", 20_000)
    device.push(model, f"file:{folder}", signer, device.PushOptions(targets=("raspberry-pi-5",)))
    return Stick(folder, signer)


def take(stick: Stick, folder: Path, machine: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    (folder / "machine.json").write_text(json.dumps(machine))
    command = [sys.executable, "-P", "-m", "edgert", "agent", "--once", str(stick.folder)]
    command += ["--home", str(home(folder / "home", stick.key))]
    environment = {**os.environ, "EDGERT_PROBE": str(folder / "machine.json")}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"instruction_sets": "neon"}, "the device lacks neondot, needed for raspberry-pi-5 (it has neon)"),
        ({"architecture": "armv7"}, "the device is armv7 (a 32-bit system), needed aarch64 (a 64-bit system)"),
        ({"page_size": 65536}, "the device has memory pages of 65536 bytes, needed 16384 or 4096 for raspberry-pi-5"),
        ({"memory_bytes": 4096}, "the device has 4.0 KiB of memory, needed "),
    ],
    ids=["HWCAP", "architecture", "page size", "memory"],
)
def test_what_does_not_fit_is_refused(stick: Stick, tmp_path: Path, changed: dict[str, Any], reason: str) -> None:
    done = take(stick, tmp_path, {**PI_5, **changed})
    assert done.returncode == 1
    assert reason in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list((tmp_path / "home" / "objects").iterdir())
    assert not list((tmp_path / "home" / "staging").iterdir())


def test_what_fits_is_taken(stick: Stick, tmp_path: Path) -> None:
    done = take(stick, tmp_path, PI_5)
    assert done.returncode == 0, done.stderr
    assert "pending" in done.stdout
