"""Keras handlers: normalisation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgert.errors import ModelError
from edgert.importers.builder import Array, GraphBuilder, RefusedError
from edgert.importers.keras.layer import Call, Handler, Layer, real, sizes
from edgert.importers.layers import elementwise, norm
from edgert.ir import Value
from edgert.ops._enums import UnaryFunction


def _axes(layer: Layer, x: Value, default: Any = -1) -> list[int]:
    found = layer.get("axis", default)
    items = sizes("axis", found, len(found)) if isinstance(found, (list, tuple)) else (layer.integer("axis", -1),)
    if any(not -len(x.shape) <= axis < len(x.shape) for axis in items):
        raise ModelError(f"axis is {found!r}, needed axes of an input {list(x.shape)}")
    return sorted({axis % len(x.shape) for axis in items})


def _spread(weights: Array | None, x: Value, axes: Sequence[int]) -> Array | None:
    """Weights that have these axes of x alone, with all axes."""
    if weights is None:
        return None
    shape = [size if axis in axes else 1 for axis, size in enumerate(x.shape)]
    if weights.size not in (1, math.prod(shape)):
        raise ModelError(f"weights {list(weights.shape)} do not fit the axes {list(axes)} of {list(x.shape)}")
    return weights.reshape(shape if weights.size > 1 else [1] * len(shape))


def batch_normalization(b: GraphBuilder, call: Call) -> Value:
    x, layer = call.only(), call.layer
    mode = layer.integer("mode", 0)
    gamma, beta, epsilon = layer.optional("gamma"), layer.optional("beta"), layer.number("epsilon", 1e-3)
    if mode == 1:  # Keras 1: every sample by itself, and epsilon twice
        centred = b.sub(x, b.mean(x, [-1]))
        spread = b.add(b.mean(b.unary(UnaryFunction.SQUARE, centred), [-1]), epsilon)
        y = elementwise.divided(b, centred, b.add(b.unary(UnaryFunction.SQRT, spread), epsilon))
        return b.add(b.mul(y, layer.weight("gamma")), layer.weight("beta"))
    if mode != 0:
        raise RefusedError(f"mode {mode} (statistics of the batch at hand)", "use mode=0, and train it again")
    axes = _axes(layer, x)
    if len(axes) != 1:
        raise RefusedError(f"statistics over the axes {axes}", "use one axis")
    mean, variance = layer.weight("moving_mean"), layer.weight("moving_variance")
    if mean.size != x.shape[axes[0]]:
        raise ModelError(f"statistics of {mean.size} channels, and the input {list(x.shape)}")
    return norm.batch_norm(b, x, gamma, beta, mean, variance, epsilon, axes[0])


def layer_normalization(b: GraphBuilder, call: Call) -> Value:
    x, layer = call.only(), call.layer
    axes, epsilon = _axes(layer, x), layer.number("epsilon", 1e-3)
    gamma, beta = (_spread(layer.optional(name), x, axes) for name in ("gamma", "beta"))
    if layer.flag("rms_scaling", False):  # divided by the deviation, but not centred
        centred = b.sub(x, b.mean(x, axes))
        variance = b.mean(b.unary(UnaryFunction.SQUARE, centred), axes)
        y = b.mul(x, b.unary(UnaryFunction.RSQRT, b.add(variance, epsilon)))
        return y if gamma is None else b.mul(y, gamma)
    return norm.layer_norm(b, x, axes, gamma, beta, epsilon)


def group_normalization(b: GraphBuilder, call: Call) -> Value:
    x, layer = call.only(), call.layer
    (axis,) = _axes(layer, x)
    if axis not in (1, len(x.shape) - 1):
        raise RefusedError(f"groups along axis {axis}", "use the first or the last axis after the batch")
    groups = layer.integer("groups", 32)
    groups = x.shape[axis] if groups == -1 else groups
    last = axis == len(x.shape) - 1
    gamma, beta = layer.optional("gamma"), layer.optional("beta")
    return norm.group_norm(b, x, groups, gamma, beta, layer.number("epsilon", 1e-3), channels_last=last)


def rms_normalization(b: GraphBuilder, call: Call) -> Value:
    x, layer = call.only(), call.layer
    axes = _axes(layer, x)
    return norm.rms_norm(b, x, axes, _spread(layer.optional("scale"), x, axes), layer.number("epsilon", 1e-6))


def unit_normalization(b: GraphBuilder, call: Call) -> Value:
    x = call.only()
    return norm.l2_norm(b, x, _axes(call.layer, x), 1e-6)


def normalization(b: GraphBuilder, call: Call) -> Value:
    """(x - mean) / deviation, or back; statistics are options, or were learnt."""
    x, layer = real(b, call.input), call.layer
    axes = [] if layer.get("axis", ()) == () or layer.config.get("axis") is None else _axes(layer, x)
    mean, variance = (_statistic(layer, name) for name in ("mean", "variance"))
    deviation = np.maximum(np.sqrt(variance.astype(np.float64)), 1e-7)
    over, by = (_spread(item.astype(np.float32), x, axes) for item in (mean, deviation))
    assert over is not None
    assert by is not None
    if layer.flag("invert", False):
        return b.add(b.mul(x, by), over)
    return b.mul(b.sub(x, over), (1 / by.astype(np.float64)).astype(np.float32))


def _statistic(layer: Layer, name: str) -> Array:
    found = layer.config.get(name)
    if found is None:
        return layer.weight(name)
    if isinstance(found, dict):
        found = found.get("config", {}).get("value")
    return np.asarray(found, np.float32)


HANDLERS: dict[str, Handler] = {
    "BatchNormalization": batch_normalization,
    "SyncBatchNormalization": batch_normalization,
    "LayerNormalization": layer_normalization,
    "GroupNormalization": group_normalization,
    "RMSNormalization": rms_normalization,
    "UnitNormalization": unit_normalization,
    "Normalization": normalization,
}
