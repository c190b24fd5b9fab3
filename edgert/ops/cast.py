"""cast: conversion between element types, by value."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.ir import Value
from edgert.ops._def import Array, Attrs, OpDef, QuantRule, TensorSpec
from edgert.ops._enums import OpCode


def cast(x: Array, dtype: DType) -> Array:
    """Integer to integer: modulo 2^n. Float to integer: truncated towards zero, saturated, NaN gives 0. To bool: not
    equal to 0 (NaN is true). To float: nearest, ties to even; an integer reaches float16 by way of float32."""
    if dtype == DType.BOOL:
        return np.asarray(x != 0)
    if dtype == DType.FLOAT16:
        with np.errstate(over="ignore"):
            return x.astype(np.float32).astype(np.float16)
    if x.dtype.kind != "f" or dtype == DType.FLOAT32:
        return x.astype(dtype.numpy_name)
    limits = np.iinfo(dtype.numpy_name)
    real = np.nan_to_num(np.trunc(x.astype(np.float64)), nan=0.0)
    low, high = real <= limits.min, real >= limits.max  # int64's maximum rounds to 2^63, which saturates as it should
    inside = np.where(low | high, 0.0, real).astype(dtype.numpy_name)
    return np.asarray(np.where(high, limits.max, np.where(low, limits.min, inside)), dtype.numpy_name)


def _infer(inputs: Sequence[Value | None], attrs: Attrs) -> list[TensorSpec]:
    (x,) = inputs
    assert x is not None
    return [TensorSpec(x.shape, attrs.get("dtype", DType.FLOAT32))]


def _reference(
    arrays: Sequence[Array | None],
    attrs: Attrs,
    in_quants: Sequence[QuantParams | None],
    out_quants: Sequence[QuantParams | None],
) -> list[Array]:
    (x,) = arrays
    assert x is not None
    return [cast(x, attrs.get("dtype", DType.FLOAT32))]


CAST = OpDef(
    name="cast",
    code=OpCode.CAST,
    inputs=(1, 1),
    infer=_infer,
    reference=_reference,
    quant=QuantRule.FLOAT,
    out_dtypes=(DType.FLOAT32, *(dtype for dtype in DType if dtype != DType.FLOAT32)),
)
