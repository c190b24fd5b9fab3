"""Convolution, pooling and matrix products."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from edgert.importers.layers import phases
from edgert.importers.tflite.builder import Builder, Handler, RefusedError
from edgert.importers.tflite.read import SourceOp
from edgert.ir import Value
from edgert.ops._enums import Activation

# ActivationFunctionType of the TFLite schema; TANH (4) and SIGN_BIT (5) have no fused form.
ACTIVATIONS = {0: Activation.NONE, 1: Activation.RELU, 2: Activation.RELU_N1_TO_1, 3: Activation.RELU6}
SAME = 0  # Padding.SAME


def fused(options: Any) -> Activation:
    number = options.FusedActivationFunction()
    if number not in ACTIVATIONS:
        raise RefusedError(f"its fused activation is number {number}", "make the activation an operator of its own")
    return ACTIVATIONS[number]


def padding(padding: int, sizes: Sequence[int], kernels: Sequence[int], options: Any) -> dict[str, int]:
    """The explicit window attributes that SAME or VALID padding means (SAME: as much as keeps size / stride)."""
    dilations = (1, 1)
    if hasattr(options, "DilationHFactor"):
        dilations = (options.DilationHFactor(), options.DilationWFactor())
    strides = (options.StrideH(), options.StrideW())
    attrs: dict[str, int] = {"stride_h": strides[0], "stride_w": strides[1]}
    if hasattr(options, "DilationHFactor"):
        attrs |= {"dilation_h": dilations[0], "dilation_w": dilations[1]}
    names = (("pad_top", "pad_bottom"), ("pad_left", "pad_right"))
    for size, kernel, stride, dilation, (before, after) in zip(sizes, kernels, strides, dilations, names, strict=True):
        if stride < 1 or dilation < 1:
            raise ModelError(f"stride {stride} and dilation {dilation}, needed at least 1")
        span = dilation * (kernel - 1) + 1
        total = max((-(-size // stride) - 1) * stride + span - size, 0) if padding == SAME else 0
        attrs |= {before: total // 2, after: total - total // 2}
    return attrs


def _image(value: Value) -> tuple[int, int, int]:
    """(H, W, C) of an image tensor."""
    if len(value.shape) != 4:
        raise ModelError(f"{value.name!r} has {len(value.shape)} dimensions, needed 4 (N, H, W, C)")
    _, height, width, channels = value.shape
    return height, width, channels


def _check_kernel(w: np.ndarray[Any, Any]) -> None:
    if w.ndim != 4 or 0 in w.shape:
        raise ModelError(f"weights have the shape {list(w.shape)}, needed 4 dimensions, none of them 0")


def _bias(b: Builder, op: SourceOp, index: int = 2) -> Value | None:
    """The bias as one dimension; its scale is that of input times weights by definition and is left out."""
    if not b.has(op, index):
        return None
    bias = b.value(op, index)
    if bias.constant:
        assert bias.data is not None
        return b.const(bias.data.reshape(-1), name="bias")
    return b.reshape(bias, (math.prod(bias.shape),))


def _moved(quant: QuantParams | None, axis: int) -> QuantParams | None:
    return quant and QuantParams(quant.scales, quant.zero_points, axis)


def conv_2d(b: Builder, op: SourceOp) -> Value:
    options, x = op.options("Conv2DOptions"), b.value(op, 0)
    data, quant = b.weights(op, 1, 0, x.dtype == DType.FLOAT32)
    _check_kernel(data)
    height, width, channels = _image(x)
    if channels % data.shape[3]:
        raise ModelError(f"input has {channels} channels, weights {data.shape[3]}")
    attrs = padding(options.Padding(), (height, width), data.shape[1:3], options)
    attrs |= {"groups": channels // data.shape[3], "activation": fused(options)}
    return b.emit("conv2d", [x, b.const(data, quant, "weights"), _bias(b, op)], attrs, b.out_quant(op))


def depthwise_conv_2d(b: Builder, op: SourceOp) -> Value:
    """Weights [1,KH,KW,C*M]. With one input channel this is an ordinary convolution, and a faster one."""
    options, x = op.options("DepthwiseConv2DOptions"), b.value(op, 0)
    data, quant = b.weights(op, 1, 3, x.dtype == DType.FLOAT32)
    _check_kernel(data)
    height, width, channels = _image(x)
    outputs = data.shape[3]
    if data.shape[0] != 1 or outputs % channels:
        raise ModelError(f"weights have the shape {list(data.shape)}, needed 1, KH, KW and a multiple of {channels}")
    attrs = padding(options.Padding(), (height, width), data.shape[1:3], options)
    attrs["activation"] = fused(options)
    if channels == 1 and outputs > 1:
        weights = b.const(np.ascontiguousarray(data.transpose(3, 1, 2, 0)), _moved(quant, 0), "weights")
        return b.emit("conv2d", [x, weights, _bias(b, op)], attrs, b.out_quant(op))
    attrs["multiplier"] = outputs // channels
    weights = b.const(data[0], _moved(quant, 2), "weights")
    return b.emit("depthwise_conv2d", [x, weights, _bias(b, op)], attrs, b.out_quant(op))


def transpose_conv(b: Builder, op: SourceOp) -> Value:
    """A convolution that computes the pixels of every stride_h x stride_w block as channels, and depth_to_space."""
    options, x = op.options("TransposeConvOptions"), b.value(op, 2)
    shape = b.shape(op, 0)
    data, quant = b.weights(op, 1, 0, x.dtype == DType.FLOAT32)
    _check_kernel(data)
    height, width, channels = _image(x)
    outputs = data.shape[0]
    if data.shape[3] != channels or len(shape) != 4 or (shape[0], shape[3]) != (x.shape[0], outputs):
        raise ModelError(f"{list(x.shape)} cannot become {list(shape)} with weights {list(data.shape)}")
    strides = (options.StrideH(), options.StrideW())
    if min(strides) < 1:
        raise ModelError(f"strides {strides}, needed at least 1")
    # As much padding as the forward convolution, from the output to the input, has.
    pads = padding(options.Padding(), (shape[1], shape[2]), data.shape[1:3], options)
    rows = phases.axis(height, shape[1], data.shape[1], strides[0], pads["pad_top"])
    columns = phases.axis(width, shape[2], data.shape[2], strides[1], pads["pad_left"])

    blocks = strides[0] * strides[1]
    zero_point = 0 if quant is None else quant.zero_point if not quant.per_channel else 0
    if quant is not None and quant.per_channel:
        quant = QuantParams(quant.scales * blocks, quant.zero_points * blocks, 0)
    weights = b.const(phases.as_convolution(data, rows, columns, zero_point), quant, "weights")
    bias = _bias(b, op, 3)
    if bias is not None:
        bias = b.emit("concat", [bias] * blocks, {"axis": 0}) if blocks > 1 else bias
    attrs = {
        "pad_top": rows.before, "pad_bottom": rows.after, "pad_left": columns.before, "pad_right": columns.after,
        "activation": fused(options),
    }  # fmt: skip
    y = b.emit("conv2d", [x, weights, bias], attrs, b.out_quant(op))
    y = _blocks_to_pixels(b, y, strides, outputs)
    begin = (0, rows.begin, columns.begin, 0)
    return b.slice(y, begin, tuple(at + size for at, size in zip(begin, (*shape[:3], outputs), strict=True)))


def _blocks_to_pixels(b: Builder, x: Value, block: tuple[int, int], channels: int) -> Value:
    """[N, H, W, BH*BW*C] to [N, H*BH, W*BW, C]."""
    (n, height, width, _), (rows, columns) = x.shape, block
    if rows == columns:
        return b.emit("depth_to_space", [x], {"block": rows}) if rows > 1 else x
    parts = b.reshape(x, (n, height, width, rows, columns, channels))
    return b.reshape(b.transpose(parts, (0, 1, 3, 2, 4, 5)), (n, height * rows, width * columns, channels))


def fully_connected(b: Builder, op: SourceOp) -> Value:
    options, x = op.options("FullyConnectedOptions"), b.value(op, 0)
    if options.WeightsFormat() != 0:
        raise RefusedError("its weights are shuffled for a processor", "convert the model without shuffled weights")
    data, quant = b.weights(op, 1, 0, x.dtype == DType.FLOAT32)
    if data.ndim != 2 or 0 in data.shape:
        raise ModelError(f"weights have the shape {list(data.shape)}, needed 2 dimensions")
    depth = data.shape[1]
    if not options.KeepNumDims() and (len(x.shape) != 2 or x.shape[1] != depth):
        x = b.reshape(x, (math.prod(x.shape) // depth, depth))
    attrs = {"activation": fused(options)}
    return b.emit("fully_connected", [x, b.const(data, quant, "weights"), _bias(b, op)], attrs, b.out_quant(op))


def batch_matmul(b: Builder, op: SourceOp) -> Value:
    options = op.options("BatchMatMulOptions")
    x, y = b.value(op, 0), b.value(op, 1)
    if x.dtype == DType.FLOAT32:
        y = b.real(y)
    attrs = {"transpose_a": bool(options.AdjX()), "transpose_b": bool(options.AdjY())}
    return b.emit("matmul", [x, y], attrs, b.out_quant(op))


def _pool(kind: str) -> Handler:
    def handler(b: Builder, op: SourceOp) -> Value:
        options, x = op.options("Pool2DOptions"), b.value(op, 0)
        height, width, _ = _image(x)
        kernel = (options.FilterHeight(), options.FilterWidth())
        attrs: dict[str, Any] = {"kernel_h": kernel[0], "kernel_w": kernel[1], "activation": fused(options)}
        attrs |= padding(options.Padding(), (height, width), kernel, options)
        return b.emit(kind, [x], attrs, b.out_quant(op))

    return handler


HANDLERS: dict[str, Handler] = {
    "CONV_2D": conv_2d,
    "DEPTHWISE_CONV_2D": depthwise_conv_2d,
    "TRANSPOSE_CONV": transpose_conv,
    "FULLY_CONNECTED": fully_connected,
    "BATCH_MATMUL": batch_matmul,
    "AVERAGE_POOL_2D": _pool("average_pool2d"),
    "MAX_POOL_2D": _pool("max_pool2d"),
}
