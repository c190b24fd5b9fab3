"""quantize: float32 to integers, and int8 from one scale to another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from edgert.ir import Value
from edgert.ops._def import Array, Attrs, OpDef, QuantRule, TensorSpec
from edgert.ops._enums import OpCode
from edgert.ops._quantmath import given
from edgert.ops._table import build_table, look_up


def quantize(x: Array, quant: QuantParams, dtype: DType = DType.INT8) -> Array:
    """clamp(rne(x / scale) + zero_point) in float32; NaN gives the zero point. x: float32; quant: per tensor."""
    limits = np.iinfo(dtype.numpy_name)
    zero_point = quant.zero_point
    with np.errstate(over="ignore", invalid="ignore"):
        steps = x.astype(np.float32) / np.float32(quant.scale)
    steps = np.where(np.isnan(steps), np.float32(0), steps)
    steps = np.clip(steps, np.float32(limits.min - zero_point), np.float32(limits.max - zero_point))
    return np.asarray(np.rint(steps).astype(np.int32) + zero_point, dtype.numpy_name)


def _infer(inputs: Sequence[Value | None], attrs: Attrs) -> list[TensorSpec]:
    (x,) = inputs
    assert x is not None
    dtype = attrs.get("dtype", DType.INT8)
    if x.dtype != DType.FLOAT32 and not (x.dtype == dtype == DType.INT8):
        raise ModelError(f"{x.dtype.name.lower()} to {dtype.name.lower()}, needed float32, or int8 to int8")
    return [TensorSpec(x.shape, dtype)]


def _reference(
    arrays: Sequence[Array | None],
    attrs: Attrs,
    in_quants: Sequence[QuantParams | None],
    out_quants: Sequence[QuantParams | None],
) -> list[Array]:
    (x,) = arrays
    assert x is not None
    y = given(out_quants[0], "output")
    if x.dtype == np.int8:
        return [look_up(build_table(lambda real: real, given(in_quants[0], "input"), y), x)]
    return [quantize(x, y, attrs.get("dtype", DType.INT8))]


QUANTIZE = OpDef(
    name="quantize",
    code=OpCode.QUANTIZE,
    inputs=(1, 1),
    infer=_infer,
    reference=_reference,
    quant=QuantRule.FLOAT,
    out_dtypes=(DType.INT8, DType.UINT8, DType.INT16),
)
