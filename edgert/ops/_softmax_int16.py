"""softmax of int16 numbers: TFLite's fixed-point form (tensorflow/lite/kernels/internal/reference/softmax.h).

d_i = (x_i - max) at 10 / 65535, e_i = exp(d_i) at 2^-15 by a table; s = sum(e_i); with s = 2^k (1 + f), r = 1 / (1 + f)
at 2^-15 by a second table; y_i = e_i * r * 2^-k, at 2^-15.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from edgert.dtypes import QuantParams
from edgert.ops._def import Array
from edgert.ops._fixed_point import HIGH, LOW, multiplier_of, rescale_32
from edgert.ops._unary_int16 import TABLE_SIZE, interpolation_table, look_up

OUTPUT_QUANT = QuantParams((2.0**-15,), (0,))
ENTRIES = 2 * TABLE_SIZE
LONGEST_ROW = 1 << 16  # the sum of so many e_i stays below 2^31


@functools.cache
def tables() -> tuple[int, ...]:
    """exp of [-10, 0] and 1 / (1 + f) of [0, 1], 513 entries each: what the attribute exp_table holds for int16."""
    step, unit = 1.0 / 65535.0, 2.0 / 65535.0
    exponentials = interpolation_table(np.exp, 10.0 * step * (LOW - HIGH), 0.0, unit * LOW, unit * HIGH)
    reciprocals = interpolation_table(lambda f: 1.0 / (1.0 + f), 0.0, step * (HIGH - LOW), unit * LOW, unit * HIGH)
    return (*map(int, exponentials), *map(int, reciprocals))


def softmax_int16(x: Array, table: Sequence[int], scale: float, beta: float, axis: int) -> Array:
    exponentials, reciprocals = np.array(table, np.int64).reshape(2, TABLE_SIZE)
    wide = x.astype(np.int64)
    rescaling = multiplier_of(float(np.float32(scale) * np.float32(beta)) / (10.0 / 65535.0))
    distance = rescale_32(wide - wide.max(axis, keepdims=True), *rescaling)
    e = look_up(exponentials, np.clip(distance + HIGH, LOW, HIGH)).astype(np.int64)
    total = e.sum(axis, keepdims=True)
    bits = np.frexp(total.astype(np.float64))[1]  # total in [2^(bits - 1), 2^bits)
    mantissa = ((total << (31 - bits)) + (1 << 13)) >> 14
    reciprocal = look_up(reciprocals, np.clip(mantissa - 3 * (1 << 15), LOW, HIGH)).astype(np.int64)
    shift = (bits - 1).astype(np.int64)
    return np.asarray(np.clip((e * reciprocal + (np.int64(1) << (shift - 1))) >> shift, 0, HIGH), np.int16)
