"""Elementwise operators, comparisons, and the changes of element type."""

from __future__ import annotations

import numpy as np

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.tflite.builder import Builder, Handler
from edgert.importers.tflite.linear import fused
from edgert.importers.tflite.read import SourceOp
from edgert.ir import Value
from edgert.ops._enums import BinaryFunction, CompareFunction, ReduceFunction, UnaryFunction


def _arithmetic(op_name: str, options_name: str) -> Handler:
    """add, sub or mul, which carry a fused activation."""

    def handler(b: Builder, op: SourceOp) -> Value:
        attrs = {"activation": fused(op.options(options_name))}
        return b.emit(op_name, [b.value(op, 0), b.value(op, 1)], attrs, b.out_quant(op))

    return handler


def _binary(function: BinaryFunction, options_name: str | None = None) -> Handler:
    def handler(b: Builder, op: SourceOp) -> Value:
        attrs: dict[str, object] = {"function": function}
        if options_name is not None:
            attrs["activation"] = fused(op.options(options_name))
        return b.emit("binary", [b.value(op, 0), b.value(op, 1)], attrs, b.out_quant(op))

    return handler


def _unary(function: UnaryFunction) -> Handler:
    def handler(b: Builder, op: SourceOp) -> Value:
        return b.unary(function, b.value(op, 0), b.out_quant(op))

    return handler


def leaky_relu(b: Builder, op: SourceOp) -> Value:
    alpha = op.options("LeakyReluOptions").Alpha()
    return b.unary(UnaryFunction.LEAKY_RELU, b.value(op, 0), b.out_quant(op), alpha)


def relu_0_to_1(b: Builder, op: SourceOp) -> Value:
    attrs = {"function": UnaryFunction.CLIP, "alpha": 0.0, "beta": 1.0}
    return b.emit("unary", [b.value(op, 0)], attrs, b.out_quant(op))


def gelu(b: Builder, op: SourceOp) -> Value:
    approximate = op.options("GeluOptions").Approximate()
    return b.unary(UnaryFunction.GELU_TANH if approximate else UnaryFunction.GELU, b.value(op, 0), b.out_quant(op))


def elu(b: Builder, op: SourceOp) -> Value:
    return b.unary(UnaryFunction.ELU, b.value(op, 0), b.out_quant(op), 1.0)


def prelu(b: Builder, op: SourceOp) -> Value:
    return b.emit("prelu", [b.value(op, 0), b.value(op, 1)], {}, b.out_quant(op))


def _compare(function: CompareFunction) -> Handler:
    def handler(b: Builder, op: SourceOp) -> Value:
        x, y = b.value(op, 0), b.value(op, 1)
        if x.quant != y.quant:  # integers on different scales
            x, y = b.real(x), b.real(y)
        return b.emit("compare", [x, y], {"function": function})

    return handler


def select(b: Builder, op: SourceOp) -> Value:
    """SELECT and SELECT_V2. SELECT takes a condition of one dimension row by row; V2 broadcasts."""
    condition, x, y = (b.value(op, i) for i in range(3))
    if op.kind == "SELECT" and len(condition.shape) == 1 and len(x.shape) > 1:
        condition = b.reshape(condition, (*condition.shape, *(1,) * (len(x.shape) - 1)))
    quant = b.out_quant(op)
    if quant is not None:
        x, y = b.quantized(x, quant, b.out_dtype(op)), b.quantized(y, quant, b.out_dtype(op))
    return b.emit("select", [condition, x, y], {}, quant)


def add_n(b: Builder, op: SourceOp) -> Value:
    """The sum of all inputs; an int8 sum is rounded once, at its end."""
    total = b.value(op, 0)
    quant = b.out_quant(op)
    for i in range(1, len(op.inputs)):
        total = b.emit("add", [b.real(total), b.real(b.value(op, i))])
    return b.quantized(total, quant, b.out_dtype(op)) if quant is not None else total


def quantize(b: Builder, op: SourceOp) -> Value:
    x, quant = b.value(op, 0), b.out_quant(op)
    if quant is None:
        raise ModelError("its output has no scale")
    return b.quantized(x, quant, b.out_dtype(op))


def dequantize(b: Builder, op: SourceOp) -> Value:
    x = b.value(op, 0)
    if x.dtype == DType.FLOAT32:  # float16 constants are float32 already
        return x
    if x.dtype == DType.FLOAT16:
        return b.emit("cast", [x], dtype=DType.FLOAT32)
    return b.emit("dequantize", [x])


def cast(b: Builder, op: SourceOp) -> Value:
    """A change of type; quantised numbers count as the numbers that they stand for."""
    x, dtype = b.real(b.value(op, 0)), b.out_dtype(op)
    return x if x.dtype == dtype else b.emit("cast", [x], dtype=dtype)


def l2_normalization(b: Builder, op: SourceOp) -> Value:
    """x / max(sqrt(sum(x^2)), 1e-6) over the last axis."""
    x, quant = b.real(b.value(op, 0)), b.out_quant(op)
    attrs = {"function": ReduceFunction.SUM, "axes": (len(x.shape) - 1,), "keep_dims": True}
    total = b.emit("reduce", [b.unary(UnaryFunction.SQUARE, x, None)], attrs)
    floor = b.const(np.array(1e-6, np.float32), name="epsilon")
    norm = b.emit("binary", [b.unary(UnaryFunction.SQRT, total, None), floor], {"function": BinaryFunction.MAXIMUM})
    activation = fused(op.options("L2NormOptions"))
    y = b.emit("binary", [x, norm], {"function": BinaryFunction.DIV, "activation": activation})
    return b.quantized(y, quant, b.out_dtype(op)) if quant is not None else y


def fake_quant(b: Builder, op: SourceOp) -> Value:
    """Rounded to the levels of a range that holds 0 exactly: what quantisation will do to the numbers."""
    options, x = op.options("FakeQuantOptions"), b.real(b.value(op, 0))
    bits, low, high = options.NumBits(), float(options.Min()), float(options.Max())
    if not (2 <= bits <= 16 and low < high and np.isfinite([low, high]).all()):
        raise ModelError(f"{bits} bits for {low} to {high}")
    least, most = float(options.NarrowRange()), float(2**bits - 1)
    scale = (high - low) / (most - least)
    zero = min(max(np.floor(least - low / scale + 0.5), least), most)
    low, high = (least - zero) * scale, (most - zero) * scale
    if not max(abs(low), high, 1 / scale) < 1e38:
        raise ModelError(f"a range of {low} to {high} in steps of {scale}")
    clipped = b.emit("unary", [x], {"function": UnaryFunction.CLIP, "alpha": low, "beta": high})
    steps = b.emit("mul", [b.emit("sub", [clipped, _number(b, low)]), _number(b, 1 / scale)])
    whole = b.unary(UnaryFunction.FLOOR, b.emit("add", [steps, _number(b, 0.5)]), None)
    return b.emit("add", [b.emit("mul", [whole, _number(b, scale)]), _number(b, low)])


def _number(b: Builder, number: float) -> Value:
    return b.const(np.array(number, np.float32))


HANDLERS: dict[str, Handler] = {
    "ADD": _arithmetic("add", "AddOptions"),
    "SUB": _arithmetic("sub", "SubOptions"),
    "MUL": _arithmetic("mul", "MulOptions"),
    "ADD_N": add_n,
    "DIV": _binary(BinaryFunction.DIV, "DivOptions"),
    "MAXIMUM": _binary(BinaryFunction.MAXIMUM),
    "MINIMUM": _binary(BinaryFunction.MINIMUM),
    "POW": _binary(BinaryFunction.POW),
    "SQUARED_DIFFERENCE": _binary(BinaryFunction.SQUARED_DIFFERENCE),
    "FLOOR_DIV": _binary(BinaryFunction.FLOOR_DIV),
    "FLOOR_MOD": _binary(BinaryFunction.FLOOR_MOD),
    "ATAN2": _binary(BinaryFunction.ATAN2),
    "BITWISE_XOR": _binary(BinaryFunction.BITWISE_XOR),
    "RIGHT_SHIFT": _binary(BinaryFunction.SHIFT_RIGHT),
    "FAKE_QUANT": fake_quant,
    "LOGICAL_AND": _binary(BinaryFunction.LOGICAL_AND),
    "LOGICAL_OR": _binary(BinaryFunction.LOGICAL_OR),
    "LOGICAL_NOT": _unary(UnaryFunction.LOGICAL_NOT),
    "RELU": _unary(UnaryFunction.RELU),
    "RELU6": _unary(UnaryFunction.RELU6),
    "RELU_N1_TO_1": _unary(UnaryFunction.RELU_N1_TO_1),
    "RELU_0_TO_1": relu_0_to_1,
    "LEAKY_RELU": leaky_relu,
    "PRELU": prelu,
    "ELU": elu,
    "GELU": gelu,
    "LOGISTIC": _unary(UnaryFunction.SIGMOID),
    "TANH": _unary(UnaryFunction.TANH),
    "HARD_SWISH": _unary(UnaryFunction.HARD_SWISH),
    "EXP": _unary(UnaryFunction.EXP),
    "LOG": _unary(UnaryFunction.LOG),
    "SQRT": _unary(UnaryFunction.SQRT),
    "RSQRT": _unary(UnaryFunction.RSQRT),
    "SQUARE": _unary(UnaryFunction.SQUARE),
    "ABS": _unary(UnaryFunction.ABS),
    "NEG": _unary(UnaryFunction.NEG),
    "FLOOR": _unary(UnaryFunction.FLOOR),
    "CEIL": _unary(UnaryFunction.CEIL),
    "ROUND": _unary(UnaryFunction.ROUND),
    "SIGN": _unary(UnaryFunction.SIGN),
    "SIN": _unary(UnaryFunction.SIN),
    "COS": _unary(UnaryFunction.COS),
    "EQUAL": _compare(CompareFunction.EQUAL),
    "NOT_EQUAL": _compare(CompareFunction.NOT_EQUAL),
    "LESS": _compare(CompareFunction.LESS),
    "LESS_EQUAL": _compare(CompareFunction.LESS_EQUAL),
    "GREATER": _compare(CompareFunction.GREATER),
    "GREATER_EQUAL": _compare(CompareFunction.GREATER_EQUAL),
    "SELECT": select,
    "SELECT_V2": select,
    "QUANTIZE": quantize,
    "DEQUANTIZE": dequantize,
    "CAST": cast,
    "L2_NORMALIZATION": l2_normalization,
}
