"""What the benchmark and a peer's process tell each other through a folder: a float model and samples, then results.

A peer is a script that is run as `PYTHON peer_NAME.py FOLDER`, by the interpreter of an environment that has the peer
(NumPy is all that this module needs). It quantises in one or several ways, and `run` writes what each way results in.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Arrays = list[Array]
Invoke = Callable[[Arrays], Arrays]  # inputs in the model's order -> outputs in the model's order
FLOAT = "float"  # the way that does not quantise
JUDGES = 48  # calibration samples, at most, by which the best of several ways is told without labels


@dataclass(frozen=True)
class Job:
    model: str  # a path
    authors: str = ""  # path of the int8 model that the float model's authors published, if they did
    carried: tuple[tuple[int, int], ...] = ()  # (output, input): state that one run hands to the next
    options: dict[str, Any] = field(default_factory=dict)  # for edgert.convert

    def write(self, folder: Path, calibration: Arrays, measured: Arrays) -> None:
        """calibration, measured: for each input, samples along a new first axis."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "job.json").write_text(json.dumps(asdict(self), indent=1, sort_keys=True))
        for name, arrays in (("calibration", calibration), ("measured", measured)):
            np.savez(folder / f"{name}.npz", *arrays)


class Work:
    """A job as its peer sees it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.job = Job(**json.loads((folder / "job.json").read_text()))
        self.calibration, self.measured = (load(folder / f"{name}.npz") for name in ("calibration", "measured"))
        self.count = len(self.calibration[0])

    def samples(self) -> Iterator[Arrays]:
        """Calibration samples."""
        return samples(self.calibration)

    def judges(self) -> Iterator[Arrays]:
        """Some of the calibration samples, evenly spread."""
        chosen = np.linspace(0, self.count - 1, min(JUDGES, self.count)).round().astype(int)
        return samples([array[chosen] for array in self.calibration])

    def stream(self, invoke: Invoke) -> Arrays:
        """Outputs on the measured samples, one after the other, with the state carried over."""
        state = {into: np.zeros_like(self.measured[into][0]) for _, into in self.job.carried}
        runs = []
        for inputs in samples(self.measured):
            outputs = invoke([state.get(i, array) for i, array in enumerate(inputs)])
            state = {into: outputs[out] for out, into in self.job.carried}
            runs.append(outputs)
        return stacked(runs)


def samples(arrays: Arrays) -> Iterator[Arrays]:
    return ([array[i] for array in arrays] for i in range(len(arrays[0])))


def stacked(runs: Iterable[Arrays]) -> Arrays:
    return [np.stack(outputs) for outputs in zip(*runs, strict=True)]


def load(path: Path) -> Arrays:
    with np.load(path) as arrays:
        return [arrays[name] for name in arrays.files]


def run(ways: Callable[[Work], Iterable[tuple[str, Callable[[], Invoke]]]]) -> None:
    """Main of a peer. ways: names of ways to quantise, FLOAT among them, and what makes a model that can be run.

    Writes NAME.measured.npz and NAME.judges.npz, and after each way results.json: seconds, or what failed.
    """
    work = Work(Path(sys.argv[1]))
    results: dict[str, Any] = {}
    for name, make in ways(work):
        begun = time.perf_counter()
        try:
            invoke = make()
            made = time.perf_counter() - begun
            np.savez(work.folder / f"{name}.measured.npz", *work.stream(invoke))
            np.savez(work.folder / f"{name}.judges.npz", *stacked(invoke(inputs) for inputs in work.judges()))
            results[name] = {"seconds": round(made, 1)}
        except Exception as error:  # a peer's fault is a result: this way does not work on this model
            traceback.print_exc()
            results[name] = {"failed": " ".join(f"{type(error).__name__}: {error}".split())[:300]}
        (work.folder / "results.json").write_text(json.dumps(results, indent=1))
