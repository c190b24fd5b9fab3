"""An int8 or int16 model gives the same bytes on every instruction set, number of threads and architecture.

x86 runs through Python; ARM through the C API without Python (tests/c/run_model.c) under qemu-user.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from arm.test_arm import run_on
from c_build import build
from model_inputs import INT8_MODELS, Array
from packages import digits, every_operator

import edgert
from edgert.dtypes import DType
from edgert.runtime import _native

Find = Callable[[str], Path]

PROCESSORS = {  # architecture and processor -> the target that fits it
    ("aarch64", "cortex-a53"): "raspberry-pi-3",
    ("aarch64", "cortex-a72"): "raspberry-pi-4",
    ("aarch64", "cortex-a76"): "raspberry-pi-5",
    ("aarch64", "max"): "aarch64-i8mm",
    ("armv7", "max"): "armv7",
}
RUNS = 4  # random inputs a model
INT16_MODELS = ["int16_net", "int16_gated"]
LARGE_BYTES = 1 << 20  # of package; larger ones run once where every instruction is emulated


def package_of(name: str, find: Find, *targets: str) -> bytes:
    if name == "digits":
        return digits(quantize=True, targets=targets)
    if name in INT16_MODELS:
        return edgert.convert(Path(__file__).parents[1] / f"data/tflite/{name}.tflite", targets=targets).data
    return edgert.convert(find(f"tflite/{name}.tflite"), targets=targets).data


def random_runs(model: edgert.Model, count: int) -> list[list[np.ndarray]]:
    rng = np.random.default_rng(11)
    runs = []
    for _ in range(count):
        run = []
        for info in model.inputs:
            limits = np.iinfo(info.dtype.numpy_name)
            run.append(rng.integers(limits.min, limits.max + 1, info.shape).astype(info.dtype.numpy_name))
        runs.append(run)
    return runs


def outputs_of(package: bytes, runs: list[list[np.ndarray]], **options: object) -> bytes:
    """Raw bytes of all outputs of all runs."""
    model = edgert.Model(package, **options)  # type: ignore[arg-type]
    made = []
    for run in runs:
        outputs = model.run({info.name: x for info, x in zip(model.inputs, run, strict=True)})
        made += [outputs[info.name].tobytes() for info in model.outputs]
    return b"".join(made)


@pytest.mark.parametrize("name", [*INT8_MODELS, "digits", *INT16_MODELS])
def test_instruction_sets_and_threads(name: str, shared_data: Find) -> None:
    package = package_of(name, shared_data)
    runs = random_runs(edgert.Model(package), RUNS)
    expected = outputs_of(package, runs, isa="scalar")
    assert len(set(expected)) > 1
    for isa in _native.cpu_isas():
        for threads in (1, 2, 4):
            assert outputs_of(package, runs, isa=isa, threads=threads) == expected, (isa, threads)


@pytest.mark.parametrize(("architecture", "processor"), PROCESSORS)
@pytest.mark.parametrize("name", [*INT8_MODELS, "digits"])
def test_arm(name: str, architecture: str, processor: str, shared_data: Find, tmp_path: Path) -> None:
    """On one thread as the weights come, and on two with those that were packed for the processor here."""
    program = build(architecture) / "run_model"
    package, target = package_of(name, shared_data), PROCESSORS[architecture, processor]
    runs = random_runs(edgert.Model(package), 1 if len(package) > LARGE_BYTES else RUNS)
    inputs, made = tmp_path / "in.bin", tmp_path / "out"
    inputs.write_bytes(b"".join(x.tobytes() for run in runs for x in run))
    expected = outputs_of(package, runs)
    packed = package_of(name, shared_data, target)
    operators = {target[0]: target[3] for target in _native.Model(content=packed).targets}[target]
    assert operators > 0
    for threads, content, in_place in ((1, package, 0), (2, packed, operators)):
        (tmp_path / "model.ert").write_bytes(content)
        output = run_on(architecture, processor, program, tmp_path / "model.ert", threads, "-", inputs, made)
        assert made.read_bytes() == expected
        assert output == f"packed in the file: {in_place}\n"


@pytest.mark.parametrize(("architecture", "processor"), PROCESSORS)
@pytest.mark.parametrize("name", INT16_MODELS)
def test_int16_on_arm(name: str, architecture: str, processor: str, shared_data: Find, tmp_path: Path) -> None:
    """Plain loops, which pack nothing."""
    package = package_of(name, shared_data)
    runs = random_runs(edgert.Model(package), RUNS)
    (tmp_path / "model.ert").write_bytes(package)
    (tmp_path / "in.bin").write_bytes(b"".join(x.tobytes() for run in runs for x in run))
    program = build(architecture) / "run_model"
    run_on(architecture, processor, program, tmp_path / "model.ert", 2, "-", tmp_path / "in.bin", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == outputs_of(package, runs)


def _drawn(rng: np.random.Generator, shape: tuple[int, ...], dtype: DType) -> Array:
    """Integers are 1 or 2, which may divide, index and count; int8 ones are quantised numbers."""
    if dtype == DType.FLOAT32:
        return rng.normal(size=shape).astype(np.float32)
    low, high = (-128, 128) if dtype == DType.INT8 else (1, 3)
    return rng.integers(low, high, shape).astype(dtype.numpy_name)


@pytest.mark.parametrize(("architecture", "processor"), PROCESSORS)
def test_every_operator_on_arm(architecture: str, processor: str, tmp_path: Path) -> None:
    """int8 results are equal; float32 ones are as near as another order of multiply and add allows."""
    package = every_operator()
    model = edgert.Model(package)
    rng = np.random.default_rng(4)
    inputs = {info.name: _drawn(rng, tuple(info.shape), info.dtype) for info in model.inputs}
    (tmp_path / "model.ert").write_bytes(package)
    (tmp_path / "in.bin").write_bytes(b"".join(inputs[info.name].tobytes() for info in model.inputs))
    program = build(architecture) / "run_model"
    run_on(architecture, processor, program, tmp_path / "model.ert", 1, "-", tmp_path / "in.bin", tmp_path / "out")
    raw = (tmp_path / "out").read_bytes()
    expected = model.run(inputs)
    for info in model.outputs:
        dtype = np.dtype(info.dtype.numpy_name)
        got = np.frombuffer(raw, dtype, int(np.prod(info.shape)))
        raw = raw[got.nbytes :]
        if info.dtype == DType.FLOAT32:
            np.testing.assert_allclose(got, expected[info.name].ravel(), rtol=1e-5, atol=1e-6, err_msg=info.name)
        else:
            assert np.array_equal(got, expected[info.name].ravel()), info.name
    assert not raw
