"""The integer arithmetic of DESIGN.md section 4 in NumPy, bit for bit what ext/requant and ext/ops compute.

This is int8; int16 has rules of its own, in _fixed_point.py. NumPy's float32 operations round once to nearest even and
never fuse, which is all that the rules ask for.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.dtypes import QuantParams
from edgert.ops._enums import Activation

Array = NDArray[Any]

REAL_BOUNDS: dict[Activation, tuple[float, float]] = {
    Activation.NONE: (-np.inf, np.inf),
    Activation.RELU: (0.0, np.inf),
    Activation.RELU6: (0.0, 6.0),
    Activation.RELU_N1_TO_1: (-1.0, 1.0),
}


def given(quant: QuantParams | None, what: str) -> QuantParams:
    """`quant`, where an int8 reference cannot do without it; ValueError names the tensor."""
    if quant is None:
        raise ValueError(f"the int8 form needs the scale and zero point of its {what}")
    return quant


def wrap_int32(acc: Array) -> Array:
    """int64 sums as the int32 that wrapping arithmetic gives."""
    return acc.astype(np.int64).astype(np.uint32).view(np.int32)


def integer_dot(a: Array, b: Array) -> Array:
    """a @ b of small integers as int64. Runs in float64, which holds every sum below 2^53 exactly, for its speed."""
    return (a.astype(np.float64) @ b.astype(np.float64)).astype(np.int64)


def multipliers(scale_x: float, scales_w: tuple[float, ...], scale_y: float) -> Array:
    """scale_x * scale_w[c] / scale_y in float32, in this order; one entry, or one for each channel."""
    product = np.float32(scale_x) * np.array(scales_w, np.float32)
    return np.asarray(product / np.float32(scale_y), np.float32)


def requantize(acc: Array, multiplier: Array | np.float32, zero_point: int, bounds: tuple[int, int]) -> Array:
    """The one rounding rule (ext/requant/requant.h): int32 accumulators to int8, clamped to `bounds`.

    `multiplier` is float32 and broadcasts to acc.
    """
    scaled = acc.astype(np.float32) * np.asarray(multiplier, np.float32)
    low, high = bounds
    clamped = np.clip(scaled, np.float32(low - zero_point), np.float32(high - zero_point))
    return (np.rint(clamped).astype(np.int32) + zero_point).astype(np.int8)


def activation_bounds_i8(activation: int, quant: QuantParams) -> tuple[int, int]:
    """Least and largest int8 that a fused activation leaves: clamp(rne(bound / scale) + zero_point), in float32."""

    def quantized(bound: float) -> int:
        steps = np.float32(bound) / np.float32(quant.scale)
        steps = np.clip(steps, np.float32(-128 - quant.zero_point), np.float32(127 - quant.zero_point))
        return int(np.rint(steps)) + quant.zero_point

    low, high = REAL_BOUNDS[Activation(activation)]
    return quantized(low), quantized(high)


def activation_clip(activation: int, x: Array) -> Array:
    """A fused activation on real numbers or plain integers; NaN stays NaN and the dtype stays as it is."""
    low, high = REAL_BOUNDS[Activation(activation)]
    if np.isfinite(low):
        x = np.maximum(x, np.asarray(low, x.dtype))
    if np.isfinite(high):
        x = np.minimum(x, np.asarray(high, x.dtype))
    return x
