"""Lowering of int8 operators: the same numbers, and nothing left that the runtime does not execute."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from reference_executor import ReferenceExecutor

from edgert.dtypes import DType, QuantParams
from edgert.ir import Graph, Node, Value
from edgert.ops import OPS_BY_NAME
from edgert.ops._enums import Activation, UnaryFunction
from edgert.passes.lower import lower

X = QuantParams((0.05,), (3,))
Y = QuantParams((0.02,), (-20,))
EVERY = np.arange(-128, 128, dtype=np.int8).reshape(1, 16, 16, 1)


def one(op: str, shapes: list[tuple[int, ...]], attrs: dict[str, Any], x: QuantParams, y: QuantParams) -> Graph:
    """A graph of one int8 operator whose inputs share parameters x."""
    inputs = [Value(f"x{i}", shape, DType.INT8, x) for i, shape in enumerate(shapes)]
    node = Node(op, list(inputs), [Value("y", (), DType.INT8, y)], attrs, name="node")
    definition = OPS_BY_NAME[op]
    (spec,) = definition.infer(inputs, definition.complete(attrs))
    node.outputs[0].shape = spec.shape
    return Graph(op, list(inputs), list(node.outputs), [node])


@pytest.mark.parametrize("function", [f for f in UnaryFunction if f != UnaryFunction.LOGICAL_NOT])
def test_unary_becomes_a_table(function: UnaryFunction) -> None:
    attrs = {"function": function, "alpha": 0.3, "beta": 0.7}
    graph = one("unary", [EVERY.shape], attrs, X, Y)
    before = ReferenceExecutor(graph).run(EVERY)[0]
    assert lower(graph)
    assert [node.op for node in graph.nodes] == ["lut"]
    graph.verify()
    np.testing.assert_array_equal(ReferenceExecutor(graph).run(EVERY)[0], before)
    assert not lower(graph)


def test_change_of_scale_becomes_a_table_or_nothing() -> None:
    graph = one("quantize", [EVERY.shape], {}, X, Y)
    assert lower(graph)
    assert [node.op for node in graph.nodes] == ["lut"]
    real = 0.05 * (EVERY.astype(np.float64) - 3)
    expected = np.clip(np.rint(real / 0.02) - 20, -128, 127)
    np.testing.assert_array_equal(ReferenceExecutor(graph).run(EVERY)[0], expected)

    inside = one("quantize", [EVERY.shape], {}, X, X)
    z = Value("z", EVERY.shape, DType.INT8, X)
    inside.nodes.append(Node("unary", [inside.outputs[0]], [z], {"function": UnaryFunction.RELU}, name="relu"))
    inside.outputs = [z]
    assert lower(inside)
    assert inside.nodes[-1].inputs[0] is inside.inputs[0]


def test_softmax_gets_its_table() -> None:
    graph = one("softmax", [(2, 9)], {"beta": 2.0}, X, QuantParams((1 / 256,), (-128,)))
    x = np.random.default_rng(0).integers(-128, 128, (2, 9)).astype(np.int8)
    before = ReferenceExecutor(graph).run(x)[0]
    assert lower(graph)
    (node,) = graph.nodes
    assert len(node.attrs["exp_table"]) == 256
    assert node.attrs["exp_table"][0] == 1 << 23
    np.testing.assert_array_equal(ReferenceExecutor(graph).run(x)[0], before)
    assert not lower(graph)


def test_concat_works_at_one_scale() -> None:
    graph = one("concat", [(1, 4), (1, 2)], {"axis": 1}, X, Y)
    other = Value("same", (1, 3), DType.INT8, Y)
    fixed = Value("fixed", (1, 1), DType.INT8, X, np.array([[40]], np.int8))
    graph.inputs.append(other)
    graph.nodes[0].inputs += [other, fixed]
    graph.outputs[0].shape = (1, 10)
    assert lower(graph)
    graph.verify()
    assert [node.op for node in graph.nodes] == ["lut", "lut", "concat"]
    inputs = graph.nodes[-1].inputs
    assert all(value is not None and value.quant == Y for value in inputs)
    rng = np.random.default_rng(1)
    arrays = [rng.integers(-100, 40, value.shape).astype(np.int8) for value in graph.inputs]
    (found,) = ReferenceExecutor(graph).run(*arrays)
    real = [0.05 * (a.astype(float) - 3) for a in arrays[:2]] + [0.02 * (arrays[2].astype(float) + 20)]
    expected = np.clip(np.rint(np.concatenate([*real, [[0.05 * 37]]], 1) / 0.02) - 20, -128, 127)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("op", "attrs", "order"),
    [
        ("max_pool2d", {"kernel_h": 2, "kernel_w": 2, "stride_h": 2, "stride_w": 2}, ["max_pool2d", "lut"]),
        ("resize", {"out_h": 32, "out_w": 32}, ["lut", "resize"]),
        ("pad", {"before": (0, 1, 0, 0), "after": (0, 0, 0, 0), "value": 0.4}, ["lut", "pad"]),
        (
            "max_pool2d",
            {"kernel_h": 2, "kernel_w": 2, "activation": Activation.RELU6},
            ["lut", "max_pool2d"],
        ),
    ],
)
def test_moves_work_at_one_scale(op: str, attrs: dict[str, Any], order: list[str]) -> None:
    graph = one(op, [EVERY.shape], attrs, X, Y)
    assert lower(graph)
    graph.verify()
    assert [node.op for node in graph.nodes] == order
    mover = next(node for node in graph.nodes if node.op == op)
    assert mover.inputs[0] is not None
    assert mover.inputs[0].quant == mover.output.quant
    assert graph.outputs[0].quant == Y
    assert not lower(graph)


def test_select_keeps_its_condition() -> None:
    condition = Value("c", (1, 16, 16, 1), DType.BOOL)
    a, b = (Value(name, EVERY.shape, DType.INT8, X) for name in ("a", "b"))
    y = Value("y", EVERY.shape, DType.INT8, Y)
    whole = Graph("select", [condition, a, b], [y], [Node("select", [condition, a, b], [y], {}, name="select")])
    assert lower(whole)
    whole.verify()
    assert [node.op for node in whole.nodes] == ["lut", "lut", "select"]
    assert whole.nodes[-1].inputs[0] is condition


def test_float_graphs_stay_as_they_are() -> None:
    x, y = (Value(name, (4,), DType.FLOAT32) for name in "xy")
    node = Node("unary", [x], [y], {"function": UnaryFunction.TANH}, name="tanh")
    graph = Graph("float", [x], [y], [node])
    assert not lower(graph)
    assert graph.nodes == [node]
