"""add and subtract: one integer formula, one float formula, the sign of the second operand apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.ir import Value
from edgert.ops import _fixed_point
from edgert.ops._broadcast import infer_binary
from edgert.ops._def import Array, Attrs, TensorSpec
from edgert.ops._quantmath import activation_bounds_i8, activation_clip, given

DTYPES = (DType.FLOAT32, DType.INT8, DType.INT16, DType.INT32, DType.INT64)


def infer(inputs: Sequence[Value | None], attrs: Attrs) -> list[TensorSpec]:
    return [_fixed_point.check_scales(inputs, infer_binary(inputs, DTYPES))]


def add_int8(a: Array, b: Array, sign: int, quants: Sequence[QuantParams], bounds: tuple[int, int]) -> Array:
    """a + sign * b by XNNPACK's formula (ext/kernels/qadd/qadd.h): multipliers of at most 21 bits, one rounding shift.

    quants: of a, b and the output. The larger of the two scale ratios decides the shift: it gets a multiplier in
    [2^20, 2^21).
    """
    a_quant, b_quant, y_quant = quants
    a_ratio = np.float32(a_quant.scale) / np.float32(y_quant.scale)
    b_ratio = np.float32(b_quant.scale) / np.float32(y_quant.scale)
    shift = min(21 - int(np.frexp(max(a_ratio, b_ratio))[1]), 30)
    a_multiplier = int(np.rint(np.ldexp(np.float64(a_ratio), shift)))
    b_multiplier = sign * int(np.rint(np.ldexp(np.float64(b_ratio), shift)))
    bias = (1 << (shift - 1)) - a_multiplier * a_quant.zero_point - b_multiplier * b_quant.zero_point
    acc = bias + a.astype(np.int64) * a_multiplier + b.astype(np.int64) * b_multiplier
    return np.asarray(np.clip((acc >> shift) + y_quant.zero_point, *bounds), np.int8)


def reference(
    sign: int,
) -> Callable[[Sequence[Array | None], Attrs, Sequence[QuantParams | None], Sequence[QuantParams | None]], list[Array]]:
    """The reference of add (sign 1) or sub (sign -1)."""

    def run(
        arrays: Sequence[Array | None],
        attrs: Attrs,
        in_quants: Sequence[QuantParams | None],
        out_quants: Sequence[QuantParams | None],
    ) -> list[Array]:
        a, b = arrays[0], arrays[1]
        assert a is not None
        assert b is not None
        if a.dtype == np.int8:
            y = given(out_quants[0], "output")
            quants = (given(in_quants[0], "first input"), given(in_quants[1], "second input"), y)
            return [add_int8(a, b, sign, quants, activation_bounds_i8(attrs["activation"], y))]
        if a.dtype == np.int16:
            return [_fixed_point.add(a, b, sign, *_fixed_point.arithmetic(in_quants, out_quants, attrs["activation"]))]
        return [activation_clip(attrs["activation"], a + b if sign > 0 else a - b)]

    return run
