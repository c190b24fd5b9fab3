"""Torch7 handlers: modules that move elements about, and padding."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from edgert.errors import ModelError
from edgert.importers.layers import movement
from edgert.importers.torch7.module import Builder, Handler, Module, tensor_of
from edgert.importers.torch7.read import Table
from edgert.ir import Value
from edgert.ops._enums import PadMode


def view(b: Builder, module: Module, x: Any) -> Value:
    """The sizes are those of one item of a batch, unless they are all or the first is 1. Torch itself drops a batch of
    one; here it stays, as larger ones do."""
    value, sizes = tensor_of(x), module.integers("size")
    rank, dims = len(value.shape), module.integer("numInputDims", 0)
    if 0 < dims < rank:
        batch = math.prod(value.shape[: rank - dims])
        return b.reshape(value, (batch, *movement.resolve_shape((math.prod(value.shape[rank - dims :]),), sizes)))
    if -1 in sizes:
        return b.reshape(value, movement.resolve_shape(value.shape, sizes))
    count, whole = math.prod(sizes), math.prod(value.shape)
    if count == whole and (sizes[0] == 1 or value.shape[0] != 1):
        return b.reshape(value, sizes)
    if count < 1 or whole % count:
        raise ModelError(f"an input {list(value.shape)} cannot have the shape {list(sizes)}")
    return b.reshape(value, (whole // count, *sizes))


def reshape(b: Builder, module: Module, x: Any) -> Value:
    value, sizes = tensor_of(x), module.integers("size")
    batched = module.fields.get("batchMode")
    if batched is None:
        batched = math.prod(sizes) != math.prod(value.shape) or value.shape[0] == 1
    return b.reshape(value, movement.resolve_shape(value.shape, (*value.shape[:1], *sizes) if batched else sizes))


def unsqueeze(b: Builder, module: Module, x: Any) -> Value:
    value = tensor_of(x)
    at = module.integer("pos") - 1
    dims = module.integer("numInputDims", len(value.shape))
    at += len(value.shape) - dims
    if not 0 <= at <= len(value.shape):
        raise ModelError(f"a dimension before {at + 1} of {len(value.shape)}")
    return b.reshape(value, (*value.shape[:at], 1, *value.shape[at:]))


def squeeze(b: Builder, module: Module, x: Any) -> Value:
    """One dimension, or all of size 1 but the batch."""
    value = tensor_of(x)
    axes = [module.axis("dim", len(value.shape))] if module.has("dim") else range(1, len(value.shape))
    left = [size for axis, size in enumerate(value.shape) if size != 1 or axis not in axes]
    return b.reshape(value, left)


def transpose(b: Builder, module: Module, x: Any) -> Value:
    """Pairs of dimensions that change places, one after the other."""
    value = tensor_of(x)
    table = module.fields.get("permutations")
    order = list(range(len(value.shape)))
    shift = len(order) - module.integer("numInputDims", len(order))
    for pair in table.sequence() if isinstance(table, Table) else []:
        first, second = (int(item) - 1 + shift for item in pair.sequence())
        if min(first, second) < 0:
            raise ModelError("a dimension below 1")
        order[first], order[second] = order[second], order[first]
    return b.transpose(value, order)


def replicate(b: Builder, module: Module, x: Any) -> Value:
    """A new dimension, along which the input stands again and again."""
    value, count, at = tensor_of(x), module.integer("nfeatures"), module.integer("dim", 1) - 1
    dims = module.integer("ndim", 0)
    at += 1 if 0 < dims < len(value.shape) else 0
    if not 0 <= at <= len(value.shape):
        raise ModelError(f"a dimension before {at + 1} of {len(value.shape)}")
    apart = b.reshape(value, (*value.shape[:at], 1, *value.shape[at:]))
    return movement.tile_axis(b, apart, at, count)


def narrow(b: Builder, module: Module, x: Any) -> Value:
    value = tensor_of(x)
    axis = module.axis("dimension", len(value.shape))
    size = value.shape[axis]
    begin, length = module.integer("index") - 1, module.integer("length", 1)
    begin = begin if begin >= 0 else begin + 1 + size
    end = begin + length if length > 0 else size + length + 1
    if not 0 <= begin < end <= size:
        raise ModelError(f"from {begin} to {end} of {size}")
    return b.slice(value, axis, begin, end)


def select(b: Builder, module: Module, x: Any) -> Value:
    value = tensor_of(x)
    axis, index = module.axis("dimension", len(value.shape)), module.integer("index")
    size = value.shape[axis]
    at = index - 1 if index > 0 else index + size
    if not 0 <= at < size:
        raise ModelError(f"item {index} of {size}")
    part = b.slice(value, axis, at, at + 1)
    return b.reshape(part, (*value.shape[:axis], *value.shape[axis + 1 :]))


# Padding


def spatial_padding(mode: PadMode, b: Builder, module: Module, x: Any) -> Value:
    """Negative padding crops."""
    value = tensor_of(x)
    rank = len(value.shape)
    if rank < 3:
        raise ModelError(f"an input {list(value.shape)}, needed height and width")
    before = [module.integer("pad_t", 0), module.integer("pad_l", 0)]
    after = [module.integer("pad_b", 0), module.integer("pad_r", 0)]
    begin = [0] * (rank - 2) + [max(-margin, 0) for margin in before]
    end = [*value.shape[:-2], *(size - max(-margin, 0) for size, margin in zip(value.shape[-2:], after, strict=True))]
    if any(first >= last for first, last in zip(begin, end, strict=True)):
        raise ModelError(f"padding {before} and {after} leaves nothing of {list(value.shape)}")
    y = b.slices(value, begin, end, [1] * rank)
    margins = [tuple([0] * (rank - 2) + [max(margin, 0) for margin in side]) for side in (before, after)]
    if not any(map(any, margins)):
        return y
    attrs = {"before": margins[0], "after": margins[1], "mode": mode, "value": 0.0}
    return b.emit("pad", [y], attrs)


def shave(b: Builder, module: Module, x: Any) -> Value:
    """Pixels off every side (of fast-neural-style)."""
    value, margin = tensor_of(x), module.integer("size")
    rank = len(value.shape)
    end = [*value.shape[:-2], *(size - margin for size in value.shape[-2:])]
    if rank < 3 or margin < 0 or min(end[-2:]) <= margin:
        raise ModelError(f"{margin} pixels off every side of {list(value.shape)}")
    return b.slices(value, [0] * (rank - 2) + [margin] * 2, end, [1] * rank)


def padding(b: Builder, module: Module, x: Any) -> Value:
    """At the end of a dimension, or, if the number is negative, at its beginning."""
    value = tensor_of(x)
    axis = module.integer("dim") - 1
    dims = module.integer("nInputDim", 0)
    axis += 1 if 0 < dims < len(value.shape) else 0
    count, index = module.integer("pad"), module.integer("index", 1)
    if not 0 <= axis < len(value.shape) or index != 1:
        raise ModelError(f"dim {axis + 1} and index {index} of an input {list(value.shape)}")
    margins = [0] * len(value.shape)
    margins[axis] = abs(count)
    nothing = (0,) * len(value.shape)
    before, after = (tuple(margins), nothing) if count < 0 else (nothing, tuple(margins))
    return b.pad(value, before, after, module.number("value", 0))


HANDLERS: dict[str, Handler] = {
    "nn.Narrow": narrow,
    "nn.Padding": padding,
    "nn.Replicate": replicate,
    "nn.Reshape": reshape,
    "nn.Select": select,
    "nn.ShaveImage": shave,
    "nn.SpatialReflectionPadding": partial(spatial_padding, PadMode.REFLECT),
    "nn.SpatialReplicationPadding": partial(spatial_padding, PadMode.EDGE),
    "nn.SpatialZeroPadding": partial(spatial_padding, PadMode.CONSTANT),
    "nn.Squeeze": squeeze,
    "nn.Transpose": transpose,
    "nn.Unsqueeze": unsqueeze,
    "nn.View": view,
}
