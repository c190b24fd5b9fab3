"""Normalisation: by stored statistics, over axes of the tensor, over groups, over neighbouring channels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgert.errors import ModelError
from edgert.importers.builder import Array, GraphBuilder, Operand, RefusedError
from edgert.importers.layers import axes as layout
from edgert.ir import Value
from edgert.ops._enums import BinaryFunction, ReduceFunction, UnaryFunction

MOST_CHANNELS = 1 << 12  # of a normalisation across channels: its matrix has as many squared


def along(b: GraphBuilder, x: Value, factors: Operand, axis: int) -> Value:
    """A vector [C] (a constant, or computed) shaped to multiply or to be added to x along one axis."""
    value = b.operand(factors)
    rank = len(x.shape)
    shape = [1] * rank
    shape[axis % rank] = value.shape[0] if value.shape else 1
    return b.const(value.data.reshape(shape)) if value.constant and value.data is not None else b.reshape(value, shape)


def batch_norm(
    b: GraphBuilder,
    x: Value,
    scale: Operand | None,
    bias: Operand | None,
    mean: Operand,
    variance: Operand,
    epsilon: float,
    axis: int = 1,
) -> Value:
    """scale * (x - mean) / sqrt(variance + epsilon) + bias along an axis, as one product and one sum per channel."""
    operands = [None if item is None else b.operand(item) for item in (scale, bias, mean, variance)]
    if all(item is None or (item.constant and item.quant is None) for item in operands):
        return _stored(b, x, [None if item is None else item.data for item in operands], epsilon, axis)
    factor: Value = b.unary(UnaryFunction.RSQRT, b.add(b.operand(variance), epsilon))
    factor = factor if scale is None else b.mul(factor, scale)
    y = b.mul(b.sub(x, along(b, x, mean, axis)), along(b, x, factor, axis))
    return y if bias is None else b.add(y, along(b, x, bias, axis))


def _stored(b: GraphBuilder, x: Value, constants: Sequence[Array | None], epsilon: float, axis: int) -> Value:
    scale, bias, mean, variance = (None if item is None else item.astype(np.float64) for item in constants)
    assert mean is not None
    assert variance is not None
    spread = variance + epsilon
    if not (spread > 0).all():
        raise ModelError("a variance plus epsilon is not positive")
    factor = (1.0 if scale is None else scale) / np.sqrt(spread)
    offset = (0.0 if bias is None else bias) - mean * factor
    scaled = b.mul(x, along(b, x, factor.astype(np.float32), axis))
    return b.add(scaled, along(b, x, offset.astype(np.float32), axis))


def normalized(b: GraphBuilder, x: Value, over: Sequence[int], epsilon: float) -> Value:
    """(x - mean) / sqrt(variance + epsilon) over the axes."""
    centred = b.sub(x, b.mean(x, over))
    variance = b.mean(b.unary(UnaryFunction.SQUARE, centred), over)
    return b.mul(centred, b.unary(UnaryFunction.RSQRT, b.add(variance, epsilon)))


def layer_norm(
    b: GraphBuilder, x: Value, over: Sequence[int], scale: Operand | None, bias: Operand | None, epsilon: float
) -> Value:
    """Over the axes; scale and bias are broadcast to x as they are."""
    y = normalized(b, x, over, epsilon)
    y = y if scale is None else b.mul(y, scale)
    return y if bias is None else b.add(y, bias)


def rms_norm(b: GraphBuilder, x: Value, over: Sequence[int], scale: Operand | None, epsilon: float) -> Value:
    """x / sqrt(mean of squares + epsilon) over the axes, times scale."""
    power = b.mean(b.unary(UnaryFunction.SQUARE, x), over)
    y = b.mul(x, b.unary(UnaryFunction.RSQRT, b.add(power, epsilon)))
    return y if scale is None else b.mul(y, scale)


def l2_norm(b: GraphBuilder, x: Value, over: Sequence[int], epsilon: float, *, inside: bool = False) -> Value:
    """x / max(norm, epsilon) over the axes; inside: x / sqrt(sum of squares + epsilon)."""
    total = b.reduce(ReduceFunction.SUM, b.unary(UnaryFunction.SQUARE, x), over)
    if inside:
        return b.mul(x, b.unary(UnaryFunction.RSQRT, b.add(total, epsilon)))
    least = b.emit("binary", [total, epsilon * epsilon], {"function": BinaryFunction.MAXIMUM})
    return b.mul(x, b.unary(UnaryFunction.RSQRT, least))


def group_norm(
    b: GraphBuilder,
    x: Value,
    groups: int,
    scale: Operand | None,
    bias: Operand | None,
    epsilon: float,
    *,
    channels_last: bool = False,
) -> Value:
    """Over a sample's groups of channels; scale and bias are per channel."""
    axis = len(x.shape) - 1 if channels_last else 1
    channels = x.shape[axis]
    if groups < 1 or channels % groups:
        raise ModelError(f"{channels} channels do not make {groups} groups")
    # Pixels stay apart from channels, so that transposes pass through.
    parted = (*x.shape[:axis], groups, channels // groups, *x.shape[axis + 1 :])
    over = tuple(at for at in range(1, len(parted)) if at != axis)
    y = b.reshape(normalized(b, b.reshape(x, parted), over, epsilon), x.shape)
    y = y if scale is None else b.mul(y, along(b, x, scale, axis))
    return y if bias is None else b.add(y, along(b, x, bias, axis))


def instance_norm(
    b: GraphBuilder,
    x: Value,
    scale: Operand | None,
    bias: Operand | None,
    epsilon: float,
    *,
    channels_last: bool = False,
) -> Value:
    """Over the spatial dimensions; scale and bias are per channel."""
    rank = len(x.shape)
    axis = rank - 1 if channels_last else 1
    y = normalized(b, x, [at for at in range(1, rank) if at != axis], epsilon)
    y = y if scale is None else b.mul(y, along(b, x, scale, axis))
    return y if bias is None else b.add(y, along(b, x, bias, axis))


def local_response_norm(
    b: GraphBuilder,
    x: Value,
    size: int,
    alpha: float,
    beta: float,
    bias: float,
    *,
    channels_last: bool = False,
) -> Value:
    """x / (bias + alpha * sum of squares over `size` channels) ** beta; the sum is a 1x1 convolution.

    alpha is per element: sources that divide it by size do so before. With an even size the further channel is the
    later one (as in ONNX).
    """
    if size < 1:
        raise ModelError(f"a normalisation over {size} channels, needed at least 1")
    channels = layout.channels(x, channels_last)
    if channels > MOST_CHANNELS:
        raise RefusedError(f"it normalises across {channels} channels", f"at most {MOST_CHANNELS} are known")
    index = np.arange(channels)
    distance = index[np.newaxis, :] - index[:, np.newaxis]  # input channel less output channel
    band = (distance >= -((size - 1) // 2)) & (distance <= size // 2)
    weights = (band * np.float32(alpha)).astype(np.float32).reshape(channels, 1, 1, channels)
    image = layout.to_last(b, x, channels_last)
    squares = b.unary(UnaryFunction.SQUARE, image)
    batch, *sizes, _ = squares.shape
    flat = b.reshape(squares, (batch, sizes[0], math.prod(sizes[1:]), channels))
    divisor = b.emit("conv2d", [flat, weights, np.full(channels, bias, np.float32)])
    divisor = b.reshape(divisor, squares.shape)
    inverse = b.emit("binary", [divisor, -float(beta)], {"function": BinaryFunction.POW})
    return layout.from_last(b, b.mul(image, inverse), len(x.shape), channels_last)
