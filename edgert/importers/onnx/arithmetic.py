"""ONNX handlers: integers and remainders, bits and shifts, powers of mixed types, what is infinite."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.onnx.builder import Builder, Handler, SourceNode
from edgert.ir import Value
from edgert.ops._enums import BinaryFunction, CompareFunction, UnaryFunction

REAL = (DType.FLOAT32, DType.FLOAT16)


def binary(function: BinaryFunction, b: Builder, node: SourceNode) -> Value:
    return b.emit("binary", [b.value(node, 0), b.value(node, 1)], {"function": function})


def power(b: Builder, node: SourceNode) -> Value:
    """Constant exponents that have a function of their own take it: cheaper, and a table when quantised. The result has
    the base's type; an integer and a real are computed as reals."""
    x, exponent = b.value(node, 0), b.constant(node, 1)
    if exponent is not None and exponent.size == 1 and x.dtype == DType.FLOAT32:
        number = float(exponent.reshape(-1)[0])
        own = {
            2.0: UnaryFunction.SQUARE, 0.5: UnaryFunction.SQRT, -0.5: UnaryFunction.RSQRT,
            -1.0: UnaryFunction.RECIPROCAL,
        }  # fmt: skip
        y = b.unary(own[number], x) if number in own else None
        if number == 1.0:
            y = b.emit("copy", [x])
        if y is None:
            y = b.emit("binary", [x, number], {"function": BinaryFunction.POW})
        shape = np.broadcast_shapes(x.shape, exponent.shape)
        return b.reshape(y, shape)
    by = b.value(node, 1)
    if x.dtype == by.dtype:
        return binary(BinaryFunction.POW, b, node)
    common = x.dtype if x.dtype in REAL or by.dtype not in REAL else DType.FLOAT32
    operands = [item if item.dtype == common else b.emit("cast", [item], dtype=common) for item in (x, by)]
    y = b.emit("binary", operands, {"function": BinaryFunction.POW})
    return y if y.dtype == x.dtype else b.emit("cast", [y], dtype=x.dtype)


def remainder(b: Builder, node: SourceNode) -> Value:
    """fmod: with the dividend's sign; otherwise with the divisor's."""
    return binary(BinaryFunction.TRUNC_MOD if node.integer("fmod", 0) else BinaryFunction.FLOOR_MOD, b, node)


def shift(b: Builder, node: SourceNode) -> Value:
    direction = node.text("direction", "")
    if direction not in ("LEFT", "RIGHT"):
        raise ModelError(f"direction is {direction!r}, needed 'LEFT' or 'RIGHT'")
    return binary(BinaryFunction.SHIFT_LEFT if direction == "LEFT" else BinaryFunction.SHIFT_RIGHT, b, node)


def bitwise_not(b: Builder, node: SourceNode) -> Value:
    """Exclusive or with all ones."""
    x = b.value(node, 0)
    ones = np.asarray(-1, np.dtype(x.dtype.numpy_name))
    return b.emit("binary", [x, ones], {"function": BinaryFunction.BITWISE_XOR})


def is_infinite(b: Builder, node: SourceNode) -> Value:
    x = b.value(node, 0)
    positive, negative = node.integer("detect_positive", 1), node.integer("detect_negative", 1)
    sought = math.inf if positive else -math.inf
    if positive and negative:
        x = b.unary(UnaryFunction.ABS, x)
    elif not positive and not negative:
        sought = math.nan  # which nothing equals
    return b.emit("compare", [x, sought], {"function": CompareFunction.EQUAL})


HANDLERS: dict[str, Handler] = {
    "Div": partial(binary, BinaryFunction.DIV),
    "Pow": power,
    "Mod": remainder,
    "And": partial(binary, BinaryFunction.LOGICAL_AND),
    "Or": partial(binary, BinaryFunction.LOGICAL_OR),
    "BitwiseAnd": partial(binary, BinaryFunction.BITWISE_AND),
    "BitwiseOr": partial(binary, BinaryFunction.BITWISE_OR),
    "BitwiseXor": partial(binary, BinaryFunction.BITWISE_XOR),
    "BitwiseNot": bitwise_not,
    "BitShift": shift,
    "IsInf": is_infinite,
}
