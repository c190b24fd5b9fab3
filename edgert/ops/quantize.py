"""quantize: float32 to integers, integers from one scale to another, and uint8 to int8 or back.

Where int16 or int32 takes part, integers go from scale to scale by the 32-bit rescaling of _fixed_point.py. uint8 to
int8 and back is exact, the same number under another name (q xor 128): scales are equal and zero points 128 apart. It
stands at the inputs and outputs of models that are uint8 outside.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from edgert.ir import Value
from edgert.ops import _fixed_point
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


def _rescales(x: DType, y: DType) -> bool:
    """Whether the 32-bit rescaling leads from one type to the other."""
    integers = (DType.INT8, DType.INT16, DType.INT32)
    return x in integers and y in integers and not x == y == DType.INT8


_BYTES = (DType.INT8, DType.UINT8)
_SHIFT = {DType.INT8: -128, DType.UINT8: 128}  # of the zero point, by what it becomes


def _infer(inputs: Sequence[Value | None], attrs: Attrs) -> list[TensorSpec]:
    (x,) = inputs
    assert x is not None
    dtype = attrs.get("dtype", DType.INT8)
    bytes_only = x.dtype in _BYTES and dtype in _BYTES and not (x.dtype == dtype == DType.UINT8)
    if x.dtype == DType.FLOAT32 and dtype == DType.INT32:
        raise ModelError("float32 to int32, needed int8, uint8 or int16 as the result")
    if x.dtype != DType.FLOAT32 and not bytes_only and not _rescales(x.dtype, dtype):
        raise ModelError(
            f"{x.dtype.name.lower()} to {dtype.name.lower()}, needed float32, int8 and uint8, or int8, int16, int32"
        )
    if _rescales(x.dtype, dtype) and (x.quant is None or x.quant.per_channel):
        raise ModelError(f"{x.dtype.name.lower()} input has no scale, or several: needed one")
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
    dtype = attrs.get("dtype", DType.INT8)
    if _rescales(DType.of(x.dtype), dtype):
        return [_fixed_point.rescaled(x, given(in_quants[0], "input"), y, np.dtype(dtype.numpy_name))]
    if {DType.of(x.dtype), dtype} == set(_BYTES):
        zero_points = (given(in_quants[0], "input").zero_point, y.zero_point)
        if given(in_quants[0], "input").scale != y.scale or zero_points[1] - zero_points[0] != _SHIFT[dtype]:
            raise ModelError(f"zero points {zero_points} are not 128 apart, or the scales differ")
        return [(x.view(np.uint8) ^ np.uint8(128)).view(dtype.numpy_name)]
    if x.dtype == np.int8:
        return [look_up(build_table(lambda real: real, given(in_quants[0], "input"), y), x)]
    return [quantize(x, y, dtype)]


QUANTIZE = OpDef(
    name="quantize",
    code=OpCode.QUANTIZE,
    inputs=(1, 1),
    infer=_infer,
    reference=_reference,
    quant=QuantRule.FLOAT,
    out_dtypes=(DType.INT8, DType.UINT8, DType.INT16, DType.INT32),
)
