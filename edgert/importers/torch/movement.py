"""PyTorch handlers: views, slices, joins and copies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.torch.builder import (
    Builder,
    Call,
    Content,
    Handler,
    QuantizedConstant,
    RefusedError,
    full_shape,
    normal_axis,
)
from edgert.importers.torch.types import promoted
from edgert.ir import Value
from edgert.ops._enums import PadMode


def same(b: Builder, call: Call) -> Content:
    """Whatever makes no difference here: detach, contiguous, dropout of a model in use ..."""
    if call.flag("train"):
        raise RefusedError("it drops elements at random, as in training", "export the model after module.eval()")
    content = next(iter(call.args.values()))
    return content if isinstance(content, QuantizedConstant) else b.value(call, next(iter(call.args)))


def to(b: Builder, call: Call) -> Content:
    """Of types, devices and layouts only the type matters here. `other` gives its own type."""
    content = call.args["self"]
    target = b.value(call, "other").dtype if call.tensor("other") else call.dtype()
    if isinstance(content, QuantizedConstant) and target in (None, DType.FLOAT32):
        return content
    x = b.value(call, "self")
    return x if target is None else b.cast(x, target)


def cast_to(dtype: DType) -> Handler:
    return lambda b, call: b.cast(b.value(call, "self"), dtype)


def view(b: Builder, call: Call) -> Value:
    if call.has("dtype"):
        raise RefusedError("it reads the bits of numbers as another type", "convert the numbers (Tensor.to) instead")
    x = b.value(call, "self")
    return b.reshape(x, full_shape(call.integers(call.any_of("size", "shape")), math.prod(x.shape)))


def view_as(b: Builder, call: Call) -> Value:
    return b.reshape(b.value(call, "self"), b.value(call, "other").shape)


def flatten(b: Builder, call: Call) -> Value:
    x = b.value(call, "self")
    rank = len(x.shape)
    if rank == 0:
        return b.reshape(x, (1,))
    start, end = normal_axis(call.integer("start_dim"), rank), normal_axis(call.integer("end_dim", -1), rank)
    return b.reshape(x, (*x.shape[:start], math.prod(x.shape[start : end + 1]), *x.shape[end + 1 :]))


def unflatten(b: Builder, call: Call) -> Value:
    x = b.value(call, "self")
    axis = normal_axis(call.integer("dim"), len(x.shape))
    sizes = full_shape(call.integers("sizes"), x.shape[axis])
    return b.reshape(x, (*x.shape[:axis], *sizes, *x.shape[axis + 1 :]))


def squeeze(b: Builder, call: Call) -> Value:
    """Axes of a size other than 1 stay."""
    x = b.value(call, "self")
    rank = len(x.shape)
    drop = {normal_axis(axis, rank) for axis in call.integers("dim")} if call.has("dim") else set(range(rank))
    return b.reshape(x, [size for axis, size in enumerate(x.shape) if size != 1 or axis not in drop])


def unsqueeze(b: Builder, call: Call) -> Value:
    x = b.value(call, "self")
    axis = normal_axis(call.integer("dim"), len(x.shape) + 1)
    return b.reshape(x, (*x.shape[:axis], 1, *x.shape[axis:]))


def permutation(call: Call, rank: int) -> list[int]:
    """What permute, transpose and their kin do with the axes of a tensor of this rank."""
    kind = call.op.removeprefix("aten.")
    order = list(range(rank))
    if kind == "permute":
        order = [normal_axis(axis, rank) for axis in call.integers("dims")]
        if sorted(order) != list(range(rank)):
            raise ModelError(f"it orders the axes {list(call.integers('dims'))} of {rank} dimensions")
        return order
    if kind in ("movedim", "moveaxis"):
        sources = [normal_axis(axis, rank) for axis in call.integers("source")]
        targets = [normal_axis(axis, rank) for axis in call.integers("destination")]
        rest = iter(axis for axis in range(rank) if axis not in sources)
        return [sources[targets.index(axis)] if axis in targets else next(rest) for axis in range(rank)]
    if kind == "numpy_T":
        return order[::-1]
    if kind == "t":
        return order[::-1]
    if kind in ("mT", "adjoint"):
        first, second = rank - 2, rank - 1
    else:
        names = ("axis0", "axis1") if call.has("axis0") else ("dim0", "dim1")
        first, second = (normal_axis(call.integer(name), rank) for name in names)
    order[first], order[second] = second, first
    return order


def permute(b: Builder, call: Call) -> Content:
    content = call.args["self"]
    if isinstance(content, QuantizedConstant):
        return content.transposed(permutation(call, content.data.ndim))
    x = b.value(call, "self")
    return b.transpose(x, permutation(call, len(x.shape)))


def slice_bounds(call: Call, shape: Sequence[int]) -> tuple[int, int, int, int]:
    """Axis, begin, end and step of aten.slice, normalised."""
    axis = normal_axis(call.integer("dim"), len(shape))
    start = call.integer("start") if call.has("start") else None
    end = call.integer("end") if call.has("end") else None
    step = call.integer("step", 1)
    if step < 1:
        raise ModelError(f"it slices in steps of {step}")
    begin, stop, _ = slice(start, end, step).indices(shape[axis])
    return axis, begin, max(stop, begin), step


def _cut(b: Builder, x: Value, axis: int, begin: int, end: int, step: int = 1) -> Value:
    """A slice that may be empty, which only a constant can be."""
    if end <= begin:
        return b.const(np.zeros((*x.shape[:axis], 0, *x.shape[axis + 1 :]), x.dtype.numpy_name))
    return b.slice(x, axis, begin, end, step)


def slice_(b: Builder, call: Call) -> Value:
    x = b.value(call, "self")
    return _cut(b, x, *slice_bounds(call, x.shape))


def narrow(b: Builder, call: Call) -> Value:
    x = b.value(call, "self")
    axis = normal_axis(call.integer("dim"), len(x.shape))
    begin = call.integer("start")
    begin += x.shape[axis] if begin < 0 else 0
    end = begin + call.integer("length")
    if not 0 <= begin <= end <= x.shape[axis]:
        raise ModelError(f"it takes {begin} to {end} of {x.shape[axis]}")
    return _cut(b, x, axis, begin, end)


def select(b: Builder, call: Call) -> Value:
    x = b.value(call, "self")
    axis = normal_axis(call.integer("dim"), len(x.shape))
    index = call.args.get("index")
    if isinstance(index, Value) and not index.constant:
        return b.emit("gather", [x, b.reshape(index, ())], {"axis": axis})
    at = call.integer("index")
    if not -x.shape[axis] <= at < x.shape[axis]:
        raise ModelError(f"it takes number {at} of {x.shape[axis]}")
    at %= x.shape[axis]
    return b.reshape(b.slice(x, axis, at, at + 1), (*x.shape[:axis], *x.shape[axis + 1 :]))


def part_sizes(call: Call, shape: Sequence[int]) -> tuple[int, list[int]]:
    """Axis and sizes of the parts of split, chunk and tensor_split."""
    axis = normal_axis(call.integer("dim"), len(shape))
    total, kind = shape[axis], call.op.removeprefix("aten.").removeprefix("unsafe_")
    if kind == "tensor_split":
        if call.has("indices"):
            bounds = [0, *(slice(None, at).indices(total)[1] for at in call.integers("indices")), total]
            return axis, [end - begin for begin, end in pairwise(bounds)]
        count = call.integer("sections", 1)
        return axis, [total // count + (1 if part < total % count else 0) for part in range(count)]
    if kind == "chunk":
        size = max(-(-total // call.integer("chunks", 1)), 1)
    else:
        sizes = call.integers(call.any_of("split_sizes", "split_size", "sizes"))
        stated = call.args.get(call.any_of("split_sizes", "split_size", "sizes"))
        if isinstance(stated, list | tuple):
            if sum(sizes) != total:
                raise ModelError(f"it splits {total} into parts of {list(sizes)}")
            return axis, list(sizes)
        size = sizes[0]
    if size < 1:
        raise ModelError(f"it splits into parts of {size}")
    return axis, [min(size, total - begin) for begin in range(0, total, size)]


def split(b: Builder, call: Call) -> list[Value]:
    x = b.value(call, "self")
    axis, sizes = part_sizes(call, x.shape)
    ends = np.cumsum(sizes).tolist()
    return [_cut(b, x, axis, end - size, end) for size, end in zip(sizes, ends, strict=True)]


def unbind(b: Builder, call: Call) -> list[Value]:
    x = b.value(call, "self")
    axis = normal_axis(call.integer("dim"), len(x.shape))
    shape = (*x.shape[:axis], *x.shape[axis + 1 :])
    return [b.reshape(b.slice(x, axis, at, at + 1), shape) for at in range(x.shape[axis])]


def join(b: Builder, values: Sequence[Value], axis: int) -> Value:
    """Joined along an axis, in the type in which all meet; empty parts count for nothing."""
    parts = [value for value in values if math.prod(value.shape) or len(values) == 1]
    if not parts:
        return values[0]
    kind = parts[0].dtype
    for part in parts:
        kind = promoted(kind, part.dtype)
    parts = [b.cast(part, kind) for part in parts]
    return parts[0] if len(parts) == 1 else b.emit("concat", parts, {"axis": normal_axis(axis, len(parts[0].shape))})


def concat(b: Builder, call: Call) -> Value:
    return join(b, b.values(call, "tensors"), call.integer("dim"))


def stack(b: Builder, call: Call) -> Value:
    values = b.values(call, "tensors")
    axis = normal_axis(call.integer("dim"), len(values[0].shape) + 1)
    return join(b, [b.reshape(x, (*x.shape[:axis], 1, *x.shape[axis:])) for x in values], axis)


def stack_axis(axis: int) -> Handler:
    """hstack, vstack, dstack: as NumPy's."""

    def run(b: Builder, call: Call) -> Value:
        values = b.values(call, "tensors")
        rows = []
        for x in values:
            shape = x.shape or (1,)
            if axis == 0 and len(shape) == 1:
                shape = (1, *shape)
            if axis == 2:
                shape = (1, *shape, 1) if len(shape) == 1 else (*shape, 1) if len(shape) == 2 else shape
            rows.append(b.reshape(x, shape))
        return join(b, rows, 0 if axis == 1 and len(rows[0].shape) == 1 else axis)

    return run


def broadcast(b: Builder, x: Value, shape: Sequence[int]) -> Value:
    wanted = tuple(shape)
    return x if wanted == x.shape else b.emit("broadcast_to", [x], {"shape": wanted})


def expand(b: Builder, call: Call) -> Value:
    """-1 keeps a dimension."""
    x = b.value(call, "self")
    sizes = list(call.integers("size"))
    new = len(sizes) - len(x.shape)
    if new < 0:
        raise ModelError(f"{list(x.shape)} does not fit into the shape {sizes}")
    return broadcast(b, x, [x.shape[axis - new] if size == -1 else size for axis, size in enumerate(sizes)])


def expand_as(b: Builder, call: Call) -> Value:
    return broadcast(b, b.value(call, "self"), b.value(call, "other").shape)


def broadcast_tensors(b: Builder, call: Call) -> list[Value]:
    values = b.values(call, "tensors")
    shape = np.broadcast_shapes(*(value.shape for value in values))
    return [broadcast(b, value, shape) for value in values]


def tiled(b: Builder, x: Value, repeats: Sequence[int]) -> Value:
    """Repeats by broadcasting along new axes before the repeated ones: [d0, d1] -> [d0, 1, d1] -> [d0, r1, d1]."""
    shape = (*(1,) * (len(repeats) - len(x.shape)), *x.shape)
    repeats = (*(1,) * (len(shape) - len(repeats)), *repeats)
    pairs = list(zip(repeats, shape, strict=True))
    apart = [part for count, size in pairs for part in ((1, size) if count != 1 else (size,))]
    repeated = [part for count, size in pairs for part in ((count, size) if count != 1 else (size,))]
    return b.reshape(broadcast(b, b.reshape(x, apart), repeated), [count * size for count, size in pairs])


def repeat(b: Builder, call: Call) -> Value:
    return tiled(b, b.value(call, "self"), call.integers(call.any_of("repeats", "dims")))


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


def clone(b: Builder, call: Call) -> Content:
    content = call.args["self"]
    return content if isinstance(content, QuantizedConstant) else b.value(call, "self")


def copy(b: Builder, call: Call) -> Value:
    """self with all elements replaced by those of src."""
    x, source = b.value(call, "self"), b.value(call, "src")
    return broadcast(b, b.cast(source, x.dtype), x.shape)


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


HANDLERS: dict[str, Handler] = {
    **{
        f"aten.{name}": same
        for name in (
            "detach", "alias", "contiguous", "dropout", "feature_dropout", "alpha_dropout", "native_dropout",
            "lift_fresh", "lift_fresh_copy", "cpu", "requires_grad", "resolve_conj", "resolve_neg", "data",
            "positive", "feature_alpha_dropout",
        )
    },
    "prim.data": same,
    "aten.to": to,
    "aten._to_copy": to,
    "aten.type_as": to,
    "aten.float": cast_to(DType.FLOAT32),
    "aten.double": cast_to(DType.FLOAT32),
    "aten.half": cast_to(DType.FLOAT32),
    "aten.int": cast_to(DType.INT32),
    "aten.long": cast_to(DType.INT64),
    "aten.bool": cast_to(DType.BOOL),
    "aten.view": view,
    "aten.reshape": view,
    "aten._unsafe_view": view,
    "aten.view_copy": view,
    "aten.view_as": view_as,
    "aten.reshape_as": view_as,
    "aten.ravel": flatten,
    "aten.flatten": flatten,
    "aten.unflatten": unflatten,
    "aten.squeeze": squeeze,
    "aten.squeeze_copy": squeeze,
    "aten.unsqueeze": unsqueeze,
    "aten.unsqueeze_copy": unsqueeze,
    **{
        f"aten.{name}": permute
        for name in (
            "permute", "permute_copy", "transpose", "transpose_copy", "t", "movedim", "moveaxis", "swapaxes",
            "swapdims", "numpy_T", "mT", "adjoint",
        )
    },
    "aten.slice": slice_,
    "aten.slice_copy": slice_,
    "aten.narrow": narrow,
    "aten.select": select,
    "aten.select_copy": select,
    "aten.split": split,
    "aten.split_copy": split,
    "aten.split_with_sizes": split,
    "aten.split_with_sizes_copy": split,
    "aten.unsafe_split": split,
    "aten.unsafe_chunk": split,
    "aten.chunk": split,
    "aten.tensor_split": split,
    "aten.unbind": unbind,
    "aten.cat": concat,
    "aten.concat": concat,
    "aten.concatenate": concat,
    "aten.stack": stack,
    "aten.hstack": stack_axis(1),
    "aten.vstack": stack_axis(0),
    "aten.dstack": stack_axis(2),
    "aten.expand": expand,
    "aten.expand_copy": expand,
    "aten.broadcast_to": expand,
    "aten.expand_as": expand_as,
    "aten.broadcast_tensors": broadcast_tensors,
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
    "aten.clone": clone,
    "aten.copy": copy,
    "aten.diagonal": diagonal,
    "aten.diagonal_copy": diagonal,
    "aten.diag": diag,
    "aten.diag_embed": diagonal_matrix,
    "aten.narrow_copy": narrow,
    "aten.meshgrid": meshgrid,
}  # fmt: skip
