"""One operator through the whole stack: packed into a file of one node, run in C, compared with OpDef.reference.

    check("add", {"activation": Activation.RELU}, [i8(1, 4, 4, 3), i8(3, constant=True)], quant=quant_i8())
    check("softmax", {}, [f32(2, 10)])

`check` runs every instruction set of this machine on 1, 2 and 4 threads. Integers must be those of the reference, bit
for bit; floats must be near it and the same on any number of threads. `refused` shows that the C core refuses a file
that the Python side would not write.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgert import Interpreter
from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from edgert.ir import Graph, Node, Value
from edgert.ops import OPS_BY_NAME
from edgert.pack.metadata import Metadata
from edgert.pack.writer import _Writer, write
from edgert.runtime import _native

Array = NDArray[Any]
THREADS = (1, 2, 4)
_PLAIN = (DType.INT32, DType.INT64)  # types of indices and counts, which have no scale


@dataclass(frozen=True)
class Input:
    """An input of the operator under test; its elements are drawn from [low, high] unless `data` gives them."""

    shape: tuple[int, ...]
    dtype: DType = DType.FLOAT32
    quant: QuantParams | None = None
    constant: bool = False
    low: float = -4.0
    high: float = 4.0
    data: Array | None = None

    def draw(self, rng: np.random.Generator) -> Array:
        if self.data is not None:
            return np.ascontiguousarray(self.data, self.dtype.numpy_name).reshape(self.shape)
        if self.dtype == DType.BOOL:
            return rng.integers(0, 2, self.shape).astype(bool)
        if self.dtype in (DType.FLOAT32, DType.FLOAT16):
            return rng.uniform(self.low, self.high, self.shape).astype(self.dtype.numpy_name)
        return rng.integers(int(self.low), int(self.high), self.shape, dtype=self.dtype.numpy_name, endpoint=True)


def quant_i8(scale: float = 0.05, zero_point: int = 3) -> QuantParams:
    """Per-tensor parameters whose scale is a float32 value."""
    return QuantParams((float(np.float32(scale)),), (zero_point,))


def f32(*shape: int, **options: Any) -> Input:
    return Input(shape, DType.FLOAT32, **options)


def i8(*shape: int, **options: Any) -> Input:
    """int8 over the whole range, quantised unless told otherwise."""
    return Input(shape, DType.INT8, **{"quant": quant_i8(), "low": -128, "high": 127, **options})


def quant_i16(scale: float = 0.001) -> QuantParams:
    """int16 is symmetric."""
    return quant_i8(scale, 0)


def i16(*shape: int, **options: Any) -> Input:
    """int16 over the whole range, quantised."""
    return Input(shape, DType.INT16, **{"quant": quant_i16(), "low": -32768, "high": 32767, **options})


def i32(*shape: int, **options: Any) -> Input:
    return Input(shape, DType.INT32, **{"low": -100, "high": 100, **options})


def i64(*shape: int, **options: Any) -> Input:
    return Input(shape, DType.INT64, **{"low": -100, "high": 100, **options})


def boolean(*shape: int, **options: Any) -> Input:
    return Input(shape, DType.BOOL, **options)


def of_data(data: Array, quant: QuantParams | None = None, constant: bool = False) -> Input:
    """An input with these elements."""
    return Input(data.shape, DType.of(data.dtype), quant, constant, data=data)


@dataclass
class Case:
    """A graph of one node with its inputs' elements."""

    graph: Graph
    feeds: list[Array]  # of the graph's inputs
    node: Node
    arrays: list[Array | None]  # of the node's inputs

    def run(self, isa: str | None = None, threads: int = 1) -> list[Array]:
        return run_package(write(self.graph), self.feeds, isa, threads)

    def reference(self) -> list[Array]:
        return OPS_BY_NAME[self.node.op].run(self.node, self.arrays)


def make_case(
    op: str,
    attrs: Mapping[str, Any],
    inputs: Sequence[Input | None],
    quant: QuantParams | None = None,
    dtype: DType | None = None,
    seed: int = 0,
) -> Case:
    """quant: of every output but indices. dtype: of the output, where the node decides it (cast, quantize, arg_max)."""
    rng = np.random.default_rng(seed)
    arrays = [None if spec is None else spec.draw(rng) for spec in inputs]
    values = [
        None
        if spec is None
        else Value(f"in{i}", spec.shape, spec.dtype, spec.quant, data=array if spec.constant else None)
        for i, (spec, array) in enumerate(zip(inputs, arrays, strict=True))
    ]
    definition = OPS_BY_NAME[op]
    complete = definition.complete(attrs)
    specs = definition.infer(values, complete if dtype is None else {**complete, "dtype": dtype})
    outputs = [
        Value(f"out{i}", spec.shape, spec.dtype, quant if spec.dtype not in _PLAIN or op == "quantize" else None)
        for i, spec in enumerate(specs)
    ]
    node = Node(op, values, outputs, dict(attrs), "node under test")
    feeds = [
        (value, array)
        for value, array in zip(values, arrays, strict=True)
        if value is not None and array is not None and not value.constant
    ]
    graph = Graph("one_op", [value for value, _ in feeds], outputs, [node])
    return Case(graph, [array for _, array in feeds], node, arrays)


def run_package(package: bytes, feeds: Sequence[Array], isa: str | None = None, threads: int = 1) -> list[Array]:
    """Outputs of a packed model."""
    interpreter = Interpreter(model_content=package, isa=isa, num_threads=threads)
    for details, array in zip(interpreter.get_input_details(), feeds, strict=True):
        interpreter.set_tensor(details["index"], array)
    interpreter.invoke()
    return [interpreter.get_tensor(details["index"]) for details in interpreter.get_output_details()]


def check(
    op: str,
    attrs: Mapping[str, Any],
    inputs: Sequence[Input | None],
    *,
    quant: QuantParams | None = None,
    dtype: DType | None = None,
    seed: int = 0,
    relative: float = 1e-5,
    absolute: float = 1e-6,
) -> list[Array]:
    """Compares the C core with the reference on every instruction set and number of threads; returns the outputs.

    quant, dtype: as in make_case. relative, absolute: how far float outputs may be from the reference.
    """
    case = make_case(op, attrs, inputs, quant, dtype, seed)
    expected = case.reference()
    package = write(case.graph)
    results: list[Array] = []
    for isa in _native.cpu_isas():
        results = run_package(package, case.feeds, isa, THREADS[0])
        for result, wanted in zip(results, expected, strict=True):
            assert result.dtype == wanted.dtype, (isa, result.dtype, wanted.dtype)
            assert result.shape == wanted.shape, (isa, result.shape, wanted.shape)
            if result.dtype.kind == "f":
                np.testing.assert_allclose(result, wanted, rtol=relative, atol=absolute, err_msg=f"on {isa}")
            else:
                np.testing.assert_array_equal(result, wanted, err_msg=f"on {isa}")
        for threads in THREADS[1:]:
            for result, one_thread in zip(run_package(package, case.feeds, isa, threads), results, strict=True):
                np.testing.assert_array_equal(result, one_thread, err_msg=f"on {isa}, {threads} threads")
    return results


def refused(
    op: str,
    attrs: Mapping[str, Any],
    inputs: Sequence[Input | None],
    outputs: Sequence[Input],
    match: str,
) -> None:
    """The C core refuses this node with a message that matches; nothing on the Python side is asked."""
    rng = np.random.default_rng(0)
    values = [
        None
        if spec is None
        else Value(f"in{i}", spec.shape, spec.dtype, spec.quant, data=spec.draw(rng) if spec.constant else None)
        for i, spec in enumerate(inputs)
    ]
    results = [Value(f"out{i}", spec.shape, spec.dtype, spec.quant) for i, spec in enumerate(outputs)]
    graph = Graph("refused", [v for v in values if v is not None and not v.constant], results)
    graph.nodes = [Node(op, values, results, dict(attrs), "node under test")]
    package = _Writer().model(graph, Metadata(), ())
    with pytest.raises(ModelError, match=match):
        Interpreter(model_content=package)
