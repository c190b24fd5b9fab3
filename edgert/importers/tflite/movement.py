"""Operators that move values about, and the arithmetic of shapes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.builder import FOLD_LIMIT
from edgert.importers.layers import movement
from edgert.importers.layers.indices import gather_along, reverse
from edgert.importers.tflite.builder import Batched, Builder, Handler, RefusedError
from edgert.importers.tflite.linear import fused
from edgert.importers.tflite.read import SourceOp
from edgert.ir import Value
from edgert.ops._enums import PadMode


def reshape(b: Builder, op: SourceOp) -> Value:
    x = b.value(op, 0)
    if b.has(op, 1):
        shape = b.shape(op, 1)
    else:
        stored = op.options("ReshapeOptions").NewShapeAsNumpy()
        shape = tuple(int(size) for size in stored) if isinstance(stored, np.ndarray) else ()
    return b.reshape(x, _settled(shape, x.shape), b.out_quant(op))


def _settled(shape: tuple[int, ...], old: tuple[int, ...]) -> tuple[int, ...]:
    """The shape with its -1 replaced by what remains."""
    count, known = math.prod(old), math.prod(size for size in shape if size != -1)
    if shape.count(-1) == 1 and known > 0 and count % known == 0:
        shape = tuple(count // known if size == -1 else size for size in shape)
    if min(shape, default=0) < 0 or math.prod(shape) != count:
        raise ModelError(f"{list(old)} cannot take the shape {list(shape)}")
    return shape


def squeeze(b: Builder, op: SourceOp) -> Value:
    x = b.value(op, 0)
    stored = op.options("SqueezeOptions").SqueezeDimsAsNumpy()
    axes = {b.axis(int(axis), len(x.shape)) for axis in stored} if isinstance(stored, np.ndarray) else set()
    gone = axes or {axis for axis, size in enumerate(x.shape) if size == 1}
    if any(x.shape[axis] != 1 for axis in gone):
        raise ModelError(f"{list(x.shape)} cannot lose the axes {sorted(gone)}")
    return b.reshape(x, [size for axis, size in enumerate(x.shape) if axis not in gone], b.out_quant(op))


def expand_dims(b: Builder, op: SourceOp) -> Value:
    x = b.value(op, 0)
    axis = b.axis(b.scalar(op, 1, "axis"), len(x.shape) + 1)
    return b.reshape(x, (*x.shape[:axis], 1, *x.shape[axis:]), b.out_quant(op))


def transpose(b: Builder, op: SourceOp) -> Value:
    x, perm = b.value(op, 0), b.ints(op, 1, "permutation")
    return b.transpose(x, [b.axis(axis, len(x.shape)) for axis in perm])


def _paddings(b: Builder, op: SourceOp, rank: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    pairs = b.constant(op, 1, "padding")
    if pairs.shape != (rank, 2):
        raise ModelError(f"its padding has the shape {list(pairs.shape)}, needed {[rank, 2]}")
    return tuple(int(n) for n in pairs[:, 0]), tuple(int(n) for n in pairs[:, 1])


def pad(b: Builder, op: SourceOp) -> Value:
    """PAD, PADV2 and MIRROR_PAD."""
    x = b.value(op, 0)
    before, after = _paddings(b, op, len(x.shape))
    attrs: dict[str, Any] = {"before": before, "after": after}
    if op.kind == "PADV2":
        fill = b.real(b.value(op, 2))
        if fill.data is None or fill.data.size != 1:
            raise RefusedError("its padding value is no constant", "pad with a constant")
        attrs["value"] = float(fill.data.reshape(-1)[0])
    elif op.kind == "MIRROR_PAD":
        symmetric = op.options("MirrorPadOptions").Mode() == 1
        attrs["mode"] = PadMode.SYMMETRIC if symmetric else PadMode.REFLECT
    if not any(before) and not any(after):
        return x
    return b.emit("pad", [x], attrs, b.out_quant(op))


def concatenation(b: Builder, op: SourceOp) -> Value:
    options = op.options("ConcatenationOptions")
    values = [b.value(op, i) for i in range(len(op.inputs))]
    return concat(b, values, options.Axis(), b.out_quant(op), fused(options))


def concat(b: Builder, values: Sequence[Value], axis: int, quant: Any, activation: int = 0) -> Value:
    """The values joined, without empty ones."""
    if not values:
        raise ModelError("it has no inputs")
    values = [value for value in values if 0 not in value.shape] or values[:1]
    attrs = {"axis": b.axis(axis, len(values[0].shape)), "activation": activation}
    if activation and values[0].dtype == DType.INT16:
        joined = b.emit("concat", values, {**attrs, "activation": 0}, quant)
        return b.activated(joined, activation, quant)
    return b.emit("concat", values, attrs, quant) if len(values) > 1 or activation else values[0]


def pack(b: Builder, op: SourceOp) -> Value:
    values = [b.value(op, i) for i in range(len(op.inputs))]
    if not values:
        raise ModelError("it has no inputs")
    rank = len(values[0].shape)
    axis = b.axis(op.options("PackOptions").Axis(), rank + 1)
    wider = [b.reshape(value, (*value.shape[:axis], 1, *value.shape[axis:])) for value in values]
    return concat(b, wider, axis, b.out_quant(op))


def unpack(b: Builder, op: SourceOp) -> list[Value]:
    x = b.value(op, 0)
    axis = b.axis(op.options("UnpackOptions").Axis(), len(x.shape))
    if len(op.outputs) != x.shape[axis]:
        raise ModelError(f"{len(op.outputs)} outputs from an axis of {x.shape[axis]}")
    shape = (*x.shape[:axis], *x.shape[axis + 1 :])
    return [b.reshape(piece, shape) for piece in _pieces(b, x, axis, [1] * len(op.outputs))]


def _pieces(b: Builder, x: Value, axis: int, sizes: Sequence[int]) -> list[Value]:
    """x cut along one axis into pieces of these sizes."""
    if min(sizes, default=0) < 0 or sum(sizes) != x.shape[axis]:
        raise ModelError(f"an axis of {x.shape[axis]} cannot be cut into {list(sizes)}")
    pieces, at = [], 0
    for size in sizes:
        begin, end = [0] * len(x.shape), list(x.shape)
        begin[axis], end[axis] = at, at + size
        pieces.append(b.slice(x, begin, end))
        at += size
    return pieces


def split(b: Builder, op: SourceOp) -> list[Value]:
    x, count = b.value(op, 1), len(op.outputs)
    axis = b.axis(b.scalar(op, 0, "axis"), len(x.shape))
    if not count or x.shape[axis] % count:
        raise ModelError(f"an axis of {x.shape[axis]} cannot be cut into {count} equal pieces")
    return _pieces(b, x, axis, [x.shape[axis] // count] * count)


def split_v(b: Builder, op: SourceOp) -> list[Value]:
    x, sizes = b.value(op, 0), list(b.ints(op, 1, "sizes"))
    axis = b.axis(b.scalar(op, 2, "axis"), len(x.shape))
    if sizes.count(-1) == 1:
        sizes[sizes.index(-1)] = x.shape[axis] - sum(size for size in sizes if size != -1)
    if len(sizes) != len(op.outputs):
        raise ModelError(f"{len(sizes)} sizes for {len(op.outputs)} outputs")
    return _pieces(b, x, axis, sizes)


def slice_(b: Builder, op: SourceOp) -> Value:
    x, begin, sizes = b.value(op, 0), b.ints(op, 1, "begin"), b.ints(op, 2, "size")
    if not len(begin) == len(sizes) == len(x.shape):
        raise ModelError(f"begin {list(begin)} and size {list(sizes)} for {len(x.shape)} dimensions")
    ends = [dim if size == -1 else at + size for at, size, dim in zip(begin, sizes, x.shape, strict=True)]
    return b.slice(x, begin, ends)


def strided_slice(b: Builder, op: SourceOp) -> Value:
    options, x = op.options("StridedSliceOptions"), b.value(op, 0)
    begins, ends, strides = (b.ints(op, i, what) for i, what in ((1, "begin"), (2, "end"), (3, "strides")))
    shrink = options.ShrinkAxisMask()
    # LiteRT heeds the begin of an index that picks one position, whatever its mask says.
    masks = movement.Masks(
        options.BeginMask() & ~shrink, options.EndMask(), options.EllipsisMask(), options.NewAxisMask(), shrink
    )
    if options.Offset():
        ends = tuple(first + length for first, length in zip(begins, ends, strict=False))
    cut = movement.strided(x.shape, begins, ends, strides, masks)
    return b.reshape(b.slice(x, cut.begin, cut.end, cut.stride), cut.shape)


def gather(b: Builder, op: SourceOp) -> Value:
    options, x, indices = op.options("GatherOptions"), b.value(op, 0), b.value(op, 1)
    if b.out_dtype(op) == DType.FLOAT32:
        x = b.real(x)  # an embedding with int8 weights in a float model
    return gather_along(b, x, indices, options.Axis(), options.BatchDims())


def reverse_v2(b: Builder, op: SourceOp) -> Value:
    return reverse(b, b.value(op, 0), b.ints(op, 1, "axes"))


def tile(b: Builder, op: SourceOp) -> Value:
    return movement.tile(b, b.value(op, 0), b.ints(op, 1, "multiples"))


def broadcast_to(b: Builder, op: SourceOp) -> Value:
    return b.emit("broadcast_to", [b.value(op, 0)], {"shape": b.shape(op, 1)})


def fill(b: Builder, op: SourceOp) -> Value:
    shape, x = b.shape(op, 0), b.value(op, 1)
    return b.emit("broadcast_to", [x], {"shape": shape}) if shape else b.reshape(x, ())


def depth_to_space(b: Builder, op: SourceOp) -> Value:
    attrs = {"block": op.options("DepthToSpaceOptions").BlockSize()}
    return b.emit("depth_to_space", [b.value(op, 0)], attrs)


def space_to_depth(b: Builder, op: SourceOp) -> Value:
    attrs = {"block": op.options("SpaceToDepthOptions").BlockSize()}
    return b.emit("space_to_depth", [b.value(op, 0)], attrs)


def _blocks(b: Builder, op: SourceOp, rank: int) -> tuple[tuple[int, ...], list[tuple[int, int]]]:
    block = b.ints(op, 1, "block")
    pairs = b.constant(op, 2, "padding")
    if pairs.shape != (len(block), 2) or len(block) >= rank or min(block, default=1) < 1:
        raise ModelError(f"block {list(block)} and padding {pairs.tolist()} for {rank} dimensions")
    return block, [(int(before), int(after)) for before, after in pairs]


def space_to_batch_nd(b: Builder, op: SourceOp) -> Value:
    """Every block-th position of the padded space, from each start, becomes a batch of its own."""
    source = x = b.value(op, 0)
    block, pads = _blocks(b, op, len(x.shape))
    rest = len(x.shape) - 1 - len(block)
    before, after = ((0, *(pair[i] for pair in pads), *(0,) * rest) for i in (0, 1))
    if any(before) or any(after):
        x = b.emit("pad", [x], {"before": before, "after": after})
    space = x.shape[1 : 1 + len(block)]
    if any(size % step for size, step in zip(space, block, strict=True)):
        raise ModelError(f"the padded space {list(space)} is no multiple of the block {list(block)}")
    parts = [part for size, step in zip(space, block, strict=True) for part in (size // step, step)]
    y = b.reshape(x, (x.shape[0], *parts, *x.shape[1 + len(block) :]))
    steps = [2 + 2 * i for i in range(len(block))]
    others = [axis for axis in range(len(y.shape)) if axis not in steps]
    y = b.transpose(y, [*steps, *others])
    batch = x.shape[0] * math.prod(block)
    y = b.reshape(y, (batch, *(parts[::2]), *x.shape[1 + len(block) :]))
    b.batched[y] = Batched(source, block, tuple(pads))
    return y


def batch_to_space_nd(b: Builder, op: SourceOp) -> Value:
    """The inverse of SPACE_TO_BATCH_ND, with crops in place of padding."""
    x = b.value(op, 0)
    block, crops = _blocks(b, op, len(x.shape))
    dilated = _dilated(b, x, block, crops)
    if dilated is not None:
        return dilated
    count, n = math.prod(block), len(block)
    if x.shape[0] % count:
        raise ModelError(f"a batch of {x.shape[0]} is no multiple of the block {list(block)}")
    batch, space, rest = x.shape[0] // count, x.shape[1 : 1 + n], x.shape[1 + n :]
    y = b.reshape(x, (*block, batch, *space, *rest))
    order = [n, *(axis for i in range(n) for axis in (n + 1 + i, i)), *range(2 * n + 1, len(y.shape))]
    y = b.reshape(
        b.transpose(y, order), (batch, *(size * step for size, step in zip(space, block, strict=True)), *rest)
    )
    begin = (0, *(before for before, _ in crops), *(0,) * len(rest))
    ends = (batch, *(size - after for size, (_, after) in zip(y.shape[1 : 1 + n], crops, strict=True)), *rest)
    return b.slice(y, begin, ends)


def _dilated(b: Builder, x: Value, block: tuple[int, ...], crops: list[tuple[int, int]]) -> Value | None:
    """SPACE_TO_BATCH_ND, a convolution with stride 1, BATCH_TO_SPACE_ND: how old exporters write a dilated convolution.

    Every start of the grid has its own batch, so that the convolution sees each block-th pixel. None for anything else.
    """
    node = next((node for node in reversed(b.graph.nodes) if x in node.outputs), None)
    if node is None or node.op not in ("conv2d", "depthwise_conv2d") or len(block) != 2:
        return None
    before = b.batched.get(node.inputs[0]) if node.inputs[0] is not None else None
    window = ("stride_h", "stride_w", "dilation_h", "dilation_w")
    if before is None or before.block != block or any(node.attrs[name] != 1 for name in window):
        return None
    names = (("pad_top", "pad_bottom"), ("pad_left", "pad_right"))
    if any(node.attrs[name] for pair in names for name in pair):
        return None
    attrs = {**node.attrs, "dilation_h": block[0], "dilation_w": block[1]}
    for pair, pads, crop in zip(names, before.pads, crops, strict=True):
        for name, pad_, crop_ in zip(pair, pads, crop, strict=True):
            if pad_ < crop_:
                return None
            attrs[name] = pad_ - crop_
    return b.emit(node.op, [before.x, *node.inputs[1:]], attrs, x.quant)


def shape(b: Builder, op: SourceOp) -> Value:
    return b.const(np.array(b.value(op, 0).shape, b.out_dtype(op).numpy_name), name="shape")


def rank(b: Builder, op: SourceOp) -> Value:
    return b.const(np.array(len(b.value(op, 0).shape), np.int32), name="rank")


def range_(b: Builder, op: SourceOp) -> Value:
    start, limit, delta = (b.constant(op, i, what).reshape(-1) for i, what in ((0, "start"), (1, "limit"), (2, "step")))
    if not (start.size == limit.size == delta.size == 1) or delta[0] == 0:
        raise ModelError("start, limit and step are not three numbers, or the step is 0")
    count = (float(limit[0]) - float(start[0])) / float(delta[0])
    if not count * start.itemsize < FOLD_LIMIT:
        raise ModelError(f"a range of {count} numbers")
    return b.const(np.arange(start[0], limit[0], delta[0], dtype=start.dtype), name="range")


def zeros_like(b: Builder, op: SourceOp) -> Value:
    x = b.value(op, 0)
    zero = x.quant.zero_point if x.quant is not None else 0
    return b.emit("broadcast_to", [b.const(np.array(zero, x.dtype.numpy_name), x.quant)], {"shape": x.shape}, x.quant)


HANDLERS: dict[str, Handler] = {
    "RESHAPE": reshape,
    "SQUEEZE": squeeze,
    "EXPAND_DIMS": expand_dims,
    "TRANSPOSE": transpose,
    "PAD": pad,
    "PADV2": pad,
    "MIRROR_PAD": pad,
    "CONCATENATION": concatenation,
    "PACK": pack,
    "UNPACK": unpack,
    "SPLIT": split,
    "SPLIT_V": split_v,
    "SLICE": slice_,
    "STRIDED_SLICE": strided_slice,
    "GATHER": gather,
    "REVERSE_V2": reverse_v2,
    "TILE": tile,
    "BROADCAST_TO": broadcast_to,
    "FILL": fill,
    "DEPTH_TO_SPACE": depth_to_space,
    "SPACE_TO_DEPTH": space_to_depth,
    "SPACE_TO_BATCH_ND": space_to_batch_nd,
    "BATCH_TO_SPACE_ND": batch_to_space_nd,
    "SHAPE": shape,
    "RANK": rank,
    "RANGE": range_,
    "ZEROS_LIKE": zeros_like,
}
