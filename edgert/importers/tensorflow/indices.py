"""TensorFlow handlers: operators that pick, sort and place elements by index."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import numpy as np

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.builder import RefusedError
from edgert.importers.tensorflow.builder import Builder, Handler, SourceNode, Variable
from edgert.importers.tensorflow.shapes import read_variable
from edgert.ir import Value
from edgert.ops._enums import CompareFunction, ScatterReduction


def gather(b: Builder, node: SourceNode) -> Value:
    """Gather, GatherV2, ResourceGather. Constant indices in even steps are a slice."""
    x = read_variable(b, node) if isinstance(node.inputs[0], Variable) else b.value(node, 0)
    if not isinstance(x, Value):
        raise ModelError("it reads a variable that is no tensor")
    rank = len(x.shape)
    axis = b.axis(int(b.scalar(node, 2, "axis")) if len(node.inputs) > 2 else 0, rank)
    batch = node.integer("batch_dims", 0)
    indices = b.value(node, 1)
    batch = batch + len(indices.shape) if batch < 0 else batch
    if batch:
        if axis != batch or indices.shape[:batch] != x.shape[:batch]:
            raise RefusedError(f"it gathers along axis {axis} by {batch} batches", "gather along the next axis")
        return b.emit("gather_nd", [x, b.reshape(indices, (*indices.shape, 1))], {"batch_dims": batch})
    constant = b.constant(node, 1)
    if constant is not None and constant.size:
        size = x.shape[axis]
        if constant.min() < 0 or constant.max() >= size:
            raise ModelError(f"an index is outside 0..{size - 1}")
        flat = [int(index) for index in constant.reshape(-1)[: 1 << 12]]
        steps = {right - left for left, right in pairwise(flat)}
        if constant.size == len(flat) and len(steps) <= 1 and min(steps, default=1) >= 1:
            picked = b.slice(x, axis, flat[0], flat[-1] + 1, min(steps, default=1))
            return b.reshape(picked, (*x.shape[:axis], *constant.shape, *x.shape[axis + 1 :]))
    return b.emit("gather", [x, indices], {"axis": axis})


def gather_nd(b: Builder, node: SourceNode) -> Value:
    return b.emit("gather_nd", [b.value(node, 0), b.value(node, 1)], {"batch_dims": node.integer("batch_dims", 0)})


def one_hot(b: Builder, node: SourceNode) -> Value:
    """`on` where an index is that of its place along a new axis, else `off`."""
    indices, depth = b.value(node, 0), int(b.scalar(node, 1, "depth"))
    if not 1 <= depth <= 1 << 24:
        raise ModelError(f"a depth of {depth}")
    rank = len(indices.shape) + 1
    axis = b.axis(node.integer("axis", -1), rank)
    indices = indices if indices.dtype == DType.INT64 else b.emit("cast", [indices], dtype=DType.INT32)
    apart = b.reshape(indices, (*indices.shape[:axis], 1, *indices.shape[axis:]))
    places = np.arange(depth, dtype=indices.dtype.numpy_name).reshape([-1 if at == axis else 1 for at in range(rank)])
    hit = b.emit("compare", [apart, places], {"function": CompareFunction.EQUAL})
    return b.emit("select", [hit, b.value(node, 2), b.value(node, 3)])


def top_k(b: Builder, node: SourceNode) -> list[Value]:
    """The k largest along the last axis, and where they stand."""
    count = int(b.scalar(node, 1, "k")) if len(node.inputs) > 1 else node.integer("k", 1)
    values, indices = b.emit_all("top_k", [b.value(node, 0)], {"k": count, "axis": -1})
    return [values, indices]


def cumsum(b: Builder, node: SourceNode) -> Value:
    x = b.value(node, 0)
    axis = b.axis(int(b.scalar(node, 1, "axis")), len(x.shape))
    attrs = {"axis": axis, "exclusive": node.flag("exclusive"), "reverse": node.flag("reverse")}
    return b.emit("cumsum", [x], attrs)


def scatter_nd(b: Builder, node: SourceNode) -> Value:
    """Updates at indices of zeros; where indices meet, they add up."""
    updates, shape = b.value(node, 1), b.ints(node, 2, "shape")
    zeros = b.emit("broadcast_to", [b.number(0, updates.dtype)], {"shape": shape})
    return b.emit("scatter_nd", [zeros, b.value(node, 0), updates], {"reduction": ScatterReduction.ADD})


def tensor_scatter(reduction: ScatterReduction, b: Builder, node: SourceNode) -> Value:
    return b.emit("scatter_nd", [b.value(node, index) for index in range(3)], {"reduction": reduction})


HANDLERS: dict[str, Handler] = {
    "Gather": gather,
    "GatherV2": gather,
    "ResourceGather": gather,
    "GatherNd": gather_nd,
    "OneHot": one_hot,
    "TopK": top_k,
    "TopKV2": top_k,
    "Cumsum": cumsum,
    "ScatterNd": scatter_nd,
    "TensorScatterUpdate": partial(tensor_scatter, ScatterReduction.NONE),
    "TensorScatterAdd": partial(tensor_scatter, ScatterReduction.ADD),
    "TensorScatterMin": partial(tensor_scatter, ScatterReduction.MIN),
    "TensorScatterMax": partial(tensor_scatter, ScatterReduction.MAX),
}
