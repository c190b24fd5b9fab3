"""binary: elementwise functions of two operands, broadcast as in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.errors import InvokeError, ModelError
from edgert.ir import Value
from edgert.ops._broadcast import infer_binary
from edgert.ops._def import Array, Attrs, OpDef, QuantRule, TensorSpec
from edgert.ops._enums import Activation, BinaryFunction, OpCode
from edgert.ops._quantmath import activation_clip

_LOGICAL = (BinaryFunction.LOGICAL_AND, BinaryFunction.LOGICAL_OR)
_BITS = (
    BinaryFunction.BITWISE_AND,
    BinaryFunction.BITWISE_OR,
    BinaryFunction.BITWISE_XOR,
    BinaryFunction.SHIFT_LEFT,
    BinaryFunction.SHIFT_RIGHT,
)


def _dtypes(function: BinaryFunction) -> tuple[DType, ...]:
    if function in _LOGICAL:
        return (DType.BOOL,)
    if function in _BITS:
        return (DType.INT32, DType.INT64)
    return (DType.FLOAT32,) if function == BinaryFunction.ATAN2 else (DType.FLOAT32, DType.INT32, DType.INT64)


def _infer(inputs: Sequence[Value | None], attrs: Attrs) -> list[TensorSpec]:
    function = BinaryFunction(attrs["function"])
    spec = infer_binary(inputs, _dtypes(function))
    if attrs["activation"] != Activation.NONE and spec.dtype != DType.FLOAT32:
        raise ModelError(f"an activation on {spec.dtype.name.lower()}, needed float32")
    return [spec]


_REAL: dict[BinaryFunction, Callable[[Array, Array], Array]] = {
    BinaryFunction.DIV: np.divide,
    BinaryFunction.MINIMUM: np.minimum,
    BinaryFunction.MAXIMUM: np.maximum,
    BinaryFunction.POW: lambda a, b: np.power(a.astype(np.float64), b.astype(np.float64)),
    BinaryFunction.SQUARED_DIFFERENCE: lambda a, b: np.square(a - b),
    BinaryFunction.FLOOR_DIV: lambda a, b: np.floor(a / b),
    BinaryFunction.FLOOR_MOD: np.mod,
    BinaryFunction.TRUNC_MOD: np.fmod,
    BinaryFunction.ATAN2: np.arctan2,
}


def _truncated_division(a: Array, b: Array) -> Array:
    quotient = a // b
    return np.asarray(quotient + ((a % b != 0) & ((a < 0) != (b < 0))))


def _integer_power(a: Array, b: Array) -> Array:
    """Modulo 2^n; a negative exponent gives 1 / a^n truncated."""
    inverse = np.where(a == 1, 1, np.where(a == -1, np.where(b % 2 != 0, -1, 1), 0))
    return np.asarray(np.where(b < 0, inverse, np.power(a, np.maximum(b, 0))), a.dtype)


def _shifted(a: Array, b: Array, left: bool) -> Array:
    """a * 2^b modulo 2^n, or floor(a / 2^b); amounts outside 0..63 push every bit out."""
    wide, outside = a.astype(np.int64), (b < 0) | (b > 63)
    amount = np.where(outside, 0, b)
    if left:
        return np.asarray(np.where(outside, 0, wide << amount))
    return np.asarray(np.where(outside, np.where(wide < 0, -1, 0), wide >> amount))


_INTEGER: dict[BinaryFunction, Callable[[Array, Array], Array]] = {
    BinaryFunction.DIV: _truncated_division,
    BinaryFunction.MINIMUM: np.minimum,
    BinaryFunction.MAXIMUM: np.maximum,
    BinaryFunction.POW: _integer_power,
    BinaryFunction.SQUARED_DIFFERENCE: lambda a, b: np.square(a - b),
    BinaryFunction.FLOOR_DIV: np.floor_divide,
    BinaryFunction.FLOOR_MOD: np.mod,
    BinaryFunction.TRUNC_MOD: np.fmod,
    BinaryFunction.BITWISE_AND: np.bitwise_and,
    BinaryFunction.BITWISE_OR: np.bitwise_or,
    BinaryFunction.BITWISE_XOR: np.bitwise_xor,
    BinaryFunction.SHIFT_LEFT: lambda a, b: _shifted(a, b, True),
    BinaryFunction.SHIFT_RIGHT: lambda a, b: _shifted(a, b, False),
}
_DIVIDES = (BinaryFunction.DIV, BinaryFunction.FLOOR_DIV, BinaryFunction.FLOOR_MOD, BinaryFunction.TRUNC_MOD)


def _fails(function: BinaryFunction, a: Array, b: Array) -> bool:
    """Whether integers have no result: a division by zero, in one guise or another."""
    if function == BinaryFunction.POW:
        return bool(np.any((a == 0) & (b < 0)))
    return function in _DIVIDES and bool(np.any(b == 0))


def _reference(
    arrays: Sequence[Array | None],
    attrs: Attrs,
    in_quants: Sequence[QuantParams | None],
    out_quants: Sequence[QuantParams | None],
) -> list[Array]:
    a, b = arrays
    assert a is not None
    assert b is not None
    function = BinaryFunction(attrs["function"])
    if function in _LOGICAL:
        return [np.logical_and(a, b) if function == BinaryFunction.LOGICAL_AND else np.logical_or(a, b)]
    with np.errstate(all="ignore"):
        if a.dtype == np.float32:
            return [activation_clip(attrs["activation"], np.asarray(_REAL[function](a, b)).astype(np.float32))]
        if _fails(function, a, b):
            raise InvokeError(f"{function.name.lower()} divides an integer by zero")
        return [np.asarray(_INTEGER[function](a, b)).astype(a.dtype)]


BINARY = OpDef(
    name="binary",
    code=OpCode.BINARY,
    inputs=(2, 2),
    infer=_infer,
    reference=_reference,
    quant=QuantRule.FLOAT,
    attrs={"function": ..., "activation": Activation.NONE},
)
