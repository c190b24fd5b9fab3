"""Caffe handlers: convolution, pooling, resizing."""

from __future__ import annotations

from typing import Any

from edgert.errors import ModelError
from edgert.importers.builder import GraphBuilder, RefusedError
from edgert.importers.caffe.layer import Handler, SourceLayer
from edgert.importers.layers.conv import convolution
from edgert.importers.layers.conv_transposed import transposed_convolution
from edgert.importers.layers.pool import average_pool, global_pool, max_pool
from edgert.importers.layers.resize import resize
from edgert.importers.layers.window import rounded_up, window
from edgert.ir import Value
from edgert.ops._enums import ReduceFunction


def _per_axis(param: Any, name: str, rank: int, default: int) -> tuple[int, ...]:
    """A size for each spatial axis, which the file states once for all, once for each, or as name_h and name_w."""
    short = name.removesuffix("_size")  # kernel_size, but kernel_h
    if hasattr(param, f"{short}_h") and (param.has(f"{short}_h") or param.has(f"{short}_w")):
        if rank != 2:
            raise ModelError(f"{short}_h and {short}_w on {rank} spatial dimensions")
        return getattr(param, f"{short}_h"), getattr(param, f"{short}_w")
    stated = getattr(param, name)
    if isinstance(stated, int):
        return (stated,) * rank
    if len(stated) not in (0, 1, rank):
        raise ModelError(f"{name} {list(stated)} for {rank} spatial dimensions")
    return tuple(stated) if len(stated) == rank else tuple(stated or [default]) * rank


def _convolution_param(layer: SourceLayer) -> Any:
    param = layer.param("convolution_param")
    if param.axis not in (1, 1 - len(layer.input().shape)):
        raise RefusedError(f"its channels are axis {param.axis}", "use axis: 1")
    return param


def conv(b: GraphBuilder, layer: SourceLayer) -> Value:
    param, x = _convolution_param(layer), layer.input()
    rank = len(x.shape) - 2
    kernel, stride, pad, dilation = (
        _per_axis(param, name, rank, default)
        for name, default in (("kernel_size", 0), ("stride", 1), ("pad", 0), ("dilation", 1))
    )
    channels, groups = x.shape[1], param.group
    if layer.type in ("ConvolutionDepthwise", "DepthwiseConvolution"):  # some forks state no groups
        groups = channels
    if groups < 1 or channels % groups:
        raise ModelError(f"{groups} groups of {channels} channels")
    place = window(x.shape[2:], kernel, stride=stride, dilation=dilation, before=pad)
    weights = layer.blob(0, (param.num_output, channels // groups, *kernel))
    bias = layer.blob(1, (param.num_output,)) if param.bias_term else None
    return convolution(b, x, weights, bias, place, groups)


def deconv(b: GraphBuilder, layer: SourceLayer) -> Value:
    param, x = _convolution_param(layer), layer.input()
    rank = len(x.shape) - 2
    kernel, stride, pad, dilation = (
        _per_axis(param, name, rank, default)
        for name, default in (("kernel_size", 0), ("stride", 1), ("pad", 0), ("dilation", 1))
    )
    groups, outputs = param.group, param.num_output
    if groups < 1 or outputs % groups:
        raise ModelError(f"{groups} groups of {outputs} outputs")
    out = [
        step * (size - 1) + spread * (taps - 1) + 1 - 2 * margin
        for size, taps, step, margin, spread in zip(x.shape[2:], kernel, stride, pad, dilation, strict=True)
    ]
    weights = layer.blob(0, (x.shape[1], outputs // groups, *kernel))
    bias = layer.blob(1, (outputs,)) if param.bias_term else None
    return transposed_convolution(
        b, x, weights, bias, stride=stride, dilation=dilation, before=pad, out=out, groups=groups
    )


def pooling(b: GraphBuilder, layer: SourceLayer) -> Value:
    """Sizes are rounded up unless the layer says otherwise; padding counts in averages."""
    param, x = layer.param("pooling_param"), layer.input()
    if param.pool == 2:
        raise RefusedError("stochastic pooling", "use average pooling, which it is in the mean")
    if layer.outputs > 1:
        raise RefusedError("its second output (the mask) is used", "replace unpooling by upsampling")
    if param.global_pooling:
        return global_pool(b, x, ReduceFunction.MAX if param.pool == 0 else ReduceFunction.MEAN)
    rank = len(x.shape) - 2
    kernel, stride, pad = (_per_axis(param, name, rank, 0) for name in ("kernel_size", "stride", "pad"))
    ceil = param.round_mode == 0 if param.has("round_mode") else param.ceil_mode
    place = (
        rounded_up(x.shape[2:], kernel, stride, pad) if ceil else window(x.shape[2:], kernel, stride=stride, before=pad)
    )
    if any(margin >= taps for margin, taps in zip(pad, kernel, strict=True)):
        raise ModelError(f"padding {list(pad)} is not smaller than the kernel {list(kernel)}")
    if param.pool == 0:
        return max_pool(b, x, place)
    return average_pool(b, x, place, counts_padding=True)


def interp(b: GraphBuilder, layer: SourceLayer) -> Value:
    """Of DeepLab: bilinear, corners aligned, after cropping by negative padding."""
    param, x = layer.param("interp_param"), layer.input()
    if min(-param.pad_beg, -param.pad_end) < 0:
        raise ModelError(f"pad_beg {param.pad_beg} and pad_end {param.pad_end}, needed none above 0")
    sizes = [size + param.pad_beg + param.pad_end for size in x.shape[2:]]
    if len(sizes) != 2 or min(sizes) < 1:
        raise ModelError(f"an input {list(x.shape)} less {-param.pad_beg} and {-param.pad_end} pixels")
    begin = (0, 0, -param.pad_beg, -param.pad_beg)
    x = b.slices(x, begin, [at + size for at, size in zip(begin, (*x.shape[:2], *sizes), strict=True)], (1, 1, 1, 1))
    if param.has("height") and param.has("width"):
        wanted = [param.height, param.width]
    else:
        shrink, zoom = param.shrink_factor or 1, param.zoom_factor or 1
        if min(shrink, zoom) < 1:
            raise ModelError(f"shrink_factor {shrink} and zoom_factor {zoom}, needed at least 1")
        smaller = [(size - 1) // shrink + 1 for size in sizes]
        wanted = [size + (size - 1) * (zoom - 1) for size in smaller]
    return resize(b, x, (*x.shape[:2], *wanted), mode="linear", coordinates="align_corners")


def upsample(b: GraphBuilder, layer: SourceLayer) -> Value:
    """Of YOLO's forks: every pixel repeated."""
    param, x = layer.param("upsample_param"), layer.input()
    if len(layer.inputs) > 1:
        raise RefusedError("it takes places from a pooling's mask", "replace unpooling by upsampling or deconvolution")
    factors = (param.scale_h or param.scale, param.scale_w or param.scale)
    if min(factors) < 1 or len(x.shape) != 4:
        raise ModelError(f"scales {list(factors)} of an input {list(x.shape)}")
    sizes = (*x.shape[:2], *(size * factor for size, factor in zip(x.shape[2:], factors, strict=True)))
    return resize(b, x, sizes, mode="nearest", coordinates="asymmetric", nearest="floor")


HANDLERS: dict[str, Handler] = {
    "Convolution": conv,
    "ConvolutionDepthwise": conv,
    "Deconvolution": deconv,
    "DepthwiseConvolution": conv,
    "Interp": interp,
    "Pooling": pooling,
    "Upsample": upsample,
}
