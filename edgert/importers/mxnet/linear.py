"""MXNet handlers: products with matrices, reductions, tables, and attention as GluonNLP fuses it."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.builder import GraphBuilder, RefusedError
from edgert.importers.layers import elementwise as layers
from edgert.importers.layers.movement import flatten
from edgert.importers.mxnet.node import Handler, SourceNode
from edgert.ir import Value
from edgert.ops._enums import ReduceFunction, UnaryFunction


def fully_connected(b: GraphBuilder, node: SourceNode) -> Value:
    x = node.input()
    rows = flatten(b, x) if node.flag("flatten", True) else x
    bias = None if node.flag("no_bias", False) else node.input(2)
    return layers.linear(b, rows, node.input(1), bias)


def dot(b: GraphBuilder, node: SourceNode) -> Value:
    """The last axis of the first operand by the first axis of the second; transpose_* turns all axes about."""
    x, y = node.input(0), node.input(1)
    if node.flag("transpose_a", False):
        x = b.transpose(x, range(len(x.shape))[::-1])
    if node.flag("transpose_b", False):
        y = b.transpose(y, range(len(y.shape))[::-1])
    if not x.shape or not y.shape or x.shape[-1] != y.shape[0]:
        raise ModelError(f"a product of {list(x.shape)} and {list(y.shape)}")
    matrix = b.reshape(y, (y.shape[0], math.prod(y.shape[1:])))
    rows = b.reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))
    if matrix.constant:
        product = layers.linear(b, rows, b.transpose(matrix, (1, 0)), None)
    else:
        product = b.emit("matmul", [rows, matrix])
    return b.reshape(product, (*x.shape[:-1], *y.shape[1:]) or (1,))


def batch_dot(b: GraphBuilder, node: SourceNode) -> Value:
    attrs = {name: node.flag(name, False) for name in ("transpose_a", "transpose_b")}
    return layers.affine(b, b.emit("matmul", [node.input(0), node.input(1)], attrs), node.number("alpha", 1), 0)


def _axes(node: SourceNode, rank: int) -> tuple[int, ...]:
    """The axes that a reduction goes over; all without any."""
    axes = {axis % rank for axis in node.integers("axis")}
    if node.flag("exclude", False):
        return tuple(axis for axis in range(rank) if axis not in axes)
    return tuple(sorted(axes)) or tuple(range(rank))


def reduced(function: ReduceFunction, b: GraphBuilder, node: SourceNode) -> Value:
    x = node.input()
    return _shaped(b, node, b.reduce(function, x, _axes(node, len(x.shape))), x)


def _shaped(b: GraphBuilder, node: SourceNode, y: Value, x: Value) -> Value:
    """A reduction's result without the axes reduced, unless keepdims; MXNet has no scalars."""
    if node.flag("keepdims", False):
        return y
    gone = _axes(node, len(x.shape))
    return b.reshape(y, tuple(size for axis, size in enumerate(x.shape) if axis not in gone) or (1,))


def vector_norm(b: GraphBuilder, node: SourceNode) -> Value:
    x, order = node.input(), node.integer("ord", 2)
    if order not in (1, 2):
        raise RefusedError(f"ord {order}", "use 1 or 2")
    sizes = b.unary(UnaryFunction.SQUARE if order == 2 else UnaryFunction.ABS, x)
    total = b.reduce(ReduceFunction.SUM, sizes, _axes(node, len(x.shape)))
    return _shaped(b, node, b.unary(UnaryFunction.SQRT, total) if order == 2 else total, x)


def _numbers(b: GraphBuilder, x: Value, count: int) -> Value:
    """Indices, which MXNet keeps as floats and clips to what there is, as int32."""
    if x.dtype == DType.FLOAT32:
        return b.emit("cast", [b.unary(UnaryFunction.CLIP, x, 0, count - 1)], dtype=DType.INT32)
    return b.unary(UnaryFunction.CLIP, x, 0, count - 1)


def embedding(b: GraphBuilder, node: SourceNode) -> Value:
    table = node.input(1)
    return b.emit("gather", [table, _numbers(b, node.input(), table.shape[0])], {"axis": 0})


def take(b: GraphBuilder, node: SourceNode) -> Value:
    x, axis = node.input(), node.axis("axis", 0)
    mode = node.text("mode", "clip")
    if mode != "clip":
        raise RefusedError(f"mode {mode}", "use clip")
    return b.emit("gather", [x, _numbers(b, node.input(1), x.shape[axis])], {"axis": axis})


def one_hot(b: GraphBuilder, node: SourceNode) -> Value:
    """A row of the on-value's place for every index."""
    depth = node.integer("depth", 0)
    if not 1 <= depth <= 1 << 12:
        raise ModelError(f"depth {depth}, needed 1 to {1 << 12}")
    rows = np.full((depth, depth), node.number("off_value", 0), np.float32)
    np.fill_diagonal(rows, node.number("on_value", 1))
    return b.emit("gather", [rows, _numbers(b, node.input(), depth)], {"axis": 0})


def arg_max(minimum: bool, b: GraphBuilder, node: SourceNode) -> Value:
    """Indices as floats, as in MXNet."""
    x = node.input()
    keep = node.flag("keepdims", False)
    if not node.has("axis"):
        x = b.reshape(x, (math.prod(x.shape),))
        keep = True
    attrs = {"axis": node.axis("axis", 0, len(x.shape)), "keep_dims": keep, "minimum": minimum}
    found = b.emit("arg_max", [x], attrs, dtype=DType.INT32)
    return b.emit("cast", [found], dtype=DType.FLOAT32)


def arg_max_channel(b: GraphBuilder, node: SourceNode) -> Value:
    x = node.input()
    found = b.emit("arg_max", [x], {"axis": len(x.shape) - 1, "keep_dims": False}, dtype=DType.INT32)
    return b.emit("cast", [found], dtype=DType.FLOAT32)


def top_k(b: GraphBuilder, node: SourceNode) -> list[Value]:
    """ret_typ: values, their indices (as floats), or both."""
    x, axis = node.input(), node.axis("axis", -1)
    whole = node.op in ("sort", "argsort")
    count = x.shape[axis] if whole else node.integer("k", 1) or x.shape[axis]
    wanted = {"sort": "value", "argsort": "indices"}.get(node.op, node.text("ret_typ", "indices"))
    if wanted not in ("value", "indices", "both"):
        raise RefusedError(f"ret_typ {wanted}", "use value, indices or both")
    attrs = {"k": count, "axis": axis, "smallest": node.flag("is_ascend", whole)}
    values, places = b.emit_all("top_k", [x], attrs)
    indices = b.emit("cast", [places], dtype=DType.FLOAT32)
    return {"value": [values], "indices": [indices], "both": [values, indices]}[wanted]


# Attention of GluonNLP: queries, keys and values lie interleaved, [length, batch, heads * 3 * depth]; of an encoder,
# keys and values alone, [length, batch, heads * 2 * depth].


def _interleaved(b: GraphBuilder, node: SourceNode, x: Value, count: int, part: int) -> Value:
    """[batch * heads, length, depth] of one of the `count` that lie in x."""
    heads = node.integer("heads", 0)
    if len(x.shape) != 3 or heads < 1 or x.shape[2] % (count * heads):
        raise ModelError(f"an input {list(x.shape)} for {heads} heads")
    length, batch, width = x.shape
    depth = width // (count * heads)
    y = b.slice(b.reshape(x, (length, batch * heads, count, depth)), 2, part, part + 1)
    return b.transpose(b.reshape(y, (length, batch * heads, depth)), (1, 0, 2))


def attention_scores(b: GraphBuilder, node: SourceNode) -> Value:
    queries, keys = (_interleaved(b, node, node.input(), 3, part) for part in (0, 1))
    scaled = b.mul(queries, 1 / math.sqrt(queries.shape[2]))
    return b.emit("matmul", [scaled, keys], {"transpose_b": True})


def attention_values(b: GraphBuilder, node: SourceNode) -> Value:
    values = _interleaved(b, node, node.input(), 3, 2)
    length, batch = node.input().shape[:2]
    mixed = b.emit("matmul", [node.input(1), values])
    return b.reshape(b.transpose(mixed, (1, 0, 2)), (length, batch, node.input().shape[2] // 3))


def cross_attention_scores(b: GraphBuilder, node: SourceNode) -> Value:
    queries, keys = node.input(0), _interleaved(b, node, node.input(1), 2, 0)
    depth = keys.shape[2]
    if math.prod(queries.shape[1:]) != keys.shape[0] * depth:
        raise ModelError(f"queries {list(queries.shape)} for keys {list(keys.shape)}")
    rows = b.transpose(b.reshape(queries, (queries.shape[0], keys.shape[0], depth)), (1, 0, 2))
    return b.emit("matmul", [b.mul(rows, 1 / math.sqrt(depth)), keys], {"transpose_b": True})


def cross_attention_values(b: GraphBuilder, node: SourceNode) -> Value:
    stored, weights = node.input(0), node.input(1)
    mixed = b.emit("matmul", [weights, _interleaved(b, node, stored, 2, 1)])
    return b.reshape(b.transpose(mixed, (1, 0, 2)), (mixed.shape[1], stored.shape[1], stored.shape[2] // 2))


def by_root_of_depth(b: GraphBuilder, node: SourceNode) -> Value:
    x = node.input()
    return b.mul(x, 1 / math.sqrt(x.shape[-1]))


HANDLERS: dict[str, Handler] = {
    "Embedding": embedding,
    "FullyConnected": fully_connected,
    "_contrib_div_sqrt_dim": by_root_of_depth,
    "_contrib_interleaved_matmul_encdec_qk": cross_attention_scores,
    "_contrib_interleaved_matmul_encdec_valatt": cross_attention_values,
    "_contrib_interleaved_matmul_selfatt_qk": attention_scores,
    "_contrib_interleaved_matmul_selfatt_valatt": attention_values,
    "_linalg_gemm2": batch_dot,
    "argmax": partial(arg_max, False),
    "argmax_channel": arg_max_channel,
    "argmin": partial(arg_max, True),
    "argsort": top_k,
    "batch_dot": batch_dot,
    "dot": dot,
    "linalg_gemm2": batch_dot,
    "max": partial(reduced, ReduceFunction.MAX),
    "max_axis": partial(reduced, ReduceFunction.MAX),
    "mean": partial(reduced, ReduceFunction.MEAN),
    "min": partial(reduced, ReduceFunction.MIN),
    "min_axis": partial(reduced, ReduceFunction.MIN),
    "norm": vector_norm,
    "one_hot": one_hot,
    "prod": partial(reduced, ReduceFunction.PROD),
    "sort": top_k,
    "sum": partial(reduced, ReduceFunction.SUM),
    "sum_axis": partial(reduced, ReduceFunction.SUM),
    "take": take,
    "topk": top_k,
}
