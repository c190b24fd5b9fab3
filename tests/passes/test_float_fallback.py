"""What has no int8 form is computed in float32 between dequantize and quantize."""

from __future__ import annotations

import numpy as np
from reference_executor import ReferenceExecutor

from edgert.dtypes import DType, QuantParams
from edgert.ir import Graph, Node, Value
from edgert.ops._enums import CompareFunction
from edgert.passes.float_fallback import float_fallback


def pair(op: str, a: QuantParams, b: QuantParams, y: Value, attrs: dict[str, object] | None = None) -> Graph:
    values = [Value("a", (6,), DType.INT8, a), Value("b", (6,), DType.INT8, b)]
    return Graph(op, list(values), [y], [Node(op, list(values), [y], dict(attrs or {}), name="node")])


A = np.array([-128, -5, 0, 3, 77, 127], np.int8)
B = np.array([1, -7, 127, -128, 0, 50], np.int8)


def test_add_with_scales_too_far_apart() -> None:
    y = Value("y", (6,), DType.INT8, QuantParams((1e-7,), (0,)))
    graph = pair("add", QuantParams((1.0,), (0,)), QuantParams((1e-8,), (0,)), y)
    assert float_fallback(graph)
    graph.verify()
    assert [node.op for node in graph.nodes] == ["dequantize", "dequantize", "add", "quantize"]
    expected = np.clip(np.rint((A.astype(np.float64) + B * 1e-8) / 1e-7), -128, 127)
    np.testing.assert_array_equal(ReferenceExecutor(graph).run(A, B)[0], expected)


def test_add_that_fits_stays() -> None:
    y = Value("y", (6,), DType.INT8, QuantParams((0.3,), (0,)))
    assert not float_fallback(pair("add", QuantParams((0.1,), (0,)), QuantParams((0.2,), (4,)), y))


def test_comparing_different_scales() -> None:
    y = Value("y", (6,), DType.BOOL)
    graph = pair("compare", QuantParams((0.1,), (0,)), QuantParams((0.2,), (4,)), y, {"function": CompareFunction.LESS})
    assert float_fallback(graph)
    graph.verify()
    expected = (B.astype(float) - 4) * 0.2 > A * 0.1
    np.testing.assert_array_equal(ReferenceExecutor(graph).run(A, B)[0], expected)
    same = QuantParams((0.1,), (0,))
    assert not float_fallback(pair("compare", same, same, Value("y", (6,), DType.BOOL), {"function": 0}))
