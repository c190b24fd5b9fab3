"""ONNX handler of ConvTranspose: a convolution whose channels become pixels (see layers.transposed)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgert.dtypes import QuantParams
from edgert.errors import ModelError
from edgert.importers.layers import transposed
from edgert.importers.onnx.builder import Array, Builder, Handler, QuantizedConstant, RefusedError, SourceNode
from edgert.importers.onnx.spatial import spatial_rank
from edgert.ir import Value

OUTPUTS = (1, 2, 3, 0)  # [I, O, KH, KW] -> [O, KH, KW, I]


def conv_transpose(b: Builder, node: SourceNode) -> Value:
    """x [N,I,H,W] or [N,I,L], weights [I,O/groups,...]. One group, or as many as channels (then O = I)."""
    x = b.value(node, 0)
    rank = spatial_rank(x)
    groups = node.integer("group", 1)
    stored = b.quantized.get(node.inputs[1])
    if stored is not None and (groups > 1 or (stored.quant.per_channel and stored.quant.axis != 1)):
        stored = None  # dequantised below
    data = b.need_constant(node, 1, "weights") if stored is None else stored.data
    zero_point = 0 if stored is None or stored.quant.per_channel else stored.quant.zero_point
    if data.ndim != rank + 2 or data.shape[0] != x.shape[1]:
        raise ModelError(f"weights {list(data.shape)} do not fit an input {list(x.shape)}")
    if groups > 1 and (groups != x.shape[1] or data.shape[1] != 1):
        raise RefusedError(
            f"{groups} groups of several channels", "use one group, or Resize (nearest or linear) followed by Conv"
        )
    sides = _sides(node, x.shape[2:], data.shape[2:])
    strides, dilations = (node.integers(name) or (1,) * rank for name in ("strides", "dilations"))
    if rank == 1:  # an image of height 1
        data, strides, dilations, sides = data[:, :, np.newaxis], (1, *strides), (1, *dilations), [(1, 0), *sides]
    spread = _dilated(data, dilations, zero_point).transpose(OUTPUTS if groups == 1 else (0, 2, 3, 1))
    image = b.to_nhwc(x)
    rows, columns = (
        transposed.axis(size, out, kernel, stride, crop)
        for size, kernel, stride, (out, crop) in zip(
            image.shape[1:3], spread.shape[1:3], strides, sides, strict=True
        )
    )  # fmt: skip
    blocks = rows.stride * columns.stride
    weights = transposed.as_convolution(np.ascontiguousarray(spread), rows, columns, zero_point)
    attrs = {
        "pad_top": rows.before, "pad_bottom": rows.after, "pad_left": columns.before, "pad_right": columns.after,
    }  # fmt: skip
    bias = _bias(b, node, blocks, depthwise=groups > 1)
    if groups > 1:  # [blocks * C, KH, KW, 1] -> [KH, KW, C * blocks]
        parts = weights.reshape(blocks, groups, rows.taps, columns.taps).transpose(2, 3, 1, 0)
        filters = b.const(np.ascontiguousarray(parts).reshape(rows.taps, columns.taps, groups * blocks))
        y = b.emit("depthwise_conv2d", [image, filters, bias], {**attrs, "multiplier": blocks})
    else:
        filters = b.const(weights)
        if stored is not None:
            old = stored.quant
            quant = QuantParams(old.scales * blocks, old.zero_points * blocks, 0) if old.per_channel else old
            filters = b.dequantized(QuantizedConstant(weights, quant))
        y = b.emit("conv2d", [image, filters, bias], attrs)
    y = _blocks_to_pixels(b, y, (rows.stride, columns.stride), channels_first=groups > 1)
    (height, _), (width, _) = sides
    begin = (0, rows.begin, columns.begin, 0)
    ends = (y.shape[0], rows.begin + height, columns.begin + width, y.shape[3])
    return b.from_nhwc(b.slices(y, begin, ends, (1, 1, 1, 1)), len(x.shape))


def _sides(node: SourceNode, sizes: Sequence[int], kernel: Sequence[int]) -> list[tuple[int, int]]:
    """Of every spatial axis: the output's size, and how much of the full result comes before it."""
    rank = len(sizes)
    strides, dilations = (node.integers(name) or (1,) * rank for name in ("strides", "dilations"))
    pads = node.integers("pads") or (0,) * (2 * rank)
    extra = node.integers("output_padding") or (0,) * rank
    stated = node.integers("output_shape")
    if {len(strides), len(dilations), len(extra), len(pads) // 2} != {rank}:
        raise ModelError(f"strides, dilations, pads or output_padding do not fit {rank} spatial dimensions")
    if min(*strides, *dilations) < 1 or min(*pads, *extra) < 0:
        raise ModelError("strides and dilations must be at least 1, pads and output_padding at least 0")
    automatic = node.text("auto_pad", "NOTSET")
    if automatic.startswith("SAME") and stated is None:
        stated = tuple(size * stride for size, stride in zip(sizes, strides, strict=True))
    sides = []
    for axis, size in enumerate(sizes):
        full = strides[axis] * (size - 1) + (kernel[axis] - 1) * dilations[axis] + 1 + extra[axis]
        if stated is not None:
            out = stated[-rank:][axis]
            total = max(full - out, 0)
            sides.append((out, total // 2 if automatic == "SAME_UPPER" else total - total // 2))
        elif automatic == "VALID":
            sides.append((full, 0))
        else:
            sides.append((full - pads[axis] - pads[rank + axis], pads[axis]))
    return sides


def _dilated(data: Array, dilations: Sequence[int], fill: int) -> Array:
    """Weights [I, O, KH, KW] with the steps between their taps filled."""
    height, width = ((size - 1) * step + 1 for size, step in zip(data.shape[2:], dilations, strict=True))
    full = np.full((*data.shape[:2], height, width), fill, data.dtype)
    full[:, :, :: dilations[0], :: dilations[1]] = data
    return full


def _bias(b: Builder, node: SourceNode, blocks: int, depthwise: bool) -> Value | None:
    """The bias once for every pixel of a block, in the order of the convolution's channels."""
    if not node.has(2):
        return None

    def spread(items: Array) -> Array:
        return np.repeat(items, blocks) if depthwise else np.tile(items, blocks)

    stored = b.quantized.get(node.inputs[2])
    if stored is None:
        return b.const(spread(b.need_constant(node, 2, "bias")))
    quant = stored.quant
    if quant.per_channel:
        scales, zeros = (spread(np.asarray(numbers)).tolist() for numbers in (quant.scales, quant.zero_points))
        quant = QuantParams(tuple(scales), tuple(zeros), 0)
    return b.dequantized(QuantizedConstant(spread(stored.data), quant))


def _blocks_to_pixels(b: Builder, x: Value, block: tuple[int, int], channels_first: bool) -> Value:
    """[N, H, W, BH*BW*C], or [N, H, W, C*BH*BW], to [N, H*BH, W*BW, C]."""
    (n, height, width, depth), (rows, columns) = x.shape, block
    channels = depth // (rows * columns)
    if rows == columns:
        attrs = {"block": rows, "column_row_depth": channels_first}
        return b.emit("depth_to_space", [x], attrs) if rows > 1 else x
    if channels_first:
        parts = b.transpose(b.reshape(x, (n, height, width, channels, rows, columns)), (0, 1, 4, 2, 5, 3))
    else:
        parts = b.transpose(b.reshape(x, (n, height, width, rows, columns, channels)), (0, 1, 3, 2, 4, 5))
    return b.reshape(parts, (n, height * rows, width * columns, channels))


HANDLERS: dict[str, Handler] = {"ConvTranspose": conv_transpose}
