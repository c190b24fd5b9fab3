"""ONNX handlers: convolutions, pools, resizing and normalisation of images [N,C,H,W] and sequences [N,C,L].

A sequence is an image of height 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from edgert.dtypes import QuantParams
from edgert.errors import ModelError
from edgert.importers.onnx.builder import Array, Builder, Handler, QuantizedConstant, RefusedError, SourceNode
from edgert.importers.onnx.linear import normalized
from edgert.ir import Value
from edgert.ops._enums import BinaryFunction, CoordinateMode, NearestMode, ReduceFunction, ResizeMode, UnaryFunction

Weights = QuantizedConstant | Array


class Window(NamedTuple):
    """A sliding window over height and width: (height, width) each, and padding in real rows and columns."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    before: tuple[int, int]
    after: tuple[int, int]
    overhang: tuple[int, int]  # further rows and columns at the end that ceil_mode adds

    def attrs(self, kernel: bool, dilation: bool, overhang: bool = False) -> dict[str, int]:
        """The attributes of the IR's operators that slide windows."""
        bottom, right = (end + (more if overhang else 0) for end, more in zip(self.after, self.overhang, strict=True))
        attrs = {
            "stride_h": self.stride[0], "stride_w": self.stride[1],
            "pad_top": self.before[0], "pad_left": self.before[1], "pad_bottom": bottom, "pad_right": right,
        }  # fmt: skip
        if kernel:
            attrs |= {"kernel_h": self.kernel[0], "kernel_w": self.kernel[1]}
        if dilation:
            attrs |= {"dilation_h": self.dilation[0], "dilation_w": self.dilation[1]}
        return attrs


def spatial_rank(x: Value) -> int:
    """1 or 2; RefusedError for volumes."""
    rank = len(x.shape) - 2
    if rank not in (1, 2):
        raise RefusedError(
            f"its input has {rank} spatial dimensions", "only sequences [N,C,L] and images [N,C,H,W] are known"
        )
    return rank


def window(node: SourceNode, sizes: Sequence[int], kernel: Sequence[int]) -> Window:
    """The window of a node over an input of the given spatial sizes, automatic padding and ceil_mode resolved."""
    rank = len(sizes)
    stride = node.integers("strides") or (1,) * rank
    dilation = node.integers("dilations") or (1,) * rank
    pads = node.integers("pads") or (0,) * (2 * rank)
    if len(stride) != rank or len(dilation) != rank or len(pads) != 2 * rank or len(kernel) != rank:
        raise ModelError(f"strides, dilations, pads or kernel_shape do not fit {rank} spatial dimensions")
    if min(*stride, *dilation, *kernel) < 1:
        raise ModelError("strides, dilations and kernel_shape must be at least 1")
    if min(pads) < 0:
        raise RefusedError("negative padding", "use Slice before it")
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    before, after = list(pads[:rank]), list(pads[rank:])
    automatic = node.text("auto_pad", "NOTSET")
    if automatic in ("SAME_UPPER", "SAME_LOWER"):
        for axis, size in enumerate(sizes):
            total = max((-(-size // stride[axis]) - 1) * stride[axis] + reach[axis] - size, 0)
            small, large = total // 2, total - total // 2
            before[axis], after[axis] = (small, large) if automatic == "SAME_UPPER" else (large, small)
    elif automatic == "VALID":
        before, after = [0] * rank, [0] * rank
    overhang = [0] * rank
    if node.integer("ceil_mode", 0):
        for axis, size in enumerate(sizes):
            room = size + before[axis] + after[axis] - reach[axis]
            count = -(-room // stride[axis]) + 1
            if (count - 1) * stride[axis] >= size + before[axis]:
                count -= 1  # a window must begin inside the input or its left padding
            overhang[axis] = max((count - 1) * stride[axis] - room, 0)

    def both(items: Sequence[int], missing: int) -> tuple[int, int]:
        height, width = (missing, *items) if rank == 1 else items
        return int(height), int(width)

    return Window(
        both(kernel, 1), both(stride, 1), both(dilation, 1), both(before, 0), both(after, 0), both(overhang, 0)
    )


def conv(b: Builder, node: SourceNode) -> Value:
    x = b.value(node, 0)
    quantized = b.quantized.get(node.inputs[1])
    weights = b.need_constant(node, 1, "weights") if quantized is None else quantized
    return convolution(b, node, x, weights, b.optional(node, 2))


def convolution(
    b: Builder, node: SourceNode, x: Value, weights: Weights, bias: Value | None, quant: QuantParams | None = None
) -> Value:
    """Convolution of x [N,C,H,W] or [N,C,L] with source weights [O,C/groups,KH,KW] or [O,C/groups,K].

    Groups of one input channel each are a depthwise convolution. quant is the output's, for an int8 convolution with
    int8 weights; without it quantised weights are dequantised first.
    """
    rank = spatial_rank(x) + 2
    data = weights.data if isinstance(weights, QuantizedConstant) else weights
    kernel = node.integers("kernel_shape") or data.shape[2:]
    if data.ndim != rank or tuple(kernel) != data.shape[2:]:
        raise ModelError(f"weights {list(data.shape)} do not fit an input {list(x.shape)} and kernel {list(kernel)}")
    place = window(node, x.shape[2:], kernel)
    groups = node.integer("group", 1)
    if data.ndim == 3:
        data = data[:, :, np.newaxis, :]
    depthwise = groups > 1 and groups == x.shape[1] and data.shape[1] == 1
    if depthwise:  # [C*multiplier,1,KH,KW] -> [KH,KW,C*multiplier]
        data, axis = np.ascontiguousarray(data[:, 0].transpose(1, 2, 0)), 2
    else:
        data, axis = np.ascontiguousarray(data.transpose(0, 2, 3, 1)), 0
    if isinstance(weights, QuantizedConstant):
        old = weights.quant
        if old.per_channel and old.axis != 0:
            raise RefusedError(f"weights quantised along axis {old.axis}", "quantise them per output channel (axis 0)")
        laid_out = QuantizedConstant(data, QuantParams(old.scales, old.zero_points, axis if old.per_channel else 0))
        filters = b.dequantized(laid_out) if quant is None else b.const(laid_out.data, quant=laid_out.quant)
    else:
        filters = b.const(data)
    inputs = [b.to_nhwc(x), filters] if bias is None else [b.to_nhwc(x), filters, bias]
    attrs = place.attrs(kernel=False, dilation=True)
    if depthwise:
        multiplier = data.shape[2] // groups
        y = b.emit("depthwise_conv2d", inputs, {**attrs, "multiplier": multiplier}, quant=quant)
    else:
        y = b.emit("conv2d", inputs, {**attrs, "groups": groups}, quant=quant)
    return b.from_nhwc(y, rank)


def pool_window(node: SourceNode, x: Value) -> Window:
    spatial_rank(x)
    kernel = node.integers("kernel_shape")
    if kernel is None:
        raise ModelError("kernel_shape is missing")
    return window(node, x.shape[2:], kernel)


def max_pool(b: Builder, node: SourceNode) -> Value:
    if any(node.outputs[1:]):
        raise RefusedError("its second output (indices) is used", "replace unpooling by Resize")
    x = b.value(node, 0)
    place = pool_window(node, x)
    y = b.emit("max_pool2d", [b.to_nhwc(x)], place.attrs(kernel=True, dilation=True, overhang=True))
    return b.from_nhwc(y, len(x.shape))


def average_pool(b: Builder, node: SourceNode) -> Value:
    return average_pooled(b, node, b.value(node, 0))


def average_pooled(b: Builder, node: SourceNode, x: Value) -> Value:
    """Padding that counts and an overhang, which never counts, together become a pad before the pool."""
    place = pool_window(node, x)
    if place.dilation != (1, 1):
        raise RefusedError("dilations", "use a depthwise Conv with equal weights")
    counts = bool(node.integer("count_include_pad", 0))
    image = b.to_nhwc(x)
    if counts and any(place.overhang):
        image = b.pad(image, (0, *place.before, 0), (0, *place.after, 0))
        place = place._replace(before=(0, 0), after=(0, 0))
        counts = False
    attrs = {**place.attrs(kernel=True, dilation=False, overhang=True), "count_include_pad": counts}
    return b.from_nhwc(b.emit("average_pool2d", [image], attrs), len(x.shape))


def global_pool(function: ReduceFunction, b: Builder, node: SourceNode) -> Value:
    x = b.value(node, 0)
    return b.reduce(function, x, range(2, len(x.shape)))


def per_channel(b: Builder, x: Value, factors: Value) -> Value:
    """A vector [C] (a constant, or computed) shaped to multiply or to be added to x [N,C,...]."""
    shape = (-1, *[1] * (len(x.shape) - 2))
    if factors.data is not None:
        return b.const(factors.data.reshape(shape))
    return b.reshape(factors, (factors.shape[0], *shape[1:]))


def batch_normalization(b: Builder, node: SourceNode) -> Value:
    """scale * (x - mean) / sqrt(variance + epsilon) + bias, as one product and one sum per channel."""
    if node.integer("training_mode", 0) or any(node.outputs[1:]):
        raise RefusedError("it is in training mode", "export the model for inference")
    if node.opset < 9 and not node.integer("spatial", 1):
        raise RefusedError("spatial=0 (statistics for every pixel)", "use statistics per channel")
    x = b.value(node, 0)
    names = ("scale", "bias", "mean", "variance")
    scale, bias, mean, variance = (
        b.need_constant(node, index + 1, what).astype(np.float64) for index, what in enumerate(names)
    )
    spread = variance + node.number("epsilon", 1e-5)
    if not (spread > 0).all():
        raise ModelError("a variance plus epsilon is not positive")
    factor = scale / np.sqrt(spread)
    shape = (-1, *[1] * (len(x.shape) - 2))
    scaled = b.mul(x, factor.astype(np.float32).reshape(shape))
    return b.add(scaled, (bias - mean * factor).astype(np.float32).reshape(shape))


def instance_normalization(b: Builder, node: SourceNode) -> Value:
    """Of an image that a reshape made of groups of channels (GroupNorm of PyTorch): as the image."""
    x = b.value(node, 0)
    made = next((made for made in reversed(b.graph.nodes) if x in made.outputs), None)
    image = made.inputs[0] if made is not None and made.op == "reshape" and len(x.shape) == 3 else None
    apart = x
    if image is not None and len(image.shape) > 3 and image.shape[0] == x.shape[0] and not image.shape[1] % x.shape[1]:
        apart = _groups(b, image, x.shape[1])
    y = normalized(b, apart, tuple(range(2, len(apart.shape))), node.number("epsilon", 1e-5))
    y = b.add(b.mul(y, per_channel(b, apart, b.value(node, 1))), per_channel(b, apart, b.value(node, 2)))
    return b.reshape(y, x.shape)


def _groups(b: Builder, x: Value, groups: int) -> Value:
    """[N, C, ...] as [N, groups, C / groups, ...], so that pixels stay apart from channels."""
    if x.shape[1] % groups:
        raise ModelError(f"{x.shape[1]} channels do not make {groups} groups")
    return b.reshape(x, (x.shape[0], groups, x.shape[1] // groups, *x.shape[2:]))


def group_normalization(b: Builder, node: SourceNode) -> Value:
    """Scale and bias are per group before operator set 21, per channel since."""
    x, groups = b.value(node, 0), node.integer("num_groups", 1)
    apart = _groups(b, x, groups)
    y = normalized(b, apart, tuple(range(2, len(apart.shape))), node.number("epsilon", 1e-5))
    if node.opset < 21:
        y = b.add(b.mul(y, per_channel(b, y, b.value(node, 1))), per_channel(b, y, b.value(node, 2)))
        return b.reshape(y, x.shape)
    y = b.reshape(y, x.shape)
    return b.add(b.mul(y, per_channel(b, x, b.value(node, 1))), per_channel(b, x, b.value(node, 2)))


def local_response_normalization(b: Builder, node: SourceNode) -> Value:
    """x / (bias + alpha / size * sum of squares over `size` channels) ** beta; the sum is a 1x1 convolution."""
    x = b.value(node, 0)
    spatial_rank(x)
    channels, size = x.shape[1], node.integer("size", 1)
    index = np.arange(channels)
    distance = index[np.newaxis, :] - index[:, np.newaxis]  # input channel less output channel
    band = (distance >= -((size - 1) // 2)) & (distance <= size // 2)
    factor = np.float32(node.number("alpha", 1e-4) / size)
    weights = (band * factor).astype(np.float32).reshape(channels, 1, 1, channels)
    bias = np.full(channels, node.number("bias", 1.0), np.float32)
    image = b.to_nhwc(x)
    divisor = b.emit("conv2d", [b.unary(UnaryFunction.SQUARE, image), weights, bias])
    inverse = b.emit("binary", [divisor, -node.number("beta", 0.75)], {"function": BinaryFunction.POW})
    return b.from_nhwc(b.mul(image, inverse), len(x.shape))


def depth_to_space(b: Builder, node: SourceNode) -> Value:
    attrs = {"block": node.integer("blocksize", 1), "column_row_depth": node.text("mode", "DCR") == "CRD"}
    return b.from_nhwc(b.emit("depth_to_space", [b.to_nhwc(b.value(node, 0))], attrs), 4)


def space_to_depth(b: Builder, node: SourceNode) -> Value:
    attrs = {"block": node.integer("blocksize", 1)}
    return b.from_nhwc(b.emit("space_to_depth", [b.to_nhwc(b.value(node, 0))], attrs), 4)


COORDINATES = {
    "half_pixel": CoordinateMode.HALF_PIXEL,
    "asymmetric": CoordinateMode.ASYMMETRIC,
    "align_corners": CoordinateMode.ALIGN_CORNERS,
    "pytorch_half_pixel": CoordinateMode.PYTORCH_HALF_PIXEL,
}
NEAREST = {
    "floor": NearestMode.FLOOR,
    "ceil": NearestMode.CEIL,
    "round_prefer_floor": NearestMode.ROUND_PREFER_FLOOR,
    "round_prefer_ceil": NearestMode.ROUND_PREFER_CEIL,
}
RESIZE_MODES = {"nearest": ResizeMode.NEAREST, "linear": ResizeMode.BILINEAR, "bilinear": ResizeMode.BILINEAR}


def resize(b: Builder, node: SourceNode) -> Value:
    """Upsample (7, 9) and Resize of operator set 10 count from the corner and take the pixel below."""
    x = b.value(node, 0)
    old = node.op == "Upsample" or node.opset < 11
    coordinates = node.text("coordinate_transformation_mode", "asymmetric" if old else "half_pixel")
    nearest = node.text("nearest_mode", "floor" if old else "round_prefer_floor")
    mode = node.text("mode", "nearest")
    for what, found, known in (("mode", mode, list(RESIZE_MODES)), ("nearest_mode", nearest, list(NEAREST)),
                               ("coordinate_transformation_mode", coordinates, list(COORDINATES))):  # fmt: skip
        if found not in known:
            raise RefusedError(f"{what} {found!r}", f"use one of {', '.join(known)}")
    if node.integer("antialias", 0):
        raise RefusedError("antialias=1", "use antialias=0, or an average pool before it")
    if node.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise RefusedError("keep_aspect_ratio_policy", "state the sizes (policy 'stretch')")
    sizes, scales = _resize_target(b, node, x, old)
    changed = {axis for axis, (size, was) in enumerate(zip(sizes, x.shape, strict=True)) if size != was}
    changed |= {axis for axis, scale in enumerate(scales) if scale not in (0.0, 1.0)}
    if not changed:
        return x
    channels_last = len(x.shape) == 4 and changed <= {1, 2} and 1 in changed
    if len(x.shape) not in (3, 4) or not (channels_last or changed <= set(range(2, len(x.shape)))):
        raise RefusedError(
            f"it resizes the axes {sorted(changed)} of {list(x.shape)}", "only height and width can be resized"
        )
    if len(x.shape) == 3:
        sizes, scales = [*sizes[:2], 1, sizes[2]], [*scales[:2], 0.0, scales[2]]
    height, width = (1, 2) if channels_last else (2, 3)
    attrs = {
        "out_h": sizes[height], "out_w": sizes[width], "scale_h": scales[height], "scale_w": scales[width],
        "mode": RESIZE_MODES[mode], "coordinates": COORDINATES[coordinates], "nearest": NEAREST[nearest],
    }  # fmt: skip
    if channels_last:
        return b.emit("resize", [x], attrs)
    return b.from_nhwc(b.emit("resize", [b.to_nhwc(x)], attrs), len(x.shape))


def _resize_target(b: Builder, node: SourceNode, x: Value, old: bool) -> tuple[list[int], list[float]]:
    """Size of every axis, and the factors that the source states (0 where it states sizes)."""
    rank = len(x.shape)
    if node.op == "Upsample" and "scales" in node.attrs:
        given, axes = [float(item) for item in node.attrs["scales"]], list(range(rank))
        by_size = False
    else:
        axes = [axis % rank for axis in node.integers("axes") or range(rank)]
        position = 1 if old else 2
        stated = b.constant(node, position)
        by_size = not old and (stated is None or stated.size == 0) and node.has(3)
        what = "sizes" if by_size else "scales"
        given = [float(item) for item in b.need_constant(node, 3 if by_size else position, what).reshape(-1)]
    if len(given) != len(axes):
        raise ModelError(f"{len(given)} scales or sizes for {len(axes)} axes")
    sizes, scales = list(x.shape), [1.0] * rank
    for axis, number in zip(axes, given, strict=True):
        sizes[axis] = int(number) if by_size else math.floor(x.shape[axis] * number)
        scales[axis] = 0.0 if by_size else number
    if min(sizes) < 1:
        raise ModelError(f"it resizes {list(x.shape)} to {sizes}")
    return sizes, scales


HANDLERS: dict[str, Handler] = {
    "Conv": conv,
    "MaxPool": max_pool,
    "AveragePool": average_pool,
    "GlobalAveragePool": partial(global_pool, ReduceFunction.MEAN),
    "GlobalMaxPool": partial(global_pool, ReduceFunction.MAX),
    "BatchNormalization": batch_normalization,
    "InstanceNormalization": instance_normalization,
    "GroupNormalization": group_normalization,
    "LRN": local_response_normalization,
    "DepthToSpace": depth_to_space,
    "SpaceToDepth": space_to_depth,
    "Resize": resize,
    "Upsample": resize,
}
