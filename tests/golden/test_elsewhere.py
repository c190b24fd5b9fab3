"""Golden runs that are made on this machine pass on others: the device's side of a check, with the outputs of the C API
under qemu-user in place of those of Python. Among the models is one that has every operator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from arm.test_arm import run_on
from c_build import build
from golden import models
from packages import PACKAGES

from edgert.dtypes import DType
from edgert.golden import CheckError, make
from edgert.golden.check import compare
from edgert.golden.inputs import elements
from edgert.golden.runs import Runner, element_count, open_model

PROCESSORS = [("aarch64", "cortex-a53"), ("aarch64", "max"), ("armv7", "cortex-a7")]
MAKERS: dict[str, Callable[[], bytes]] = {
    "every operator": PACKAGES["every-operator"],
    "digits in int8": PACKAGES["digits-int8"],
    "digits in float": PACKAGES["digits-float"],
    "expanded weights": PACKAGES["expanded"],
    "mixture": models.mixture,
    "dense float": lambda: models.dense(DType.FLOAT32),
    "float variables": lambda: models.memory(DType.FLOAT32),
    "embedding": lambda: models.embedding(50),
}


@pytest.mark.parametrize(("architecture", "processor"), PROCESSORS)
def test_passes_on_arm(architecture: str, processor: str, tmp_path: Path) -> None:
    program = build(architecture) / "run_model"
    failures = []
    for name, maker in MAKERS.items():
        package = maker()
        path, inputs, made = (tmp_path / part for part in ("model.ert", "in.bin", "out.bin"))
        path.write_bytes(package)
        runner = Runner(open_model(package))
        for run in make(package, 2):
            inputs.write_bytes(b"".join(fed(runner, run["seed"], step, run["span"]) for step in range(run["steps"])))
            run_on(architecture, processor, program, path, 1, "-", inputs, made)
            sizes = [element_count(info.shape) * info.dtype.itemsize for info in runner.outputs]
            given, at = made.read_bytes()[-sum(sizes) :], 0  # of the last step
            for info, size, wanted in zip(runner.outputs, sizes, run["outputs"], strict=True):
                try:
                    compare(info, given[at : at + size], wanted, None, f"{name}, {info.name}")
                except CheckError as error:
                    failures.append(str(error))
                at += size
    assert not failures, "\n".join(failures)


def fed(runner: Runner, seed: int, step: int, span: int) -> bytes:
    """All inputs of a step, as edgert.golden.inputs says they are."""
    return b"".join(
        elements(seed, step, k, info.dtype, info.quant is not None, span, element_count(info.shape))
        for k, info in enumerate(runner.inputs)
    )
