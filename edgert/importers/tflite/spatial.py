"""Convolutions of volumes, the rarer windows, and normalisation over channels."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgert.errors import ModelError
from edgert.importers.layers.conv import convolution
from edgert.importers.layers.conv_transposed import transposed_convolution
from edgert.importers.layers.norm import local_response_norm
from edgert.importers.layers.window import Window
from edgert.importers.tflite.builder import Array, Builder, Handler
from edgert.importers.tflite.linear import SAME, fused, padding
from edgert.importers.tflite.read import SourceOp
from edgert.importers.tflite.shared import Layers
from edgert.ir import Value
from edgert.ops._enums import UnaryFunction


def _same(size: int, kernel: int, stride: int, dilation: int, kind: int) -> tuple[int, int]:
    total = max((-(-size // stride) - 1) * stride + dilation * (kernel - 1) + 1 - size, 0) if kind == SAME else 0
    return total // 2, total - total // 2


def _volume(b: Builder, op: SourceOp, index: int) -> tuple[Value, Array, Any]:
    """Input, float weights and options of a convolution of volumes [N, D, H, W, C]."""
    x, options = b.real(b.value(op, index)), op.options("Conv3DOptions")
    data, _ = b.weights(op, 1, 4, floats=True)
    steps = (options.StrideD(), options.StrideH(), options.StrideW())
    dilations = (options.DilationDFactor(), options.DilationHFactor(), options.DilationWFactor())
    if len(x.shape) != 5 or data.ndim != 5 or 0 in data.shape or min(*steps, *dilations) < 1:
        raise ModelError(f"input {list(x.shape)} and weights {list(data.shape)}, needed 5 dimensions each")
    return x, data, (steps, dilations, options)


def conv_3d(b: Builder, op: SourceOp) -> Value:
    """Weights [KD, KH, KW, C/groups, O]."""
    x, data, (steps, dilations, options) = _volume(b, op, 0)
    kernel = data.shape[:3]
    if x.shape[4] % data.shape[3]:
        raise ModelError(f"input has {x.shape[4]} channels, weights {data.shape[3]}")
    pads = [_same(*part, options.Padding()) for part in zip(x.shape[1:4], kernel, steps, dilations, strict=True)]
    before, after = (tuple(pair[i] for pair in pads) for i in (0, 1))
    place = Window(kernel, steps, dilations, before, after, (0, 0, 0))
    weights = np.ascontiguousarray(data.transpose(4, 3, 0, 1, 2))
    bias = b.constant(op, 2, "bias").reshape(-1) if b.has(op, 2) else None
    groups = x.shape[4] // data.shape[3]
    y = convolution(Layers(b), x, weights, bias, place, groups, channels_last=True)
    return _finished(b, op, y, fused(options))


def conv_3d_transpose(b: Builder, op: SourceOp) -> Value:
    """Weights [KD, KH, KW, O, I]; the output's shape comes first."""
    x, data, (steps, dilations, options) = _volume(b, op, 2)
    shape = b.shape(op, 0)
    if len(shape) != 5 or data.shape[4] != x.shape[4] or (shape[0], shape[4]) != (x.shape[0], data.shape[3]):
        raise ModelError(f"{list(x.shape)} cannot become {list(shape)} with weights {list(data.shape)}")
    pads = [_same(*part, options.Padding()) for part in zip(shape[1:4], data.shape[:3], steps, dilations, strict=True)]
    weights = np.ascontiguousarray(data.transpose(4, 3, 0, 1, 2))
    bias = b.constant(op, 3, "bias").reshape(-1) if b.has(op, 3) else None
    y = transposed_convolution(
        Layers(b), x, weights, bias, stride=steps, dilation=dilations, before=[pair[0] for pair in pads],
        out=shape[1:4], channels_last=True,
    )  # fmt: skip
    return _finished(b, op, y, fused(options))


def _finished(b: Builder, op: SourceOp, y: Value, activation: int) -> Value:
    y, quant = b.activated(y, activation, None), b.out_quant(op)
    return b.quantized(y, quant, b.out_dtype(op)) if quant is not None else y


def l2_pool(b: Builder, op: SourceOp) -> Value:
    """The root of the mean of squares in each window."""
    options, x = op.options("Pool2DOptions"), b.real(b.value(op, 0))
    if len(x.shape) != 4:
        raise ModelError(f"{x.name!r} has {len(x.shape)} dimensions, needed 4 (N, H, W, C)")
    kernel = (options.FilterHeight(), options.FilterWidth())
    attrs: dict[str, Any] = {"kernel_h": kernel[0], "kernel_w": kernel[1]}
    attrs |= padding(options.Padding(), x.shape[1:3], kernel, options)
    mean = b.emit("average_pool2d", [b.unary(UnaryFunction.SQUARE, x, None)], attrs)
    return _finished(b, op, b.unary(UnaryFunction.SQRT, mean, None), fused(options))


def local_response_normalization(b: Builder, op: SourceOp) -> Value:
    """Over 2 * radius + 1 channels; alpha is per element here."""
    options, x = op.options("LocalResponseNormalizationOptions"), b.real(b.value(op, 0))
    size = 2 * options.Radius() + 1
    if not 1 <= size < 2**24 or len(x.shape) != 4:
        raise ModelError(f"radius {options.Radius()} over {list(x.shape)}, needed at least 0 and 4 dimensions")
    y = local_response_norm(Layers(b), x, size, options.Alpha(), options.Beta(), options.Bias(), channels_last=True)
    return _finished(b, op, y, 0)


def dilate(b: Builder, op: SourceOp) -> Value:
    """`dilation - 1` fillings between neighbours on every axis."""
    x, dilations, filling = b.value(op, 0), b.ints(op, 1, "dilations"), b.value(op, 2)
    if len(dilations) != len(x.shape) or min(dilations, default=1) < 1:
        raise ModelError(f"dilations {list(dilations)} for {len(x.shape)} dimensions")
    for axis, step in enumerate(dilations):
        if step > 1 and x.shape[axis] > 1:
            x = spread(b, x, filling, axis, step)
    return x


def spread(b: Builder, x: Value, filling: Value, axis: int, step: int) -> Value:
    """x with `step - 1` fillings between neighbours on one axis."""
    shape = (*x.shape[: axis + 1], 1, *x.shape[axis + 1 :])
    gap = (*x.shape[: axis + 1], step - 1, *x.shape[axis + 1 :])
    between = b.emit("broadcast_to", [b.reshape(filling, (1,) * len(gap))], {"shape": gap}, x.quant)
    parts = b.emit("concat", [b.reshape(x, shape), between], {"axis": axis + 1}, x.quant)
    long = b.reshape(parts, (*x.shape[:axis], x.shape[axis] * step, *x.shape[axis + 1 :]))
    end = list(long.shape)
    end[axis] -= step - 1
    return b.slice(long, [0] * len(end), end)


HANDLERS: dict[str, Handler] = {
    "CONV_3D": conv_3d,
    "CONV_3D_TRANSPOSE": conv_3d_transpose,
    "L2_POOL_2D": l2_pool,
    "LOCAL_RESPONSE_NORMALIZATION": local_response_normalization,
    "DILATE": dilate,
}
