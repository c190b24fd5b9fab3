"""Functions of one int16 tensor: three kinds, by what TFLite does with them.

- Slopes: a line for negative numbers and one for the others, clamped (relu and its kin, leaky_relu, abs, neg): the
  32-bit rescaling of each half.
- sigmoid and tanh of an output at scale 2^-15: TFLite's table of 256 sigmoids for |x| with linear interpolation.
- Everything else that is smooth: a table of 513 entries, one for every 128th number, with linear interpolation; an
  entry is moved by half the error that interpolation would have halfway to the next one. The packer computes it in
  float64 and stores it (op `lut`).
What steps or has a pole (floor, sign, sqrt, 1/x) is computed in float32 between dequantize and quantize, by the
pass float_fallback. Sources: tensorflow/lite/kernels/internal/common.h (LUTPopulate, LUTLookup),
reference/integer_ops/{logistic,tanh}.h, reference/leaky_relu.h.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgert.dtypes import QuantParams
from edgert.ops._def import Array
from edgert.ops._enums import UnaryFunction
from edgert.ops._fixed_point import HIGH, LOW, multiplier_of, rescale_32
from edgert.ops._functions import unary_function

TABLE_SIZE = 513
UNIT_SCALE = 2.0**-15  # of what sigmoid and tanh write

SLOPES = frozenset(
    {
        UnaryFunction.RELU, UnaryFunction.RELU6, UnaryFunction.RELU_N1_TO_1, UnaryFunction.CLIP,
        UnaryFunction.LEAKY_RELU, UnaryFunction.ABS, UnaryFunction.NEG,
    }
)  # fmt: skip
STEPS = frozenset(
    {
        UnaryFunction.FLOOR, UnaryFunction.CEIL, UnaryFunction.ROUND, UnaryFunction.SIGN, UnaryFunction.SQRT,
        UnaryFunction.RSQRT, UnaryFunction.RECIPROCAL,
    }
)  # fmt: skip

# 2^16 * sigmoid(i / 24) for i = 0 to 255. These are the very numbers that TFLite and CMSIS-NN interpolate between; they
# are not the rounded function values, from which they differ by up to 1.
SIGMOIDS = (
    32768, 33451, 34133, 34813, 35493, 36169, 36843, 37513, 38180, 38841, 39498, 40149, 40794, 41432, 42064, 42688,
    43304, 43912, 44511, 45102, 45683, 46255, 46817, 47369, 47911, 48443, 48964, 49475, 49975, 50464, 50942, 51409,
    51865, 52311, 52745, 53169, 53581, 53983, 54374, 54755, 55125, 55485, 55834, 56174, 56503, 56823, 57133, 57433,
    57724, 58007, 58280, 58544, 58800, 59048, 59288, 59519, 59743, 59959, 60168, 60370, 60565, 60753, 60935, 61110,
    61279, 61441, 61599, 61750, 61896, 62036, 62172, 62302, 62428, 62549, 62666, 62778, 62886, 62990, 63090, 63186,
    63279, 63368, 63454, 63536, 63615, 63691, 63765, 63835, 63903, 63968, 64030, 64090, 64148, 64204, 64257, 64308,
    64357, 64405, 64450, 64494, 64536, 64576, 64614, 64652, 64687, 64721, 64754, 64786, 64816, 64845, 64873, 64900,
    64926, 64950, 64974, 64997, 65019, 65039, 65060, 65079, 65097, 65115, 65132, 65149, 65164, 65179, 65194, 65208,
    65221, 65234, 65246, 65258, 65269, 65280, 65291, 65301, 65310, 65319, 65328, 65337, 65345, 65352, 65360, 65367,
    65374, 65381, 65387, 65393, 65399, 65404, 65410, 65415, 65420, 65425, 65429, 65433, 65438, 65442, 65445, 65449,
    65453, 65456, 65459, 65462, 65465, 65468, 65471, 65474, 65476, 65479, 65481, 65483, 65485, 65488, 65489, 65491,
    65493, 65495, 65497, 65498, 65500, 65501, 65503, 65504, 65505, 65507, 65508, 65509, 65510, 65511, 65512, 65513,
    65514, 65515, 65516, 65517, 65517, 65518, 65519, 65520, 65520, 65521, 65522, 65522, 65523, 65523, 65524, 65524,
    65525, 65525, 65526, 65526, 65526, 65527, 65527, 65528, 65528, 65528, 65529, 65529, 65529, 65529, 65530, 65530,
    65530, 65530, 65531, 65531, 65531, 65531, 65531, 65532, 65532, 65532, 65532, 65532, 65532, 65533, 65533, 65533,
    65533, 65533, 65533, 65533, 65533, 65534, 65534, 65534, 65534, 65534, 65534, 65534, 65534, 65534, 65534, 65535,
)  # fmt: skip


def is_curve(function: int, y: QuantParams) -> bool:
    """Whether the function goes by the table of sigmoids."""
    return function in (UnaryFunction.SIGMOID, UnaryFunction.TANH) and y.scale == UNIT_SCALE


def interpolated(function: int, y: QuantParams) -> bool:
    """Whether the function becomes a `lut` of 513 entries."""
    return function not in SLOPES and function not in STEPS and not is_curve(function, y)


def unary_int16(function: int, x: Array, alpha: float, beta: float, x_quant: QuantParams, y: QuantParams) -> Array:
    """The function of int16 numbers by the rule of its kind."""
    if function in SLOPES:
        return _sloped(UnaryFunction(function), x, alpha, beta, x_quant, y)
    if is_curve(function, y):
        return _curve(function == UnaryFunction.TANH, x, x_quant.scale)
    real = unary_function(function, alpha, beta)
    if function in STEPS:
        with np.errstate(all="ignore"):
            exact = real((x.astype(np.float32) * np.float32(x_quant.scale)).astype(np.float64)).astype(np.float32)
            steps = exact / np.float32(y.scale)
        return np.asarray(np.rint(np.clip(np.where(np.isnan(steps), 0, steps), LOW, HIGH)), np.int16)
    return look_up(table_of(real, x_quant, y), x)


def bounds_and_slopes(function: UnaryFunction, alpha: float, beta: float) -> tuple[float, float, float, float]:
    """Least and largest real result, and the slopes for negative and for other numbers."""
    unlimited = float("inf")
    return {
        UnaryFunction.RELU: (0.0, unlimited, 1.0, 1.0),
        UnaryFunction.RELU6: (0.0, 6.0, 1.0, 1.0),
        UnaryFunction.RELU_N1_TO_1: (-1.0, 1.0, 1.0, 1.0),
        UnaryFunction.CLIP: (alpha, beta, 1.0, 1.0),
        UnaryFunction.LEAKY_RELU: (-unlimited, unlimited, alpha, 1.0),
        UnaryFunction.ABS: (-unlimited, unlimited, -1.0, 1.0),
        UnaryFunction.NEG: (-unlimited, unlimited, -1.0, -1.0),
    }[function]


def _sloped(
    function: UnaryFunction, x: Array, alpha: float, beta: float, x_quant: QuantParams, y: QuantParams
) -> Array:
    least, largest, below, above = bounds_and_slopes(function, alpha, beta)
    wide = x.astype(np.int64)

    def line(slope: float) -> Array:
        ratio = np.float32(x_quant.scale) * np.float32(abs(slope)) / np.float32(y.scale)
        return rescale_32(wide if slope >= 0 else -wide, *multiplier_of(float(ratio)))

    def bound(real: float) -> int:
        steps = float(np.float32(real) / np.float32(y.scale))
        return int(np.copysign(np.floor(min(abs(steps), 32768.0) + 0.5), steps))

    result = np.where(wide < 0, line(below), line(above))
    return np.clip(np.clip(result, bound(least), bound(largest)), LOW, HIGH).astype(np.int16)


def curve_multiplier(scale: float) -> tuple[int, int]:
    """(multiplier, right shift) that bring x to 1 / (3 * 4096), the step of the table's finest interpolation."""
    multiplier, shift = scale * 4096.0 * 3.0, 0
    while multiplier <= 32767.0 / 2.0 and shift <= 30:
        multiplier, shift = multiplier * 2.0, shift + 1
    return int(min(multiplier, 2.0**31 - 1)), shift


def _curve(tanh: bool, x: Array, scale: float) -> Array:
    multiplier, shift = curve_multiplier(scale)
    moved = (x.astype(np.int64) * multiplier + (1 << shift >> 1)) >> shift
    bits = 8 if tanh else 9  # tanh(x) = 2 sigmoid(2 x) - 1
    distance = np.abs(moved)
    place = np.minimum(distance >> bits, 254)
    table = np.array(SIGMOIDS, np.int64)
    value = (table[place] << bits) + (distance & ((1 << bits) - 1)) * (table[place + 1] - table[place])
    beyond = distance >> bits >= 255
    if tanh:
        value = np.where(beyond, 0xFFFF << 8, value) - (1 << 23)
        return (np.where(moved >= 0, value + 128, -value + 127) >> 8).astype(np.int16)
    value = np.where(beyond, 0x7FFF << 10, value)
    return (np.where(moved >= 0, value + 512, (1 << 25) - value + 511) >> 10).astype(np.int16)


def table_of(function: Callable[[Array], Array], x: QuantParams, y: QuantParams) -> Array:
    """int16[513] of a function of real numbers."""
    return interpolation_table(function, x.scale * LOW, x.scale * HIGH, y.scale * LOW, y.scale * HIGH)


def interpolation_table(
    function: Callable[[Array], Array], least: float, largest: float, out_least: float, out_largest: float
) -> Array:
    """int16[513] for inputs of [least, largest], spread over int16, and outputs of [out_least, out_largest].

    Where f has no value (log below 0) the entry is the least number.
    """
    step, inverse = (largest - least) / 512, 2.0**16 / (out_largest - out_least)
    at = least + np.arange(512) * step
    with np.errstate(all="ignore"):
        here, middle, following = (
            np.clip(np.nan_to_num(function(place) * inverse, nan=-(2.0**40)), -(2.0**40), 2.0**40)
            for place in (at, at + step / 2, least + np.arange(1, 513) * step)
        )
        last = np.nan_to_num(function(np.asarray(largest)) * inverse, nan=-(2.0**40))
    error = _round((following + _round(here)) / 2) - _round(middle)
    return np.clip(np.append(_round(here) - _round(error / 2), _round(last)), LOW, HIGH).astype(np.int16)


def look_up(table: Array, x: Array) -> Array:
    """Linear interpolation between the entries of an int16[513] table, halves up."""
    wide, entries = x.astype(np.int64), table.reshape(TABLE_SIZE).astype(np.int64)
    place = 256 + (wide >> 7)
    base = entries[place]
    return np.asarray(base + (((entries[place + 1] - base) * (wide & 127) + 64) >> 7), np.int16)


def _round(x: Array) -> Array:
    """To nearest, halves away from 0."""
    return np.asarray(np.copysign(np.floor(np.abs(x) + 0.5), x))
