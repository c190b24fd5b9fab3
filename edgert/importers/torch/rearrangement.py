"""PyTorch handlers: padding, repetition, shuffles, windows, diagonals."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgert.errors import ModelError
from edgert.importers.layers import movement
from edgert.importers.torch.builder import Builder, Call, Handler, RefusedError, normal_axis
from edgert.importers.torch.movement import broadcast
from edgert.ir import Value
from edgert.ops._enums import PadMode


def _amounts(call: Call, rank: int) -> tuple[list[int], list[int]]:
    """Padding before and after each axis: PyTorch lists the last axis first."""
    stated = call.integers(call.any_of("pad", "padding"))
    if len(stated) % 2 or len(stated) > 2 * rank:
        raise ModelError(f"it pads a tensor of {rank} dimensions by {list(stated)}")
    before, after = [0] * rank, [0] * rank
    for place in range(len(stated) // 2):
        before[rank - 1 - place], after[rank - 1 - place] = stated[2 * place], stated[2 * place + 1]
    return before, after


MODES = {"constant": PadMode.CONSTANT, "reflect": PadMode.REFLECT, "replicate": PadMode.EDGE}


def padded(mode: str | None) -> Handler:
    """constant_pad_nd, reflection_pad, replication_pad; with None the mode is an argument. Negative amounts cut."""

    def run(b: Builder, call: Call) -> Value:
        x = b.value(call, "self")
        before, after = _amounts(call, len(x.shape))
        chosen = call.text("mode", "constant") if mode is None else mode
        if min(*before, *after, 0) < 0:
            cut_before, cut_after = [max(-size, 0) for size in before], [max(-size, 0) for size in after]
            ends = [size - cut for size, cut in zip(x.shape, cut_after, strict=True)]
            x = b.slices(x, cut_before, ends, [1] * len(ends))
            before, after = [max(size, 0) for size in before], [max(size, 0) for size in after]
        if not any(before) and not any(after):
            return x
        if chosen == "circular":
            return _wrapped(b, x, before, after)
        if chosen not in MODES:
            raise RefusedError(f"mode {chosen!r}", "use constant, reflect, replicate or circular")
        attrs = {"before": tuple(before), "after": tuple(after), "mode": MODES[chosen], "value": call.number("value")}
        return b.emit("pad", [x], attrs)

    return run


def _wrapped(b: Builder, x: Value, before: Sequence[int], after: Sequence[int]) -> Value:
    for axis, size in enumerate(x.shape):
        if max(before[axis], after[axis]) > size:
            raise ModelError(f"it wraps {size} elements around more than once")
        head = [b.slice(x, axis, size - before[axis], size)] if before[axis] else []
        tail = [b.slice(x, axis, 0, after[axis])] if after[axis] else []
        if head or tail:
            x = b.emit("concat", [*head, x, *tail], {"axis": axis})
    return x


def pixel_shuffle(b: Builder, call: Call) -> Value:
    """[N, C*r*r, H, W] -> [N, C, H*r, W*r]: channel, row and column of a block, in that order."""
    x = b.value(call, "self")
    block = call.integer("upscale_factor", 1)
    image = b.transpose(b.reshape(x, (math.prod(x.shape[:-3]), *x.shape[-3:])), (0, 2, 3, 1))
    y = b.emit("depth_to_space", [image], {"block": block, "column_row_depth": True})
    y = b.transpose(y, (0, 3, 1, 2))
    return b.reshape(y, (*x.shape[:-3], *y.shape[1:]))


def pixel_unshuffle(b: Builder, call: Call) -> Value:
    x = b.value(call, "self")
    block = call.integer("downscale_factor", 1)
    *front, channels, height, width = x.shape
    count = math.prod(front)
    if block < 1 or height % block or width % block:
        raise ModelError(f"{height} x {width} does not divide into blocks of {block}")
    parted = b.reshape(x, (count * channels, height // block, block, width // block, block))
    y = b.transpose(parted, (0, 2, 4, 1, 3))
    return b.reshape(y, (*front, channels * block * block, height // block, width // block))


def channel_shuffle(b: Builder, call: Call) -> Value:
    x = b.value(call, "self")
    groups, channels = call.integer("groups", 1), x.shape[1]
    if groups < 1 or channels % groups:
        raise ModelError(f"{channels} channels do not make {groups} groups")
    apart = b.reshape(x, (x.shape[0], groups, channels // groups, *x.shape[2:]))
    return b.reshape(b.transpose(apart, (0, 2, 1, *range(3, len(apart.shape)))), x.shape)


def unfold(b: Builder, call: Call) -> Value:
    """Windows of `size` every `step` along an axis, as a new last axis."""
    x = b.value(call, "self")
    axis = normal_axis(call.integer("dimension"), len(x.shape))
    size, step = call.integer("size"), call.integer("step", 1)
    if not 0 < size <= x.shape[axis] or step < 1:
        raise ModelError(f"windows of {size} every {step} over {x.shape[axis]}")
    count = (x.shape[axis] - size) // step + 1
    rows = np.arange(count)[:, np.newaxis] * step + np.arange(size)
    y = b.emit("gather", [x, rows.astype(np.int32)], {"axis": axis})
    return b.transpose(y, (*range(axis + 1), *range(axis + 2, len(y.shape)), axis + 1))


def diagonal(b: Builder, call: Call) -> Value:
    """The diagonal of the last two of the axes dim1 and dim2, as a new last axis."""
    x = b.value(call, "self")
    rank = len(x.shape)
    first, second = normal_axis(call.integer("dim1", 0), rank), normal_axis(call.integer("dim2", 1), rank)
    rest = [axis for axis in range(rank) if axis not in (first, second)]
    y = b.transpose(x, (*rest, first, second))
    rows, columns = y.shape[-2:]
    shift = call.integer("offset")
    count = min(rows + min(shift, 0), columns - max(shift, 0))
    if count < 1:
        raise ModelError(f"diagonal {shift} of {rows} x {columns}")
    places = (np.arange(count) + max(-shift, 0)) * columns + np.arange(count) + max(shift, 0)
    flat = b.reshape(y, (*y.shape[:-2], rows * columns))
    return b.emit("gather", [flat, places.astype(np.int32)], {"axis": len(rest)})


def diagonal_matrix(b: Builder, call: Call) -> Value:
    """Vectors [..., n] as matrices with them on diagonal `offset`."""
    x = b.value(call, "self")
    shift, rank = call.integer("offset"), len(x.shape) + 1
    axes = (normal_axis(call.integer("dim1", -2), rank), normal_axis(call.integer("dim2", -1), rank))
    if axes != (rank - 2, rank - 1):
        raise RefusedError("diagonals over other axes than the last two", "use the last two, and permute")
    side = x.shape[-1] + abs(shift)
    if side > 1 << 12:
        raise ModelError(f"it makes matrices of {side} x {side}")
    line = b.pad(x, [0] * (rank - 2) + [max(shift, 0)], [0] * (rank - 2) + [max(-shift, 0)])
    on = np.eye(side, k=shift, dtype=np.bool_)
    zero = np.zeros((), x.dtype.numpy_name)
    return b.emit("select", [on, b.reshape(line, (*line.shape[:-1], 1, side)), zero])


def diag(b: Builder, call: Call) -> Value:
    """The matrix of a vector, or the diagonal of a matrix."""
    shift = {"offset": call.integer("diagonal"), "self": call.args["self"]}
    made = Call(call.name, call.op, "", shift)
    return diagonal_matrix(b, made) if len(b.value(call, "self").shape) == 1 else diagonal(b, made)


def meshgrid(b: Builder, call: Call) -> list[Value]:
    values = b.values(call, "tensors")
    sizes = [math.prod(value.shape) for value in values]
    axes = list(range(len(values)))
    if call.text("indexing", "ij") == "xy" and len(axes) > 1:
        axes[:2] = [1, 0]
    shape = [0] * len(sizes)
    for axis, size in zip(axes, sizes, strict=True):
        shape[axis] = size
    grids = []
    for axis, size, value in zip(axes, sizes, values, strict=True):
        line = b.reshape(value, [size if place == axis else 1 for place in range(len(shape))])
        grids.append(broadcast(b, line, shape))
    return grids


def flip(b: Builder, call: Call) -> Value:
    x = b.value(call, "self")
    rank = len(x.shape)
    begins, ends, strides = [0] * rank, list(x.shape), [1] * rank
    for axis in call.integers("dims"):
        axis = normal_axis(axis, rank)
        begins[axis], ends[axis], strides[axis] = x.shape[axis] - 1, -1, -1
    return b.slices(x, begins, ends, strides)


def roll(b: Builder, call: Call) -> Value:
    x = b.value(call, "self")
    shifts, dims = call.integers("shifts"), call.integers("dims")
    shape = x.shape
    if not dims:
        x, dims = b.reshape(x, (math.prod(shape),)), (0,)
    for shift, dim in zip(shifts, dims, strict=True):
        axis = normal_axis(dim, len(x.shape))
        size = x.shape[axis]
        shift %= size
        if shift:
            parts = [b.slice(x, axis, size - shift, size), b.slice(x, axis, 0, size - shift)]
            x = b.emit("concat", parts, {"axis": axis})
    return b.reshape(x, shape)


def repeat(b: Builder, call: Call) -> Value:
    """Sizes of either that are missing in front count as 1."""
    x, counts = b.value(call, "self"), call.integers(call.any_of("repeats", "dims"))
    rank = max(len(x.shape), len(counts))
    y = b.reshape(x, (*(1,) * (rank - len(x.shape)), *x.shape))
    return movement.tile(b, y, (*(1,) * (rank - len(counts)), *counts))


def repeat_interleave(b: Builder, call: Call) -> Value:
    """The same number of copies of each element, side by side."""
    x = b.value(call, "self")
    if call.tensor("repeats") and b.array(call, "repeats").size > 1:
        counts = b.array(call, "repeats").reshape(-1)
        axis = normal_axis(call.integer("dim"), len(x.shape))
        rows = np.repeat(np.arange(x.shape[axis]), counts).astype(np.int32)
        return b.emit("gather", [x, rows], {"axis": axis})
    count = call.integer("repeats")
    if not call.has("dim"):
        x = b.reshape(x, (math.prod(x.shape),))
    axis = normal_axis(call.integer("dim"), len(x.shape))
    apart = b.reshape(x, (*x.shape[: axis + 1], 1, *x.shape[axis + 1 :]))
    wide = broadcast(b, apart, (*x.shape[: axis + 1], count, *x.shape[axis + 1 :]))
    return b.reshape(wide, (*x.shape[:axis], x.shape[axis] * count, *x.shape[axis + 1 :]))


HANDLERS: dict[str, Handler] = {
    "aten.repeat": repeat,
    "aten.tile": repeat,
    "aten.repeat_interleave": repeat_interleave,
    "aten.flip": flip,
    "aten.roll": roll,
    "aten.pad": padded(None),
    "aten.constant_pad_nd": padded("constant"),
    "aten.reflection_pad1d": padded("reflect"),
    "aten.reflection_pad2d": padded("reflect"),
    "aten.reflection_pad3d": padded("reflect"),
    "aten.replication_pad1d": padded("replicate"),
    "aten.replication_pad2d": padded("replicate"),
    "aten.replication_pad3d": padded("replicate"),
    "aten.pixel_shuffle": pixel_shuffle,
    "aten.pixel_unshuffle": pixel_unshuffle,
    "aten.channel_shuffle": channel_shuffle,
    "aten.native_channel_shuffle": channel_shuffle,
    "aten.unfold": unfold,
    "aten.unfold_copy": unfold,
    "aten.diagonal": diagonal,
    "aten.diagonal_copy": diagonal,
    "aten.diag": diag,
    "aten.diag_embed": diagonal_matrix,
    "aten.meshgrid": meshgrid,
}
