"""TensorFlow handlers: reductions, and the index of the largest element."""

from __future__ import annotations

from functools import partial

from edgert.dtypes import DType
from edgert.importers.tensorflow.builder import Builder, Handler, SourceNode
from edgert.ir import Value
from edgert.ops._enums import ReduceFunction, UnaryFunction


def _axes(b: Builder, node: SourceNode, x: Value) -> tuple[int, ...]:
    return tuple(b.axis(axis, len(x.shape)) for axis in b.ints(node, 1, "axes"))


def reduce(function: ReduceFunction, b: Builder, node: SourceNode) -> Value:
    x = b.value(node, 0)
    return b.reduce(function, x, _axes(b, node, x), node.flag("keep_dims"))


def logical(function: ReduceFunction, b: Builder, node: SourceNode) -> Value:
    """All is the least, Any the largest of the flags as numbers."""
    x = b.value(node, 0)
    axes = _axes(b, node, x)
    if not axes:
        return x
    numbers = b.emit("cast", [x], dtype=DType.INT32)
    return b.emit("cast", [b.reduce(function, numbers, axes, node.flag("keep_dims"))], dtype=DType.BOOL)


def norm(b: Builder, node: SourceNode) -> Value:
    x = b.value(node, 0)
    squares = b.unary(UnaryFunction.SQUARE, x)
    total = b.reduce(ReduceFunction.SUM, squares, _axes(b, node, x), node.flag("keep_dims"))
    return b.unary(UnaryFunction.SQRT, total)


def arg_max(b: Builder, node: SourceNode) -> Value:
    x = b.value(node, 0)
    axis = b.axis(int(b.scalar(node, 1, "axis")) if len(node.inputs) > 1 else 0, len(x.shape))
    kind = node.type("output_type") if node.has_attr("output_type") else DType.INT64
    return b.emit("arg_max", [x], {"axis": axis, "minimum": node.op == "ArgMin"}, dtype=kind)


HANDLERS: dict[str, Handler] = {
    "Mean": partial(reduce, ReduceFunction.MEAN),
    "Sum": partial(reduce, ReduceFunction.SUM),
    "Max": partial(reduce, ReduceFunction.MAX),
    "Min": partial(reduce, ReduceFunction.MIN),
    "Prod": partial(reduce, ReduceFunction.PROD),
    "All": partial(logical, ReduceFunction.MIN),
    "Any": partial(logical, ReduceFunction.MAX),
    "EuclideanNorm": norm,
    "ArgMax": arg_max,
    "ArgMin": arg_max,
}
