"""From ranges and weights to scales and zero points."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.dtypes import QuantParams

_SMALLEST_SCALE = 2.0**-60  # far below any real tensor's, and far above float32's smallest numbers
WEIGHT_LIMIT = 127  # weights lie in [-127, 127], so that they are symmetric


def activation_params(low: float, high: float) -> QuantParams:
    """int8 parameters whose range holds [low, high] and zero, with zero exact. The scale is a float32."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = float(np.float32(max((high - low) / 255.0, _SMALLEST_SCALE)))
    if low == high:
        scale = 1.0
    zero_point = int(np.clip(np.rint(-128.0 - low / scale), -128, 127))
    return QuantParams((scale,), (zero_point,))


def weight_scales(
    weights: NDArray[Any], axis: int, input_scale: float, bias: NDArray[Any] | None
) -> NDArray[np.float32]:
    """One symmetric scale for every index of `axis`: largest magnitude / 127, float32.

    A channel whose bias would not fit int32 at input_scale * scale gets a larger scale.
    """
    others = tuple(i for i in range(weights.ndim) if i != axis)
    largest = np.abs(weights.astype(np.float64)).max(axis=others)
    scales = np.maximum(largest / WEIGHT_LIMIT, _SMALLEST_SCALE)
    if bias is not None:
        scales = np.maximum(scales, np.abs(bias.astype(np.float64)) / (2.0**30 * input_scale))
    rounded: NDArray[np.float32] = scales.astype(np.float32)
    return rounded


def quantize_weights(weights: NDArray[Any], scales: NDArray[np.float32], axis: int) -> NDArray[np.int8]:
    """clip(round(w / scale)) to [-127, 127] with one scale for every index of `axis`."""
    shape = [1] * weights.ndim
    shape[axis] = -1
    steps = np.rint(weights.astype(np.float64) / scales.astype(np.float64).reshape(shape))
    return np.clip(steps, -WEIGHT_LIMIT, WEIGHT_LIMIT).astype(np.int8)


def quantize_bias(bias: NDArray[Any], input_scale: float, scales: NDArray[np.float32]) -> NDArray[np.int32]:
    """round(bias / (input_scale * scale[c])) as int32; the product in float32, as the runtime's accumulator has it."""
    steps = np.rint(bias.astype(np.float64) / (np.float32(input_scale) * scales).astype(np.float64))
    return np.asarray(np.clip(steps, -(2**31), 2**31 - 1), np.int32)
