"""Packages to push, keys that sign them, and homes that take them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.ir import Graph, Node, Value
from edgert.manifest.keys import PrivateKey, new_key, trust
from edgert.pack.writer import write

_INPUTS = 256


def package(path: Path, size: int, seed: int = 0) -> Path:
    """A package of about `size` bytes: one fully connected layer with random weights, which cannot be compressed."""
    outputs = max(1, size // _INPUTS)
    weights = np.random.default_rng(seed).integers(-127, 128, (outputs, _INPUTS), dtype=np.int8)
    x = Value("x", (1, _INPUTS), DType.INT8, QuantParams((0.1,), (0,)))
    y = Value("y", (1, outputs), DType.INT8, QuantParams((1.0,), (seed % 8,)))
    w = Value("w", weights.shape, DType.INT8, QuantParams((0.01,), (0,)), data=weights)
    node = Node("fully_connected", [x, w], [y], {}, "layer")
    path.write_bytes(write(Graph("layer", [x], [y], [node])))
    return path


def home(folder: Path, key: PrivateKey) -> Path:
    """A home that trusts this key."""
    trust(key.public, folder / "keys")
    return folder


def key() -> PrivateKey:
    return new_key("test")


class Agent:
    """`edgert agent --tty` in a process of its own."""

    def __init__(self, port: Path, folder: Path, baud: int, *options: str) -> None:
        self._command = [sys.executable, "-P", "-m", "edgert", "agent", "--tty", str(port), "--home", str(folder)]
        self._command += ["--baud", str(baud), *options]
        self._log = folder.with_name(f"{folder.name}.agent.log")
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self) -> None:
        """As a power cut: no handler runs."""
        self._process.kill()
        self._process.wait()

    def cpu_seconds(self) -> float:
        """What it used so far, in user and kernel."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def said(self) -> str:
        return self._log.read_text(errors="replace")

    def __enter__(self) -> Agent:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()


def wait_until(condition: object, seconds: float = 20.0) -> None:
    """Waits for condition() to be true; fails after so many seconds."""
    assert callable(condition)
    give_up_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up_at, f"not within {seconds} s"
        time.sleep(0.02)
