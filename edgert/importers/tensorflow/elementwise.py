"""TensorFlow handlers: elementwise functions, arithmetic, comparisons, types, and the masks of dropout."""

from __future__ import annotations

import math
from functools import partial, reduce

import numpy as np

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.builder import RefusedError
from edgert.importers.layers.elementwise import clamp, power
from edgert.importers.layers.norm import along
from edgert.importers.tensorflow.builder import (
    Bound,
    Builder,
    Complex,
    DropoutMask,
    Handler,
    Outputs,
    Random,
    SourceNode,
)
from edgert.ir import Value
from edgert.ops._enums import BinaryFunction, CompareFunction, UnaryFunction

PLAIN = {
    "Relu": UnaryFunction.RELU,
    "Relu6": UnaryFunction.RELU6,
    "Sigmoid": UnaryFunction.SIGMOID,
    "Tanh": UnaryFunction.TANH,
    "Exp": UnaryFunction.EXP,
    "Log": UnaryFunction.LOG,
    "Sqrt": UnaryFunction.SQRT,
    "Rsqrt": UnaryFunction.RSQRT,
    "Abs": UnaryFunction.ABS,
    "Neg": UnaryFunction.NEG,
    "Ceil": UnaryFunction.CEIL,
    "Round": UnaryFunction.ROUND,
    "Rint": UnaryFunction.ROUND,
    "Square": UnaryFunction.SQUARE,
    "Sin": UnaryFunction.SIN,
    "Cos": UnaryFunction.COS,
    "Tan": UnaryFunction.TAN,
    "Asin": UnaryFunction.ASIN,
    "Acos": UnaryFunction.ACOS,
    "Atan": UnaryFunction.ATAN,
    "Sinh": UnaryFunction.SINH,
    "Cosh": UnaryFunction.COSH,
    "Asinh": UnaryFunction.ASINH,
    "Acosh": UnaryFunction.ACOSH,
    "Atanh": UnaryFunction.ATANH,
    "Erf": UnaryFunction.ERF,
    "Softplus": UnaryFunction.SOFTPLUS,
    "Softsign": UnaryFunction.SOFTSIGN,
    "Reciprocal": UnaryFunction.RECIPROCAL,
    "Inv": UnaryFunction.RECIPROCAL,
    "Sign": UnaryFunction.SIGN,
    "LogicalNot": UnaryFunction.LOGICAL_NOT,
}
BINARY = {
    "RealDiv": BinaryFunction.DIV,
    "Div": BinaryFunction.DIV,
    "TruncateDiv": BinaryFunction.DIV,
    "Maximum": BinaryFunction.MAXIMUM,
    "Minimum": BinaryFunction.MINIMUM,
    "SquaredDifference": BinaryFunction.SQUARED_DIFFERENCE,
    "FloorDiv": BinaryFunction.FLOOR_DIV,
    "FloorMod": BinaryFunction.FLOOR_MOD,
    "Mod": BinaryFunction.TRUNC_MOD,
    "TruncateMod": BinaryFunction.TRUNC_MOD,
    "Atan2": BinaryFunction.ATAN2,
    "LogicalAnd": BinaryFunction.LOGICAL_AND,
    "LogicalOr": BinaryFunction.LOGICAL_OR,
    "BitwiseAnd": BinaryFunction.BITWISE_AND,
    "BitwiseOr": BinaryFunction.BITWISE_OR,
    "BitwiseXor": BinaryFunction.BITWISE_XOR,
    "LeftShift": BinaryFunction.SHIFT_LEFT,
    "RightShift": BinaryFunction.SHIFT_RIGHT,
}
COMPARISONS = {
    "Equal": CompareFunction.EQUAL,
    "NotEqual": CompareFunction.NOT_EQUAL,
    "Less": CompareFunction.LESS,
    "LessEqual": CompareFunction.LESS_EQUAL,
    "Greater": CompareFunction.GREATER,
    "GreaterEqual": CompareFunction.GREATER_EQUAL,
}
SELU = (1.67326319217681884765625, 1.05070102214813232421875)


def plain(function: UnaryFunction, b: Builder, node: SourceNode) -> Value:
    return b.unary(function, b.value(node, 0))


def floor(b: Builder, node: SourceNode) -> Outputs:
    """Of random numbers plus the share to keep: dropout's mask (TensorFlow 1)."""
    drawn = node.inputs[0]
    if isinstance(drawn, Random) and drawn.bound is not None:
        return DropoutMask(drawn.shape, drawn.bound)
    return b.unary(UnaryFunction.FLOOR, b.value(node, 0))


def leaky_relu(b: Builder, node: SourceNode) -> Value:
    return b.unary(UnaryFunction.LEAKY_RELU, b.value(node, 0), node.number("alpha", 0.2))


def exp_less_one(b: Builder, node: SourceNode) -> Value:
    return b.sub(b.unary(UnaryFunction.EXP, b.value(node, 0)), 1.0)


def log_plus_one(b: Builder, node: SourceNode) -> Value:
    return b.unary(UnaryFunction.LOG, b.add(b.value(node, 0), 1.0))


def erf_complement(b: Builder, node: SourceNode) -> Value:
    return b.sub(1.0, b.unary(UnaryFunction.ERF, b.value(node, 0)))


def add(b: Builder, node: SourceNode) -> Outputs:
    return _randomly(b, node) or b.add(b.value(node, 0), b.value(node, 1))


def _randomly(b: Builder, node: SourceNode) -> Bound | None:
    """Random numbers plus something: nothing (the lower end of their range), or the share that dropout keeps."""
    drawn = next((item for item in node.inputs if isinstance(item, Random)), None)
    if drawn is None or drawn.bound is not None:
        return None
    at = 1 - node.inputs.index(drawn)
    offset = b.constant(node, at)
    if offset is not None and offset.size == 1 and not offset.any():
        return drawn
    return Random(drawn.shape, b.value(node, at))


def mul(b: Builder, node: SourceNode) -> Outputs:
    """What dropout multiplies by its mask was divided by the share to keep before, so that the mean stays: times that
    share it is what it was."""
    x, y = (*node.inputs, None, None)[:2]
    if isinstance(x, Complex) or isinstance(y, Complex):
        return complex_product(b, *(_as_complex(b, item) for item in node.inputs[:2]))
    for at, item in enumerate(node.inputs[:2]):
        if isinstance(item, DropoutMask):
            return b.mul(b.value(node, 1 - at), item.keep)
        if isinstance(item, Random) and item.bound is None:
            scale = b.constant(node, 1 - at)
            if scale is not None and scale.size == 1 and float(scale.reshape(-1)[0]) == 1.0:
                return item
    return b.mul(b.value(node, 0), b.value(node, 1))


def _as_complex(b: Builder, item: Bound) -> Complex:
    if isinstance(item, Complex):
        return item
    value = b.as_value(item)
    return Complex(value, b.const(np.zeros((), np.float32)))


def complex_product(b: Builder, x: Complex, y: Complex) -> Complex:
    return Complex(
        b.sub(b.mul(x.real, y.real), b.mul(x.imaginary, y.imaginary)),
        b.add(b.mul(x.real, y.imaginary), b.mul(x.imaginary, y.real)),
    )


def add_n(b: Builder, node: SourceNode) -> Value:
    return reduce(b.add, [b.value(node, index) for index in range(len(node.inputs))])


def bias_add(b: Builder, node: SourceNode) -> Value:
    x, bias = b.value(node, 0), b.value(node, 1)
    channels_first = node.text("data_format", "NHWC").startswith("NC")
    return b.add(x, along(b, x, bias, 1) if channels_first else bias)


def binary(function: BinaryFunction, b: Builder, node: SourceNode) -> Value:
    return b.emit("binary", [b.value(node, 0), b.value(node, 1)], {"function": function})


def divide_no_nan(b: Builder, node: SourceNode) -> Value:
    """0 where the divisor is 0."""
    x, divisor = b.value(node, 0), b.value(node, 1)
    zero = b.emit("compare", [divisor, 0.0], {"function": CompareFunction.EQUAL})
    return b.emit("select", [zero, 0.0, b.emit("binary", [x, divisor], {"function": BinaryFunction.DIV})])


def multiply_no_nan(b: Builder, node: SourceNode) -> Value:
    """0 where the second factor is 0, whatever the first is."""
    x, factor = b.value(node, 0), b.value(node, 1)
    zero = b.emit("compare", [factor, 0.0], {"function": CompareFunction.EQUAL})
    return b.emit("select", [zero, 0.0, b.mul(x, factor)])


def pow_(b: Builder, node: SourceNode) -> Value:
    x, exponent = b.value(node, 0), b.constant(node, 1)
    if exponent is not None and exponent.size == 1 and x.dtype == DType.FLOAT32 and not exponent.ndim:
        return power(b, x, float(exponent.reshape(-1)[0]))
    return binary(BinaryFunction.POW, b, node)


def compare(function: CompareFunction, b: Builder, node: SourceNode) -> Outputs:
    drawn = node.inputs[0] if node.inputs else None
    if isinstance(drawn, Random) and function == CompareFunction.GREATER_EQUAL:  # dropout's mask (TensorFlow 2)
        return DropoutMask(drawn.shape, b.sub(1.0, b.value(node, 1)))
    return b.emit("compare", [b.value(node, 0), b.value(node, 1)], {"function": function})


def logical_xor(b: Builder, node: SourceNode) -> Value:
    return b.emit("compare", [b.value(node, 0), b.value(node, 1)], {"function": CompareFunction.NOT_EQUAL})


def is_nan(b: Builder, node: SourceNode) -> Value:
    x = b.value(node, 0)
    return b.emit("compare", [x, x], {"function": CompareFunction.NOT_EQUAL})


def is_finite(b: Builder, node: SourceNode) -> Value:
    size = b.unary(UnaryFunction.ABS, b.value(node, 0))
    return b.emit("compare", [size, np.asarray(np.inf, np.float32)], {"function": CompareFunction.LESS})


def is_infinite(b: Builder, node: SourceNode) -> Value:
    size = b.unary(UnaryFunction.ABS, b.value(node, 0))
    return b.emit("compare", [size, np.asarray(np.inf, np.float32)], {"function": CompareFunction.EQUAL})


def select(b: Builder, node: SourceNode) -> Outputs:
    """The older operator's condition may be a vector that picks rows."""
    condition = node.inputs[0] if node.inputs else None
    if isinstance(condition, DropoutMask):  # SelectV2(mask, x / keep, 0)
        return b.mul(b.value(node, 1), condition.keep)
    flags, yes, no = (b.value(node, index) for index in range(3))
    if node.op == "Select" and len(flags.shape) == 1 and len(yes.shape) > 1:
        if flags.shape[0] != yes.shape[0]:
            raise ModelError(f"a condition of {flags.shape[0]} for {yes.shape[0]} rows")
        flags = b.reshape(flags, (flags.shape[0], *[1] * (len(yes.shape) - 1)))
    return b.emit("select", [flags, yes, no])


def clip_by_value(b: Builder, node: SourceNode) -> Value:
    x, bounds = b.value(node, 0), [b.constant(node, index) for index in (1, 2)]
    low, high = (bound.reshape(-1) if bound is not None else np.zeros(0) for bound in bounds)
    if x.dtype == DType.FLOAT32 and low.size == high.size == 1:
        return clamp(b, x, float(low[0]), float(high[0]))
    for index, function in ((1, BinaryFunction.MAXIMUM), (2, BinaryFunction.MINIMUM)):
        x = b.emit("binary", [x, b.value(node, index)], {"function": function})
    return x


def cast(b: Builder, node: SourceNode) -> Outputs:
    if isinstance(node.inputs[0], DropoutMask):
        return node.inputs[0]
    if node.type_name("DstT").startswith("complex"):
        return _as_complex(b, node.inputs[0])
    if isinstance(node.inputs[0], Complex):  # the real part is kept
        return node.inputs[0].real
    x, target = b.value(node, 0), node.type("DstT")
    return x if x.dtype == target else b.emit("cast", [x], dtype=target)


def random_uniform(b: Builder, node: SourceNode) -> Outputs:
    shape = b.ints(node, 0, "shape")
    if math.prod(shape) < 1:
        raise RefusedError(f"random numbers of the shape {list(shape)}", "freeze the graph for inference")
    return Random(shape)


HANDLERS: dict[str, Handler] = {
    **{name: partial(plain, function) for name, function in PLAIN.items()},
    **{name: partial(binary, function) for name, function in BINARY.items()},
    **{name: partial(compare, function) for name, function in COMPARISONS.items()},
    "Floor": floor,
    "Elu": lambda b, node: b.unary(UnaryFunction.ELU, b.value(node, 0), 1.0),
    "Selu": lambda b, node: b.unary(UnaryFunction.SELU, b.value(node, 0), *SELU),
    "LeakyRelu": leaky_relu,
    "Expm1": exp_less_one,
    "Log1p": log_plus_one,
    "Erfc": erf_complement,
    "Add": add,
    "AddV2": add,
    "Sub": lambda b, node: b.sub(b.value(node, 0), b.value(node, 1)),
    "Mul": mul,
    "AddN": add_n,
    "AccumulateNV2": add_n,
    "BiasAdd": bias_add,
    "BiasAddV1": bias_add,
    "DivNoNan": divide_no_nan,
    "MulNoNan": multiply_no_nan,
    "Pow": pow_,
    "LogicalXor": logical_xor,
    "IsNan": is_nan,
    "IsInf": is_infinite,
    "IsFinite": is_finite,
    "Select": select,
    "SelectV2": select,
    "ClipByValue": clip_by_value,
    "Cast": cast,
    "RandomUniform": random_uniform,
    "StatelessRandomUniform": random_uniform,
    "StatelessRandomUniformV2": random_uniform,
}
