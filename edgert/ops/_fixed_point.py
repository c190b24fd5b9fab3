"""The integer arithmetic of int16 activations in NumPy, bit for bit what ext/requant/fixed_point.h computes.

int16 tensors are symmetric (zero point 0) and follow TFLite's fixed-point rules, not the float32 rule of int8
(_quantmath.py). ext/requant/fixed_point.h holds the specification; the functions here carry its names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from edgert.ir import Value
from edgert.ops._def import TensorSpec
from edgert.ops._enums import Activation
from edgert.ops._quantmath import REAL_BOUNDS, activation_bounds_i8, given

Array = NDArray[Any]

LOW, HIGH = -(2**15), 2**15 - 1
LARGEST_SHIFT = 7  # of the 64-bit rescaling: a ratio of scales below 2^7
LARGEST_BIAS = 2**46  # a sum and its bias stay below 2^47, so that no product exceeds 64 bits


def check_symmetric(value: Value, what: str) -> None:
    """ModelError for a zero point: int16 arithmetic knows none."""
    if value.quant is not None and any(value.quant.zero_points):
        raise ModelError(f"{what} has the zero point {max(value.quant.zero_points, key=abs)}, needed 0 for int16")


def check_scales(inputs: Sequence[Value | None], spec: TensorSpec) -> TensorSpec:
    """The spec of an operator's output; ModelError when it is int16 and an input has no scale, or a zero point."""
    if spec.dtype == DType.INT16:
        for value in inputs:
            if value is None or value.quant is None or value.quant.per_channel:
                raise ModelError(f"input {value!r} has no scale, needed one: plain int16 numbers are not computed with")
            check_symmetric(value, "input")
    return spec


def multiplier_of(ratio: float | Array) -> tuple[Array, Array]:
    """(multiplier in [2^30, 2^31), shift) with ratio = multiplier * 2^(shift - 31); both 0 below 2^-32."""
    fraction, exponent = np.frexp(np.asarray(ratio, np.float64))
    multiplier = np.floor(fraction * 2.0**31 + 0.5).astype(np.int64)  # to nearest, halves up
    carried = multiplier == 2**31
    multiplier, shift = np.where(carried, 2**30, multiplier), exponent.astype(np.int64) + carried
    tiny = shift < -31
    return np.where(tiny, 0, multiplier), np.where(tiny, 0, shift)


def rescale_32(x: Array, multiplier: Array | int, shift: Array | int) -> Array:
    """int32 numbers times multiplier * 2^(shift - 31), rounded twice: the product's upper half, then the shift."""
    shift = np.asarray(shift, np.int64)
    moved = _wrapped(np.asarray(x, np.int64) << np.maximum(shift, 0))
    high = (moved * multiplier + (1 << 30)) >> 31
    right = np.maximum(-shift, 0)
    half = (np.int64(1) << right) >> 1
    return np.asarray((high + half - ((high < 0) & (half != 0))) >> right, np.int64)


def rescale_64(x: Array, multiplier: Array | int, shift: Array | int) -> Array:
    """int64 sums below 2^47 times multiplier * 2^(shift - 31), with the multiplier's upper 16 bits, rounded once."""
    multiplier = np.asarray(multiplier, np.int64)
    reduced = np.where(multiplier < 0x7FFF0000, (multiplier + (1 << 15)) >> 16, 0x7FFF)
    right = 15 - np.asarray(shift, np.int64)
    return np.asarray((np.asarray(x, np.int64) * reduced + (np.int64(1) << (right - 1))) >> right)


def rescale_exact(x: Array, multiplier: Array | int, shift: Array | int) -> Array:
    """int64 sums below 2^47 times multiplier * 2^(shift - 31), rounded once: half a step added, then floored."""
    x, multiplier = np.asarray(x, np.int64), np.asarray(multiplier, np.int64)
    right = 31 - np.asarray(shift, np.int64)
    low = ((x & 0xFFFF) * multiplier + (np.int64(1) << (right - 1))) >> 16  # the product would need 78 bits
    return np.asarray(((x >> 16) * multiplier + low) >> (right - 16))


def bounds_of(activation: int, quant: QuantParams) -> tuple[int, int]:
    """Least and largest int16 that a fused activation leaves: f / scale in float32, halves away from 0."""

    def quantized(bound: float) -> int:
        steps = float(np.float32(bound) / np.float32(quant.scale))
        return int(min(max(np.copysign(np.floor(abs(steps) + 0.5), steps), LOW), HIGH))

    low, high = REAL_BOUNDS[Activation(activation)]
    return quantized(low), quantized(high)


def activation_bounds(activation: int, quant: QuantParams, dtype: np.dtype[Any]) -> tuple[int, int]:
    """Least and largest integer that a fused activation leaves, by the rule of its type, int8 or int16."""
    return bounds_of(activation, quant) if dtype == np.int16 else activation_bounds_i8(activation, quant)


def weighted(
    acc: Array,
    bias: Array | None,
    quants: Sequence[QuantParams | None],
    out: QuantParams | None,
    activation: int,
    exact: bool = False,
) -> Array:
    """int64 sums [..., channels] of x * w, plus bias, to int16.

    exact: the rule of fully_connected. Else, with an int32 bias, sums wrap to int32 and are rescaled in 32 bits, and
    otherwise in 64: so TFLite's types decide.
    """
    x, w, y = given(quants[0], "input"), given(quants[1], "weights"), given(out, "output")
    if bias is not None:
        acc = acc + bias.astype(np.int64)
    multiplier, shift = multiplier_of(x.scale * np.array(w.scales, np.float64) / y.scale)
    if exact:
        scaled = rescale_exact(acc, multiplier, shift)
    elif bias is not None and bias.dtype == np.int32:
        scaled = rescale_32(_wrapped(acc), multiplier, shift)
    else:
        scaled = rescale_64(acc, multiplier, shift)
    return np.clip(scaled, *bounds_of(activation, y)).astype(np.int16)


def arithmetic(
    in_quants: Sequence[QuantParams | None], out_quants: Sequence[QuantParams | None], activation: int
) -> tuple[tuple[QuantParams, QuantParams, QuantParams], tuple[int, int]]:
    """What `add` and `mul` need: the parameters of both operands and of the output, and the output's bounds."""
    y = given(out_quants[0], "output")
    quants = (given(in_quants[0], "first input"), given(in_quants[1], "second input"), y)
    return quants, bounds_of(activation, y)


def reduced(
    total: Array, count: int | None, x: QuantParams, y: QuantParams, bounds: tuple[int, int] = (LOW, HIGH)
) -> Array:
    """int32 sums, or with a count means, at the output's scale; the division is part of the multiplier."""
    multiplier, shift = (int(part) for part in multiplier_of(float(np.float32(x.scale) / np.float32(y.scale))))
    if count is not None:
        more = min(count.bit_length() - 1, 31 + shift)
        multiplier, shift = (multiplier << more) // count, shift - more
    return np.clip(rescale_32(total, multiplier, shift), *bounds).astype(np.int16)


def add(a: Array, b: Array, sign: int, quants: Sequence[QuantParams], bounds: tuple[int, int]) -> Array:
    """a + sign * b: both brought to twice the larger scale with 15 bits more, added, brought to the output's scale."""
    a_quant, b_quant, y_quant = quants
    twice = 2 * max(a_quant.scale, b_quant.scale)  # exact: scales are float32
    terms = [
        rescale_32(array.astype(np.int64) << 15, *multiplier_of(quant.scale / twice))
        for array, quant in ((a, a_quant), (b, b_quant))
    ]
    output_ratio = twice / float(np.float32(2**15) * np.float32(y_quant.scale))
    total = rescale_32(terms[0] + sign * terms[1], *multiplier_of(output_ratio))
    return np.clip(total, *bounds).astype(np.int16)


def mul(a: Array, b: Array, quants: Sequence[QuantParams], bounds: tuple[int, int]) -> Array:
    """a * b; the ratio of scales is computed in float32."""
    a_quant, b_quant, y_quant = quants
    ratio = np.float32(a_quant.scale) * np.float32(b_quant.scale) / np.float32(y_quant.scale)
    scaled = rescale_32(a.astype(np.int64) * b.astype(np.int64), *multiplier_of(float(ratio)))
    return np.clip(scaled, *bounds).astype(np.int16)


def rescaled(x: Array, from_quant: QuantParams, to_quant: QuantParams, dtype: np.dtype[Any]) -> Array:
    """Integers at another scale and of another type: the 32-bit rescaling, saturated."""
    limits = np.iinfo(dtype)
    centred = _wrapped(x.astype(np.int64) - from_quant.zero_point)
    moved = rescale_32(centred, *multiplier_of(from_quant.scale / to_quant.scale)) + to_quant.zero_point
    return np.clip(moved, limits.min, limits.max).astype(dtype)


def average(total: Array, count: Array | int) -> Array:
    """total / count, rounded to nearest, halves away from 0."""
    return np.asarray(np.sign(total) * ((np.abs(total) + count // 2) // count))


def _wrapped(x: Array) -> Array:
    """int64 numbers as int32 arithmetic has them."""
    return x.astype(np.uint32).view(np.int32).astype(np.int64) if x.ndim else _wrapped(x.reshape(1)).reshape(())
