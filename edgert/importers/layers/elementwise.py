"""Elementwise layers that several frameworks have, and products with a matrix of weights."""

from __future__ import annotations

import numpy as np

from edgert.errors import ModelError
from edgert.importers.builder import Array, GraphBuilder, Operand
from edgert.ir import Value
from edgert.ops._enums import BinaryFunction, CompareFunction, UnaryFunction

_LARGEST = float(np.finfo(np.float32).max)
# Exponents with a function of their own.
_POWERS = {
    2.0: UnaryFunction.SQUARE, 0.5: UnaryFunction.SQRT, -0.5: UnaryFunction.RSQRT, -1.0: UnaryFunction.RECIPROCAL,
}  # fmt: skip


def affine(b: GraphBuilder, x: Value, scale: float, shift: float) -> Value:
    """scale * x + shift"""
    y = x if scale == 1 else b.mul(x, float(scale))
    return y if shift == 0 else b.add(y, float(shift))


def power(b: GraphBuilder, x: Value, exponent: float) -> Value:
    if exponent == 1:
        return x
    if exponent in _POWERS:
        return b.unary(_POWERS[exponent], x)
    return b.emit("binary", [x, float(exponent)], {"function": BinaryFunction.POW})


def clamp(b: GraphBuilder, x: Value, low: float, high: float) -> Value:
    """Unary clip, or the activation function that it is; x itself where there are no bounds."""
    low, high = max(low, -_LARGEST), min(high, _LARGEST)
    named = {
        (0.0, _LARGEST): UnaryFunction.RELU, (0.0, 6.0): UnaryFunction.RELU6, (-1.0, 1.0): UnaryFunction.RELU_N1_TO_1,
    }  # fmt: skip
    if (low, high) == (-_LARGEST, _LARGEST):
        return x
    if (low, high) in named:
        return b.unary(named[low, high], x)
    return b.unary(UnaryFunction.CLIP, x, low, high)


def leaky_relu(b: GraphBuilder, x: Value, slope: float) -> Value:
    if slope == 0:
        return b.unary(UnaryFunction.RELU, x)
    return b.unary(UnaryFunction.LEAKY_RELU, x, float(slope))


def prelu(b: GraphBuilder, x: Value, slopes: Array, axis: int = 1) -> Value:
    """One slope, or one for each channel along an axis."""
    if slopes.size == 1:
        return leaky_relu(b, x, float(slopes.reshape(-1)[0]))
    if slopes.size != x.shape[axis]:
        raise ModelError(f"{slopes.size} slopes for {x.shape[axis]} channels")
    return b.emit("prelu", [x, slopes.astype(np.float32).reshape(-1, *[1] * (len(x.shape) - axis - 1))])


def threshold(b: GraphBuilder, x: Value, limit: float, otherwise: Operand) -> Value:
    """x where x > limit, else `otherwise`."""
    above = b.emit("compare", [x, float(limit)], {"function": CompareFunction.GREATER})
    return b.emit("select", [above, x, otherwise])


def swish(b: GraphBuilder, x: Value, beta: float = 1.0) -> Value:
    """x * sigmoid(beta * x)"""
    if beta == 1:
        return b.unary(UnaryFunction.SILU, x)
    return b.mul(x, b.unary(UnaryFunction.SIGMOID, b.mul(x, float(beta))))


def largest(b: GraphBuilder, x: Operand, y: Operand) -> Value:
    return b.emit("binary", [x, y], {"function": BinaryFunction.MAXIMUM})


def divided(b: GraphBuilder, x: Operand, y: Operand) -> Value:
    return b.emit("binary", [x, y], {"function": BinaryFunction.DIV})


def linear(b: GraphBuilder, x: Value, weights: Operand, bias: Operand | None) -> Value:
    """Every row of x [..., K] times weights [N, K], constant or computed, plus bias [N]."""
    matrix = b.operand(weights)
    if len(matrix.shape) != 2 or not x.shape or x.shape[-1] != matrix.shape[1]:
        raise ModelError(f"weights {list(matrix.shape)} do not fit an input {list(x.shape)}")
    if matrix.constant:
        return b.emit("fully_connected", [x, matrix] if bias is None else [x, matrix, bias])
    y = b.emit("matmul", [x, matrix], {"transpose_b": True})
    return y if bias is None else b.add(y, bias)
