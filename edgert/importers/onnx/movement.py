"""ONNX handlers: operators that move, copy, cut and join values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.layers import movement
from edgert.importers.onnx.builder import Builder, Handler, Outputs, RefusedError, SourceNode
from edgert.ir import Value
from edgert.ops._enums import PadMode

PAD_MODES = {"constant": PadMode.CONSTANT, "reflect": PadMode.REFLECT, "edge": PadMode.EDGE}


def identity(b: Builder, node: SourceNode) -> Outputs:
    return b.quantized.get(node.inputs[0]) or b.value(node, 0)


def reshape(b: Builder, node: SourceNode) -> Value:
    """0 copies the input's dimension unless allowzero, one -1 is inferred."""
    x = b.value(node, 0)
    wanted = list(b.ints(node, 1, "shape"))
    if not node.integer("allowzero", 0):
        if any(size == 0 and axis >= len(x.shape) for axis, size in enumerate(wanted)):
            raise ModelError(f"shape {wanted} copies a dimension that {list(x.shape)} does not have")
        wanted = [x.shape[axis] if size == 0 else size for axis, size in enumerate(wanted)]
    if wanted.count(-1) == 1:
        rest = math.prod(size for size in wanted if size != -1)
        wanted[wanted.index(-1)] = math.prod(x.shape) // rest if rest else 0
    if math.prod(wanted) != math.prod(x.shape) or min(wanted, default=1) < 1:
        raise ModelError(f"{list(x.shape)} does not fit into the shape {list(b.ints(node, 1, 'shape'))}")
    return b.reshape(x, wanted)


def flatten(b: Builder, node: SourceNode) -> Value:
    x = b.value(node, 0)
    axis = node.integer("axis", 1)
    axis = axis + len(x.shape) if axis < 0 else axis
    return b.reshape(x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))


def squeeze(b: Builder, node: SourceNode) -> Value:
    x = b.value(node, 0)
    axes = b.ints(node, 1, "axes") if node.has(1) else node.integers("axes")
    if axes is None:
        drop = {axis for axis, size in enumerate(x.shape) if size == 1}
    else:
        drop = {axis % len(x.shape) for axis in axes}
    if any(x.shape[axis] != 1 for axis in drop):
        raise ModelError(f"it drops the axes {sorted(drop)} of {list(x.shape)}, which must have size 1")
    return b.reshape(x, [size for axis, size in enumerate(x.shape) if axis not in drop])


def unsqueeze(b: Builder, node: SourceNode) -> Value:
    x = b.value(node, 0)
    axes = b.ints(node, 1, "axes") if node.has(1) else node.integers("axes") or ()
    rank = len(x.shape) + len(axes)
    new = {axis % rank for axis in axes}
    if len(new) != len(axes):
        raise ModelError(f"axes are {list(axes)}, needed each axis at most once")
    sizes = iter(x.shape)
    return b.reshape(x, [1 if axis in new else next(sizes) for axis in range(rank)])


def transpose(b: Builder, node: SourceNode) -> Outputs:
    quantized = b.quantized.get(node.inputs[0])
    rank = quantized.data.ndim if quantized else len(b.value(node, 0).shape)
    perm = node.integers("perm") or tuple(reversed(range(rank)))
    return quantized.transposed(perm) if quantized else b.transpose(b.value(node, 0), perm)


def concat(b: Builder, node: SourceNode) -> Value:
    given = [b.value(node, index) for index in range(len(node.inputs))]
    values = [value for value in given if 0 not in value.shape] or given[:1]
    if len(values) == 1:
        return values[0]
    return b.emit("concat", values, {"axis": node.integer("axis", 1) % len(values[0].shape)})


def nothing(b: Builder, x: Value, shape: Sequence[int]) -> Value:
    """An empty part of a tensor: a constant, which joins to nothing."""
    return b.const(np.zeros(shape, np.dtype(x.dtype.numpy_name)), quant=x.quant)


def slice_(b: Builder, node: SourceNode) -> Value:
    """Attributes before operator set 10, inputs since."""
    x = b.value(node, 0)
    rank = len(x.shape)
    if node.opset < 10:
        starts, ends = node.integers("starts") or (), node.integers("ends") or ()
        axes = node.integers("axes") or tuple(range(len(starts)))
        steps: Sequence[int] = (1,) * len(starts)
    else:
        starts, ends = b.ints(node, 1, "starts"), b.ints(node, 2, "ends")
        axes = b.ints(node, 3, "axes") if node.has(3) else tuple(range(len(starts)))
        steps = b.ints(node, 4, "steps") if node.has(4) else (1,) * len(starts)
    begin, end, strides = [0] * rank, list(x.shape), [1] * rank
    for start, stop, axis, step in zip(starts, ends, axes, steps, strict=True):
        begin[axis], end[axis], strides[axis] = slice(start, stop, step).indices(x.shape[axis])
    sizes = [len(range(*item)) for item in zip(begin, end, strides, strict=True)]
    if 0 in sizes:
        return nothing(b, x, sizes)
    return b.slices(x, begin, end, strides)


def split(b: Builder, node: SourceNode) -> list[Value]:
    """Sizes from an attribute, an input (operator set 13), or equal parts (the last may be smaller)."""
    x = b.value(node, 0)
    axis = node.integer("axis", 0) % len(x.shape)
    total = x.shape[axis]
    sizes = b.ints(node, 1, "split") if node.has(1) else node.integers("split")
    if sizes is None:
        parts = len(node.outputs)
        chunk = -(-total // parts)
        sizes = tuple(min(chunk, total - chunk * index) for index in range(parts))
    if sum(sizes) != total or min(sizes) < 0:
        raise ModelError(f"it splits {total} into parts of {list(sizes)}")
    ends = np.cumsum(sizes).tolist()
    return [
        b.slice(x, axis, end - size, end) if size else nothing(b, x, (*x.shape[:axis], 0, *x.shape[axis + 1 :]))
        for size, end in zip(sizes, ends, strict=True)
    ]


def gather(b: Builder, node: SourceNode) -> Value:
    """Constant indices in even steps are a slice; a single index drops its axis."""
    x = b.value(node, 0)
    axis = node.integer("axis", 0) % len(x.shape)
    size = x.shape[axis]
    indices = b.constant(node, 1)
    if indices is None:
        return b.emit("gather", [x, b.value(node, 1)], {"axis": axis})
    if indices.size and (indices.min() < -size or indices.max() >= size):
        raise ModelError(f"an index is outside -{size}..{size - 1}")
    flat = [int(index) % size for index in indices.reshape(-1)]
    steps = {right - left for left, right in pairwise(flat)}
    if len(steps) <= 1 and min(steps, default=1) >= 1:
        picked = b.slice(x, axis, flat[0], flat[-1] + 1, min(steps, default=1))
        return b.reshape(picked, (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))
    return b.emit("gather", [x, np.asarray(indices % size, np.int32)], {"axis": axis})


def expand(b: Builder, node: SourceNode) -> Value:
    x = b.value(node, 0)
    shape = np.broadcast_shapes(x.shape, b.ints(node, 1, "shape"))
    return x if shape == x.shape else b.emit("broadcast_to", [x], {"shape": shape})


def tile(b: Builder, node: SourceNode) -> Value:
    return movement.tile(b, b.value(node, 0), b.ints(node, 1, "repeats"))


def pad(b: Builder, node: SourceNode) -> Value:
    """Attributes before operator set 11, inputs since; negative amounts cut."""
    x = b.value(node, 0)
    rank = len(x.shape)
    mode = node.text("mode", "constant")
    if mode not in PAD_MODES and mode != "wrap":
        raise RefusedError(f"mode {mode!r}", f"use one of {', '.join(PAD_MODES)}")
    value = node.number("value", 0.0)
    if node.opset < 11:
        amounts: Sequence[int] = node.integers("pads") or (0,) * (2 * rank)
        axes: Sequence[int] = range(rank)
    else:
        amounts = b.ints(node, 1, "pads")
        axes = [axis % rank for axis in b.ints(node, 3, "axes")] if node.has(3) else range(rank)
        if node.has(2):
            fill = b.constant(node, 2)
            if fill is None and mode == "constant" and node.inputs[2] in b.values:
                return _padded_with(b, x, b.value(node, 2), (amounts, axes))
            value = float(b.need_constant(node, 2, "value").reshape(-1)[0])
    if x.dtype == DType.INT8 and mode == "constant":
        value = _real_value(b, x, value)
    before, after = [0] * rank, [0] * rank
    for position, axis in enumerate(axes):
        before[axis], after[axis] = amounts[position], amounts[position + len(axes)]
    if min(*before, *after) < 0:
        cut_before, cut_after = [max(-size, 0) for size in before], [max(-size, 0) for size in after]
        ends = [size - cut for size, cut in zip(x.shape, cut_after, strict=True)]
        x = b.slices(x, cut_before, ends, [1] * rank)
        before, after = [max(size, 0) for size in before], [max(size, 0) for size in after]
    if not any(before) and not any(after):
        return x
    if mode == "wrap":
        return _wrapped(b, x, before, after)
    attrs = {"before": tuple(before), "after": tuple(after), "mode": PAD_MODES[mode], "value": value}
    return b.emit("pad", [x], attrs)


def _padded_with(b: Builder, x: Value, fill: Value, placed: tuple[Sequence[int], Sequence[int]]) -> Value:
    """Padding whose value only the run knows: zeros, and the value chosen wherever they are."""
    amounts, axes = placed
    before, after = [0] * len(x.shape), [0] * len(x.shape)
    for position, axis in enumerate(axes):
        before[axis], after[axis] = amounts[position], amounts[position + len(axes)]
    if min(*before, *after) < 0:
        raise RefusedError("it cuts and pads with a value that depends on the data", "make the value a constant")
    b.room([size + first + last for size, first, last in zip(x.shape, before, after, strict=True)])
    inside = np.pad(np.ones(x.shape, np.bool_), list(zip(before, after, strict=True)))
    return b.emit("select", [inside, b.pad(x, before, after), b.reshape(fill, ())])


def _wrapped(b: Builder, x: Value, before: Sequence[int], after: Sequence[int]) -> Value:
    """Each end continued by what stands at the other end."""
    for axis, size in enumerate(x.shape):
        if max(before[axis], after[axis]) > size:
            raise RefusedError(f"mode 'wrap' with more padding than the {size} elements there are", "pad twice")
        head = [b.slice(x, axis, size - before[axis], size)] if before[axis] else []
        tail = [b.slice(x, axis, 0, after[axis])] if after[axis] else []
        if head or tail:
            x = b.emit("concat", [*head, x, *tail], {"axis": axis})
    return x


def _real_value(b: Builder, x: Value, number: float) -> float:
    """The real number that a quantised one of the source stands for."""
    if x.quant is None:
        raise RefusedError("it pads 8-bit numbers whose scale is not known", "dequantise before it (DequantizeLinear)")
    shifted = number - 128 if x in b.unsigned else number
    return x.quant.scale * (shifted - x.quant.zero_point)


HANDLERS: dict[str, Handler] = {
    "Identity": identity,
    "Reshape": reshape,
    "Flatten": flatten,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Transpose": transpose,
    "Concat": concat,
    "Slice": slice_,
    "Split": split,
    "Gather": gather,
    "Expand": expand,
    "Tile": tile,
    "Pad": pad,
}
