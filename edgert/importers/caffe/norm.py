"""Caffe handlers: normalisation, and scales and biases of their own."""

from __future__ import annotations

import numpy as np

from edgert.errors import ModelError
from edgert.importers.builder import GraphBuilder, Operand, RefusedError
from edgert.importers.caffe.layer import Handler, SourceLayer, axis_of
from edgert.importers.layers import elementwise, norm
from edgert.importers.layers.pool import average_pool
from edgert.importers.layers.window import window
from edgert.ir import Value
from edgert.ops._enums import UnaryFunction


def batch_norm(b: GraphBuilder, layer: SourceLayer) -> Value:
    """Blobs: sums of means and variances, and the factor that they are to be divided by; in NVIDIA's fork two more,
    scale and bias."""
    param, x = layer.param("batch_norm_param"), layer.input()
    if param.has("use_global_stats") and not param.use_global_stats:
        raise RefusedError("it computes statistics of the batch", "set use_global_stats: true")
    channels = _channels(x)
    total = float(layer.blob(2).reshape(-1)[0]) if len(layer.blobs) > 2 and layer.blob(2).size else 1.0
    factor = np.float32(0.0 if total == 0 else 1 / total)
    mean, variance = (layer.blob(index, (channels,)) * factor for index in (0, 1))
    scale = bias = None
    if param.scale_bias:
        scale, bias = layer.blob(3, (channels,)), layer.blob(4, (channels,))
    return norm.batch_norm(b, x, scale, bias, mean, variance, param.eps)


def bn(b: GraphBuilder, layer: SourceLayer) -> Value:
    """Of the forks of SegNet (scale and bias only, the rest being in them) and PSPNet (and mean and variance)."""
    x = layer.input()
    vectors = [layer.blob(index, (_channels(x),)) for index in range(len(layer.blobs))]
    if len(vectors) == 2:
        return b.add(b.mul(x, norm.along(b, x, vectors[0], 1)), norm.along(b, x, vectors[1], 1))
    if len(vectors) != 4:
        raise ModelError(f"it has {len(vectors)} blobs of weights in the .caffemodel, needed 2 or 4")
    scale, bias, mean, variance = vectors
    return norm.batch_norm(b, x, scale, bias, mean, variance, layer.param("bn_param").eps)


def _channels(x: Value) -> int:
    return x.shape[1] if len(x.shape) > 1 else x.shape[0]


def scale(b: GraphBuilder, layer: SourceLayer) -> Value:
    """By weights of its own or by the second input; then a bias, if it has one."""
    param, x = layer.param("scale_param"), layer.input()
    own = len(layer.inputs) == 1
    y = b.mul(x, _aligned(b, layer, param, 0, own))
    return b.add(y, _aligned(b, layer, param, 1 if own else 0, True)) if param.bias_term else y


def bias(b: GraphBuilder, layer: SourceLayer) -> Value:
    return b.add(layer.input(), _aligned(b, layer, layer.param("bias_param"), 0, len(layer.inputs) == 1))


def _aligned(b: GraphBuilder, layer: SourceLayer, param: object, index: int, own: bool) -> Operand:
    """Factors for the dimensions of the first input from an axis on: blob `index`, or the second input."""
    x = layer.input()
    rank = len(x.shape)
    axis = axis_of(getattr(param, "axis", 1), rank)
    if len(layer.inputs) > 1:
        count = len(layer.input(1).shape)
    else:
        count = getattr(param, "num_axes", 1)
        count = rank - axis if count == -1 else count
    covered = x.shape[axis : axis + count]
    if count < 0 or axis + count > rank:
        raise ModelError(f"factors for {count} dimensions from axis {axis} on, of an input of {rank}")
    shape = (*covered, *[1] * (rank - axis - count))
    return layer.blob(index, covered).reshape(shape) if own else b.reshape(layer.input(1), shape)


def lrn(b: GraphBuilder, layer: SourceLayer) -> Value:
    """Across channels: x / (k + alpha / n * sum of squares) ** beta; within a channel, over n x n pixels, k is 1."""
    param, x = layer.param("lrn_param"), layer.input()
    size = param.local_size
    if size % 2 == 0:
        raise ModelError(f"local_size {size}, needed an odd one")
    if param.norm_region == 0:
        return norm.local_response_norm(b, x, size, param.alpha / size, param.beta, param.k)
    side = (size - 1) // 2
    place = window(x.shape[2:], (size, size), before=(side, side))
    power = average_pool(b, b.unary(UnaryFunction.SQUARE, x), place, counts_padding=True)
    return b.mul(x, elementwise.power(b, elementwise.affine(b, power, param.alpha, 1.0), -param.beta))


def normalize(b: GraphBuilder, layer: SourceLayer) -> Value:
    """Of SSD: by the L2 norm over channels, or over channels and pixels; then a scale, one or one for each channel."""
    param, x = layer.param("norm_param"), layer.input()
    over = range(1, len(x.shape)) if param.across_spatial else (1,)
    y = norm.l2_norm(b, x, tuple(over), param.eps, inside=True)
    if param.channel_shared:
        return elementwise.affine(b, y, float(layer.blob(0, (1,))[0]), 0)
    return b.mul(y, norm.along(b, x, layer.blob(0, (x.shape[1],)), 1))


def mvn(b: GraphBuilder, layer: SourceLayer) -> Value:
    """(x - mean) / (standard deviation + eps), over pixels, or over channels and pixels."""
    param, x = layer.param("mvn_param"), layer.input()
    over = range(1 if param.across_channels else 2, len(x.shape))
    centred = b.sub(x, b.mean(x, over))
    if not param.normalize_variance:
        return centred
    deviation = b.unary(UnaryFunction.SQRT, b.mean(b.unary(UnaryFunction.SQUARE, centred), over))
    return elementwise.divided(b, centred, b.add(deviation, param.eps))


HANDLERS: dict[str, Handler] = {
    "BN": bn,
    "BatchNorm": batch_norm,
    "Bias": bias,
    "LRN": lrn,
    "MVN": mvn,
    "Normalize": normalize,
    "Scale": scale,
}
