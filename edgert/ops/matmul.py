"""matmul: matrix product of two tensors, leading dimensions broadcast."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from edgert.ir import Value
from edgert.ops import _fixed_point
from edgert.ops._broadcast import broadcast_shape
from edgert.ops._def import Array, Attrs, OpDef, QuantRule, Shape, TensorSpec
from edgert.ops._enums import Activation, OpCode
from edgert.ops._quantmath import (
    activation_bounds_i8,
    given,
    integer_dot,
    multipliers,
    requantize,
    wrap_int32,
)

_LONGEST_SUM = 1 << 16  # of products of two int16 numbers: it stays below 2^47


def _infer(inputs: Sequence[Value | None], attrs: Attrs) -> list[TensorSpec]:
    a, b = inputs[0], inputs[1]
    assert a is not None
    assert b is not None
    if a.dtype not in (DType.FLOAT32, DType.INT8, DType.INT16) or b.dtype != a.dtype:
        raise ModelError(f"inputs are {a.dtype.name} and {b.dtype.name}, needed both FLOAT32, both INT8 or both INT16")
    if a.dtype == DType.INT16:
        _fixed_point.check_symmetric(a, "first input")
        _fixed_point.check_symmetric(b, "second input")
        if a.shape[-2 if attrs["transpose_a"] else -1] > _LONGEST_SUM:
            raise ModelError(f"sums of more than {_LONGEST_SUM} products of int16 numbers")
    if len(a.shape) < 2 or len(b.shape) < 2:
        raise ModelError(f"inputs have {len(a.shape)} and {len(b.shape)} dimensions, needed at least 2")
    m, k = a.shape[-2:][:: -1 if attrs["transpose_a"] else 1]
    k_b, n = b.shape[-2:][:: -1 if attrs["transpose_b"] else 1]
    if k != k_b:
        raise ModelError(f"the inner dimensions are {k} and {k_b}, needed equal ones")
    return [TensorSpec((*broadcast_shape(a.shape[:-2], b.shape[:-2]), m, n), a.dtype)]


def _reference(
    arrays: Sequence[Array | None],
    attrs: Attrs,
    in_quants: Sequence[QuantParams | None],
    out_quants: Sequence[QuantParams | None],
) -> list[Array]:
    a, b = arrays[0], arrays[1]
    assert a is not None
    assert b is not None
    if attrs["transpose_a"]:
        a = np.swapaxes(a, -1, -2)
    if attrs["transpose_b"]:
        b = np.swapaxes(b, -1, -2)
    if a.dtype not in (np.int8, np.int16):
        return [a @ b]
    a_quant, b_quant, y = (
        given(in_quants[0], "input"),
        given(in_quants[1], "second input"),
        given(out_quants[0], "output"),
    )
    if a.dtype == np.int16:
        total = a.astype(np.int64) @ b.astype(np.int64)
        return [_fixed_point.weighted(total, None, in_quants, y, Activation.NONE)]
    acc = integer_dot(a.astype(np.int64) - a_quant.zero_point, b.astype(np.int64) - b_quant.zero_point)
    multiplier = multipliers(a_quant.scale, b_quant.scales, y.scale)[0]
    return [requantize(wrap_int32(acc), multiplier, y.zero_point, activation_bounds_i8(Activation.NONE, y))]


def _macs(inputs: Sequence[Shape], outputs: Sequence[Shape]) -> int:
    """M * K * N for every matrix of the output: M * K elements has a matrix of the first input, transposed or not."""
    return math.prod(outputs[0][:-2]) * math.prod(inputs[0][-2:]) * outputs[0][-1]


MATMUL = OpDef(
    name="matmul",
    code=OpCode.MATMUL,
    inputs=(2, 2),
    infer=_infer,
    reference=_reference,
    quant=QuantRule.FREE,
    attrs={"transpose_a": False, "transpose_b": False},
    macs=_macs,
)
