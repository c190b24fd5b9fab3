"""TensorFlow handlers: operators that pass on, move, copy, cut and join tensors."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from edgert.errors import ModelError
from edgert.importers.builder import QuantizedConstant, RefusedError
from edgert.importers.layers import movement
from edgert.importers.layers.movement import concat as joined
from edgert.importers.layers.movement import equal_parts, resolve_shape
from edgert.importers.layers.movement import split as parts_of
from edgert.importers.tensorflow.builder import DEAD, Builder, Handler, Opaque, Outputs, SourceNode
from edgert.ir import Value
from edgert.ops._enums import PadMode

MOST_PARTS = 4096
LARGEST_BAND = 1 << 22  # elements of a matrix, of which some diagonals are kept


def identity(b: Builder, node: SourceNode) -> Outputs:
    if not node.inputs:
        return Opaque("what it passes on is missing")
    return node.inputs[0]


def identity_n(b: Builder, node: SourceNode) -> Outputs:
    return list(node.inputs)


def switch(b: Builder, node: SourceNode) -> Outputs:
    """The branch that is not taken is dead, and so is what reads it."""
    taken = bool(b.scalar(node, 1, "condition"))
    return [DEAD, node.inputs[0]] if taken else [node.inputs[0], DEAD]


def switch_n(b: Builder, node: SourceNode) -> Outputs:
    """As Switch, of several branches: the last one is taken for an index outside."""
    count, index = node.integer("num_outs", 1), int(b.scalar(node, 1, "branch"))
    if not 1 <= count <= MOST_PARTS:
        raise ModelError(f"it has {count} branches")
    taken = index if 0 <= index < count else count - 1
    return [node.inputs[0] if at == taken else DEAD for at in range(count)]


def reshape(b: Builder, node: SourceNode) -> Outputs:
    wanted = b.ints(node, 1, "shape")
    bound = node.inputs[0]
    if isinstance(bound, QuantizedConstant) and not bound.quant.per_channel:
        return QuantizedConstant(bound.data.reshape(resolve_shape(bound.data.shape, wanted)), bound.quant)
    x = b.value(node, 0)
    if 0 in x.shape:
        return b.const(np.zeros([max(size, 0) for size in wanted], x.dtype.numpy_name))
    return b.reshape(x, resolve_shape(x.shape, wanted))


def squeeze(b: Builder, node: SourceNode) -> Value:
    x = b.value(node, 0)
    listed = node.integers("squeeze_dims") or node.integers("axis")
    axes = {b.axis(axis, len(x.shape)) for axis in listed} or {at for at, size in enumerate(x.shape) if size == 1}
    if any(x.shape[axis] != 1 for axis in axes):
        raise ModelError(f"{list(x.shape)} cannot lose the axes {sorted(axes)}")
    return b.reshape(x, [size for at, size in enumerate(x.shape) if at not in axes])


def expand_dims(b: Builder, node: SourceNode) -> Value:
    x = b.value(node, 0)
    axis = b.axis(int(b.scalar(node, 1, "axis")), len(x.shape) + 1)
    return b.reshape(x, (*x.shape[:axis], 1, *x.shape[axis:]))


def transpose(b: Builder, node: SourceNode) -> Outputs:
    perm = b.ints(node, 1, "permutation")
    bound = node.inputs[0]
    rank = bound.data.ndim if isinstance(bound, QuantizedConstant) else len(b.value(node, 0).shape)
    order = [b.axis(axis, rank) for axis in perm]
    if sorted(order) != list(range(rank)):
        raise ModelError(f"the permutation {list(perm)} of {rank} dimensions")
    if isinstance(bound, QuantizedConstant):
        return bound.transposed(order)
    return b.transpose(b.value(node, 0), order)


def concat(b: Builder, node: SourceNode) -> Value:
    """ConcatV2 has its axis last, Concat first."""
    count = len(node.inputs) - 1
    at, first = (0, 1) if node.op == "Concat" else (count, 0)
    values = [b.value(node, first + index) for index in range(count)]
    if not values:
        raise ModelError("it joins nothing")
    axis = b.axis(int(b.scalar(node, at, "axis")), len(values[0].shape))
    full = [value for value in values if value.shape[axis] > 0] or values[:1]
    return joined(b, full, axis)


def pack(b: Builder, node: SourceNode) -> Value:
    values = [b.value(node, index) for index in range(len(node.inputs))]
    if not values:
        raise ModelError("it joins nothing")
    axis = b.axis(node.integer("axis", 0), len(values[0].shape) + 1)
    return joined(b, [b.reshape(v, (*v.shape[:axis], 1, *v.shape[axis:])) for v in values], axis)


def unpack(b: Builder, node: SourceNode) -> list[Value]:
    x = b.value(node, 0)
    axis = b.axis(node.integer("axis", 0), len(x.shape))
    if not 1 <= x.shape[axis] <= MOST_PARTS or node.integer("num", x.shape[axis]) != x.shape[axis]:
        raise ModelError(f"it takes {list(x.shape)} apart along axis {axis} into {node.integer('num', 0)}")
    rest = (*x.shape[:axis], *x.shape[axis + 1 :])
    return [b.reshape(b.slice(x, axis, at, at + 1), rest) for at in range(x.shape[axis])]


def split(b: Builder, node: SourceNode) -> list[Value]:
    """Split: axis, x; equal parts."""
    x = b.value(node, 1)
    axis = b.axis(int(b.scalar(node, 0, "axis")), len(x.shape))
    return parts_of(b, x, axis, equal_parts(x.shape[axis], node.integer("num_split", 1)))


def split_v(b: Builder, node: SourceNode) -> list[Value]:
    """SplitV: x, sizes (one may be -1: the rest), axis."""
    x, sizes = b.value(node, 0), list(b.ints(node, 1, "sizes"))
    axis = b.axis(int(b.scalar(node, 2, "axis")), len(x.shape))
    if sizes.count(-1) == 1:
        sizes[sizes.index(-1)] = x.shape[axis] - sum(sizes) - 1
    return parts_of(b, x, axis, sizes)


def slice_(b: Builder, node: SourceNode) -> Value:
    """x, begins, sizes (-1: to the end)."""
    x, begins, sizes = b.value(node, 0), b.ints(node, 1, "begin"), b.ints(node, 2, "size")
    if not len(begins) == len(sizes) == len(x.shape):
        raise ModelError(f"begin {list(begins)} and size {list(sizes)} of {list(x.shape)}")
    ends = [whole if size == -1 else begin + size for begin, size, whole in zip(begins, sizes, x.shape, strict=True)]
    if any(not 0 <= begin <= end <= whole for begin, end, whole in zip(begins, ends, x.shape, strict=True)):
        raise ModelError(f"it cuts {list(begins)} to {ends} out of {list(x.shape)}")
    return b.slices(x, begins, ends, [1] * len(begins))


def strided_slice(b: Builder, node: SourceNode) -> Value:
    x = b.value(node, 0)
    begins, ends, strides = (b.ints(node, at, what) for at, what in ((1, "begin"), (2, "end"), (3, "strides")))
    kinds = ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    masks = movement.Masks(*(node.integer(f"{kind}_mask", 0) for kind in kinds))
    cut = movement.strided(x.shape, begins, ends, strides, masks)
    if 0 in cut.shape:
        return b.const(np.zeros(cut.shape, x.dtype.numpy_name))
    return b.reshape(b.slices(x, cut.begin, cut.end, cut.stride), cut.shape)


def pad(b: Builder, node: SourceNode) -> Value:
    """Pad, PadV2 (with a value) and MirrorPad."""
    x, pairs = b.value(node, 0), b.need_constant(node, 1, "padding")
    if pairs.shape != (len(x.shape), 2):
        raise ModelError(f"its padding has the shape {list(pairs.shape)}, needed {[len(x.shape), 2]}")
    before, after = (tuple(int(size) for size in pairs[:, end]) for end in (0, 1))
    attrs: dict[str, object] = {"before": before, "after": after}
    if node.op == "PadV2":
        attrs["value"] = float(b.scalar(node, 2, "padding value"))
    elif node.op == "MirrorPad":
        attrs["mode"] = PadMode.SYMMETRIC if node.text("mode", "REFLECT") == "SYMMETRIC" else PadMode.REFLECT
    return b.emit("pad", [x], attrs) if pairs.any() else x


def tile(b: Builder, node: SourceNode) -> Value:
    x, counts = b.value(node, 0), b.ints(node, 1, "multiples")
    if len(counts) != len(x.shape) or min(counts, default=1) < 0:
        raise ModelError(f"multiples {list(counts)} for {len(x.shape)} dimensions")
    if 0 in counts:
        shape = [size * count for size, count in zip(x.shape, counts, strict=True)]
        return b.const(np.zeros(shape, x.dtype.numpy_name))
    return movement.tile(b, x, counts)


def broadcast_to(b: Builder, node: SourceNode) -> Value:
    x, shape = b.value(node, 0), b.ints(node, 1, "shape")
    return x if shape == x.shape else b.emit("broadcast_to", [x], {"shape": shape})


def reverse(b: Builder, node: SourceNode) -> Value:
    """ReverseV2 lists axes, Reverse has a flag for each."""
    x = b.value(node, 0)
    if node.op == "Reverse":
        axes = {at for at, flag in enumerate(b.need_constant(node, 1, "axes").reshape(-1)) if flag}
    else:
        axes = {b.axis(axis, len(x.shape)) for axis in b.ints(node, 1, "axes")}
    return _reversed(b, x, axes)


def _reversed(b: Builder, x: Value, axes: set[int]) -> Value:
    begin = [size - 1 if at in axes else 0 for at, size in enumerate(x.shape)]
    end = [-1 if at in axes else size for at, size in enumerate(x.shape)]
    return b.slices(x, begin, end, [-1 if at in axes else 1 for at in range(len(x.shape))])


def reverse_sequence(b: Builder, node: SourceNode) -> Value:
    """The first elements of each sequence in reverse, the others as they are; lengths are constant."""
    x, lengths = b.value(node, 0), b.ints(node, 1, "lengths")
    batch, time = (b.axis(node.integer(name, 0), len(x.shape)) for name in ("batch_dim", "seq_dim"))
    if len(lengths) != x.shape[batch] or batch == time or not 0 <= min(lengths) <= max(lengths) <= x.shape[time]:
        raise ModelError(f"lengths {list(lengths)} of the sequences in {list(x.shape)}")
    rows = []
    for at, length in enumerate(lengths):
        row = b.slice(x, batch, at, at + 1)
        parts = [_reversed(b, b.slice(row, time, 0, length), {time})] if length else []
        parts += [b.slice(row, time, length, x.shape[time])] if length < x.shape[time] else []
        rows.append(joined(b, parts, time))
    return joined(b, rows, batch)


def roll(b: Builder, node: SourceNode) -> Value:
    x, shifts, axes = b.value(node, 0), b.ints(node, 1, "shift"), b.ints(node, 2, "axis")
    for shift, wanted in zip(shifts, axes, strict=True):
        axis = b.axis(wanted, len(x.shape))
        at = -shift % x.shape[axis]
        if at:
            x = joined(b, [b.slice(x, axis, at, x.shape[axis]), b.slice(x, axis, 0, at)], axis)
    return x


def fill(b: Builder, node: SourceNode) -> Value:
    shape, x = b.ints(node, 0, "shape"), b.value(node, 1)
    if min(shape, default=0) < 0:
        raise ModelError(f"it fills the shape {list(shape)}")
    if 0 in shape:
        return b.const(np.zeros(shape, x.dtype.numpy_name))
    return b.emit("broadcast_to", [x], {"shape": shape}) if shape else b.reshape(x, ())


def like(number: int, b: Builder, node: SourceNode) -> Outputs:
    """Zeros or ones in the shape of a tensor."""
    if isinstance(node.inputs[0], Opaque):
        return node.inputs[0]
    x = b.value(node, 0)
    one = b.number(number, x.dtype)
    return b.emit("broadcast_to", [one], {"shape": x.shape}) if x.shape else one


def band_part(b: Builder, node: SourceNode) -> Value:
    """The diagonals from `lower` below to `upper` above the main one (negative: all), and zeros."""
    x, lower, upper = b.value(node, 0), int(b.scalar(node, 1, "band")), int(b.scalar(node, 2, "band"))
    if len(x.shape) < 2:
        raise ModelError(f"its input {list(x.shape)} is no matrix")
    if math.prod(x.shape[-2:]) > LARGEST_BAND:
        raise RefusedError(f"matrices of {list(x.shape[-2:])}", f"use at most {LARGEST_BAND} elements")
    rows, columns = np.indices(x.shape[-2:])
    inside = ((lower < 0) | (rows - columns <= lower)) & ((upper < 0) | (columns - rows <= upper))
    return b.emit("select", [inside, x, b.number(0, x.dtype)])


def bitcast(b: Builder, node: SourceNode) -> Value:
    x, kind = b.value(node, 0), node.type("type")
    if kind != x.dtype:
        data = b.constant(node, 0)
        if data is None or data.dtype.itemsize != kind.itemsize:
            raise RefusedError("it reads numbers of one type as another", "use Cast")
        return b.const(data.view(kind.numpy_name))
    return x


def check_size(b: Builder, node: SourceNode) -> Outputs:
    """EnsureShape: a tensor whose shape is stated; here all shapes are known."""
    x, stated = b.value(node, 0), node.shape("shape")
    if stated is not None and (
        len(stated) != len(x.shape) or any(a not in (-1, c) for a, c in zip(stated, x.shape, strict=True))
    ):
        raise ModelError(f"it states the shape {list(stated)} for {list(x.shape)}")
    return x


PASSED_ON = (
    "Identity", "StopGradient", "PreventGradient", "Snapshot", "CheckNumerics", "CheckNumericsV2",
    "PlaceholderWithDefault", "Print", "LoopCond", "RefIdentity", "NextIteration", "RefNextIteration",
    "OptionalFromValue", "DebugIdentity",
)  # fmt: skip

HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(PASSED_ON, identity),
    "IdentityN": identity_n,
    "EnsureShape": check_size,
    "Switch": switch,
    "RefSwitch": switch,
    "_SwitchN": switch_n,
    "Reshape": reshape,
    "Squeeze": squeeze,
    "ExpandDims": expand_dims,
    "Transpose": transpose,
    "ConjugateTranspose": transpose,
    "Concat": concat,
    "ConcatV2": concat,
    "Pack": pack,
    "Unpack": unpack,
    "Split": split,
    "SplitV": split_v,
    "Slice": slice_,
    "StridedSlice": strided_slice,
    "Pad": pad,
    "PadV2": pad,
    "MirrorPad": pad,
    "Tile": tile,
    "BroadcastTo": broadcast_to,
    "Reverse": reverse,
    "ReverseV2": reverse,
    "ReverseSequence": reverse_sequence,
    "Roll": roll,
    "Fill": fill,
    "ZerosLike": partial(like, 0),
    "OnesLike": partial(like, 1),
    "MatrixBandPart": band_part,
    "BatchMatrixBandPart": band_part,
    "Bitcast": bitcast,
}
