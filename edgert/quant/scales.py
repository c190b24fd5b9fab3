"""From what was seen of a tensor to its scale and zero point."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.dtypes import QuantParams
from edgert.quant.histogram import Histogram

_FRACTIONS = np.concatenate([np.linspace(0.1, 0.5, 21), np.linspace(0.51, 1.0, 50)])
_SMALLEST_SCALE = 2.0**-60  # far below any real tensor's, and far above float32's smallest numbers
NORMS = (math.inf, 3.0, 2.0)  # those worth trying: nothing clipped, cubic and squared error
_RARE = 1e-4  # share of a tensor's values that may lie beyond its bulk
_REACH = 4.0  # how far beyond its bulk, in widths of the bulk, a tensor's range may still go
WEIGHT_LIMIT = 127  # weights lie in [-127, 127], so that they are symmetric


def choose_range(histogram: Histogram, norm: float = math.inf) -> tuple[float, float]:
    """The range that loses least: (low, high) with low <= 0 <= high.

    Both ends are drawn in by a common fraction, then each alone, and the expected error |e|^norm is the least:
    values inside are off by a uniform rounding error of at most half a step, values outside by their distance to the
    end. A norm above 2 keeps more of the tails than squared error would: rounding errors average out in the sums that
    follow, clipped values are off in one direction and do not. A single broken value could still pull an end
    anywhere, so each end is first held to _REACH times the bulk, beyond which only a share of _RARE lies; rare but
    regular values, such as a detector's hits, are nearer than that. The infinite norm keeps all of that.
    """
    low, high = histogram.least, histogram.greatest
    if low == high:
        return low, high
    centres, counts = histogram.centres(), histogram.counts
    used = counts > 0
    centres, counts = centres[used], counts[used]
    if len(counts) > 1:
        share = np.cumsum(counts) / counts.sum()
        first, last = np.searchsorted(share, [_RARE, 1.0 - _RARE])
        bulk_low = min(float(centres[int(first)]), 0.0)
        bulk_high = max(float(centres[min(int(last), len(centres) - 1)]), 0.0)
        reach = _REACH * (bulk_high - bulk_low)
        low, high = max(low, -reach), min(high, reach)

    if math.isinf(norm):
        return low, high

    def error(candidate_low: float, candidate_high: float) -> float:
        step = (candidate_high - candidate_low) / 255.0
        outside = np.maximum(centres - candidate_high, 0.0) + np.maximum(candidate_low - centres, 0.0)
        inside = float(counts[outside == 0.0].sum())
        rounding = float((step / 2.0) ** norm / (norm + 1.0))
        return inside * rounding + float((counts * outside**norm).sum())

    best = min(((low * f, high * f) for f in _FRACTIONS), key=lambda ends: error(*ends))
    best = min(((low * f, best[1]) for f in _FRACTIONS), key=lambda ends: error(*ends))
    return min(((best[0], high * f) for f in _FRACTIONS), key=lambda ends: error(*ends))


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
