"""TensorFlow handlers: convolutions, pools and normalisation, channels last or first.

SpaceToBatchND, a convolution and BatchToSpaceND, which is how TensorFlow writes dilated convolutions, become one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np

from edgert.dtypes import QuantParams
from edgert.errors import ModelError
from edgert.importers.builder import Array, QuantizedConstant, RefusedError
from edgert.importers.layers.axes import spatial
from edgert.importers.layers.conv import convolution
from edgert.importers.layers.conv_transposed import transposed_convolution
from edgert.importers.layers.norm import batch_norm, local_response_norm
from edgert.importers.layers.pool import average_pool, max_pool
from edgert.importers.layers.window import Window, window
from edgert.importers.tensorflow.builder import Builder, Handler, Outputs, SourceNode
from edgert.ir import Node, Value

PADDINGS = {"SAME": "SAME_UPPER", "VALID": "VALID", "EXPLICIT": ""}
Weights = QuantizedConstant | Array | Value
MOST_CHANNELS, MOST_TAPS = 4096, 1024
Number = TypeVar("Number", int, float)


def channels_last(node: SourceNode) -> bool:
    return not node.text("data_format", "NHWC").startswith("NC")


def _of_space(node: SourceNode, numbers: Sequence[int], rank: int, what: str) -> tuple[int, ...]:
    """The entries of a list of one number a dimension that are of spatial ones; the others must be 1."""
    if len(numbers) != rank:
        raise ModelError(f"its {what} {list(numbers)} do not have one number for each of {rank} dimensions")
    last = channels_last(node)
    if numbers[0] != 1 or numbers[-1 if last else 1] != 1:
        raise RefusedError(f"{what} {list(numbers)} reach over batches or channels", "use 1 there")
    return tuple(numbers[1:-1] if last else numbers[2:])


def place(node: SourceNode, sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int]) -> Window:
    """The window over spatial sizes, with the node's padding and dilations. strides: of every dimension."""
    rank = len(sizes) + 2
    padding = node.text("padding", "VALID")
    if padding not in PADDINGS:
        raise ModelError(f"its padding is {padding!r}")
    before = after = None
    if padding == "EXPLICIT":
        pairs = node.integers("explicit_paddings")
        if len(pairs) != 2 * rank:
            raise ModelError(f"its explicit paddings {list(pairs)} do not have two numbers for each dimension")
        last = channels_last(node)
        before, after = (part[1:-1] if last else part[2:] for part in (pairs[0::2], pairs[1::2]))
    dilations = node.integers("dilations", (1,) * rank) or (1,) * rank
    return window(
        sizes, kernel, stride=_of_space(node, strides, rank, "strides"),
        dilation=_of_space(node, dilations, rank, "dilations"), before=before, after=after, automatic=PADDINGS[padding],
    )  # fmt: skip


def _weights(b: Builder, node: SourceNode, index: int, perm: Sequence[int]) -> Weights:
    """Weights in another order of axes."""
    bound = node.inputs[index] if index < len(node.inputs) else None
    if isinstance(bound, QuantizedConstant):
        return bound.transposed(perm)
    value = b.value(node, index)
    if len(value.shape) != len(perm):
        raise ModelError(f"its weights {list(value.shape)} do not have {len(perm)} dimensions")
    data = b.constant(node, index)
    return b.transpose(value, perm) if data is None else np.ascontiguousarray(data.transpose(perm))


def _shape(weights: Weights) -> tuple[int, ...]:
    return tuple(weights.data.shape if isinstance(weights, QuantizedConstant) else weights.shape)


def need_rank(x: Value, rank: int) -> None:
    if len(x.shape) != rank:
        raise ModelError(f"its input {list(x.shape)} does not have {rank} dimensions")


def conv(rank: int, b: Builder, node: SourceNode) -> Value:
    """Weights [*kernel, I/groups, O]. rank: of the tensors, 4 or 5."""
    x, last = b.value(node, 0), channels_last(node)
    need_rank(x, rank)
    weights = _weights(b, node, 1, (rank - 1, rank - 2, *range(rank - 2)))
    _, inner, *kernel = _shape(weights)
    channels = x.shape[-1] if last else x.shape[1]
    if inner < 1 or channels % inner:
        raise ModelError(f"weights for {inner} channels, and an input of {channels}")
    where = place(node, spatial(x, last), kernel, node.integers("strides"))
    if isinstance(weights, Value) and math.prod(kernel) > MOST_TAPS:
        raise RefusedError(f"a computed kernel of {kernel}", f"use at most {MOST_TAPS} taps, or a constant kernel")
    return convolution(b, x, weights, None, where, channels // inner, channels_last=last)


def depthwise(b: Builder, node: SourceNode) -> Value:
    """Weights [KH, KW, C, multiplier]; output channel c * multiplier + m reads input channel c."""
    x, last = b.value(node, 0), channels_last(node)
    need_rank(x, 4)
    weights = _each_channel(b, _weights(b, node, 1, (2, 3, 0, 1)))
    channels = x.shape[-1] if last else x.shape[1]
    where = place(node, spatial(x, last), _shape(weights)[2:], node.integers("strides"))
    if isinstance(weights, Value) and math.prod(where.kernel) > MOST_TAPS:
        raise RefusedError(f"a computed kernel of {where.kernel}", f"use at most {MOST_TAPS} taps")
    return convolution(b, x, weights, None, where, channels, channels_last=last)


def _each_channel(b: Builder, weights: Weights) -> Weights:
    """[C, M, KH, KW] as [C*M, 1, KH, KW]; scales per channel are spread, those along C or M alike."""
    channels, multiplier, *kernel = _shape(weights)
    shape = (channels * multiplier, 1, *kernel)
    if isinstance(weights, Value):
        return b.reshape(weights, shape)
    if not isinstance(weights, QuantizedConstant):
        return weights.reshape(shape)
    quant = weights.quant
    if quant.per_channel:
        if quant.axis not in (0, 1):
            raise RefusedError("its weights are quantised along height or width", "quantise them per channel")
        of_inputs = quant.axis == 0
        quant = QuantParams(
            _spread(quant.scales, of_inputs, channels, multiplier),
            _spread(quant.zero_points, of_inputs, channels, multiplier),
            0,
        )
    return QuantizedConstant(weights.data.reshape(shape), quant)


def _spread(items: tuple[Number, ...], of_inputs: bool, channels: int, multiplier: int) -> tuple[Number, ...]:
    if of_inputs:
        return tuple(item for item in items for _ in range(multiplier))
    return items * channels


def conv_transposed(rank: int, b: Builder, node: SourceNode) -> Value:
    """Conv2DBackpropInput: the output's shape, weights [*kernel, O, I], the input. Where the convolution that it
    reverses pads, the full result is cut off."""
    x, last = b.value(node, 2), channels_last(node)
    need_rank(x, rank)
    sizes = b.ints(node, 0, "output shape")
    if len(sizes) == rank:
        sizes = sizes[1:-1] if last else sizes[2:]
    if len(sizes) != rank - 2 or min(sizes) < 1:
        raise ModelError(f"its output shape {list(sizes)} does not fit {rank} dimensions")
    weights = _weights(b, node, 1, (rank - 1, rank - 2, *range(rank - 2)))
    where = place(node, sizes, _shape(weights)[2:], node.integers("strides"))
    if where.sizes(sizes) != spatial(x, last):
        raise ModelError(f"an input {list(x.shape)} does not give an output of {list(sizes)}")
    channels = x.shape[-1] if last else x.shape[1]
    return transposed_convolution(
        b, x, weights, None, stride=where.stride, dilation=where.dilation, before=where.before, out=sizes,
        groups=channels // max(_shape(weights)[0], 1), channels_last=last,
    )  # fmt: skip


def depthwise_transposed(b: Builder, node: SourceNode) -> Value:
    x, last = b.value(node, 2), channels_last(node)
    need_rank(x, 4)
    sizes = b.ints(node, 0, "output shape")
    if len(sizes) != 4 or min(sizes) < 1:
        raise ModelError(f"its output shape is {list(sizes)}")
    sizes = sizes[1:-1] if last else sizes[2:]
    weights = _weights(b, node, 1, (2, 3, 0, 1))
    if _shape(weights)[1] != 1:
        raise RefusedError("its channel multiplier is not 1", "use a multiplier of 1")
    where = place(node, sizes, _shape(weights)[2:], node.integers("strides"))
    return transposed_convolution(
        b, x, weights, None, stride=where.stride, dilation=where.dilation, before=where.before, out=sizes,
        groups=_shape(weights)[0], channels_last=last,
    )  # fmt: skip


def pool(largest: bool, b: Builder, node: SourceNode) -> Value:
    x, last = b.value(node, 0), channels_last(node)
    rank = 5 if node.op.endswith("3D") else 4
    need_rank(x, rank)
    if node.op == "MaxPoolV2":
        kernel, strides = b.ints(node, 1, "kernel"), b.ints(node, 2, "strides")
    else:
        kernel, strides = node.integers("ksize"), node.integers("strides")
    where = place(node, spatial(x, last), _of_space(node, kernel, rank, "window"), strides)
    if largest:
        return max_pool(b, x, where, channels_last=last)
    return average_pool(b, x, where, counts_padding=False, channels_last=last)


def fused_batch_norm(b: Builder, node: SourceNode) -> Outputs:
    """By stored statistics, which are the second and third output too; by those of the batch when it trains."""
    x, last = b.value(node, 0), channels_last(node)
    axis = len(x.shape) - 1 if last else 1
    scale, offset = b.value(node, 1), b.value(node, 2)
    if node.flag("is_training", True):
        raise RefusedError("it normalises by the batch's own statistics", "freeze the graph for inference")
    mean, variance = b.value(node, 3), b.value(node, 4)
    y = batch_norm(b, x, scale, offset, mean, variance, node.number("epsilon", 1e-4), axis)
    return [y, mean, variance]


def old_batch_norm(b: Builder, node: SourceNode) -> Value:
    """BatchNormWithGlobalNormalization: t, mean, variance, beta, gamma."""
    x, mean, variance, offset, scale = (b.value(node, index) for index in range(5))
    used = scale if node.flag("scale_after_normalization") else None
    return batch_norm(b, x, used, offset, mean, variance, node.number("variance_epsilon", 0.0), len(x.shape) - 1)


def lrn(b: Builder, node: SourceNode) -> Value:
    x = b.value(node, 0)
    need_rank(x, 4)
    if x.shape[3] > MOST_CHANNELS:
        raise RefusedError(f"a normalisation over {x.shape[3]} channels", f"use at most {MOST_CHANNELS}")
    radius = node.integer("depth_radius", 5)
    alpha, beta, bias = (node.number(name, 0.5 if name == "beta" else 1.0) for name in ("alpha", "beta", "bias"))
    return local_response_norm(b, x, 2 * min(radius, x.shape[3]) + 1, alpha, beta, bias, channels_last=True)


def depth_space(op: str, b: Builder, node: SourceNode) -> Value:
    x = b.value(node, 0)
    need_rank(x, 4)
    if node.text("data_format", "NHWC") == "NCHW_VECT_C":
        raise RefusedError("data_format 'NCHW_VECT_C'", "use NHWC")
    attrs = {"block": node.integer("block_size", 2)}
    if channels_last(node):
        return b.emit(op, [x], attrs)
    return b.from_nhwc(b.emit(op, [b.to_nhwc(x)], attrs), 4)


# Dilated convolutions


@dataclass(frozen=True)
class Batched:
    """What SpaceToBatchND was given."""

    x: Value
    block: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]


def _blocks(b: Builder, node: SourceNode, x: Value) -> tuple[tuple[int, ...], list[tuple[int, int]]]:
    if node.op.endswith("ND"):
        block, pairs = b.ints(node, 1, "block"), b.need_constant(node, 2, "padding")
    else:  # SpaceToBatch: one block size for height and width
        block, pairs = (node.integer("block_size", 2),) * 2, b.need_constant(node, 1, "padding")
    if pairs.shape != (len(block), 2) or len(block) >= len(x.shape) or min(block, default=1) < 1 or (pairs < 0).any():
        raise ModelError(f"block {list(block)} and padding {pairs.tolist()} for {len(x.shape)} dimensions")
    return block, [(int(before), int(after)) for before, after in pairs]


def space_to_batch(b: Builder, node: SourceNode) -> Value:
    """Every block-th position of the padded space, from each start, becomes a batch of its own."""
    source = b.value(node, 0)
    block, pads = _blocks(b, node, source)
    count = len(block)
    rest = len(source.shape) - 1 - count
    before, after = ((0, *(pair[end] for pair in pads), *(0,) * rest) for end in (0, 1))
    x = b.pad(source, before, after)
    space = x.shape[1 : 1 + count]
    if any(size % step for size, step in zip(space, block, strict=True)):
        raise ModelError(f"the padded space {list(space)} is no multiple of the block {list(block)}")
    parts = [part for size, step in zip(space, block, strict=True) for part in (size // step, step)]
    y = b.reshape(x, (x.shape[0], *parts, *x.shape[1 + count :]))
    steps = [2 + 2 * index for index in range(count)]
    y = b.transpose(y, [*steps, *(axis for axis in range(len(y.shape)) if axis not in steps)])
    y = b.reshape(y, (x.shape[0] * math.prod(block), *parts[::2], *x.shape[1 + count :]))
    b.batched[y] = Batched(source, block, tuple(pads))
    return y


def batch_to_space(b: Builder, node: SourceNode) -> Value:
    """The inverse of SpaceToBatchND, with crops in place of padding."""
    x = b.value(node, 0)
    block, crops = _blocks(b, node, x)
    dilated = _dilated(b, x, block, crops)
    if dilated is not None:
        return dilated
    count = len(block)
    if x.shape[0] % math.prod(block):
        raise ModelError(f"a batch of {x.shape[0]} is no multiple of the block {list(block)}")
    batch, space, rest = x.shape[0] // math.prod(block), x.shape[1 : 1 + count], x.shape[1 + count :]
    y = b.reshape(x, (*block, batch, *space, *rest))
    order = [count, *(axis for index in range(count) for axis in (count + 1 + index, index))]
    y = b.transpose(y, [*order, *range(2 * count + 1, len(y.shape))])
    whole = [size * step for size, step in zip(space, block, strict=True)]
    y = b.reshape(y, (batch, *whole, *rest))
    ends = [size - after for size, (_, after) in zip(whole, crops, strict=True)]
    if any(end <= before for end, (before, _) in zip(ends, crops, strict=True)):
        raise ModelError(f"its crops {crops} leave nothing of {whole}")
    begins = (0, *(before for before, _ in crops), *(0,) * len(rest))
    return b.slices(y, begins, (batch, *ends, *rest), (1,) * len(y.shape))


def _dilated(b: Builder, x: Value, block: tuple[int, ...], crops: list[tuple[int, int]]) -> Value | None:
    """The convolution between the two, as a dilated one of the tensor before them: each start of the grid has its own
    batch, so that the convolution sees each block-th pixel. None for anything else.

    A sequence is an image of height 1 meanwhile: there, reshapes stand around the convolution.
    """
    made = {value: node for node in b.graph.nodes[-8:] for value in node.outputs}
    node = _through_reshape(made, x)
    if node is None or node.op not in ("conv2d", "depthwise_conv2d") or node.inputs[0] is None:
        return None
    image = node.inputs[0]
    before = b.batched.get(image)
    if before is None and image in made and made[image].op == "reshape" and (inner := made[image].inputs[0]):
        before = b.batched.get(inner)
    window_attrs = ("stride_h", "stride_w", "dilation_h", "dilation_w")
    padding = ("pad_top", "pad_bottom", "pad_left", "pad_right")
    if before is None or before.block != block or any(node.attrs[name] != 1 for name in window_attrs):
        return None
    if any(node.attrs[name] for name in padding):
        return None
    margins = [(pad[0] - crop[0], pad[1] - crop[1]) for pad, crop in zip(before.pads, crops, strict=True)]
    if any(end < 0 for pair in margins for end in pair):
        return None
    source = before.x
    if len(block) == 1 and len(source.shape) == 3 and image.shape[1] == 1:
        source, block = b.reshape(source, (source.shape[0], 1, *source.shape[1:])), (1, *block)
        margins = [(0, 0), *margins]
    if len(block) != 2 or len(source.shape) != 4:
        return None
    attrs = {**node.attrs, "dilation_h": block[0], "dilation_w": block[1]}
    attrs |= dict(zip(padding, (*margins[0], *margins[1]), strict=True))
    y = b.emit(node.op, [source, *node.inputs[1:]], attrs)
    return b.reshape(y, (y.shape[0], *y.shape[2:])) if len(x.shape) == 3 else y


def _through_reshape(made: dict[Value, Node], x: Value) -> Node | None:
    node = made.get(x)
    if node is not None and node.op == "reshape" and node.inputs[0] is not None and len(x.shape) == 3:
        return made.get(node.inputs[0])
    return node


HANDLERS: dict[str, Handler] = {
    "Conv2D": partial(conv, 4),
    "Conv3D": partial(conv, 5),
    "DepthwiseConv2dNative": depthwise,
    "Conv2DBackpropInput": partial(conv_transposed, 4),
    "Conv3DBackpropInputV2": partial(conv_transposed, 5),
    "DepthwiseConv2dNativeBackpropInput": depthwise_transposed,
    "MaxPool": partial(pool, True),
    "MaxPoolV2": partial(pool, True),
    "MaxPool3D": partial(pool, True),
    "MaxPoolWithArgmax": partial(pool, True),
    "AvgPool": partial(pool, False),
    "AvgPool3D": partial(pool, False),
    "FusedBatchNorm": fused_batch_norm,
    "FusedBatchNormV2": fused_batch_norm,
    "FusedBatchNormV3": fused_batch_norm,
    "BatchNormWithGlobalNormalization": old_batch_norm,
    "LRN": lrn,
    "DepthToSpace": partial(depth_space, "depth_to_space"),
    "SpaceToDepth": partial(depth_space, "space_to_depth"),
    "SpaceToBatchND": space_to_batch,
    "SpaceToBatch": space_to_batch,
    "BatchToSpaceND": batch_to_space,
    "BatchToSpace": batch_to_space,
}
