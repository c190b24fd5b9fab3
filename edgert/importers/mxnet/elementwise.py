"""MXNet handlers: activations, functions, arithmetic, comparisons, types."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial, reduce

import numpy as np

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.builder import GraphBuilder, Operand, RefusedError
from edgert.importers.layers import elementwise as layers
from edgert.importers.mxnet.node import Handler, SourceNode
from edgert.ir import Value
from edgert.ops._enums import BinaryFunction, CompareFunction, UnaryFunction

Join = Callable[[GraphBuilder, Operand, Operand], Value]

ACTIVATIONS = {
    "relu": UnaryFunction.RELU, "sigmoid": UnaryFunction.SIGMOID, "tanh": UnaryFunction.TANH,
    "softrelu": UnaryFunction.SOFTPLUS, "softsign": UnaryFunction.SOFTSIGN,
}  # fmt: skip
FUNCTIONS = {
    "abs": UnaryFunction.ABS, "ceil": UnaryFunction.CEIL, "cos": UnaryFunction.COS, "erf": UnaryFunction.ERF,
    "exp": UnaryFunction.EXP, "floor": UnaryFunction.FLOOR, "log": UnaryFunction.LOG, "negative": UnaryFunction.NEG,
    "_np_negative": UnaryFunction.NEG, "reciprocal": UnaryFunction.RECIPROCAL, "relu": UnaryFunction.RELU,
    "rint": UnaryFunction.ROUND, "rsqrt": UnaryFunction.RSQRT, "sigmoid": UnaryFunction.SIGMOID,
    "sign": UnaryFunction.SIGN, "sin": UnaryFunction.SIN, "softsign": UnaryFunction.SOFTSIGN,
    "sqrt": UnaryFunction.SQRT, "square": UnaryFunction.SQUARE, "tanh": UnaryFunction.TANH,
}  # fmt: skip


def plain(function: UnaryFunction, b: GraphBuilder, node: SourceNode) -> Value:
    return b.unary(function, node.input())


def activation(b: GraphBuilder, node: SourceNode) -> Value:
    kind = node.text("act_type", "")
    if kind not in ACTIVATIONS:
        raise RefusedError(f"act_type {kind!r}", f"use one of {', '.join(ACTIVATIONS)}")
    return b.unary(ACTIVATIONS[kind], node.input())


def leaky_relu(b: GraphBuilder, node: SourceNode) -> Value:
    kind, x, slope = node.text("act_type", "leaky"), node.input(), node.number("slope", 0.25)
    if kind == "prelu":
        return layers.prelu(b, x, node.array(1, "slopes"))
    if kind == "rrelu":
        slope = (node.number("lower_bound", 0.125) + node.number("upper_bound", 0.334)) / 2
    if kind in ("leaky", "rrelu"):
        return layers.leaky_relu(b, x, slope)
    if kind == "elu":
        return b.unary(UnaryFunction.ELU, x, slope)
    if kind == "selu":
        return b.unary(UnaryFunction.SELU, x, 1.6732632423543772, 1.0507009873554805)
    if kind == "gelu":
        return b.unary(UnaryFunction.GELU, x)
    raise RefusedError(f"act_type {kind!r}", "use leaky, prelu, elu, selu or gelu")


def clip(b: GraphBuilder, node: SourceNode) -> Value:
    return layers.clamp(b, node.input(), node.number("a_min", -math.inf), node.number("a_max", math.inf))


def hard_sigmoid(b: GraphBuilder, node: SourceNode) -> Value:
    return b.unary(UnaryFunction.HARD_SIGMOID, node.input(), node.number("alpha", 0.2), node.number("beta", 0.5))


def scaled_log(base: float, b: GraphBuilder, node: SourceNode) -> Value:
    return layers.affine(b, b.unary(UnaryFunction.LOG, node.input()), 1 / math.log(base), 0)


def log_of_one_more(b: GraphBuilder, node: SourceNode) -> Value:
    return b.unary(UnaryFunction.LOG, b.add(node.input(), 1.0))


def exp_less_one(b: GraphBuilder, node: SourceNode) -> Value:
    return b.sub(b.unary(UnaryFunction.EXP, node.input()), 1.0)


def smooth_l1(b: GraphBuilder, node: SourceNode) -> Value:
    """(s x)^2 / 2 where |x| < 1 / s^2, else |x| - 1 / (2 s^2)."""
    x, square = node.input(), node.number("scalar", 1) ** 2
    size = b.unary(UnaryFunction.ABS, x)
    outside = b.emit("compare", [size, 1 / square], {"function": CompareFunction.GREATER})
    parabola = layers.affine(b, b.unary(UnaryFunction.SQUARE, x), 0.5 * square, 0)
    return b.emit("select", [outside, b.add(size, -0.5 / square), parabola])


# Two operands


def _emit(op: str, b: GraphBuilder, x: Operand, y: Operand) -> Value:
    return b.emit(op, [x, y])


def _function(function: BinaryFunction, b: GraphBuilder, x: Operand, y: Operand) -> Value:
    return b.emit("binary", [x, y], {"function": function})


def _power(b: GraphBuilder, x: Operand, y: Operand) -> Value:
    if isinstance(x, Value) and isinstance(y, float):
        return layers.power(b, x, y)
    return _function(BinaryFunction.POW, b, x, y)


def _compare(function: CompareFunction, b: GraphBuilder, x: Operand, y: Operand) -> Value:
    """1.0 or 0.0: MXNet's comparisons give numbers."""
    return b.emit("cast", [b.emit("compare", [x, y], {"function": function})], dtype=DType.FLOAT32)


def _truth(b: GraphBuilder, x: Operand) -> Value:
    value = b.operand(x)
    if value.dtype == DType.BOOL:
        return value
    return b.emit("compare", [value, np.zeros((), value.dtype.numpy_name)], {"function": CompareFunction.NOT_EQUAL})


def _logical(function: BinaryFunction, b: GraphBuilder, x: Operand, y: Operand) -> Value:
    joined = b.emit("binary", [_truth(b, x), _truth(b, y)], {"function": function})
    return b.emit("cast", [joined], dtype=DType.FLOAT32)


def _exclusive(b: GraphBuilder, x: Operand, y: Operand) -> Value:
    return _compare(
        CompareFunction.NOT_EQUAL, b, *(b.emit("cast", [_truth(b, item)], dtype=DType.INT32) for item in (x, y))
    )


def _hypotenuse(b: GraphBuilder, x: Operand, y: Operand) -> Value:
    return b.unary(UnaryFunction.SQRT, b.add(*(b.unary(UnaryFunction.SQUARE, item) for item in (x, y))))


# Name in broadcast_* -> what it does, and other names of the same.
JOINS: dict[str, tuple[Join, tuple[str, ...]]] = {
    "add": (partial(_emit, "add"), ("elemwise_add", "broadcast_plus", "_Plus", "_plus", "_add", "_grad_add")),
    "sub": (partial(_emit, "sub"), ("elemwise_sub", "broadcast_minus", "_Minus", "_minus", "_sub")),
    "mul": (partial(_emit, "mul"), ("elemwise_mul", "_Mul", "_mul")),
    "div": (partial(_function, BinaryFunction.DIV), ("elemwise_div", "_Div", "_div")),
    "mod": (partial(_function, BinaryFunction.FLOOR_MOD), ("_mod", "_Mod")),
    "power": (_power, ("_power", "_Power")),
    "maximum": (partial(_function, BinaryFunction.MAXIMUM), ("_maximum", "_Maximum")),
    "minimum": (partial(_function, BinaryFunction.MINIMUM), ("_minimum", "_Minimum")),
    "hypot": (_hypotenuse, ("_hypot",)),
    "equal": (partial(_compare, CompareFunction.EQUAL), ("_equal", "_Equal")),
    "not_equal": (partial(_compare, CompareFunction.NOT_EQUAL), ("_not_equal", "_Not_Equal")),
    "greater": (partial(_compare, CompareFunction.GREATER), ("_greater", "_Greater")),
    "greater_equal": (partial(_compare, CompareFunction.GREATER_EQUAL), ("_greater_equal", "_Greater_Equal")),
    "lesser": (partial(_compare, CompareFunction.LESS), ("_lesser", "_Lesser")),
    "lesser_equal": (partial(_compare, CompareFunction.LESS_EQUAL), ("_lesser_equal", "_Lesser_Equal")),
    "logical_and": (partial(_logical, BinaryFunction.LOGICAL_AND), ("_logical_and",)),
    "logical_or": (partial(_logical, BinaryFunction.LOGICAL_OR), ("_logical_or",)),
    "logical_xor": (_exclusive, ("_logical_xor",)),
}
# Names of the same with a number as the second operand; "_r...": as the first.
SCALAR_NAMES = {
    "add": ("_plus_scalar", "_PlusScalar"), "sub": ("_minus_scalar", "_MinusScalar"),
    "mul": ("_mul_scalar", "_MulScalar"), "div": ("_div_scalar", "_DivScalar"), "mod": ("_mod_scalar",),
    "power": ("_power_scalar", "_PowerScalar"), "maximum": ("_maximum_scalar", "_MaximumScalar"),
    "minimum": ("_minimum_scalar", "_MinimumScalar"), "equal": ("_equal_scalar", "_EqualScalar"),
    "not_equal": ("_not_equal_scalar", "_NotEqualScalar"), "greater": ("_greater_scalar", "_GreaterScalar"),
    "greater_equal": ("_greater_equal_scalar", "_GreaterEqualScalar"), "lesser": ("_lesser_scalar", "_LesserScalar"),
    "lesser_equal": ("_lesser_equal_scalar", "_LesserEqualScalar"), "hypot": ("_hypot_scalar",),
    "logical_and": ("_logical_and_scalar",), "logical_or": ("_logical_or_scalar",),
    "logical_xor": ("_logical_xor_scalar",),
}  # fmt: skip
REVERSED_NAMES = {
    "sub": ("_rminus_scalar", "_RMinusScalar"), "div": ("_rdiv_scalar", "_RDivScalar"), "mod": ("_rmod_scalar",),
    "power": ("_rpower_scalar", "_RPowerScalar"),
}  # fmt: skip


def joined(join: Join, b: GraphBuilder, node: SourceNode) -> Value:
    return join(b, node.input(0), node.input(1))


def with_scalar(join: Join, reverse: bool, b: GraphBuilder, node: SourceNode) -> Value:
    x, number = node.input(), node.number("scalar", 0)
    if x.dtype != DType.FLOAT32:
        if number != int(number):
            raise RefusedError(f"it joins whole numbers and {number:g}", "cast its input to float32 before it")
        y: Operand = np.asarray(int(number), x.dtype.numpy_name)
    else:
        y = float(number)
    return join(b, y, x) if reverse else join(b, x, y)


def add_all(b: GraphBuilder, node: SourceNode) -> Value:
    return reduce(b.add, node.inputs[1:], node.input())


def logical_not(b: GraphBuilder, node: SourceNode) -> Value:
    inverse = b.unary(UnaryFunction.LOGICAL_NOT, _truth(b, node.input()))
    return b.emit("cast", [inverse], dtype=DType.FLOAT32)


def where(b: GraphBuilder, node: SourceNode) -> Value:
    return b.emit("select", [_truth(b, node.input(0)), node.input(1), node.input(2)])


def identity(b: GraphBuilder, node: SourceNode) -> list[Value]:
    return list(node.inputs[:1]) or [node.input()]


def together(b: GraphBuilder, node: SourceNode) -> list[Value]:
    """Brings all inputs to one type of float: all are float32 here."""
    return list(node.inputs)


def first_like(b: GraphBuilder, node: SourceNode) -> Value:
    """The left input; the right one gives only a shape."""
    return node.input()


TYPES = {
    "float16": DType.FLOAT32, "float32": DType.FLOAT32, "float64": DType.FLOAT32, "bfloat16": DType.FLOAT32,
    "int32": DType.INT32, "int64": DType.INT64, "bool": DType.BOOL,
}  # fmt: skip


def cast(b: GraphBuilder, node: SourceNode) -> Value:
    """All floats are float32 here."""
    kind, x = node.text("dtype", "float32"), node.input()
    if kind not in TYPES:
        raise RefusedError(f"it casts to {kind}", f"use one of {', '.join(TYPES)}")
    return x if TYPES[kind] == x.dtype else b.emit("cast", [x], dtype=TYPES[kind])


# Softmax and what networks end in


def softmax(op: str, b: GraphBuilder, node: SourceNode) -> Value:
    if node.flag("use_length", False):
        raise RefusedError("use_length", "mask its input instead")
    x, axis = node.input(), node.axis("axis", -1)
    y = layers.affine(b, x, 1 / node.number("temperature", 1), 0)
    if node.op == "softmin":
        y = b.unary(UnaryFunction.NEG, y)
    return b.emit(op, [y], {"axis": axis})


def softmax_activation(b: GraphBuilder, node: SourceNode) -> Value:
    return _softmax_of(b, node.input(), 1 if node.text("mode", "instance") == "channel" else -1)


def softmax_output(b: GraphBuilder, node: SourceNode) -> Value:
    """The label is dropped. Of more than two dimensions the last one counts, or with multi_output the second."""
    return _softmax_of(b, node.input(), 1 if node.flag("multi_output", False) else -1)


def _softmax_of(b: GraphBuilder, x: Value, axis: int) -> Value:
    if len(x.shape) < 2:
        raise ModelError(f"an input {list(x.shape)}, needed two dimensions or more")
    return b.emit("softmax", [x], {"axis": axis % len(x.shape)})


HANDLERS: dict[str, Handler] = {
    **{name: partial(plain, function) for name, function in FUNCTIONS.items()},
    **{
        name: partial(joined, join)
        for kind, (join, others) in JOINS.items() for name in (f"broadcast_{kind}", *others)
    },
    **{name: partial(with_scalar, JOINS[kind][0], False) for kind, names in SCALAR_NAMES.items() for name in names},
    **{name: partial(with_scalar, JOINS[kind][0], True) for kind, names in REVERSED_NAMES.items() for name in names},
    "Activation": activation,
    "BlockGrad": identity,
    "Cast": cast,
    "Dropout": identity,
    "ElementWiseSum": add_all,
    "IdentityAttachKLSparseReg": identity,
    "LeakyReLU": leaky_relu,
    "LinearRegressionOutput": identity,
    "LogisticRegressionOutput": partial(plain, UnaryFunction.SIGMOID),
    "MAERegressionOutput": identity,
    "MakeLoss": identity,
    "SVMOutput": identity,
    "Softmax": softmax_output,
    "SoftmaxActivation": softmax_activation,
    "SoftmaxOutput": softmax_output,
    "_copy": identity,
    "_identity_with_attr_like_rhs": first_like,
    "add_n": add_all,
    "amp_cast": cast,
    "amp_multicast": together,
    "cast": cast,
    "clip": clip,
    "expm1": exp_less_one,
    "hard_sigmoid": hard_sigmoid,
    "identity": identity,
    "log10": partial(scaled_log, 10.0),
    "log1p": log_of_one_more,
    "log2": partial(scaled_log, 2.0),
    "log_softmax": partial(softmax, "log_softmax"),
    "logical_not": logical_not,
    "make_loss": identity,
    "smooth_l1": smooth_l1,
    "softmax": partial(softmax, "softmax"),
    "softmin": partial(softmax, "softmax"),
    "stop_gradient": identity,
    "where": where,
}  # fmt: skip
