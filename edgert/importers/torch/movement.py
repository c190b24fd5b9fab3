"""PyTorch handlers: views, slices, joins, broadcasts and copies."""

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


def clone(b: Builder, call: Call) -> Content:
    content = call.args["self"]
    return content if isinstance(content, QuantizedConstant) else b.value(call, "self")


def copy(b: Builder, call: Call) -> Value:
    """self with all elements replaced by those of src."""
    x, source = b.value(call, "self"), b.value(call, "src")
    return broadcast(b, b.cast(source, x.dtype), x.shape)


HANDLERS: dict[str, Handler] = {
    **{
        f"aten.{name}": same
        for name in (
            "detach",
            "alias",
            "contiguous",
            "dropout",
            "feature_dropout",
            "alpha_dropout",
            "native_dropout",
            "lift_fresh",
            "lift_fresh_copy",
            "cpu",
            "requires_grad",
            "resolve_conj",
            "resolve_neg",
            "data",
            "positive",
            "feature_alpha_dropout",
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
            "permute",
            "permute_copy",
            "transpose",
            "transpose_copy",
            "t",
            "movedim",
            "moveaxis",
            "swapaxes",
            "swapdims",
            "numpy_T",
            "mT",
            "adjoint",
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
    "aten.clone": clone,
    "aten.copy": copy,
    "aten.narrow_copy": narrow,
}
