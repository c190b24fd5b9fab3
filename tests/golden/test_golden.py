"""Golden runs: exact where results are the same everywhere, tolerant where they are not, and never without teeth."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden import models

from edgert import golden
from edgert.dtypes import DType
from edgert.errors import FileFormatError, InputError
from edgert.golden import CheckError
from edgert.golden.inputs import elements
from edgert.golden.make import usable_span
from edgert.golden.runs import Runner, open_model
from edgert.golden.trust import Trust, output_trust
from edgert.runtime import _native
from edgert.smp import cbor

MAKERS: dict[str, Callable[[], bytes]] = {
    "int8": models.dense,
    "float": lambda: models.dense(DType.FLOAT32),
    "float around int8": models.float_around_int8,
    "mixture": models.mixture,
    "several inputs and indices": lambda: models.embedding(50),
    "variables": models.memory,
    "float variables": lambda: models.memory(DType.FLOAT32),
}


@pytest.mark.parametrize("name", MAKERS)
def test_passes_with_every_instruction_set(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    package = MAKERS[name]()
    runs = golden.make(package, 3)
    assert len(runs) == 3
    assert golden.make(package, 3) == runs
    again = cbor.decode(cbor.encode(list(runs)))  # as it travels in a manifest
    for isa in _native.cpu_isas():
        monkeypatch.setenv("ERT_ISA_MAX", isa)
        assert golden.check(package, again) > 0
    assert not any("skip" in output for run in runs for output in run["outputs"])


@pytest.mark.parametrize("name", ["int8", "float around int8", "several inputs and indices", "variables"])
def test_exact_outputs_are_hashed(name: str) -> None:
    for run in golden.make(MAKERS[name](), 2):
        assert all(output.keys() == {"sha256"} for output in run["outputs"])


def test_floats_have_values_and_a_tolerance() -> None:
    (run,) = golden.make(models.dense(DType.FLOAT32), 1)
    (output,) = run["outputs"]
    values = struct.unpack("<40f", output["values"])
    assert output["stride"] == 1
    assert output["outliers"] == 0
    assert 0 < output["tolerance"] < 0.01 * max(map(abs, values))


def test_trust_of_a_mixture() -> None:
    model = open_model(models.mixture())
    assert output_trust(model, _native.Session(model)) == (
        Trust.CLOSE, Trust.LOOSE, Trust.LOOSE, Trust.LOOSE, Trust.EXACT,
    )  # fmt: skip


def test_variables_carry_what_is_inexact() -> None:
    """The output is read before anything inexact is written, and holds it in the next step."""
    model = open_model(models.memory(DType.FLOAT32))
    assert output_trust(model, _native.Session(model)) == (Trust.CLOSE,)
    model = open_model(models.memory())
    assert output_trust(model, _native.Session(model)) == (Trust.EXACT,)


def test_variables_are_stepped_and_reset() -> None:
    package = models.memory()
    runs = golden.make(package, 2)
    assert all(run["steps"] == 3 for run in runs)
    runner = Runner(open_model(package))
    second = elements(1, 1, 0, DType.INT8, True, 128, 16)
    assert runner.seeded(1, 3, 128) == [bytes(second)]
    assert runner.seeded(1, 3, 128) == [bytes(second)]  # whatever an earlier run left
    assert runner.seeded(1, 1, 128) == [bytes(range(16))]


@pytest.mark.parametrize(("rows", "span"), [(500, 128), (128, 128), (50, 16), (16, 16), (9, 2), (2, 2), (1, 1)])
def test_indices_stay_in_range(rows: int, span: int) -> None:
    """A table's size is known to the model alone."""
    package = models.embedding(rows)
    runs = golden.make(package, 1)
    assert runs[0]["span"] == span
    golden.check(package, runs)


def test_every_seed_runs() -> None:
    """A few indices of one seed may happen to be small: with 110 rows, those of seed 1 fit a span of 128, and those of
    seed 4 do not."""
    package = models.embedding(110)
    runner = Runner(open_model(package))
    assert usable_span(runner, [1], 1)[0] == 128
    assert usable_span(runner, [1, 4], 1)[0] == 16
    golden.check(package, golden.make(package, 30))


def test_no_span_fits() -> None:
    class Fussy(Runner):
        def seeded(self, seed: int, steps: int, span: int) -> list[bytes]:
            from edgert.errors import InvokeError

            raise InvokeError("index 7 is out of range")

    with pytest.raises(InputError, match="--golden 0"):
        usable_span(Fussy(open_model(models.embedding(4))), [1], 1)


def test_numbers_that_are_not_finite_are_avoided() -> None:
    """With some ids the model gives NaN, which would compare nothing: fewer of them are used."""

    class Fragile(Runner):
        def seeded(self, seed: int, steps: int, span: int) -> list[bytes]:
            outputs = super().seeded(seed, steps, span)
            return [np.full(30, np.nan, np.float32).tobytes()] if span > 2 else outputs

    assert usable_span(Fragile(open_model(models.embedding(500))), [1], 1)[0] == 2


# --- what is made of a seed ---


def test_inputs_are_fixed_for_ever() -> None:
    """Manifests name seeds: another generator would make every signed run wrong."""
    assert elements(1, 0, 0, DType.UINT8, True, 1, 8).hex() == "caad1bd0120f506a"
    assert elements(1, 0, 0, DType.INT8, True, 1, 8).hex() == "4a2d9b50928fd0ea"
    assert elements(1, 0, 1, DType.UINT8, True, 1, 4) != elements(1, 0, 0, DType.UINT8, True, 1, 4)
    assert elements(1, 1, 0, DType.UINT8, True, 1, 4) != elements(1, 0, 0, DType.UINT8, True, 1, 4)
    assert elements(2, 0, 0, DType.UINT8, True, 1, 4) != elements(1, 0, 0, DType.UINT8, True, 1, 4)


def test_inputs_by_their_definition() -> None:
    source = np.frombuffer(elements(5, 2, 3, DType.UINT8, True, 1, 1000), np.uint8).astype(np.int64)
    assert source.min() < 4
    assert source.max() > 251
    wanted: list[tuple[DType, bool, int, Any]] = [
        (DType.FLOAT32, False, 128, (source - 128) / 128),
        (DType.FLOAT16, False, 128, (source - 128) / 128),
        (DType.INT8, True, 128, source - 128),
        (DType.INT16, True, 128, 257 * source - 32768),
        (DType.INT8, False, 128, source % 128),
        (DType.INT32, False, 16, source % 16),
        (DType.INT64, False, 2, source % 2),
        (DType.BOOL, False, 128, source % 2),
    ]
    for dtype, quantized, span, numbers in wanted:
        made = np.frombuffer(elements(5, 2, 3, dtype, quantized, span, 1000), dtype.numpy_name)
        assert np.array_equal(made, numbers.astype(dtype.numpy_name)), dtype


# --- teeth ---


@pytest.mark.parametrize("name", [name for name in MAKERS if "variables" not in name])  # those have no constants
def test_damaged_weights_do_not_pass(name: str) -> None:
    """Where a flipped bit is in what a run reads, the run says so; the file's own format does not."""
    package = MAKERS[name]()
    runs = golden.make(package, 2)
    failed = 0
    for at in range(0, len(package), 13):
        damaged = _with_flip(package, at)
        if _opens(damaged):
            try:
                golden.check(damaged, runs)
            except (CheckError, InputError):
                failed += 1
    assert failed


def _with_flip(package: bytes, at: int) -> bytes:
    damaged = bytearray(package)
    damaged[at] ^= 0x40
    return bytes(damaged)


def _opens(package: bytes) -> bool:
    from edgert.errors import EdgertError

    try:
        Runner(open_model(package))
    except EdgertError:
        return False
    return True


def test_outputs_that_differ_are_named() -> None:
    package = models.mixture()
    runs = list(golden.make(package, 1))
    outputs = runs[0]["outputs"]
    for k, name in enumerate(("real", "integer", "again", "best", "exact")):
        wrong = dict(outputs[k])
        if "sha256" in wrong:
            wrong["sha256"] = bytes(32)
        else:
            wrong["values"] = bytes(byte ^ 0x7F for byte in wrong["values"])
        changed = [*outputs[:k], wrong, *outputs[k + 1 :]]
        with pytest.raises(CheckError, match=f"output '{name}'"):
            golden.check(package, [{**runs[0], "outputs": changed}])


def test_tolerance() -> None:
    package = models.dense(DType.FLOAT32)
    (run,) = golden.make(package, 1)
    (output,) = run["outputs"]
    values = np.frombuffer(output["values"], np.float32).copy()
    for difference, passes in ((0.5, True), (0.9, True), (1.5, False), (np.nan, False), (np.inf, False)):
        changed = values.copy()
        changed[7] += np.float32(difference * output["tolerance"])
        other = {**run, "outputs": [{**output, "values": changed.tobytes()}]}
        if passes:
            golden.check(package, [other])
        else:
            with pytest.raises(CheckError, match="differs by"):
                golden.check(package, [other])
            golden.check(package, [{**other, "outputs": [{**other["outputs"][0], "outliers": 1}]}])


# --- pairs that the package brings ---


def pair(seed: int = 3) -> tuple[list[np.ndarray], list[np.ndarray]]:
    given = np.random.default_rng(seed).integers(-128, 128, (1, 96)).astype(np.int8)
    runner = Runner(open_model(models.dense()))
    (wanted,) = runner.recorded([given.tobytes()])
    return [given], [np.frombuffer(wanted, np.int8)]


def test_recorded_pairs() -> None:
    package = models.dense(golden=(pair(3), pair(4)))
    runs = golden.make(package, 1)
    assert [run.get("recorded") for run in runs] == [None, 0, 1]
    golden.check(package, runs)
    with pytest.raises(CheckError, match="brings 2"):
        golden.check(package, [{**runs[1], "recorded": 2}])


def test_recorded_pairs_that_do_not_come_out_here() -> None:
    given, (wanted,) = pair()
    wrong = wanted.copy()
    wrong[0] ^= 1
    with pytest.raises(InputError, match="golden pair 0"):
        golden.make(models.dense(golden=((given, [wrong]),)), 0)


def test_recorded_floats(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = models.dense(DType.FLOAT32)
    pairs = golden.record(plain, 2)
    arrays = tuple(
        ([np.frombuffer(data, np.uint8) for data in inputs], [np.frombuffer(data, np.uint8) for data in outputs])
        for inputs, outputs in pairs
    )
    package = models.dense(DType.FLOAT32, arrays)
    runs = golden.make(package, 0)
    assert all(run["outputs"][0]["values"] == b"" for run in runs)  # they lie in the package
    for isa in _native.cpu_isas():
        monkeypatch.setenv("ERT_ISA_MAX", isa)
        golden.check(package, runs)


# --- what comes over a wire ---


@pytest.mark.parametrize(
    "run",
    [
        None, 1, [], {}, {"seed": 1}, {"more": 1},
        {"seed": -1, "steps": 1, "span": 1, "outputs": []},
        {"seed": 2**64, "steps": 1, "span": 1, "outputs": []},
        {"seed": 1.0, "steps": 1, "span": 1, "outputs": []},
        {"seed": 1, "steps": 2**40, "span": 1, "outputs": []},
        {"seed": 1, "steps": 0, "span": 1, "outputs": []},
        {"seed": 1, "steps": 1, "span": 0, "outputs": []},
        {"seed": 1, "steps": 1, "span": 2**62, "outputs": []},
        {"seed": 1, "steps": 1, "span": 1, "outputs": []},
        {"seed": 1, "steps": 1, "span": 1, "outputs": [None]},
        {"seed": 1, "steps": 1, "span": 1, "outputs": [{}]},
        {"seed": 1, "steps": 1, "span": 1, "outputs": [{"sha256": 5}]},
        {"seed": 1, "steps": 1, "span": 1, "outputs": [{"sha256": b""}]},
        {"seed": 1, "steps": 1, "span": 1, "outputs": {"0": {}}},
        {"recorded": -1, "outputs": []},
        {"recorded": True, "outputs": []},
        {"recorded": 0, "outputs": []},
    ],
    ids=lambda run: f"{run!r:.60}",
)  # fmt: skip
def test_runs_that_are_none(run: object) -> None:
    with pytest.raises(CheckError):
        golden.check(models.dense(), [run])  # type: ignore[list-item]


@pytest.mark.parametrize(
    "changes",
    [
        {"stride": 0},
        {"stride": 2},
        {"stride": 2**70},
        {"stride": None},
        {"tolerance": -1.0},
        {"tolerance": float("nan")},
        {"tolerance": float("inf")},
        {"tolerance": "1"},
        {"values": b""},
        {"values": bytes(161)},
        {"values": bytes(1 << 17)},
        {"values": "x"},
        {"outliers": -1},
        {"outliers": 2.5},
        {"more": 1},
    ],
    ids=repr,
)
def test_values_that_do_not_fit(changes: dict[str, Any]) -> None:
    package = models.dense(DType.FLOAT32)
    (run,) = golden.make(package, 1)
    with pytest.raises(CheckError):
        golden.check(package, [{**run, "outputs": [{**run["outputs"][0], **changes}]}])


def test_counts() -> None:
    assert golden.make(models.dense(), 0) == ()
    for count in (-1, 65):
        with pytest.raises(InputError):
            golden.make(models.dense(), count)
    with pytest.raises(CheckError, match="at most 64"):
        golden.check(models.dense(), [{}] * 65)
    with pytest.raises(FileFormatError):
        golden.make(b"nothing of the kind")


def test_paths_and_bytes_are_the_same(tmp_path: Path) -> None:
    path = tmp_path / "m.ert"
    path.write_bytes(models.mixture())
    assert golden.make(path, 1) == golden.make(str(path), 1) == golden.make(models.mixture(), 1)
