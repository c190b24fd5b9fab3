"""PyTorch handlers: functions of single elements, arithmetic."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from edgert.dtypes import DType
from edgert.importers.layers.elementwise import clamp
from edgert.importers.torch.builder import Builder, Call, Handler
from edgert.importers.torch.types import is_float
from edgert.ir import Value
from edgert.ops._enums import BinaryFunction, CompareFunction, UnaryFunction

LARGEST = float(np.finfo(np.float32).max)

# Functions of real numbers; integers become float32 before them.
REAL = {
    "sigmoid": UnaryFunction.SIGMOID,
    "tanh": UnaryFunction.TANH,
    "hardswish": UnaryFunction.HARD_SWISH,
    "silu": UnaryFunction.SILU,
    "mish": UnaryFunction.MISH,
    "exp": UnaryFunction.EXP,
    "log": UnaryFunction.LOG,
    "sqrt": UnaryFunction.SQRT,
    "rsqrt": UnaryFunction.RSQRT,
    "reciprocal": UnaryFunction.RECIPROCAL,
    "sin": UnaryFunction.SIN,
    "cos": UnaryFunction.COS,
    "erf": UnaryFunction.ERF,
    "special_erf": UnaryFunction.ERF,
    "special_expit": UnaryFunction.SIGMOID,
    "tan": UnaryFunction.TAN,
    "sinh": UnaryFunction.SINH,
    "cosh": UnaryFunction.COSH,
    **{
        prefix + name: function
        for name, function in (
            ("sin", UnaryFunction.ASIN),
            ("cos", UnaryFunction.ACOS),
            ("tan", UnaryFunction.ATAN),
            ("sinh", UnaryFunction.ASINH),
            ("cosh", UnaryFunction.ACOSH),
            ("tanh", UnaryFunction.ATANH),
        )
        for prefix in ("a", "arc")
    },
}
# Functions that keep the type of their operand; the second ones leave integers as they are.
KEEPING = {
    "relu": UnaryFunction.RELU,
    "relu6": UnaryFunction.RELU6,
    "abs": UnaryFunction.ABS,
    "neg": UnaryFunction.NEG,
    "negative": UnaryFunction.NEG,
    "square": UnaryFunction.SQUARE,
    "sign": UnaryFunction.SIGN,
    "sgn": UnaryFunction.SIGN,
    "floor": UnaryFunction.FLOOR,
    "ceil": UnaryFunction.CEIL,
    "round": UnaryFunction.ROUND,
}
ROUNDING = {UnaryFunction.FLOOR, UnaryFunction.CEIL, UnaryFunction.ROUND}


def real(function: UnaryFunction, b: Builder, call: Call) -> Value:
    return b.unary(function, b.floating(b.value(call, "self")))


def keeping(function: UnaryFunction, b: Builder, call: Call) -> Value:
    x = b.value(call, "self")
    if not is_float(x.dtype) and function in ROUNDING:
        return x
    if function == UnaryFunction.ROUND and call.integer("decimals"):
        scale = 10.0 ** call.integer("decimals")
        return b.mul(b.unary(function, b.mul(x, scale)), 1 / scale)
    return b.unary(function, x)


def _scaled(function: UnaryFunction, factor: float, offset: float = 0.0) -> Handler:
    """factor * function(x + offset): log2, log10, log1p ..."""

    def run(b: Builder, call: Call) -> Value:
        x = b.floating(b.value(call, "self"))
        y = b.unary(function, b.add(x, offset) if offset else x)
        return y if factor == 1.0 else b.mul(y, factor)

    return run


def exp2(b: Builder, call: Call) -> Value:
    return b.unary(UnaryFunction.EXP, b.mul(b.floating(b.value(call, "self")), math.log(2)))


def expm1(b: Builder, call: Call) -> Value:
    return b.sub(b.unary(UnaryFunction.EXP, b.floating(b.value(call, "self"))), 1.0)


def erfc(b: Builder, call: Call) -> Value:
    return b.sub(b.const(1.0), b.unary(UnaryFunction.ERF, b.floating(b.value(call, "self"))))


def trunc(b: Builder, call: Call) -> Value:
    x = b.value(call, "self")
    if not is_float(x.dtype):
        return x
    return b.mul(b.unary(UnaryFunction.SIGN, x), b.unary(UnaryFunction.FLOOR, b.unary(UnaryFunction.ABS, x)))


def frac(b: Builder, call: Call) -> Value:
    return b.sub(b.value(call, "self"), trunc(b, call))


def log_add_exp(b: Builder, call: Call) -> Value:
    """log(exp(x) + exp(y)), which does not overflow."""
    left, right = (b.floating(item) for item in b.pair(call))
    larger = b.emit("binary", [left, right], {"function": BinaryFunction.MAXIMUM})
    apart = b.unary(UnaryFunction.ABS, b.sub(left, right))
    return b.add(larger, b.unary(UnaryFunction.SOFTPLUS, b.unary(UnaryFunction.NEG, apart)))


def heaviside(b: Builder, call: Call) -> Value:
    """0 below zero, 1 above, `values` at it."""
    x, values = b.pair(call, "self", "values")
    zero = b.number(0, x.dtype)
    above = b.cast(b.emit("compare", [x, zero], {"function": CompareFunction.GREATER}), x.dtype)
    at = b.emit("compare", [x, zero], {"function": CompareFunction.EQUAL})
    return b.emit("select", [at, values, above])


def clip(b: Builder, call: Call) -> Value:
    """Bounds are numbers, or tensors."""
    x = b.value(call, "self")
    if call.tensor("min") or call.tensor("max") or not is_float(x.dtype):
        for name, function in (("min", BinaryFunction.MAXIMUM), ("max", BinaryFunction.MINIMUM)):
            if call.has(name):
                pair = b.pair(Call(call.name, call.op, "", {"self": x, "other": call.args[name]}))
                x = b.emit("binary", list(pair), {"function": function})
        return x
    low, high = call.number("min", -math.inf), call.number("max", math.inf)
    return clamp(b, x, min(low, high), high)  # the upper bound wins where they cross


def clamp_one(name: str, b: Builder, call: Call) -> Value:
    return clip(b, Call(call.name, call.op, "", {"self": call.args["self"], name: call.args[name]}))


# Arithmetic


def arithmetic(op: str, b: Builder, call: Call) -> Value:
    """add, sub: self + alpha * other."""
    left, right = b.pair(call)
    alpha = call.number("alpha", 1.0)
    if alpha != 1.0:
        right = b.mul(right, b.number(alpha, right.dtype))
    if left.dtype == DType.BOOL:  # PyTorch: add is or, mul is and
        function = BinaryFunction.LOGICAL_OR if op == "add" else BinaryFunction.LOGICAL_AND
        return b.emit("binary", [left, right], {"function": function})
    return b.emit(op, [left, right])


def reversed_sub(b: Builder, call: Call) -> Value:
    left, right = b.pair(call)
    alpha = call.number("alpha", 1.0)
    return b.sub(right, left if alpha == 1.0 else b.mul(left, b.number(alpha, left.dtype)))


def binary(function: BinaryFunction, b: Builder, call: Call) -> Value:
    return b.emit("binary", list(b.pair(call)), {"function": function})


def divided(b: Builder, x: Value, y: Value) -> Value:
    """By a constant: a product with its reciprocal is what quantises well, and is as exact as float32 is here."""
    if y.constant and y.data is not None and y.data.size == 1:
        number = float(y.data.reshape(-1)[0])
        if number != 0 and math.isfinite(number) and math.frexp(number)[0] in (0.5, -0.5):
            return b.mul(x, np.full(y.shape, 1 / number, np.float32))
    return b.emit("binary", [x, y], {"function": BinaryFunction.DIV})


def div(b: Builder, call: Call) -> Value:
    """True division, of integers too; rounding_mode floor or trunc."""
    mode = call.text("rounding_mode")
    left, right = b.pair(call)
    if mode == "floor":
        return b.emit("binary", [left, right], {"function": BinaryFunction.FLOOR_DIV})
    if mode == "trunc":
        quotient = divided(b, b.floating(left), b.floating(right))
        made = trunc(b, Call(call.name, call.op, "", {"self": quotient}))
        return b.cast(made, left.dtype)
    return divided(b, b.floating(left), b.floating(right))


def power(b: Builder, call: Call) -> Value:
    """Constant exponents that have a function of their own take it: cheaper, and a table when quantised."""
    if not call.tensor("self"):  # a number to the power of a tensor
        base = math.log(call.number("self"))
        return b.unary(UnaryFunction.EXP, b.mul(b.floating(b.value(call, "exponent")), base))
    left, right = b.pair(call, "self", "exponent")
    exponent = right.data
    if exponent is not None and exponent.size == 1 and is_float(left.dtype):
        number = float(exponent.reshape(-1)[0])
        own = {
            2.0: UnaryFunction.SQUARE,
            0.5: UnaryFunction.SQRT,
            -0.5: UnaryFunction.RSQRT,
            -1.0: UnaryFunction.RECIPROCAL,
        }
        if number == 1.0:
            return b.emit("copy", [left])
        if number in own:
            return b.unary(own[number], left)
        if number == 3.0:
            return b.mul(b.unary(UnaryFunction.SQUARE, left), left)
    return b.emit("binary", [left, right], {"function": BinaryFunction.POW})


def hypotenuse(b: Builder, call: Call) -> Value:
    """sqrt(x * x + y * y)."""
    left, right = b.pair(call)
    squares = [b.unary(UnaryFunction.SQUARE, b.floating(item)) for item in (left, right)]
    return b.unary(UnaryFunction.SQRT, b.add(*squares))


def addcmul(b: Builder, call: Call) -> Value:
    product = b.mul(b.value(call, "tensor1"), b.value(call, "tensor2"))
    factor = call.number("value", 1.0)
    return b.add(b.value(call, "self"), product if factor == 1.0 else b.mul(product, factor))


def addcdiv(b: Builder, call: Call) -> Value:
    quotient = divided(b, b.value(call, "tensor1"), b.value(call, "tensor2"))
    factor = call.number("value", 1.0)
    return b.add(b.value(call, "self"), quotient if factor == 1.0 else b.mul(quotient, factor))


def lerp(b: Builder, call: Call) -> Value:
    start, weight = b.value(call, "self"), b.value(call, "weight")
    return b.add(start, b.mul(b.sub(b.value(call, "end"), start), b.floating(weight)))


HANDLERS: dict[str, Handler] = {
    **{f"aten.{name}": partial(real, function) for name, function in REAL.items()},
    **{f"aten.{name}": partial(keeping, function) for name, function in KEEPING.items()},
    "aten.log2": _scaled(UnaryFunction.LOG, 1 / math.log(2)),
    "aten.log10": _scaled(UnaryFunction.LOG, 1 / math.log(10)),
    "aten.log1p": _scaled(UnaryFunction.LOG, 1.0, 1.0),
    "aten.exp2": exp2,
    "aten.expm1": expm1,
    "aten.erfc": erfc,
    "aten.trunc": trunc,
    "aten.fix": trunc,
    "aten.frac": frac,
    "aten.logaddexp": log_add_exp,
    "aten.heaviside": heaviside,
    "aten.clamp": clip,
    "aten.clip": clip,
    "aten.clamp_min": partial(clamp_one, "min"),
    "aten.clamp_max": partial(clamp_one, "max"),
    "aten.add": partial(arithmetic, "add"),
    "aten.sub": partial(arithmetic, "sub"),
    "aten.subtract": partial(arithmetic, "sub"),
    "aten.rsub": reversed_sub,
    "aten.mul": partial(arithmetic, "mul"),
    "aten.multiply": partial(arithmetic, "mul"),
    "aten.div": div,
    "aten.divide": div,
    "aten.true_divide": div,
    "aten.floor_divide": partial(binary, BinaryFunction.FLOOR_DIV),
    "aten.remainder": partial(binary, BinaryFunction.FLOOR_MOD),
    "aten.fmod": partial(binary, BinaryFunction.TRUNC_MOD),
    "aten.atan2": partial(binary, BinaryFunction.ATAN2),
    "aten.arctan2": partial(binary, BinaryFunction.ATAN2),
    "aten.pow": power,
    "aten.float_power": power,
    "aten.hypot": hypotenuse,
    "aten.maximum": partial(binary, BinaryFunction.MAXIMUM),
    "aten.fmax": partial(binary, BinaryFunction.MAXIMUM),
    "aten.minimum": partial(binary, BinaryFunction.MINIMUM),
    "aten.fmin": partial(binary, BinaryFunction.MINIMUM),
    "aten.addcmul": addcmul,
    "aten.addcdiv": addcdiv,
    "aten.lerp": lerp,
    "aten.bitwise_left_shift": partial(binary, BinaryFunction.SHIFT_LEFT),
    "aten.__lshift__": partial(binary, BinaryFunction.SHIFT_LEFT),
    "aten.bitwise_right_shift": partial(binary, BinaryFunction.SHIFT_RIGHT),
    "aten.__rshift__": partial(binary, BinaryFunction.SHIFT_RIGHT),
}
