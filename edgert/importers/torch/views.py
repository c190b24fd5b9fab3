"""Operators whose result shares elements with their first argument, and how a write to the result changes that."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edgert.importers.torch import movement
from edgert.importers.torch.builder import Builder, Call, RefusedError, normal_axis
from edgert.ir import Value

Put = Callable[[Builder, Call, Value, Value], Value]


def put_region(b: Builder, base: Value, new: Value, axis: int, begin: int, end: int, step: int = 1) -> Value:
    """base with base[begin:end:step] on an axis replaced by new."""
    size = base.shape[axis]
    new = b.cast(new, base.dtype)
    if step == 1:
        parts = [b.slice(base, axis, 0, begin)] if begin else []
        parts.append(new)
        if end < size:
            parts.append(b.slice(base, axis, end, size))
        return parts[0] if len(parts) == 1 else b.emit("concat", parts, {"axis": axis})
    written = set(range(begin, end, step))
    rows, order, kept = [], 0, 0
    for at in range(size):
        if at in written:
            rows.append(b.slice(new, axis, order, order + 1))
            order += 1
        elif not rows or at - 1 in written:
            kept = next((stop for stop in range(at, size) if stop in written), size)
            rows.append(b.slice(base, axis, at, kept))
    return b.emit("concat", rows, {"axis": axis})


def _reshaped(b: Builder, call: Call, base: Value, new: Value) -> Value:
    return b.reshape(new, base.shape)


def _permuted(b: Builder, call: Call, base: Value, new: Value) -> Value:
    perm = movement.permutation(call, len(base.shape))
    return b.transpose(new, [perm.index(axis) for axis in range(len(perm))])


def _sliced(b: Builder, call: Call, base: Value, new: Value) -> Value:
    axis, begin, end, step = movement.slice_bounds(call, base.shape)
    return put_region(b, base, new, axis, begin, end, step)


def _selected(b: Builder, call: Call, base: Value, new: Value) -> Value:
    axis = normal_axis(call.integer("dim"), len(base.shape))
    index = call.integer("index") % base.shape[axis]
    row = b.reshape(new, (*base.shape[:axis], 1, *base.shape[axis + 1 :]))
    return put_region(b, base, row, axis, index, index + 1)


def _narrowed(b: Builder, call: Call, base: Value, new: Value) -> Value:
    axis = normal_axis(call.integer("dim"), len(base.shape))
    begin = call.integer("start")
    return put_region(b, base, new, axis, begin, begin + call.integer("length"))


def _refused(b: Builder, call: Call, base: Value, new: Value) -> Value:
    raise RefusedError("it writes to a tensor that shows one element in several places", "write to a clone of it")


def _part(b: Builder, call: Call, base: Value, new: Value, number: int) -> Value:
    axis, sizes = movement.part_sizes(call, base.shape)
    begin = sum(sizes[:number])
    return put_region(b, base, new, axis, begin, begin + sizes[number])


def _unbound(b: Builder, call: Call, base: Value, new: Value, number: int) -> Value:
    axis = normal_axis(call.integer("dim"), len(base.shape))
    row = b.reshape(new, (*base.shape[:axis], 1, *base.shape[axis + 1 :]))
    return put_region(b, base, row, axis, number, number + 1)


VIEWS: dict[str, Put] = {
    **dict.fromkeys(
        ("aten.view", "aten.reshape", "aten._unsafe_view", "aten.flatten", "aten.unflatten", "aten.squeeze",
         "aten.unsqueeze", "aten.view_as", "aten.reshape_as", "aten.ravel"),
        _reshaped,
    ),
    **dict.fromkeys(
        ("aten.permute", "aten.transpose", "aten.t", "aten.movedim", "aten.swapaxes", "aten.swapdims",
         "aten.numpy_T", "aten.mT", "aten.moveaxis", "aten.adjoint"),
        _permuted,
    ),
    "aten.slice": _sliced,
    "aten.select": _selected,
    "aten.narrow": _narrowed,
    "aten.expand": _refused,
    "aten.expand_as": _refused,
    "aten.diagonal": _refused,
    "aten.unfold": _refused,
}  # fmt: skip

PartPut = Callable[[Builder, Call, Value, Value, int], Value]
# Those that return several views.
PARTS: dict[str, PartPut] = {
    **dict.fromkeys(
        ("aten.split", "aten.split_with_sizes", "aten.chunk", "aten.tensor_split", "aten.unsafe_split",
         "aten.unsafe_chunk"),
        _part,
    ),
    "aten.unbind": _unbound,
}  # fmt: skip

# Those that return their argument itself where there is nothing to do.
ALIASES: Sequence[str] = (
    "aten.detach", "aten.alias", "aten.contiguous", "aten.to", "aten.type_as", "aten.float", "aten.dropout",
    "aten.feature_dropout", "aten.alpha_dropout", "aten.lift_fresh", "aten.cpu", "prim.data", "aten.requires_grad",
    "aten.resolve_conj", "aten.resolve_neg", "aten.data",
)  # fmt: skip

# Written in place, those change the shape of a tensor and no element.
RESHAPES_IN_PLACE = ("aten.unsqueeze", "aten.squeeze", "aten.transpose", "aten.t", "aten.swapaxes", "aten.swapdims")
