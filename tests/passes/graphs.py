"""Small graphs for the tests of passes, and the check that a pass keeps what a graph computes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from reference_executor import ReferenceExecutor

from edgert.dtypes import DType, QuantParams
from edgert.ir import Graph, Node, Value
from edgert.ops import OPS_BY_NAME, QuantRule


class Maker:
    """Builds a graph node by node; names count up, shapes are inferred."""

    def __init__(self, seed: int = 0) -> None:
        self.graph = Graph("test")
        self.rng = np.random.default_rng(seed)
        self.count = 0

    def name(self, base: str) -> str:
        self.count += 1
        return f"{base}{self.count}"

    def input(self, *shape: int, dtype: DType = DType.FLOAT32, quant: QuantParams | None = None) -> Value:
        value = Value(self.name("input"), shape, dtype, quant)
        self.graph.inputs.append(value)
        return value

    def constant(self, array: Any, quant: QuantParams | None = None) -> Value:
        data = np.asarray(array, np.float32) if not isinstance(array, np.ndarray) else array
        return Value(self.name("constant"), data.shape, DType.of(data.dtype), quant, data)

    def weights(self, *shape: int) -> Value:
        return self.constant(self.rng.normal(size=shape).astype(np.float32))

    def op(
        self, op: str, *inputs: Any, quant: QuantParams | None = None, dtype: DType | None = None, **attrs: Any
    ) -> Value:
        """Appends a node; numbers and arrays among the inputs become constants."""
        definition = OPS_BY_NAME[op]
        values = [item if item is None or isinstance(item, Value) else self.constant(item) for item in inputs]
        complete = definition.complete(attrs)
        (spec,) = definition.infer(values, {**complete, **({"dtype": dtype} if dtype is not None else {})})
        if quant is None and spec.dtype == DType.INT8 and definition.quant in (QuantRule.SAME, QuantRule.SHARED):
            quant = values[0].quant
        output = Value(self.name(op), spec.shape, spec.dtype, quant)
        self.graph.nodes.append(Node(op, values, [output], complete, f"node_{output.name}", op))
        return output

    def transpose(self, x: Value, *perm: int) -> Value:
        return self.op("transpose", x, perm=perm)

    def nchw(self, x: Value) -> Value:
        return self.transpose(x, 0, 3, 1, 2)

    def nhwc(self, x: Value) -> Value:
        return self.transpose(x, 0, 2, 3, 1)

    def conv(self, x: Value, channels: int, **attrs: Any) -> Value:
        """A 1x1 convolution with bias of an NHWC image."""
        return self.op("conv2d", x, self.weights(channels, 1, 1, x.shape[3]), self.weights(channels), **attrs)

    def outputs(self, *values: Value) -> Graph:
        self.graph.outputs = list(values)
        self.graph.verify()
        return self.graph


def ops(graph: Graph) -> dict[str, int]:
    return dict(Counter(node.op for node in graph.nodes))


def samples(graph: Graph, seed: int = 9) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    made = []
    for value in graph.inputs:
        if value.dtype == DType.FLOAT32:
            made.append(rng.normal(size=value.shape).astype(np.float32) * 2)
        else:
            made.append(rng.integers(-128, 128, value.shape).astype(value.dtype.numpy_name))
    return made


def run_kept(graph: Graph, *passes: Callable[[Graph], bool], exact: bool = False) -> bool:
    """Runs the passes and checks that names, shapes and results stay; whether any of them changed anything."""
    names = [value.name for value in graph.outputs]
    arrays = samples(graph)
    before = ReferenceExecutor(graph).run(*arrays)
    changed = False
    for run in passes:
        changed |= run(graph)
        graph.verify()
    assert [value.name for value in graph.outputs] == names
    compare(ReferenceExecutor(graph).run(*arrays), before, exact)
    return changed


def compare(ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray], exact: bool) -> None:
    for our, their in zip(ours, theirs, strict=True):
        if exact or their.dtype != np.float32:
            np.testing.assert_array_equal(our, their)
        else:
            largest = float(np.abs(their[np.isfinite(their)]).max(initial=1.0))
            np.testing.assert_allclose(our, their, rtol=1e-4, atol=1e-4 * largest)
