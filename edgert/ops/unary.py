"""unary: elementwise functions of one operand."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from edgert.ir import Value
from edgert.ops._def import Array, Attrs, OpDef, QuantRule, TensorSpec
from edgert.ops._enums import OpCode, UnaryFunction
from edgert.ops._functions import unary_function
from edgert.ops._quantmath import given
from edgert.ops._table import build_table, look_up
from edgert.ops._unary_int16 import unary_int16

_INTEGERS = (DType.INT32, DType.INT64)
# Functions of integers: (x, low, high) -> y, modulo 2^n. The bounds are clip's, truncated and saturated.
_INTEGER_FUNCTIONS: dict[UnaryFunction, Callable[[Array, int, int], Array]] = {
    UnaryFunction.RELU: lambda x, low, high: np.maximum(x, 0),
    UnaryFunction.RELU6: lambda x, low, high: np.clip(x, 0, 6),
    UnaryFunction.RELU_N1_TO_1: lambda x, low, high: np.clip(x, -1, 1),
    UnaryFunction.CLIP: lambda x, low, high: np.clip(x, low, high),
    UnaryFunction.ABS: lambda x, low, high: np.abs(x),
    UnaryFunction.NEG: lambda x, low, high: np.negative(x),
    UnaryFunction.SQUARE: lambda x, low, high: np.square(x),
    UnaryFunction.SIGN: lambda x, low, high: np.sign(x),
}


def _infer(inputs: Sequence[Value | None], attrs: Attrs) -> list[TensorSpec]:
    (x,) = inputs
    assert x is not None
    function = UnaryFunction(attrs["function"])
    if function == UnaryFunction.LOGICAL_NOT:
        fits = x.dtype == DType.BOOL
    else:
        fits = x.dtype in (DType.FLOAT32, DType.INT8, DType.INT16) or (
            x.dtype in _INTEGERS and function in _INTEGER_FUNCTIONS
        )
    if not fits:
        raise ModelError(f"input is {x.dtype.name.lower()}, which {function.name.lower()} does not take")
    if math.isnan(attrs["alpha"]) or math.isnan(attrs["beta"]):
        raise ModelError("alpha or beta is NaN")
    if function == UnaryFunction.CLIP and attrs["alpha"] > attrs["beta"]:
        raise ModelError(
            f"clip to [{attrs['alpha']:g}, {attrs['beta']:g}], needed a lower bound not above the upper one"
        )
    if function == UnaryFunction.CELU and attrs["alpha"] == 0:
        raise ModelError("celu with alpha 0, needed another value")
    return [TensorSpec(x.shape, x.dtype)]


def _integer_bound(bound: float, dtype: np.dtype[np.signedinteger[Any]]) -> int:
    limits = np.iinfo(dtype)
    return int(limits.max if bound >= limits.max else limits.min if bound <= limits.min else int(bound))


def _reference(
    arrays: Sequence[Array | None],
    attrs: Attrs,
    in_quants: Sequence[QuantParams | None],
    out_quants: Sequence[QuantParams | None],
) -> list[Array]:
    (x,) = arrays
    assert x is not None
    function = UnaryFunction(attrs["function"])
    if function == UnaryFunction.LOGICAL_NOT:
        return [np.logical_not(x)]
    alpha, beta = float(np.float32(attrs["alpha"])), float(np.float32(attrs["beta"]))
    if x.dtype in (np.int32, np.int64):
        low, high = _integer_bound(alpha, x.dtype), _integer_bound(beta, x.dtype)
        return [np.asarray(_INTEGER_FUNCTIONS[function](x, low, high), x.dtype)]
    real = unary_function(function, alpha, beta)
    if x.dtype == np.int8:
        table = build_table(real, given(in_quants[0], "input"), given(out_quants[0], "output"))
        return [look_up(table, x)]
    if x.dtype == np.int16:
        quants = given(in_quants[0], "input"), given(out_quants[0], "output")
        return [unary_int16(function, x, alpha, beta, *quants)]
    with np.errstate(all="ignore"):
        return [np.asarray(real(x.astype(np.float64))).astype(np.float32)]


UNARY = OpDef(
    name="unary",
    code=OpCode.UNARY,
    inputs=(1, 1),
    infer=_infer,
    reference=_reference,
    quant=QuantRule.TABLE,
    attrs={"function": ..., "alpha": 0.0, "beta": 0.0},
)
