"""Keras handlers: layers that move elements about."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from edgert.errors import ModelError
from edgert.importers.builder import GraphBuilder
from edgert.importers.keras.layer import Call, Handler, Layer, sizes
from edgert.importers.layers import movement
from edgert.ir import Value


def flatten(b: GraphBuilder, call: Call) -> Value:
    """Samples as rows. Keras 2 and later take channels last, whatever data_format says the input has."""
    x, layer = call.input, call.layer
    if len(x.shape) < 2:
        return b.reshape(x, (x.shape[0], 1))
    if layer.origin.version > 1 and not layer.channels_last() and len(x.shape) > 2:
        x = b.transpose(x, (0, *range(2, len(x.shape)), 1))
    return b.reshape(x, (x.shape[0], math.prod(x.shape[1:])))


def reshape(b: GraphBuilder, call: Call) -> Value:
    x = call.input
    wanted = call.layer.get("target_shape", [])
    if not isinstance(wanted, (list, tuple)):
        raise ModelError(f"target_shape is {wanted!r}, needed a list")
    shape = [-1 if size is None else size for size in sizes("target_shape", list(_open(wanted)), len(wanted))]
    return b.reshape(x, (x.shape[0], *movement.resolve_shape(x.shape[1:], shape)))


def _open(shape: Any) -> Any:
    return (-1 if size is None else size for size in shape)


def permute(b: GraphBuilder, call: Call) -> Value:
    x = call.input
    dims = call.layer.sizes("dims", len(x.shape) - 1)
    if sorted(dims) != list(range(1, len(x.shape))):
        raise ModelError(f"dims are {list(dims)}, needed each of 1 to {len(x.shape) - 1} once")
    return b.transpose(x, (0, *dims))


def repeat_vector(b: GraphBuilder, call: Call) -> Value:
    x = call.input
    if len(x.shape) != 2:
        raise ModelError(f"its input has {len(x.shape)} dimensions, needed 2")
    return movement.tile_axis(b, b.reshape(x, (x.shape[0], 1, x.shape[1])), 1, call.layer.integer("n"))


def pairs(name: str, found: Any, rank: int) -> list[tuple[int, int]]:
    """What is cut off or added before and after on each axis: a number, one an axis, or two an axis."""
    if rank == 1 and isinstance(found, (list, tuple)) and len(found) == 2 and all(isinstance(n, int) for n in found):
        found = [found]
    items = [found] * rank if isinstance(found, int) else found
    if not isinstance(items, (list, tuple)) or len(items) != rank:
        raise ModelError(f"{name} is {found!r}, needed {rank} pairs of integers")
    both = [sizes(name, item, 2) for item in items]
    if any(size < 0 for item in both for size in item):
        raise ModelError(f"{name} is {found!r}, needed nothing below 0")
    return [(item[0], item[1]) for item in both]


def _spatial(layer: Layer, x: Value, rank: int) -> list[int]:
    if len(x.shape) != rank + 2:
        raise ModelError(f"its input has {len(x.shape)} dimensions, needed {rank + 2}")
    return list(range(1, rank + 1)) if layer.channels_last() or rank == 1 else list(range(2, rank + 2))


def zero_padding(rank: int, b: GraphBuilder, call: Call) -> Value:
    x, layer = call.input, call.layer
    before, after = [0] * len(x.shape), [0] * len(x.shape)
    axes = list(range(2, 3)) if rank == 1 and not layer.channels_last() else _spatial(layer, x, rank)
    for axis, (low, high) in zip(axes, pairs("padding", layer.get("padding", 1), rank), strict=True):
        before[axis], after[axis] = low, high
    return b.pad(x, before, after)


def cropping(rank: int, b: GraphBuilder, call: Call) -> Value:
    x, layer = call.input, call.layer
    for axis, (low, high) in zip(
        _spatial(layer, x, rank), pairs("cropping", layer.get("cropping", 1), rank), strict=True
    ):
        if low + high >= x.shape[axis]:
            raise ModelError(f"it cuts {low} and {high} off an axis of {x.shape[axis]}")
        x = b.slice(x, axis, low, x.shape[axis] - high)
    return x


HANDLERS: dict[str, Handler] = {
    "Flatten": flatten,
    "Reshape": reshape,
    "Permute": permute,
    "RepeatVector": repeat_vector,
    **{f"ZeroPadding{rank}D": partial(zero_padding, rank) for rank in (1, 2, 3)},
    **{f"Cropping{rank}D": partial(cropping, rank) for rank in (1, 2, 3)},
}
