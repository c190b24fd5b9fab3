"""Operators that run together give the bits of those that run one by one, and nothing else about them can be told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from arm.test_arm import run_on
from c_build import build
from c_build import run as c_run
from fused_graphs import random_chain
from hypothesis import given, settings
from hypothesis import strategies as st
from model_inputs import INT8_MODELS
from packages import fused

import edgert
from edgert.dtypes import DType
from edgert.engines import random_inputs
from edgert.errors import InputError
from edgert.runtime import _native
from edgert.runtime.model import Model

Find = Callable[[str], Path]
Outputs = dict[str, np.ndarray[Any, Any]]

SHARED_FLOAT = ["ic_resnet8_float", "vww_mnv1_float", "mp_face_detection_short_fp16w"]


def groups(session: _native.Session) -> list[tuple[int, int]]:
    """(first, count) of all operators that do not run by themselves."""
    found = {session.group(op) for op in range(session.model.op_count)}
    return sorted(group for group in found if group[1] > 1)


def run(package: bytes, monkeypatch: pytest.MonkeyPatch, mode: str, threads: int, inputs: Outputs) -> Outputs:
    monkeypatch.setenv("ERT_FUSION", mode)
    model = Model(package, threads=threads)
    model.run(inputs)  # what a first run leaves behind must not show in a second one
    return model.run(inputs)


def check_equal(package: bytes, monkeypatch: pytest.MonkeyPatch, threads: tuple[int, ...] = (1, 2, 4)) -> None:
    inputs = random_inputs(Model(package).inputs, np.random.default_rng(5))
    expected = run(package, monkeypatch, "off", 1, inputs)
    for mode in ("on", "all"):
        for count in threads:
            outputs = run(package, monkeypatch, mode, count, inputs)
            for name, array in expected.items():
                assert outputs[name].tobytes() == array.tobytes(), (mode, count, name)


@pytest.mark.parametrize("name", [*INT8_MODELS, *SHARED_FLOAT])
def test_shared_models(name: str, shared_data: Find, monkeypatch: pytest.MonkeyPatch) -> None:
    check_equal(edgert.convert(shared_data(f"tflite/{name}.tflite")).data, monkeypatch)


def write_case(seed: int | None, folder: Path) -> tuple[Path, bytes]:
    """model.ert and in.bin for tests/c/run_model.c, and the bytes that it must write."""
    package = fused() if seed is None else random_chain(np.random.default_rng(seed), DType.INT8)
    model = Model(package, fusion=False)
    inputs = random_inputs(model.inputs, np.random.default_rng(5))
    outputs = model.run(inputs)
    (folder / "model.ert").write_bytes(package)
    (folder / "in.bin").write_bytes(b"".join(inputs[info.name].tobytes() for info in model.inputs))
    return folder / "model.ert", b"".join(outputs[info.name].tobytes() for info in model.outputs)


@pytest.mark.parametrize("seed", [None, 3, 7, 19])
def test_sanitized(seed: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The C core alone, under AddressSanitizer and UndefinedBehaviorSanitizer."""
    program = build("sanitized") / "run_model"
    model, expected = write_case(seed, tmp_path)
    monkeypatch.setenv("ERT_FUSION", "all")
    for threads in (1, 3):
        c_run(program, model, threads, "-", tmp_path / "in.bin", tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == expected


@pytest.mark.parametrize(("architecture", "processor"), [("aarch64", "cortex-a53"), ("aarch64", "cortex-a76")])
@pytest.mark.parametrize("seed", [None, 3, 19])
def test_arm(
    seed: int | None, architecture: str, processor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = build(architecture) / "run_model"
    model, expected = write_case(seed, tmp_path)
    monkeypatch.setenv("ERT_FUSION", "all")
    for threads in (1, 3):
        run_on(architecture, processor, program, model, threads, "-", tmp_path / "in.bin", tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == expected


@pytest.mark.parametrize("isa", _native.cpu_isas())
def test_instruction_sets(isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERT_ISA_MAX", isa)
    check_equal(fused(), monkeypatch)


@given(seed=st.integers(0, 2**32 - 1), dtype=st.sampled_from([DType.INT8, DType.FLOAT32]))
@settings(max_examples=150, deadline=None)
def test_random_chains(seed: int, dtype: DType) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        check_equal(random_chain(np.random.default_rng(seed), dtype), monkeypatch, threads=(1, 3))


def test_random_chains_do_fuse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERT_FUSION", "all")
    counts = [len(groups(Model(random_chain(np.random.default_rng(i), DType.INT8)).session)) for i in range(40)]
    assert sum(count > 0 for count in counts) > 20


def test_what_is_fused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Additions and tables, with what computes their input; windows only where that pays, which they are too small for
    here, unless all is asked for."""
    native = _native.Model(content=fused())
    names = [native.op(i)[1] for i in range(native.op_count)]
    assert names == [
        "expand", "expand_table", "depthwise", "depthwise_table", "project", "residual", "residual_table",
        "dense", "dense_residual", "twice", "outer", "outer_table", "mean",
    ]  # fmt: skip

    def named(session: _native.Session) -> list[list[str]]:
        return [names[first : first + count] for first, count in groups(session)]

    assert named(_native.Session(native)) == [
        ["expand", "expand_table"],
        ["depthwise", "depthwise_table"],
        ["project", "residual", "residual_table"],
        ["dense", "dense_residual"],
        ["outer", "outer_table"],
    ]
    monkeypatch.setenv("ERT_FUSION", "all")
    session = _native.Session(native)
    assert named(session)[0] == names[:7]
    assert session.group(3) == (0, 7)
    assert session.group(9) == (9, 1)


def test_switches(monkeypatch: pytest.MonkeyPatch) -> None:
    package = fused()
    native = _native.Model(content=package)
    assert groups(_native.Session(native))
    assert not groups(_native.Session(native, fusion=False))
    assert not groups(Model(package, fusion=False).session)
    assert not groups(edgert.Interpreter(model_content=package, fusion=False).session)
    assert not groups(edgert.Interpreter(model_content=package, keep_all_tensors=True).session)
    monkeypatch.setenv("ERT_FUSION", "off")
    assert not groups(_native.Session(native))
    monkeypatch.setenv("ERT_FUSION", "perhaps")
    with pytest.raises(InputError, match="ERT_FUSION is 'perhaps'"):
        _native.Session(native)


@pytest.mark.parametrize("mode", ["on", "all"])
def test_stepping_shows_every_tensor(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """step() runs operators one by one, and each output is there until the next step, fused session or not."""
    monkeypatch.setenv("ERT_FUSION", mode)
    package = fused()
    stepped, kept = Model(package), Model(package, keep_all_tensors=True)
    inputs = random_inputs(stepped.inputs, np.random.default_rng(5))
    kept.run(inputs)
    stepped.run(inputs)
    session = stepped.session
    for op in range(session.model.op_count):
        assert session.step() == op
        output = session.model.op(op)[3][0]
        np.testing.assert_array_equal(session.view(output), kept.session.view(output))
    assert session.step() is None


@pytest.mark.parametrize("mode", ["off", "on", "all"])
def test_resizing(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    package = fused()
    inputs = {"x": np.random.default_rng(6).integers(-128, 128, (2, 19, 9, 8)).astype(np.int8)}
    outputs = []
    for setting in ("off", mode):
        monkeypatch.setenv("ERT_FUSION", setting)
        model = Model(package, threads=2)
        model.resize("x", (2, 19, 9, 8))
        outputs.append(model.run(inputs))
    for name, array in outputs[0].items():
        np.testing.assert_array_equal(outputs[1][name], array)


def test_a_plan_without_room_for_groups_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """The packer's plan may put a group's output where its input lies; for the group the session plans anew."""
    monkeypatch.setenv("ERT_FUSION", "all")
    native = _native.Model(content=fused())
    session = _native.Session(native)
    first, count = groups(session)[0]
    image = np.asarray(session.view(native.op(first)[2][0]))
    result = np.asarray(session.view(native.op(first + count - 1)[3][0]))
    assert not np.shares_memory(image, result)


def test_groups_are_given_up_for_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    package = fused()
    monkeypatch.setenv("ERT_FUSION", "off")
    needed = Model(package).session.total_bytes
    monkeypatch.setenv("ERT_FUSION", "all")
    assert Model(package).session.total_bytes > needed
    inputs = random_inputs(Model(package).inputs, np.random.default_rng(5))
    model = Model(package, memory_limit=Model(package).session.total_bytes - 1)
    expected = Model(package, fusion=False).run(inputs)
    assert not groups(model.session)
    for name, array in model.run(inputs).items():
        np.testing.assert_array_equal(array, expected[name])


def test_times_of_groups() -> None:
    model = Model(fused())
    session = model.session
    together = session.time_ops()
    assert [(op, count) for op, count, _, _ in together if count > 1] == groups(session)
    assert sum(count for _, count, _, _ in together) == session.model.op_count
    assert [(op, count) for op, count, _, _ in session.time_ops(fused=False)] == [
        (op, 1) for op in range(session.model.op_count)
    ]
