"""mul: elementwise product, broadcast as in NumPy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.ir import Value
from edgert.ops import _fixed_point
from edgert.ops._broadcast import infer_binary
from edgert.ops._def import Array, Attrs, OpDef, QuantRule, TensorSpec
from edgert.ops._enums import Activation, OpCode
from edgert.ops._quantmath import activation_bounds_i8, activation_clip, given, multipliers, requantize


def _infer(inputs: Sequence[Value | None], attrs: Attrs) -> list[TensorSpec]:
    dtypes = (DType.FLOAT32, DType.INT8, DType.INT16, DType.INT32, DType.INT64)
    return [_fixed_point.check_scales(inputs, infer_binary(inputs, dtypes))]


def _reference(
    arrays: Sequence[Array | None],
    attrs: Attrs,
    in_quants: Sequence[QuantParams | None],
    out_quants: Sequence[QuantParams | None],
) -> list[Array]:
    a, b = arrays[0], arrays[1]
    assert a is not None
    assert b is not None
    if a.dtype == np.int16:
        return [_fixed_point.mul(a, b, *_fixed_point.arithmetic(in_quants, out_quants, attrs["activation"]))]
    if a.dtype != np.int8:
        return [activation_clip(attrs["activation"], a * b)]
    a_quant, b_quant = given(in_quants[0], "first input"), given(in_quants[1], "second input")
    y = given(out_quants[0], "output")
    acc = (a.astype(np.int32) - a_quant.zero_point) * (b.astype(np.int32) - b_quant.zero_point)
    multiplier = multipliers(a_quant.scale, b_quant.scales, y.scale)[0]
    return [requantize(np.asarray(acc), multiplier, y.zero_point, activation_bounds_i8(attrs["activation"], y))]


MUL = OpDef(
    name="mul",
    code=OpCode.MUL,
    inputs=(2, 2),
    infer=_infer,
    reference=_reference,
    quant=QuantRule.FREE,
    attrs={"activation": Activation.NONE},
)
