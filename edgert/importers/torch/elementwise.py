"""PyTorch handlers: functions of single elements, arithmetic, comparisons."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from edgert.dtypes import DType
from edgert.importers.torch.builder import Builder, Call, Handler, RefusedError
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

# By bits of integers, or of booleans.
BITWISE = {
    "and": (BinaryFunction.LOGICAL_AND, BinaryFunction.BITWISE_AND),
    "or": (BinaryFunction.LOGICAL_OR, BinaryFunction.BITWISE_OR),
    "xor": (None, BinaryFunction.BITWISE_XOR),
}

COMPARISONS = {
    "eq": CompareFunction.EQUAL,
    "ne": CompareFunction.NOT_EQUAL,
    "not_equal": CompareFunction.NOT_EQUAL,
    "lt": CompareFunction.LESS,
    "less": CompareFunction.LESS,
    "le": CompareFunction.LESS_EQUAL,
    "less_equal": CompareFunction.LESS_EQUAL,
    "gt": CompareFunction.GREATER,
    "greater": CompareFunction.GREATER,
    "ge": CompareFunction.GREATER_EQUAL,
    "greater_equal": CompareFunction.GREATER_EQUAL,
}


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


# Activations


def gelu(b: Builder, call: Call) -> Value:
    tanh = call.text("approximate", "none") == "tanh"
    return b.unary(UnaryFunction.GELU_TANH if tanh else UnaryFunction.GELU, b.value(call, "self"))


def hardsigmoid(b: Builder, call: Call) -> Value:
    return b.unary(UnaryFunction.HARD_SIGMOID, b.value(call, "self"), 1 / 6, 0.5)


def leaky_relu(b: Builder, call: Call) -> Value:
    return b.unary(UnaryFunction.LEAKY_RELU, b.value(call, "self"), call.number("negative_slope", 0.01))


def rrelu(b: Builder, call: Call) -> Value:
    """In use (not in training) the slope is the middle of its range."""
    if call.flag("training"):
        raise RefusedError("it draws slopes at random, as in training", "export the model after module.eval()")
    slope = (call.number("lower", 1 / 8) + call.number("upper", 1 / 3)) / 2
    return b.unary(UnaryFunction.LEAKY_RELU, b.value(call, "self"), slope)


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


def rrelu_with_noise(b: Builder, call: Call) -> list[Value]:
    y = rrelu(b, call)
    return [y, y]


def elu(b: Builder, call: Call) -> Value:
    """scale * (x if x > 0 else alpha * (exp(input_scale * x) - 1))."""
    x, alpha = b.value(call, "self"), call.number("alpha", 1.0)
    scale, inner = call.number("scale", 1.0), call.number("input_scale", 1.0)
    if inner != 1.0:
        y = b.unary(UnaryFunction.ELU, b.mul(x, inner), alpha)
        above = b.emit("compare", [x, 0.0], {"function": CompareFunction.GREATER})
        y = b.emit("select", [above, x, y])
    else:
        y = b.unary(UnaryFunction.ELU, x, alpha)
    return y if scale == 1.0 else b.mul(y, scale)


def celu(b: Builder, call: Call) -> Value:
    return b.unary(UnaryFunction.CELU, b.value(call, "self"), call.number("alpha", 1.0))


def selu(b: Builder, call: Call) -> Value:
    return b.unary(UnaryFunction.SELU, b.value(call, "self"), 1.6732632423543772, 1.0507009873554805)


def softplus(b: Builder, call: Call) -> Value:
    """log(1 + exp(beta * x)) / beta."""
    x, beta = b.value(call, "self"), call.number("beta", 1.0)
    if beta == 1.0:
        return b.unary(UnaryFunction.SOFTPLUS, x)
    return b.mul(b.unary(UnaryFunction.SOFTPLUS, b.mul(x, beta)), 1 / beta)


def log_sigmoid(b: Builder, call: Call) -> Value:
    x = b.value(call, "self")
    return b.unary(UnaryFunction.NEG, b.unary(UnaryFunction.SOFTPLUS, b.unary(UnaryFunction.NEG, x)))


def log_sigmoid_forward(b: Builder, call: Call) -> list[Value]:
    y = log_sigmoid(b, call)
    return [y, y]


def softsign(b: Builder, call: Call) -> Value:
    return b.unary(UnaryFunction.SOFTSIGN, b.value(call, "self"))


def tanhshrink(b: Builder, call: Call) -> Value:
    x = b.value(call, "self")
    return b.sub(x, b.unary(UnaryFunction.TANH, x))


def threshold(b: Builder, call: Call) -> Value:
    """x where x > threshold, else value."""
    x = b.value(call, "self")
    above = b.emit("compare", [x, call.number("threshold")], {"function": CompareFunction.GREATER})
    return b.emit("select", [above, x, b.number(call.number("value"), x.dtype)])


def shrink(soft: bool, b: Builder, call: Call) -> Value:
    """0 within lambda of 0; beyond, x, or x less lambda towards 0 (soft)."""
    x, bound = b.value(call, "self"), call.number("lambd", 0.5)
    size = b.unary(UnaryFunction.ABS, x)
    if soft:
        return b.mul(b.unary(UnaryFunction.SIGN, x), b.unary(UnaryFunction.RELU, b.sub(size, bound)))
    beyond = b.emit("compare", [size, bound], {"function": CompareFunction.GREATER})
    return b.emit("select", [beyond, x, 0.0])


def glu(b: Builder, call: Call) -> Value:
    """The first half times the sigmoid of the second."""
    x = b.value(call, "self")
    axis = call.integer("dim", -1) % len(x.shape)
    half = x.shape[axis] // 2
    left, right = b.slice(x, axis, 0, half), b.slice(x, axis, half, 2 * half)
    return b.mul(left, b.unary(UnaryFunction.SIGMOID, right))


def prelu(b: Builder, call: Call) -> Value:
    """One slope, or one for each channel (axis 1)."""
    x, slope = b.value(call, "self"), b.value(call, "weight")
    if slope.constant and slope.data is not None and slope.data.size == 1:
        return b.unary(UnaryFunction.LEAKY_RELU, x, float(slope.data.reshape(-1)[0]))
    if len(slope.shape) == 1 and len(x.shape) > 1:
        slope = b.reshape(slope, (slope.shape[0], *(1,) * (len(x.shape) - 2)))
    return b.emit("prelu", [x, slope])


def clamp(b: Builder, x: Value, low: float, high: float) -> Value:
    """Unary clip, or the activation function that it is."""
    low, high = max(low, -LARGEST), min(high, LARGEST)
    if low == -LARGEST and high == LARGEST:
        return x
    if (low, high) == (0.0, LARGEST):
        return b.unary(UnaryFunction.RELU, x)
    if (low, high) == (0.0, 6.0):
        return b.unary(UnaryFunction.RELU6, x)
    if (low, high) == (-1.0, 1.0):
        return b.unary(UnaryFunction.RELU_N1_TO_1, x)
    return b.unary(UnaryFunction.CLIP, x, min(low, high), high)  # the upper bound wins where they cross


def hardtanh(b: Builder, call: Call) -> Value:
    return clamp(b, b.value(call, "self"), call.number("min_val", -1.0), call.number("max_val", 1.0))


def clip(b: Builder, call: Call) -> Value:
    """Bounds are numbers, or tensors."""
    x = b.value(call, "self")
    if call.tensor("min") or call.tensor("max") or not is_float(x.dtype):
        for name, function in (("min", BinaryFunction.MAXIMUM), ("max", BinaryFunction.MINIMUM)):
            if call.has(name):
                pair = b.pair(Call(call.name, call.op, "", {"self": x, "other": call.args[name]}))
                x = b.emit("binary", list(pair), {"function": function})
        return x
    return clamp(b, x, call.number("min", -math.inf), call.number("max", math.inf))


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


# Comparisons and choices


def compare(function: CompareFunction, b: Builder, call: Call) -> Value:
    return b.emit("compare", list(b.pair(call)), {"function": function})


def logical(function: BinaryFunction, b: Builder, call: Call) -> Value:
    return b.emit("binary", [truth(b, b.value(call, name)) for name in ("self", "other")], {"function": function})


def bitwise(name: str, b: Builder, call: Call) -> Value:
    left, right = b.pair(call)
    of_booleans, of_integers = BITWISE[name]
    if left.dtype != DType.BOOL:
        return b.emit("binary", [left, right], {"function": of_integers})
    if of_booleans is None:
        return b.emit("compare", [left, right], {"function": CompareFunction.NOT_EQUAL})
    return b.emit("binary", [left, right], {"function": of_booleans})


def truth(b: Builder, x: Value) -> Value:
    """Whether each element is not 0."""
    if x.dtype == DType.BOOL:
        return x
    return b.emit("compare", [x, b.number(0, x.dtype)], {"function": CompareFunction.NOT_EQUAL})


def logical_not(b: Builder, call: Call) -> Value:
    x = b.value(call, "self")
    if call.op == "aten.bitwise_not" and x.dtype != DType.BOOL:
        raise RefusedError("it works on the bits of integers", "only booleans are known")
    return b.unary(UnaryFunction.LOGICAL_NOT, truth(b, x))


def exclusive_or(b: Builder, call: Call) -> Value:
    values = [truth(b, b.value(call, name)) for name in ("self", "other")]
    return b.emit("compare", list(values), {"function": CompareFunction.NOT_EQUAL})


def is_nan(b: Builder, call: Call) -> Value:
    """Only NaN differs from itself."""
    x = b.value(call, "self")
    return b.emit("compare", [x, x], {"function": CompareFunction.NOT_EQUAL})


def is_inf(b: Builder, call: Call) -> Value:
    size = b.unary(UnaryFunction.ABS, b.floating(b.value(call, "self")))
    return b.emit("compare", [size, LARGEST], {"function": CompareFunction.GREATER})


def is_finite(b: Builder, call: Call) -> Value:
    size = b.unary(UnaryFunction.ABS, b.floating(b.value(call, "self")))
    return b.emit("compare", [size, LARGEST], {"function": CompareFunction.LESS_EQUAL})


def copy_sign(b: Builder, call: Call) -> Value:
    """The size of self with the sign of other; zeros count as positive."""
    left, right = b.pair(call)
    size = b.unary(UnaryFunction.ABS, left)
    below = b.emit("compare", [right, b.number(0, right.dtype)], {"function": CompareFunction.LESS})
    return b.emit("select", [below, b.unary(UnaryFunction.NEG, size), size])


def sign_bit(b: Builder, call: Call) -> Value:
    x = b.value(call, "self")
    return b.emit("compare", [x, b.number(0, x.dtype)], {"function": CompareFunction.LESS})


def where(b: Builder, call: Call) -> Value:
    condition = truth(b, b.value(call, "condition"))
    left, right = b.pair(call)
    return b.emit("select", [condition, left, right])


def masked_fill(b: Builder, call: Call) -> Value:
    x = b.value(call, "self")
    filler = b.cast(b.value(call, "value"), x.dtype)
    return b.emit("select", [truth(b, b.value(call, "mask")), filler, x])


def nan_to_num(b: Builder, call: Call) -> Value:
    x = b.value(call, "self")
    missing = b.emit("compare", [x, x], {"function": CompareFunction.NOT_EQUAL})
    y = b.emit("select", [missing, b.const(call.number("nan", 0.0)), x])
    return b.unary(UnaryFunction.CLIP, y, call.number("neginf", -LARGEST), call.number("posinf", LARGEST))


HANDLERS: dict[str, Handler] = {
    **{f"aten.{name}": partial(real, function) for name, function in REAL.items()},
    **{f"aten.{name}": partial(keeping, function) for name, function in KEEPING.items()},
    **{f"aten.{name}": partial(compare, function) for name, function in COMPARISONS.items()},
    "aten.log2": _scaled(UnaryFunction.LOG, 1 / math.log(2)),
    "aten.log10": _scaled(UnaryFunction.LOG, 1 / math.log(10)),
    "aten.log1p": _scaled(UnaryFunction.LOG, 1.0, 1.0),
    "aten.exp2": exp2,
    "aten.expm1": expm1,
    "aten.erfc": erfc,
    "aten.trunc": trunc,
    "aten.fix": trunc,
    "aten.frac": frac,
    "aten.gelu": gelu,
    "aten.hardsigmoid": hardsigmoid,
    "aten.leaky_relu": leaky_relu,
    "aten.rrelu": rrelu,
    "aten.logaddexp": log_add_exp,
    "aten.heaviside": heaviside,
    "aten.rrelu_with_noise": rrelu,
    "aten.rrelu_with_noise_functional": rrelu_with_noise,
    "aten.elu": elu,
    "aten.celu": celu,
    "aten.selu": selu,
    "aten.softplus": softplus,
    "aten.log_sigmoid": log_sigmoid,
    "aten.log_sigmoid_forward": log_sigmoid_forward,
    "aten.softsign": softsign,
    "aten.tanhshrink": tanhshrink,
    "aten.threshold": threshold,
    "aten.softshrink": partial(shrink, True),
    "aten.hardshrink": partial(shrink, False),
    "aten.glu": glu,
    "aten.prelu": prelu,
    "aten._prelu_kernel": prelu,
    "aten.hardtanh": hardtanh,
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
    "aten.logical_and": partial(logical, BinaryFunction.LOGICAL_AND),
    "aten.logical_or": partial(logical, BinaryFunction.LOGICAL_OR),
    "aten.logical_xor": exclusive_or,
    "aten.logical_not": logical_not,
    "aten.bitwise_not": logical_not,
    **{f"aten.bitwise_{name}": partial(bitwise, name) for name in BITWISE},
    **{f"aten.__{name}__": partial(bitwise, name) for name in BITWISE},
    "aten.bitwise_left_shift": partial(binary, BinaryFunction.SHIFT_LEFT),
    "aten.__lshift__": partial(binary, BinaryFunction.SHIFT_LEFT),
    "aten.bitwise_right_shift": partial(binary, BinaryFunction.SHIFT_RIGHT),
    "aten.__rshift__": partial(binary, BinaryFunction.SHIFT_RIGHT),
    "aten.copysign": copy_sign,
    "aten.signbit": sign_bit,
    "aten.isnan": is_nan,
    "aten.isinf": is_inf,
    "aten.isfinite": is_finite,
    "aten.where": where,
    "aten.masked_fill": masked_fill,
    "aten.nan_to_num": nan_to_num,
}
