"""Runs ONNX's own node test cases: each is converted and its outputs in the runtime are compared with the suite's.

Inputs that an importer must know are given at conversion (see constant_inputs.py); all others are the graph's.
Types must be the source's own: a float16 output that is float32 here is no pass.
"""

from __future__ import annotations

import re
import tempfile
import tomllib
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from importers.conformance.constant_inputs import PARAMETERS, SHAPES
from runtime_runs import opened, step

from edgert.importers.onnx import load

EXPANDED = re.compile(r"_expanded.*$")
COMMON = {"float32", "int8", "uint8", "int32", "int64", "bool"}
RELATIVE, OF_LARGEST = 1e-3, 1e-5  # the suite's own tolerance, and what float32 leaves of numbers near 0


class MismatchError(Exception):
    """An output is not what the suite expects."""


@dataclass(frozen=True)
class Case:
    """A test case: name, the operator it is about, the model, inputs by name, outputs in order."""

    name: str
    operator: str
    model: Any
    inputs: dict[str, Any]
    outputs: tuple[Any, ...]
    rtol: float
    shapes: frozenset[str]  # inputs that decide a shape or a branch
    parameters: frozenset[str]  # inputs that are weights or quantisation in every model that is trained

    @property
    def common(self) -> bool:
        """Whether every tensor has a type that models of this field have."""
        arrays = [*self.inputs.values(), *self.outputs]
        return all(isinstance(array, np.ndarray) and array.dtype.name in COMMON for array in arrays)


@cache
def cases() -> tuple[Case, ...]:
    """All node cases that onnx generates, in its order."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found = collect_testcases(None)
    whole = {case.name: case.model.graph.node[0] for case in found if not EXPANDED.search(case.name)}
    return tuple(_case(case, whole) for case in found)


@cache
def left_out() -> dict[str, str]:
    """Cases that do not pass, each with its reason: left_out.toml."""
    table = tomllib.loads((Path(__file__).parent / "left_out.toml").read_text(encoding="utf-8"))
    return {name: entry["reason"] for entry in table["left_out"] for name in entry["cases"]}


def _case(case: Any, whole: dict[str, Any]) -> Case:
    node = whole.get(EXPANDED.sub("", case.name), case.model.graph.node[0])
    given, expected = case.data_sets[0]
    names = [value.name for value in case.model.graph.input]
    return Case(
        name=case.name,
        operator=node.op_type,
        model=case.model,
        inputs={name: _array(item) for name, item in zip(names, given, strict=True)},
        outputs=tuple(_array(item) for item in expected),
        rtol=case.rtol,
        shapes=_named(node, SHAPES, names),
        parameters=_named(node, PARAMETERS, names),
    )


def _named(node: Any, table: dict[str, tuple[int, ...]], names: list[str]) -> frozenset[str]:
    wanted = table.get(node.op_type, ())
    return frozenset(node.input[index] for index in wanted if index < len(node.input)) & frozenset(names)


def _array(item: Any) -> Any:
    from onnx import TensorProto, numpy_helper

    if isinstance(item, TensorProto):
        return numpy_helper.to_array(item)
    return item if item is None or isinstance(item, list) else np.asarray(item)


def run(case: Case) -> None:
    """Raises EdgertError when the model cannot be converted, MismatchError when the numbers differ."""
    fixed = case.shapes | case.parameters
    outputs = converted_outputs(case.model, case.inputs, {name: case.inputs[name] for name in fixed})
    compare(outputs, case.outputs, case.rtol)


def converted_outputs(model: Any, inputs: dict[str, Any], constants: dict[str, Any]) -> list[Any]:
    """What the runtime makes of the converted model."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "case.onnx"
        path.write_bytes(model.SerializeToString())
        shapes = {
            name: array.shape
            for name, array in inputs.items()
            if isinstance(array, np.ndarray) and array.ndim and name not in constants
        }
        graph = load(path, shapes, constants=constants)
    interpreter = opened(graph)
    for detail in interpreter.get_input_details():
        array = inputs[detail["name"]]
        if array.dtype != detail["dtype"]:
            raise MismatchError(f"input {detail['name']!r} is {array.dtype}, here {np.dtype(detail['dtype'])}")
    return step(interpreter, inputs)


def compare(ours: list[Any], expected: tuple[Any, ...], rtol: float = RELATIVE) -> None:
    """Raises MismatchError unless types, shapes and numbers agree."""
    if len(ours) != len(expected):
        raise MismatchError(f"{len(ours)} outputs, expected {len(expected)}")
    for index, (our, their) in enumerate(zip(ours, expected, strict=True)):
        if isinstance(their, list) or their is None:
            raise MismatchError(f"output {index} is no tensor")
        if (our.dtype, our.shape) != (their.dtype, their.shape):
            raise MismatchError(f"output {index} is {our.dtype}{our.shape}, expected {their.dtype}{their.shape}")
        if their.dtype.kind != "f":
            if not np.array_equal(our, their):
                raise MismatchError(f"output {index} has other numbers")
            continue
        finite = their[np.isfinite(their)]
        largest = float(np.abs(finite).max()) if finite.size else 0.0
        if not np.allclose(our, their, rtol=rtol, atol=max(1e-7, OF_LARGEST * largest), equal_nan=True):
            with np.errstate(all="ignore"):
                raise MismatchError(f"output {index} differs by up to {float(np.nanmax(np.abs(our - their))):.3g}")
