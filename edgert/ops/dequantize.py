"""dequantize: integers, per tensor or per channel, and float16, to float32."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from edgert.ir import Value
from edgert.ops._def import Array, Attrs, OpDef, QuantRule, TensorSpec
from edgert.ops._enums import OpCode

_INTEGERS = (DType.INT8, DType.UINT8, DType.INT16, DType.INT32)


def dequantize(q: Array, quant: QuantParams) -> Array:
    """float32(q - zero_point) * scale, in float32."""
    shape = [1] * q.ndim
    if quant.per_channel:
        shape[quant.axis] = len(quant.scales)
    scales = np.array(quant.scales, np.float32).reshape(shape)
    zero_points = np.array(quant.zero_points, np.int64).reshape(shape)
    return np.asarray((q.astype(np.int64) - zero_points).astype(np.float32) * scales, np.float32)


def _infer(inputs: Sequence[Value | None], attrs: Attrs) -> list[TensorSpec]:
    (x,) = inputs
    assert x is not None
    if x.dtype not in (*_INTEGERS, DType.FLOAT16):
        raise ModelError(f"input is {x.dtype.name.lower()}, needed int8, uint8, int16, int32 or float16")
    if x.dtype in _INTEGERS:
        if x.quant is None:
            raise ModelError("input has no scale")
        if x.quant.per_channel and (x.quant.axis >= len(x.shape) or x.shape[x.quant.axis] != len(x.quant.scales)):
            raise ModelError(f"input {list(x.shape)} has {len(x.quant.scales)} scales along axis {x.quant.axis}")
    return [TensorSpec(x.shape, DType.FLOAT32)]


def _reference(
    arrays: Sequence[Array | None],
    attrs: Attrs,
    in_quants: Sequence[QuantParams | None],
    out_quants: Sequence[QuantParams | None],
) -> list[Array]:
    (x,) = arrays
    (quant,) = in_quants
    assert x is not None
    if x.dtype == np.float16:
        return [x.astype(np.float32)]
    assert quant is not None
    return [dequantize(x, quant)]


DEQUANTIZE = OpDef(
    name="dequantize",
    code=OpCode.DEQUANTIZE,
    inputs=(1, 1),
    infer=_infer,
    reference=_reference,
    quant=QuantRule.FLOAT,
)
