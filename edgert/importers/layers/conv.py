"""Convolution of sequences, images and volumes, in groups or not, with constant, quantised or computed weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgert.dtypes import QuantParams
from edgert.errors import ModelError
from edgert.importers.builder import Array, GraphBuilder, Operand, QuantizedConstant, RefusedError
from edgert.importers.layers import axes
from edgert.importers.layers.window import Window
from edgert.ir import Value

Weights = QuantizedConstant | Array | Value
MOST_TAPS = 255  # of a kernel each of whose taps becomes a node: as many as a concat has inputs


def convolution(
    b: GraphBuilder,
    x: Value,
    weights: Weights,
    bias: Operand | None,
    place: Window,
    groups: int = 1,
    *,
    channels_last: bool = False,
    quant: QuantParams | None = None,
) -> Value:
    """x [N, C, *sizes] ([N, *sizes, C] if channels_last) with weights [O, C/groups, *kernel] and bias [O].

    Groups of one input channel each are a depthwise convolution. quant is the output's, for an int8 convolution with
    int8 weights; without it quantised weights are dequantised first. Weights that are computed at run time become a
    product, and volumes a convolution, over shifted copies of the input that lie side by side as channels.

    Raises ModelError for shapes that do not fit, RefusedError for weights quantised along another axis than O.
    """
    if isinstance(weights, Value) and weights.constant and weights.data is not None and weights.quant is None:
        weights = weights.data
    shape = weights.data.shape if isinstance(weights, QuantizedConstant) else weights.shape
    rank = len(x.shape)
    if len(shape) != rank or tuple(shape[2:]) != place.kernel:
        raise ModelError(f"weights {list(shape)} do not fit an input {list(x.shape)} and kernel {list(place.kernel)}")
    inputs = axes.channels(x, channels_last)
    if groups < 1 or inputs != shape[1] * groups or shape[0] % groups:
        raise ModelError(f"weights {list(shape)} in {groups} groups do not fit an input of {inputs} channels")
    image = axes.to_last(b, x, channels_last)
    if isinstance(weights, Value):
        y = _computed(b, image, weights, place, groups)
        y = y if bias is None else b.add(y, bias)
    elif place.rank == 3:
        y = _volume(b, image, weights, bias, place, groups, quant)
    else:
        y = _image(b, image, weights, bias, place, groups, quant)
    return axes.from_last(b, y, rank, channels_last)


def _image(
    b: GraphBuilder,
    image: Value,
    weights: QuantizedConstant | Array,
    bias: Operand | None,
    place: Window,
    groups: int,
    quant: QuantParams | None,
) -> Value:
    data = weights.data if isinstance(weights, QuantizedConstant) else weights
    if data.ndim == 3:
        data = data[:, :, np.newaxis, :]
    depthwise = groups > 1 and groups == image.shape[3] and data.shape[1] == 1
    if depthwise:  # [C*multiplier, 1, KH, KW] -> [KH, KW, C*multiplier]
        data, axis = np.ascontiguousarray(data[:, 0].transpose(1, 2, 0)), 2
    else:
        data, axis = np.ascontiguousarray(data.transpose(0, 2, 3, 1)), 0
    if isinstance(weights, QuantizedConstant):
        laid_out = QuantizedConstant(data, _on_axis(weights.quant, axis))
        filters = b.dequantized(laid_out) if quant is None else b.const(laid_out.data, quant=laid_out.quant)
    else:
        filters = b.const(data)
    operands: list[Operand | None] = [image, filters] if bias is None else [image, filters, bias]
    attrs = place.attrs(kernel=False, dilation=True)
    if depthwise:
        return b.emit("depthwise_conv2d", operands, {**attrs, "multiplier": data.shape[2] // groups}, quant=quant)
    return b.emit("conv2d", operands, {**attrs, "groups": groups}, quant=quant)


def _on_axis(quant: QuantParams, axis: int) -> QuantParams:
    if quant.per_channel and quant.axis != 0:
        raise RefusedError(f"weights quantised along axis {quant.axis}", "quantise them per output channel (axis 0)")
    return QuantParams(quant.scales, quant.zero_points, axis if quant.per_channel else 0)


def _shifted(b: GraphBuilder, y: Value, place: Window, spatial_axes: Sequence[int]) -> list[Value]:
    """For every tap of the kernel over these spatial axes of [N, *sizes, C] (padded already): what it reads."""
    count = math.prod(place.kernel[axis] for axis in spatial_axes)
    if count > MOST_TAPS:
        raise RefusedError(f"a kernel of {count} taps that is taken apart", f"at most {MOST_TAPS} are")
    sizes = place.only(*spatial_axes).unpadded().sizes([y.shape[1 + axis] for axis in spatial_axes])
    taps = []
    for tap in np.ndindex(*(place.kernel[axis] for axis in spatial_axes)):
        part = y
        for axis, at, size in zip(spatial_axes, tap, sizes, strict=True):
            begin = at * place.dilation[axis]
            part = b.slice(part, 1 + axis, begin, begin + (size - 1) * place.stride[axis] + 1, place.stride[axis])
        taps.append(part)
    return taps


def _side_by_side(b: GraphBuilder, taps: Sequence[Value], groups: int) -> Value:
    """Taps [..., C] each as [..., groups * len(taps) * C/groups]: a group's channels lie together, tap by tap."""
    if len(taps) == 1:
        return taps[0]
    *front, depth = taps[0].shape
    if groups == 1:
        return b.emit("concat", list(taps), {"axis": len(front)})
    parted = [b.reshape(tap, (math.prod(front), groups, depth // groups)) for tap in taps]
    return b.reshape(b.emit("concat", parted, {"axis": 2}), (*front, depth * len(taps)))


def _volume(
    b: GraphBuilder,
    x: Value,
    weights: QuantizedConstant | Array,
    bias: Operand | None,
    place: Window,
    groups: int,
    quant: QuantParams | None,
) -> Value:
    """[N, D, H, W, C]: the taps along D become channels of an image, and every slice of the result is one."""
    data = weights.data if isinstance(weights, QuantizedConstant) else weights
    y = axes.pad_sizes(b, x, (place.before[0], 0, 0), (place.after[0], 0, 0))
    y = _side_by_side(b, _shifted(b, y, place, (0,)), groups)
    batch, depth, height, width, inputs = y.shape
    flat = data.transpose(0, 2, 1, 3, 4).reshape(data.shape[0], -1, *data.shape[3:])  # [O, KD * C/groups, KH, KW]
    laid_out = QuantizedConstant(flat, weights.quant) if isinstance(weights, QuantizedConstant) else flat
    planes = b.reshape(y, (batch * depth, height, width, inputs))
    made = _image(b, planes, laid_out, bias, place.only(1, 2), groups, quant)
    return b.reshape(made, (batch, depth, *made.shape[1:]))


def _computed(b: GraphBuilder, x: Value, weights: Value, place: Window, groups: int) -> Value:
    """Weights [O, C/groups, *kernel] known at run time alone: all taps side by side, times the weights as a matrix."""
    if weights.quant is not None or x.quant is not None:
        raise RefusedError("its quantised weights are computed at run time", "quantise it with constant weights")
    outputs, inner, *kernel = weights.shape
    place = place.image()
    y = axes.pad_sizes(b, x, place.before, place.after)
    y = _side_by_side(b, _shifted(b, y, place, range(place.rank)), groups)
    front = y.shape[:-1]
    taps = math.prod(kernel)
    y = b.reshape(y, (math.prod(front), groups, taps * inner))
    order = b.transpose(b.reshape(weights, (groups, outputs // groups, inner, taps)), (0, 1, 3, 2))
    matrix = b.reshape(order, (groups, outputs // groups, taps * inner))
    product = b.emit("matmul", [b.transpose(y, (1, 0, 2)), matrix], {"transpose_b": True})
    return b.reshape(b.transpose(product, (1, 0, 2)), (*front, outputs))
