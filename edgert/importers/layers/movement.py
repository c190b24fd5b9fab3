"""Layers that only move elements about."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

from edgert.errors import ModelError
from edgert.importers.builder import GraphBuilder
from edgert.importers.layers.indices import Emitter, shaped
from edgert.ir import Value

MOST_PARTS = 1 << 12  # that a layer may split its input into


def concat(b: GraphBuilder, parts: Sequence[Value], axis: int) -> Value:
    if not parts:
        raise ModelError("it has no inputs")
    return parts[0] if len(parts) == 1 else b.emit("concat", list(parts), {"axis": axis})


def flatten(b: GraphBuilder, x: Value, axis: int = 1, end: int | None = None) -> Value:
    """The dimensions from axis up to end (excluded; the last one if None) as one."""
    end = len(x.shape) if end is None else end
    return b.reshape(x, (*x.shape[:axis], math.prod(x.shape[axis:end]), *x.shape[end:]))


def split(b: GraphBuilder, x: Value, axis: int, sizes: Sequence[int]) -> list[Value]:
    """Consecutive parts of these sizes, which are all of the axis."""
    if sum(sizes) != x.shape[axis] or min(sizes, default=0) < 1 or len(sizes) > MOST_PARTS:
        raise ModelError(f"parts of {list(sizes)[:8]} do not make up the {x.shape[axis]} of axis {axis}")
    ends = list(itertools.accumulate(sizes))
    return [b.slice(x, axis, end - size, end) for size, end in zip(sizes, ends, strict=True)]


def equal_parts(size: int, count: int) -> tuple[int, ...]:
    """The sizes of `count` equal parts."""
    if count < 1 or size % count or count > MOST_PARTS:
        raise ModelError(f"{size} cannot be split into {count} equal parts")
    return (size // count,) * count


class Masks(NamedTuple):
    """What the bits of TensorFlow's strided slice say of each index."""

    begin: int  # it starts where the axis does
    end: int
    ellipsis: int  # it stands for all axes that no other index is for
    new_axis: int
    shrink: int  # it picks one position, and the axis goes


class Strided(NamedTuple):
    """A slice along every axis, with bounds already normalised, and the result's shape."""

    begin: list[int]
    end: list[int]
    stride: list[int]
    shape: list[int]


def strided(
    sizes: Sequence[int], begins: Sequence[int], ends: Sequence[int], strides: Sequence[int], masks: Masks
) -> Strided:
    """NumPy's indexing, x[begin:end:stride, ..., newaxis, index], as TensorFlow and TFLite tell it."""
    if not len(begins) == len(ends) == len(strides):
        raise ModelError(f"{len(begins)} begins, {len(ends)} ends, {len(strides)} strides")
    indices = [Masks(*(mask >> index & 1 for mask in masks)) for index in range(len(begins))]
    plain = sum(not said.ellipsis and not said.new_axis for said in indices)
    if plain > len(sizes) or sum(said.ellipsis for said in indices) > 1:
        raise ModelError(f"{plain} indices into {len(sizes)} dimensions")
    cut = Strided([0] * len(sizes), list(sizes), [1] * len(sizes), [])
    axis = 0
    for said, first, last, stride in zip(indices, begins, ends, strides, strict=True):
        if said.ellipsis:
            count = len(sizes) - plain
            cut.shape.extend(sizes[axis : axis + count])
            axis += count
            continue
        if said.new_axis:
            cut.shape.append(1)
            continue
        if said.shrink:
            at = _position(0 if said.begin else first, sizes[axis])
            cut.begin[axis], cut.end[axis] = at, at + 1
        else:
            if stride == 0:
                raise ModelError("a stride is 0")
            bounds = slice(None if said.begin else first, None if said.end else last, stride).indices(sizes[axis])
            cut.begin[axis], cut.end[axis], cut.stride[axis] = bounds
            cut.shape.append(len(range(*bounds)))
        axis += 1
    cut.shape.extend(sizes[axis:])
    return cut


def _position(at: int, size: int) -> int:
    if not -size <= at < size:
        raise ModelError(f"position {at} of an axis of {size}")
    return at % size


def tile(b: Emitter, x: Value, counts: Sequence[int]) -> Value:
    """x counts[axis] times along every axis, one after the other.

    For axis 0 of two: [d0, d1] -> [1, d0, d1] -> [n, d0, d1] -> [n * d0, d1], where the middle step broadcasts.
    Axes that are not repeated stay together, for a tensor has few dimensions.
    """
    if len(counts) != len(x.shape) or min(counts, default=1) < 1:
        raise ModelError(f"{list(counts)} copies along the axes of {list(x.shape)}, needed at least 1 each")
    if set(counts) <= {1}:
        return x
    narrow: list[int] = []  # a dimension of size 1 in front of what is repeated as a whole
    wide: list[int] = []
    kept = False
    for size, count in zip(x.shape, counts, strict=True):
        if count == 1 and kept:
            narrow[-1] *= size
            wide[-1] *= size
        elif count == 1 or size == 1:
            narrow.append(size)
            wide.append(size * count)
        else:
            narrow += [1, size]
            wide += [count, size]
        kept = count == 1
    copies = b.emit("broadcast_to", [shaped(b, x, narrow)], {"shape": tuple(wide)})
    return shaped(b, copies, [size * count for size, count in zip(x.shape, counts, strict=True)])


def tile_axis(b: GraphBuilder, x: Value, axis: int, count: int) -> Value:
    """x `count` times along one axis."""
    return tile(b, x, [count if at == axis else 1 for at in range(len(x.shape))])


def shuffle_channels(b: GraphBuilder, x: Value, groups: int) -> Value:
    """[N, groups * C, ...] to [N, C * groups, ...]: channels of the groups in turn."""
    if groups < 1 or x.shape[1] % groups:
        raise ModelError(f"{x.shape[1]} channels do not make {groups} groups")
    rest = x.shape[2:]
    parted = b.reshape(x, (x.shape[0], groups, x.shape[1] // groups, *rest))
    return b.reshape(b.transpose(parted, (0, 2, 1, *range(3, 3 + len(rest)))), x.shape)


def resolve_shape(old: Sequence[int], wanted: Sequence[int]) -> tuple[int, ...]:
    """`wanted` with its -1, at most one, worked out."""
    count, known = math.prod(old), math.prod(size for size in wanted if size != -1)
    unknown = list(wanted).count(-1)
    fits = unknown <= 1 and all(size >= -1 for size in wanted) and known > 0
    if not fits or (count % known if unknown else count != known):
        raise ModelError(f"an input {list(old)} cannot have the shape {list(wanted)}")
    return tuple(count // known if size == -1 else int(size) for size in wanted)
