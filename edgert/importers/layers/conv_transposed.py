"""Transposed convolution of sequences, images and volumes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from edgert.dtypes import QuantParams
from edgert.errors import ModelError
from edgert.importers.builder import Array, GraphBuilder, Operand, QuantizedConstant
from edgert.importers.layers import axes, phases
from edgert.importers.layers.conv import Weights, convolution
from edgert.importers.layers.window import window
from edgert.ir import Value


class _Place(NamedTuple):
    """How the kernel lies over every spatial axis, and what of the full result is the output."""

    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    before: tuple[int, ...]  # positions of the full result before the output's first one
    out: tuple[int, ...]  # sizes of the output

    def image(self) -> _Place:
        """Over an image: a sequence is one of height 1."""
        if len(self.stride) != 1:
            return self
        return _Place((1, *self.stride), (1, *self.dilation), (0, *self.before), (1, *self.out))


def transposed_convolution(
    b: GraphBuilder,
    x: Value,
    weights: Weights,
    bias: Operand | None,
    *,
    stride: Sequence[int],
    dilation: Sequence[int] | None = None,
    before: Sequence[int],
    out: Sequence[int],
    groups: int = 1,
    channels_last: bool = False,
) -> Value:
    """x [N, I, *sizes] ([N, *sizes, I] if channels_last) with weights [I, O/groups, *kernel] and bias [O].

    before: how many positions of the full result come before the output's first one (the source's padding); out: the
    output's sizes. Quantised weights per channel have their scales along axis 1; they are dequantised where they
    cannot be kept.

    Raises ModelError for what does not fit.
    """
    if isinstance(weights, Value) and weights.constant and weights.data is not None and weights.quant is None:
        weights = weights.data
    shape = weights.data.shape if isinstance(weights, QuantizedConstant) else weights.shape
    rank, inputs = len(x.shape), axes.channels(x, channels_last)
    dilation = (1,) * (rank - 2) if dilation is None else dilation
    if len(shape) != rank or shape[0] != inputs or groups < 1 or inputs % groups:
        raise ModelError(f"weights {list(shape)} in {groups} groups do not fit an input {list(x.shape)}")
    if {len(stride), len(dilation), len(before), len(out)} != {rank - 2}:
        raise ModelError(f"strides, dilations, padding or output sizes do not fit {rank - 2} spatial dimensions")
    if min(*stride, *dilation) < 1 or min(before) < 0 or min(out) < 1:
        raise ModelError("strides and dilations must be at least 1, padding at least 0 and output sizes at least 1")
    place = _Place(tuple(stride), tuple(dilation), tuple(before), tuple(out)).image()
    image = axes.to_last(b, x, channels_last)
    depthwise = groups > 1 and groups == inputs and shape[1] == 1
    if rank == 5 or isinstance(weights, Value):
        if isinstance(weights, QuantizedConstant):
            weights = weights.dequantized()
        y = _spread(b, image, weights, bias, place, groups)
    elif groups == 1 or depthwise:
        y = _phases(b, image, weights, bias, place, depthwise)
    else:
        y = _by_groups(b, image, weights, bias, place, groups)
    return axes.from_last(b, y, rank, channels_last)


def _by_groups(
    b: GraphBuilder,
    image: Value,
    weights: QuantizedConstant | Array,
    bias: Operand | None,
    place: _Place,
    groups: int,
) -> Value:
    data = weights.dequantized() if isinstance(weights, QuantizedConstant) else weights
    inner, outputs = image.shape[3] // groups, data.shape[1]
    parts = []
    for group in range(groups):
        part = b.slice(image, 3, group * inner, (group + 1) * inner)
        filters = np.ascontiguousarray(data[group * inner : (group + 1) * inner])
        parts.append(_phases(b, part, filters, None, place, False))
    y = b.emit("concat", parts, {"axis": 3})
    assert y.shape[3] == outputs * groups
    return y if bias is None else b.add(y, bias)


def _phases(
    b: GraphBuilder,
    image: Value,
    weights: QuantizedConstant | Array,
    bias: Operand | None,
    place: _Place,
    depthwise: bool,
) -> Value:
    """A convolution whose channels become pixels (layers.phases)."""
    stored: QuantParams | None = None  # of weights that stay quantised
    if not isinstance(weights, QuantizedConstant):
        data = weights
    elif depthwise or (weights.quant.per_channel and weights.quant.axis != 1):
        data = weights.dequantized()
    else:
        data, stored = weights.data, weights.quant
    zero_point = 0 if stored is None or stored.per_channel else stored.zero_point
    if data.ndim == 3:  # an image of height 1
        data = data[:, :, np.newaxis]
    spread = _dilated(data, place.dilation, zero_point).transpose((0, 2, 3, 1) if depthwise else (1, 2, 3, 0))
    rows, columns = (
        phases.axis(size, wanted, taps, step, crop)
        for size, wanted, taps, step, crop in zip(
            image.shape[1:3], place.out, spread.shape[1:3], place.stride, place.before, strict=True
        )
    )  # fmt: skip
    blocks = rows.stride * columns.stride
    filters = phases.as_convolution(np.ascontiguousarray(spread), rows, columns, zero_point)
    attrs = {
        "pad_top": rows.before, "pad_bottom": rows.after, "pad_left": columns.before, "pad_right": columns.after,
    }  # fmt: skip
    offsets = _spread_bias(b, bias, blocks, depthwise)
    if depthwise:  # [blocks * C, KH, KW, 1] -> [KH, KW, C * blocks]
        groups = image.shape[3]
        parts = filters.reshape(blocks, groups, rows.taps, columns.taps).transpose(2, 3, 1, 0)
        laid_out = b.const(np.ascontiguousarray(parts).reshape(rows.taps, columns.taps, groups * blocks))
        y = b.emit("depthwise_conv2d", [image, laid_out, offsets], {**attrs, "multiplier": blocks})
    else:
        if stored is not None and stored.per_channel:
            stored = QuantParams(stored.scales * blocks, stored.zero_points * blocks, 0)
        kept = b.const(filters) if stored is None else b.dequantized(QuantizedConstant(filters, stored))
        y = b.emit("conv2d", [image, kept, offsets], attrs)
    y = _blocks_to_pixels(b, y, (rows.stride, columns.stride), channels_first=depthwise)
    begin = (0, rows.begin, columns.begin, 0)
    ends = (y.shape[0], rows.begin + place.out[0], columns.begin + place.out[1], y.shape[3])
    return b.slices(y, begin, ends, (1, 1, 1, 1))


def _spread(
    b: GraphBuilder,
    x: Value,
    weights: Array | Value,
    bias: Operand | None,
    place: _Place,
    groups: int,
) -> Value:
    """Zeros between the positions of [N, *sizes, C], then a convolution with the kernel the other way round."""
    rank = len(x.shape)
    kernel = tuple(weights.shape[2:])
    if len(kernel) == 1:
        kernel = (1, *kernel)
    y = x
    for axis, step in enumerate(place.stride, start=1):
        if step > 1:
            shape = y.shape
            y = b.reshape(y, (math.prod(shape[:axis]), shape[axis], 1, math.prod(shape[axis + 1 :])))
            y = b.pad(y, (0, 0, 0, 0), (0, 0, step - 1, 0))
            y = b.reshape(y, (*shape[:axis], shape[axis] * step, *shape[axis + 1 :]))
            y = b.slice(y, axis, 0, (shape[axis] - 1) * step + 1)
    reach = [(taps - 1) * step for taps, step in zip(kernel, place.dilation, strict=True)]
    starts = [far - crop for far, crop in zip(reach, place.before, strict=True)]
    ends = [
        wanted + far - size - start
        for wanted, far, size, start in zip(place.out, reach, y.shape[1:-1], starts, strict=True)
    ]  # fmt: skip
    sizes = (
        [max(-start, 0) for start in starts],
        [size - max(-end, 0) for size, end in zip(y.shape[1:], ends, strict=False)],
    )
    y = b.slices(y, (0, *sizes[0], 0), (y.shape[0], *sizes[1], y.shape[-1]), (1,) * rank)
    y = axes.pad_sizes(b, y, [max(start, 0) for start in starts], [max(end, 0) for end in ends])
    inputs, outputs = weights.shape[:2]
    turned = b.reshape(b.operand(weights), (groups, inputs // groups, outputs, *kernel))
    for axis, taps in enumerate(kernel, start=3):
        turned = b.slice(turned, axis, taps - 1, -1, -1) if taps > 1 else turned
    order = b.transpose(turned, (0, 2, 1, *range(3, 3 + len(kernel))))
    filters = b.reshape(order, (groups * outputs, inputs // groups, *kernel))
    whole = window(y.shape[1:-1], kernel, dilation=place.dilation)
    return convolution(b, y, filters, bias, whole, groups, channels_last=True)


def _dilated(data: Array, dilation: Sequence[int], fill: int) -> Array:
    """Weights [I, O, KH, KW] with the steps between their taps filled."""
    height, width = [(size - 1) * step + 1 for size, step in zip(data.shape[2:], dilation, strict=True)]
    phases.check_growth(data, (height, width))
    full = np.full((*data.shape[:2], height, width), fill, data.dtype)
    full[:, :, :: dilation[0], :: dilation[1]] = data
    return full


def _spread_bias(b: GraphBuilder, bias: Operand | None, blocks: int, depthwise: bool) -> Value | None:
    """The bias once for every pixel of a block, in the order of the convolution's channels."""
    if bias is None:
        return None
    value = b.operand(bias)
    if depthwise:
        columns = b.reshape(value, (value.shape[0], 1))
        if blocks == 1:
            return value
        return b.reshape(b.emit("concat", [columns] * blocks, {"axis": 1}), (value.shape[0] * blocks,))
    return b.emit("concat", [value] * blocks, {"axis": 0}) if blocks > 1 else value


def _blocks_to_pixels(b: GraphBuilder, x: Value, block: tuple[int, int], channels_first: bool) -> Value:
    """[N, H, W, BH*BW*C], or [N, H, W, C*BH*BW], to [N, H*BH, W*BW, C]."""
    (n, height, width, depth), (rows, columns) = x.shape, block
    count = depth // (rows * columns)
    if rows == columns:
        attrs = {"block": rows, "column_row_depth": channels_first}
        return b.emit("depth_to_space", [x], attrs) if rows > 1 else x
    if channels_first:
        parts = b.transpose(b.reshape(x, (n, height, width, count, rows, columns)), (0, 1, 4, 2, 5, 3))
    else:
        parts = b.transpose(b.reshape(x, (n, height, width, rows, columns, count)), (0, 1, 3, 2, 4, 5))
    return b.reshape(parts, (n, height * rows, width * columns, count))
