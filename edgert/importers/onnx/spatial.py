"""ONNX handlers: convolutions, pools, resizing and normalisation of images [N,C,H,W] and sequences [N,C,L].

A sequence is an image of height 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from edgert.dtypes import QuantParams
from edgert.errors import ModelError
from edgert.importers.layers import conv as conv_layers
from edgert.importers.layers import norm, pool
from edgert.importers.layers.resize import resize as resized
from edgert.importers.layers.window import Window, window
from edgert.importers.onnx.builder import Builder, Handler, QuantizedConstant, RefusedError, SourceNode
from edgert.ir import Value
from edgert.ops._enums import ReduceFunction


def placed(node: SourceNode, sizes: Sequence[int], kernel: Sequence[int]) -> Window:
    """The window of a node over an input of the given spatial sizes, automatic padding and ceil_mode resolved."""
    rank = len(sizes)
    pads = node.integers("pads") or (0,) * (2 * rank)
    if len(pads) != 2 * rank:
        raise ModelError(f"{len(pads)} pads do not fit {rank} spatial dimensions")
    return window(
        sizes,
        kernel,
        stride=node.integers("strides"),
        dilation=node.integers("dilations"),
        before=pads[:rank],
        after=pads[rank:],
        automatic=node.text("auto_pad", "NOTSET"),
        ceil=bool(node.integer("ceil_mode", 0)),
    )


def weights_of(b: Builder, node: SourceNode, index: int) -> conv_layers.Weights:
    """A constant, a quantised constant, or what is computed at run time."""
    stored = b.quantized.get(node.inputs[index]) if node.has(index) else None
    if stored is not None:
        return stored
    constant = b.constant(node, index)
    return b.value(node, index) if constant is None else constant


def conv(b: Builder, node: SourceNode) -> Value:
    return convolution(b, node, b.value(node, 0), weights_of(b, node, 1), b.optional(node, 2))


def convolution(
    b: Builder,
    node: SourceNode,
    x: Value,
    weights: conv_layers.Weights,
    bias: Value | None,
    quant: QuantParams | None = None,
) -> Value:
    """Convolution of x [N, C, ...] with source weights [O, C/groups, ...]; quant as in layers.conv."""
    shape = weights.data.shape if isinstance(weights, QuantizedConstant) else weights.shape
    kernel = node.integers("kernel_shape") or shape[2:]
    if len(shape) != len(x.shape) or tuple(kernel) != tuple(shape[2:]):
        raise ModelError(f"weights {list(shape)} do not fit an input {list(x.shape)} and kernel {list(kernel)}")
    place = placed(node, x.shape[2:], kernel)
    return conv_layers.convolution(b, x, weights, bias, place, node.integer("group", 1), quant=quant)


def pool_window(node: SourceNode, x: Value) -> Window:
    kernel = node.integers("kernel_shape")
    if kernel is None:
        raise ModelError("kernel_shape is missing")
    return placed(node, x.shape[2:], kernel)


def average_pool(b: Builder, node: SourceNode) -> Value:
    return average_pooled(b, node, b.value(node, 0))


def average_pooled(b: Builder, node: SourceNode, x: Value) -> Value:
    counts = bool(node.integer("count_include_pad", 0))
    return pool.average_pool(b, x, pool_window(node, x), counts_padding=counts)


def global_pool(function: ReduceFunction, b: Builder, node: SourceNode) -> Value:
    return pool.global_pool(b, b.value(node, 0), function)


def batch_normalization(b: Builder, node: SourceNode) -> Value:
    if node.integer("training_mode", 0) or any(node.outputs[1:]):
        raise RefusedError("it is in training mode", "export the model for inference")
    if node.opset < 9 and not node.integer("spatial", 1):
        raise RefusedError("spatial=0 (statistics for every pixel)", "use statistics per channel")
    x = b.value(node, 0)
    scale, bias, mean, variance = (
        b.value(node, index) if b.constant(node, index) is None and not b.is_constant(node, index)
        else b.need_constant(node, index, what)
        for index, what in enumerate(("scale", "bias", "mean", "variance"), start=1)
    )  # fmt: skip
    return norm.batch_norm(b, x, scale, bias, mean, variance, node.number("epsilon", 1e-5))


def instance_normalization(b: Builder, node: SourceNode) -> Value:
    """Of an image that a reshape made of groups of channels (GroupNorm of PyTorch): as the image."""
    x = b.value(node, 0)
    made = next((made for made in reversed(b.graph.nodes) if x in made.outputs), None)
    image = made.inputs[0] if made is not None and made.op == "reshape" and len(x.shape) == 3 else None
    apart = x
    if image is not None and len(image.shape) > 3 and image.shape[0] == x.shape[0] and not image.shape[1] % x.shape[1]:
        apart = _groups(b, image, x.shape[1])
    y = norm.instance_norm(b, apart, b.value(node, 1), b.value(node, 2), node.number("epsilon", 1e-5))
    return b.reshape(y, x.shape)


def _groups(b: Builder, x: Value, groups: int) -> Value:
    """[N, C, ...] as [N, groups, C / groups, ...], so that pixels stay apart from channels."""
    if groups < 1 or x.shape[1] % groups:
        raise ModelError(f"{x.shape[1]} channels do not make {groups} groups")
    return b.reshape(x, (x.shape[0], groups, x.shape[1] // groups, *x.shape[2:]))


def group_normalization(b: Builder, node: SourceNode) -> Value:
    """Scale and bias are per group before operator set 21, per channel since."""
    x, groups, epsilon = b.value(node, 0), node.integer("num_groups", 1), node.number("epsilon", 1e-5)
    if node.opset >= 21:
        return norm.group_norm(b, x, groups, b.value(node, 1), b.value(node, 2), epsilon)
    y = norm.instance_norm(b, _groups(b, x, groups), b.value(node, 1), b.value(node, 2), epsilon)
    return b.reshape(y, x.shape)


def local_response_normalization(b: Builder, node: SourceNode) -> Value:
    size = node.integer("size", 1)
    alpha, beta, bias = node.number("alpha", 1e-4), node.number("beta", 0.75), node.number("bias", 1.0)
    return norm.local_response_norm(b, b.value(node, 0), size, alpha / max(size, 1), beta, bias)


def depth_to_space(b: Builder, node: SourceNode) -> Value:
    attrs = {"block": node.integer("blocksize", 1), "column_row_depth": node.text("mode", "DCR") == "CRD"}
    return b.from_nhwc(b.emit("depth_to_space", [b.to_nhwc(b.value(node, 0))], attrs), 4)


def space_to_depth(b: Builder, node: SourceNode) -> Value:
    """DCR: the pixels of a block, each with all channels; CRD: the channels, each with all pixels of a block."""
    if node.text("mode", "DCR") == "CRD":
        x, block = b.value(node, 0), node.integer("blocksize", 1)
        batch, channels, height, width = x.shape
        if block < 1 or height % block or width % block:
            raise ModelError(f"blocks of {block} do not divide {height} x {width}")
        apart = b.reshape(x, (batch, channels, height // block, block, width // block, block))
        together = b.transpose(apart, (0, 1, 3, 5, 2, 4))
        return b.reshape(together, (batch, channels * block * block, height // block, width // block))
    attrs = {"block": node.integer("blocksize", 1)}
    return b.from_nhwc(b.emit("space_to_depth", [b.to_nhwc(b.value(node, 0))], attrs), 4)


def resize(b: Builder, node: SourceNode) -> Value:
    """Upsample (7, 9) and Resize of operator set 10 count from the corner and take the pixel below."""
    x = b.value(node, 0)
    old = node.op == "Upsample" or node.opset < 11
    mode = node.text("mode", "nearest")
    coordinates = node.text("coordinate_transformation_mode", "asymmetric" if old else "half_pixel")
    sizes, scales, axes = _resize_target(b, node, x, old)
    crop = None
    if coordinates == "tf_crop_and_resize":
        crop = [(0.0, 1.0)] * len(x.shape)
        region = b.need_constant(node, 1, "region of interest").reshape(-1)
        for at, axis in enumerate(axes):
            crop[axis] = (float(region[at]), float(region[at + len(axes)]))
    return resized(
        b,
        x,
        sizes,
        scales=scales,
        mode={"bilinear": "linear"}.get(mode, mode),
        coordinates=coordinates,
        nearest=node.text("nearest_mode", "floor" if old else "round_prefer_floor"),
        cubic_coefficient=node.number("cubic_coeff_a", -0.75),
        exclude_outside=bool(node.integer("exclude_outside", 0)),
        antialias=bool(node.integer("antialias", 0)),
        crop=crop,
        extrapolation=node.number("extrapolation_value", 0.0),
    )


def _resize_target(b: Builder, node: SourceNode, x: Value, old: bool) -> tuple[list[int], list[float], list[int]]:
    """Size of every axis, the factors that the source states (0 where it states sizes), and the axes it names."""
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
    policy = node.text("keep_aspect_ratio_policy", "stretch")
    if by_size and policy != "stretch":  # one factor for all axes
        factors = [number / x.shape[axis] for axis, number in zip(axes, given, strict=True)]
        factor = min(factors) if policy == "not_larger" else max(factors)
        for axis in axes:
            sizes[axis], scales[axis] = math.floor(x.shape[axis] * factor + 0.5), factor
    if min(sizes) < 1:
        raise ModelError(f"it resizes {list(x.shape)} to {sizes}")
    return sizes, scales, axes


HANDLERS: dict[str, Handler] = {
    "Conv": conv,
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
