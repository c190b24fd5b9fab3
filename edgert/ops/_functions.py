"""The functions of `unary` in float64: one formula each, for the float reference and for int8 tables alike."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from edgert.ops._def import Array
from edgert.ops._enums import UnaryFunction

_erf = np.frompyfunc(math.erf, 1, 1)
_erfc = np.frompyfunc(math.erfc, 1, 1)


def _sigmoid(x: Array) -> Array:
    return np.asarray(1.0 / (1.0 + np.exp(-x)))


def _softplus(x: Array) -> Array:
    return np.asarray(np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x))))


def _expm1_below(x: Array, alpha: float, divisor: float = 1.0) -> Array:
    """x where it is not negative, else alpha * (exp(x / divisor) - 1)."""
    return np.where(x < 0.0, alpha * np.expm1(np.minimum(x, 0.0) / divisor), x)


def unary_function(function: int, alpha: float = 0.0, beta: float = 0.0) -> Callable[[Array], Array]:
    """The function of float64 arrays that UnaryFunction `function` means; NaN stays NaN.

    alpha, beta: slope of leaky_relu; alpha of elu, celu; alpha and gamma of selu; slope and offset of hard_sigmoid;
    bounds of clip. Formulas are those of ONNX (https://onnx.ai/onnx/operators); hard_swish is x * relu6(x + 3) / 6.
    """
    table: dict[UnaryFunction, Callable[[Array], Array]] = {
        UnaryFunction.RELU: lambda x: np.maximum(x, 0.0),
        UnaryFunction.RELU6: lambda x: np.clip(x, 0.0, 6.0),
        UnaryFunction.RELU_N1_TO_1: lambda x: np.clip(x, -1.0, 1.0),
        UnaryFunction.LEAKY_RELU: lambda x: np.where(x < 0.0, alpha * x, x),
        UnaryFunction.ELU: lambda x: _expm1_below(x, alpha),
        UnaryFunction.SELU: lambda x: beta * _expm1_below(x, alpha),
        UnaryFunction.CELU: lambda x: _expm1_below(x, alpha, alpha),
        UnaryFunction.SIGMOID: _sigmoid,
        UnaryFunction.SILU: lambda x: x * _sigmoid(x),
        UnaryFunction.TANH: np.tanh,
        UnaryFunction.HARD_SWISH: lambda x: x * np.clip(x + 3.0, 0.0, 6.0) / 6.0,
        UnaryFunction.HARD_SIGMOID: lambda x: np.clip(alpha * x + beta, 0.0, 1.0),
        UnaryFunction.EXP: np.exp,
        UnaryFunction.LOG: np.log,
        UnaryFunction.SQRT: np.sqrt,
        UnaryFunction.RSQRT: lambda x: 1.0 / np.sqrt(x),
        UnaryFunction.ABS: np.abs,
        UnaryFunction.NEG: np.negative,
        UnaryFunction.FLOOR: np.floor,
        UnaryFunction.CEIL: np.ceil,
        UnaryFunction.ROUND: np.rint,
        UnaryFunction.SQUARE: np.square,
        UnaryFunction.SIN: np.sin,
        UnaryFunction.COS: np.cos,
        UnaryFunction.ERF: lambda x: np.asarray(_erf(x), np.float64),
        UnaryFunction.GELU: lambda x: 0.5 * x * np.asarray(_erfc(-x / math.sqrt(2.0)), np.float64),
        UnaryFunction.GELU_TANH: lambda x: x * _sigmoid(2.0 * math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)),
        UnaryFunction.SOFTPLUS: _softplus,
        UnaryFunction.MISH: lambda x: x * np.tanh(_softplus(x)),
        UnaryFunction.CLIP: lambda x: np.clip(x, alpha, beta),
        UnaryFunction.RECIPROCAL: lambda x: 1.0 / x,
        UnaryFunction.SIGN: np.sign,
        UnaryFunction.SOFTSIGN: lambda x: x / (1.0 + np.abs(x)),
        UnaryFunction.ATAN: np.arctan,
        UnaryFunction.ASIN: np.arcsin,
        UnaryFunction.ACOS: np.arccos,
        UnaryFunction.ASINH: np.arcsinh,
        UnaryFunction.ACOSH: np.arccosh,
        UnaryFunction.ATANH: np.arctanh,
        UnaryFunction.SINH: np.sinh,
        UnaryFunction.COSH: np.cosh,
        UnaryFunction.TAN: np.tan,
    }
    return table[UnaryFunction(function)]
