"""Torch7 handlers: convolution, pooling, resizing and normalisation of [N, C, ...]."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from edgert.errors import ModelError
from edgert.importers.builder import RefusedError
from edgert.importers.layers import norm
from edgert.importers.layers.conv import convolution
from edgert.importers.layers.conv_transposed import transposed_convolution
from edgert.importers.layers.elementwise import affine
from edgert.importers.layers.pool import average_pool, global_pool, max_pool
from edgert.importers.layers.resize import resize
from edgert.importers.layers.window import Window, rounded_up, window
from edgert.importers.torch7.elementwise import channel_axis
from edgert.importers.torch7.module import Builder, Handler, Module, tensor_of
from edgert.ir import Value
from edgert.ops._enums import ReduceFunction


def _each(module: Module, name: str, rank: int, default: int | None = None) -> tuple[int, ...]:
    """name + T, H and W, of as many as there are spatial axes."""
    return tuple(module.integer(f"{name}{letter}", default) for letter in "THW"[3 - rank :])


def _image(x: Any, rank: int) -> Value:
    value = tensor_of(x)
    if len(value.shape) != rank + 2:
        raise ModelError(f"an input {list(value.shape)}, needed {rank + 2} dimensions, the first of them a batch")
    return value


def _pads(module: Module, rank: int) -> tuple[int, ...]:
    if module.has("padding") and not module.has("padW"):  # before padW and padH
        return (module.integer("padding"),) * rank
    return _each(module, "pad", rank, 0)


def conv(rank: int, b: Builder, module: Module, x: Any) -> Value:
    value = _image(x, rank)
    kernel, stride, dilation = _each(module, "k", rank), _each(module, "d", rank, 1), _each(module, "dilation", rank, 1)
    outputs, groups = module.integer("nOutputPlane"), module.integer("groups", 1)
    if groups < 1 or value.shape[1] % groups:
        raise ModelError(f"{groups} groups of {value.shape[1]} channels")
    weights = module.array("weight", (outputs, value.shape[1] // groups, *kernel))
    place = window(value.shape[2:], kernel, stride=stride, dilation=dilation, before=_pads(module, rank))
    return convolution(b, value, weights, module.optional("bias", (outputs,)), place, groups)


def full_conv(b: Builder, module: Module, x: Any) -> Value:
    value = _image(x, 2)
    kernel, stride, pad, more = (
        _each(module, name, 2, default) for name, default in (("k", None), ("d", 1), ("pad", 0), ("adj", 0))
    )
    outputs, groups = module.integer("nOutputPlane"), module.integer("groups", 1)
    if groups < 1 or outputs % groups:
        raise ModelError(f"{groups} groups of {outputs} outputs")
    out = [
        (size - 1) * step + taps - 2 * crop + extra
        for size, step, taps, crop, extra in zip(value.shape[2:], stride, kernel, pad, more, strict=True)
    ]
    weights = module.array("weight", (value.shape[1], outputs // groups, *kernel))
    bias = module.optional("bias", (outputs,))
    return transposed_convolution(b, value, weights, bias, stride=stride, before=pad, out=out, groups=groups)


def temporal_conv(b: Builder, module: Module, x: Any) -> Value:
    """x [N, T, C] or [T, C], weights [O, kernel * C]."""
    value = tensor_of(x)
    single = len(value.shape) == 2
    value = b.reshape(value, (1, *value.shape)) if single else _image(value, 1)
    taps, outputs, inputs = module.integer("kW"), module.integer("outputFrameSize"), value.shape[2]
    weights = module.array("weight", (outputs, taps, inputs)).transpose(0, 2, 1)
    place = window(value.shape[1:2], (taps,), stride=(module.integer("dW", 1),))
    bias = module.optional("bias", (outputs,))
    y = convolution(b, value, np.ascontiguousarray(weights), bias, place, channels_last=True)
    return b.reshape(y, y.shape[1:]) if single else y


def _pool_window(module: Module, value: Value, rank: int) -> Window:
    kernel, stride, pad = _each(module, "k", rank), _each(module, "d", rank), _pads(module, rank)
    if any(2 * margin > taps for margin, taps in zip(pad, kernel, strict=True)):
        raise ModelError(f"padding {list(pad)} is more than half of the kernel {list(kernel)}")
    if module.flag("ceil_mode", False):
        return rounded_up(value.shape[2:], kernel, stride, pad)
    return window(value.shape[2:], kernel, stride=stride, before=pad)


def max_pooling(rank: int, b: Builder, module: Module, x: Any) -> Value:
    value = _image(x, rank)
    return max_pool(b, value, _pool_window(module, value, rank))


def average_pooling(rank: int, b: Builder, module: Module, x: Any) -> Value:
    value = _image(x, rank)
    place = _pool_window(module, value, rank)
    y = average_pool(b, value, place, counts_padding=module.flag("count_include_pad", True))
    if module.flag("divide", True):
        return y
    if any(place.overhang):
        raise RefusedError("sums with sizes rounded up", "use ceil_mode = false")
    return affine(b, y, math.prod(place.kernel), 0)


def sub_sampling(b: Builder, module: Module, x: Any) -> Value:
    """Sums over windows, times a weight and plus a bias of each channel."""
    value = _image(x, 2)
    kernel, stride = _each(module, "k", 2), _each(module, "d", 2)
    sums = average_pool(b, value, window(value.shape[2:], kernel, stride=stride), counts_padding=True)
    channels = (value.shape[1],)
    scaled = b.mul(sums, norm.along(b, sums, module.array("weight", channels) * math.prod(kernel), 1))
    return b.add(scaled, norm.along(b, sums, module.array("bias", channels), 1))


def pixel_shuffle(b: Builder, module: Module, x: Any) -> Value:
    attrs = {"block": module.integer("upscaleFactor"), "column_row_depth": True}
    return b.from_nhwc(b.emit("depth_to_space", [b.to_nhwc(_image(x, 2))], attrs), 4)


def temporal_max_pooling(b: Builder, module: Module, x: Any) -> Value:
    value = _image(x, 1)
    place = window(value.shape[1:2], (module.integer("kW"),), stride=(module.integer("dW"),))
    return max_pool(b, value, place, channels_last=True)


def adaptive_pooling(function: ReduceFunction, b: Builder, module: Module, x: Any) -> Value:
    """To H x W pixels that divide the input's."""
    value = _image(x, 2)
    wanted = module.integer("H"), module.integer("W")
    if wanted == (1, 1):
        return global_pool(b, value, function)
    if any(out < 1 or size % out for size, out in zip(value.shape[2:], wanted, strict=True)):
        raise RefusedError(
            f"to {wanted[0]} x {wanted[1]} pixels from {value.shape[2]} x {value.shape[3]}", "use sizes that divide"
        )
    kernel = tuple(size // out for size, out in zip(value.shape[2:], wanted, strict=True))
    place = window(value.shape[2:], kernel, stride=kernel)
    return (
        max_pool(b, value, place)
        if function == ReduceFunction.MAX
        else average_pool(b, value, place, counts_padding=True)
    )


def upsample_nearest(b: Builder, module: Module, x: Any) -> Value:
    value, scale = _image(x, 2), module.integer("scale_factor")
    sizes = (*value.shape[:2], *(size * scale for size in value.shape[2:]))
    return resize(b, value, sizes, mode="nearest", coordinates="asymmetric", nearest="floor")


def upsample_bilinear(b: Builder, module: Module, x: Any) -> Value:
    """Corners aligned."""
    value = _image(x, 2)
    if module.has("scale_factor"):
        sizes = tuple((size - 1) * module.integer("scale_factor") + 1 for size in value.shape[2:])
    else:
        sizes = (module.integer("oheight"), module.integer("owidth"))
    return resize(b, value, (*value.shape[:2], *sizes), mode="linear", coordinates="align_corners")


def batch_norm(b: Builder, module: Module, x: Any) -> Value:
    """Old files store 1 / sqrt(variance + eps) as running_std."""
    value = tensor_of(x)
    axis = channel_axis(value)
    channels = value.shape[axis : axis + 1]
    scale, bias = (module.optional(name, channels) for name in ("weight", "bias"))
    mean, epsilon = module.array("running_mean", channels), module.number("eps", 1e-5)
    if module.has("running_var"):
        variance = module.array("running_var", channels)
    else:
        variance, epsilon = module.array("running_std", channels) ** -2.0, 0.0
    return norm.batch_norm(b, value, scale, bias, mean, variance, epsilon, axis)


def instance_norm(b: Builder, module: Module, x: Any) -> Value:
    value = _image(x, 2)
    channels = (value.shape[1],)
    scale, bias = (module.optional(name, channels) for name in ("weight", "bias"))
    return norm.instance_norm(b, value, scale, bias, module.number("eps", 1e-5))


def lrn(b: Builder, module: Module, x: Any) -> Value:
    value, size = _image(x, 2), module.integer("size")
    if size < 1:
        raise ModelError(f"size {size}, needed at least 1")
    alpha, beta, k = module.number("alpha", 1e-4), module.number("beta", 0.75), module.number("k", 1)
    return norm.local_response_norm(b, value, size, alpha / size, beta, k)


def normalize(b: Builder, module: Module, x: Any) -> Value:
    """Rows of [N, D] by their L2 norm."""
    value = tensor_of(x)
    if module.number("p", 2) != 2 or len(value.shape) > 2:
        raise RefusedError(f"p {module.number('p', 2):g} of an input {list(value.shape)}", "use p 2 on [N, D]")
    return norm.l2_norm(b, value, (len(value.shape) - 1,), module.number("eps", 1e-10), inside=True)


HANDLERS: dict[str, Handler] = {
    "cudnn.BatchNormalization": batch_norm,
    "cudnn.SpatialAveragePooling": partial(average_pooling, 2),
    "cudnn.SpatialBatchNormalization": batch_norm,
    "cudnn.SpatialConvolution": partial(conv, 2),
    "cudnn.SpatialFullConvolution": full_conv,
    "cudnn.SpatialMaxPooling": partial(max_pooling, 2),
    "nn.BatchNormalization": batch_norm,
    "nn.InstanceNormalization": instance_norm,
    "nn.Normalize": normalize,
    "nn.PixelShuffle": pixel_shuffle,
    "nn.SpatialAdaptiveAveragePooling": partial(adaptive_pooling, ReduceFunction.MEAN),
    "nn.SpatialAdaptiveMaxPooling": partial(adaptive_pooling, ReduceFunction.MAX),
    "nn.SpatialAveragePooling": partial(average_pooling, 2),
    "nn.SpatialBatchNormalization": batch_norm,
    "nn.SpatialConvolution": partial(conv, 2),
    "nn.SpatialConvolutionMM": partial(conv, 2),
    "nn.SpatialCrossMapLRN": lrn,
    "nn.SpatialDilatedConvolution": partial(conv, 2),
    "nn.SpatialFullConvolution": full_conv,
    "nn.SpatialMaxPooling": partial(max_pooling, 2),
    "nn.SpatialSubSampling": sub_sampling,
    "nn.SpatialUpSamplingBilinear": upsample_bilinear,
    "nn.SpatialUpSamplingNearest": upsample_nearest,
    "nn.TemporalConvolution": temporal_conv,
    "nn.TemporalMaxPooling": temporal_max_pooling,
    "nn.VolumetricAveragePooling": partial(average_pooling, 3),
    "nn.VolumetricBatchNormalization": batch_norm,
    "nn.VolumetricConvolution": partial(conv, 3),
    "nn.VolumetricMaxPooling": partial(max_pooling, 3),
}
