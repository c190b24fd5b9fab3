"""ONNX handlers: operators that pick, place and sort by index."""

from __future__ import annotations

import numpy as np

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.layers import indices as layers
from edgert.importers.onnx.builder import Builder, Handler, RefusedError, SourceNode
from edgert.ir import Value
from edgert.ops._enums import BinaryFunction, ScatterReduction

INTEGERS = (DType.INT32, DType.INT64)
REDUCTIONS = {
    "none": ScatterReduction.NONE,
    "add": ScatterReduction.ADD,
    "mul": ScatterReduction.MUL,
    "min": ScatterReduction.MIN,
    "max": ScatterReduction.MAX,
}


def top_k(b: Builder, node: SourceNode) -> list[Value]:
    """k is an attribute before operator set 10, an input since. Always in order, which `sorted` = 0 allows."""
    x = b.value(node, 0)
    if node.opset < 10:
        k = node.integer("k", 0)
    else:
        (k,) = b.ints(node, 1, "k")
    smallest = not node.integer("largest", 1)
    values, indices = layers.top_k(b, x, k, node.integer("axis", -1), smallest)
    return [values, layers.converted(b, indices, DType.INT64)]


def cumulative_sum(b: Builder, node: SourceNode) -> Value:
    (axis,) = b.ints(node, 1, "axis")
    exclusive, reverse = bool(node.integer("exclusive", 0)), bool(node.integer("reverse", 0))
    return layers.cumulative_sum(b, b.value(node, 0), axis, exclusive, reverse)


def gather_nd(b: Builder, node: SourceNode) -> Value:
    return layers.gather_nd(b, b.value(node, 0), b.value(node, 1), node.integer("batch_dims", 0))


def gather_elements(b: Builder, node: SourceNode) -> Value:
    x = b.value(node, 0)
    return b.emit("gather_elements", [x, b.value(node, 1)], {"axis": node.integer("axis", 0) % len(x.shape)})


def _reduction(node: SourceNode) -> ScatterReduction:
    name = node.text("reduction", "none")
    if name not in REDUCTIONS:
        raise RefusedError(f"the reduction {name!r}", f"use one of {', '.join(REDUCTIONS)}")
    return REDUCTIONS[name]


def scatter_elements(b: Builder, node: SourceNode) -> Value:
    """ScatterElements, and Scatter as it was called before operator set 11."""
    x = b.value(node, 0)
    attrs = {"axis": node.integer("axis", 0) % len(x.shape), "reduction": _reduction(node)}
    return b.emit("scatter_elements", [x, b.value(node, 1), b.value(node, 2)], attrs)


def scatter_nd(b: Builder, node: SourceNode) -> Value:
    return layers.scatter(b, b.value(node, 0), b.value(node, 1), b.value(node, 2), _reduction(node))


def one_hot(b: Builder, node: SourceNode) -> Value:
    """Indices of any type of number; the last input holds what is off and what is on."""
    indices, values = b.value(node, 0), b.value(node, 2)
    if values.shape != (2,):
        raise ModelError(f"its values have the shape {list(values.shape)}, needed [2]")
    depth = int(b.need_constant(node, 1, "depth").reshape(-1)[0])
    if indices.dtype not in (*INTEGERS, DType.FLOAT32):
        indices = layers.converted(b, indices, DType.INT32)
    off, on = (b.slice(values, 0, i, i + 1) for i in range(2))
    return layers.one_hot(b, indices, depth, on, off, node.integer("axis", -1), wrap=True)


def reverse_sequence(b: Builder, node: SourceNode) -> Value:
    batch, time = node.integer("batch_axis", 1), node.integer("time_axis", 0)
    return layers.reverse_sequence(b, b.value(node, 0), b.value(node, 1), batch, time)


def compress(b: Builder, node: SourceNode) -> Value:
    """Without an axis, of the flattened tensor."""
    x = b.value(node, 0)
    kept = np.flatnonzero(b.need_constant(node, 1, "condition").reshape(-1))
    if "axis" not in node.attrs:
        x = b.reshape(x, (int(np.prod(x.shape)),))
    axis = node.integer("axis", 0) % len(x.shape)
    if not kept.size:
        raise RefusedError("its condition lets nothing through", "leave out what reads its output")
    return b.emit("gather", [x, kept.astype(np.int32)], {"axis": axis})


def tensor_scatter(b: Builder, node: SourceNode) -> Value:
    """A cache with an update written at a place of its own for every batch; circular: it goes on at the start."""
    cache, update = b.value(node, 0), b.value(node, 1)
    rank = len(cache.shape)
    axis = node.integer("axis", -2) % rank
    fits = [size for i, size in enumerate(cache.shape) if i != axis] == [
        size for i, size in enumerate(update.shape) if i != axis
    ]
    if axis == 0 or len(update.shape) != rank or not fits:
        raise ModelError(f"an update {list(update.shape)} of a cache {list(cache.shape)} along axis {axis}")
    steps = np.arange(update.shape[axis], dtype=np.int64).reshape([-1 if i == axis else 1 for i in range(rank)])
    places = b.const(steps)
    if node.has(2):
        starts = b.reshape(b.value(node, 2), (cache.shape[0], *[1] * (rank - 1)))
        places = b.add(starts, places)
    if node.text("mode", "linear") == "circular":
        size = np.asarray(cache.shape[axis], np.int64)
        places = b.emit("binary", [places, size], {"function": BinaryFunction.FLOOR_MOD})
    places = b.emit("broadcast_to", [places], {"shape": update.shape})
    return b.emit("scatter_elements", [cache, places, update], {"axis": axis})


HANDLERS: dict[str, Handler] = {
    "TopK": top_k,
    "CumSum": cumulative_sum,
    "GatherND": gather_nd,
    "GatherElements": gather_elements,
    "Scatter": scatter_elements,
    "ScatterElements": scatter_elements,
    "ScatterND": scatter_nd,
    "OneHot": one_hot,
    "ReverseSequence": reverse_sequence,
    "Compress": compress,
    "TensorScatter": tensor_scatter,
}
