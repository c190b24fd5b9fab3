"""ONNX handlers: elementwise functions, arithmetic, comparisons, types."""

from __future__ import annotations

import math
from functools import partial, reduce

import numpy as np

from edgert.dtypes import DType
from edgert.importers.onnx.builder import Builder, Handler, RefusedError, SourceNode
from edgert.ir import Value
from edgert.ops._enums import BinaryFunction, CompareFunction, UnaryFunction

# ONNX's operators of one input without attributes.
PLAIN = {
    "Relu": UnaryFunction.RELU,
    "Sigmoid": UnaryFunction.SIGMOID,
    "Tanh": UnaryFunction.TANH,
    "HardSwish": UnaryFunction.HARD_SWISH,
    "Exp": UnaryFunction.EXP,
    "Log": UnaryFunction.LOG,
    "Sqrt": UnaryFunction.SQRT,
    "Reciprocal": UnaryFunction.RECIPROCAL,
    "Abs": UnaryFunction.ABS,
    "Neg": UnaryFunction.NEG,
    "Floor": UnaryFunction.FLOOR,
    "Ceil": UnaryFunction.CEIL,
    "Round": UnaryFunction.ROUND,
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
    "Mish": UnaryFunction.MISH,
    "Sign": UnaryFunction.SIGN,
    "Not": UnaryFunction.LOGICAL_NOT,
}

# With attributes: (attribute, default) for alpha and for beta.
WITH_ATTRIBUTES: dict[str, tuple[UnaryFunction, tuple[tuple[str, float], ...]]] = {
    "LeakyRelu": (UnaryFunction.LEAKY_RELU, (("alpha", 0.01),)),
    "Elu": (UnaryFunction.ELU, (("alpha", 1.0),)),
    "Celu": (UnaryFunction.CELU, (("alpha", 1.0),)),
    "Selu": (UnaryFunction.SELU, (("alpha", 1.67326319217681884765625), ("gamma", 1.05070102214813232421875))),
    "HardSigmoid": (UnaryFunction.HARD_SIGMOID, (("alpha", 0.2), ("beta", 0.5))),
}

COMPARISONS = {
    "Equal": CompareFunction.EQUAL,
    "Less": CompareFunction.LESS,
    "LessOrEqual": CompareFunction.LESS_EQUAL,
    "Greater": CompareFunction.GREATER,
    "GreaterOrEqual": CompareFunction.GREATER_EQUAL,
    "Xor": CompareFunction.NOT_EQUAL,
}


def plain_unary(function: UnaryFunction, b: Builder, node: SourceNode) -> Value:
    return b.unary(function, b.value(node, 0))


def unary_with_attributes(
    function: UnaryFunction, names: tuple[tuple[str, float], ...], b: Builder, node: SourceNode
) -> Value:
    numbers = [node.number(name, default) for name, default in names]
    return b.unary(function, b.value(node, 0), *numbers)


def triangle(b: Builder, node: SourceNode) -> Value:
    """The elements of each matrix on one side of diagonal k, and 0 on the other, whatever stands there."""
    x = b.value(node, 0)
    shift = b.ints(node, 1, "diagonal")[0] if node.has(1) else 0
    upper = bool(node.integer("upper", 1))
    rows, columns = x.shape[-2:]
    b.room((rows, columns))
    below = np.tri(rows, columns, shift - 1 if upper else shift, np.bool_)
    return b.emit("select", [~below if upper else below, x, np.zeros((), np.dtype(x.dtype.numpy_name))])


def gelu(b: Builder, node: SourceNode) -> Value:
    tanh = node.text("approximate", "none") == "tanh"
    return b.unary(UnaryFunction.GELU_TANH if tanh else UnaryFunction.GELU, b.value(node, 0))


def swish(b: Builder, node: SourceNode) -> Value:
    x, alpha = b.value(node, 0), node.number("alpha", 1.0)
    if alpha == 1.0:
        return b.unary(UnaryFunction.SILU, x)
    return b.mul(x, b.unary(UnaryFunction.SIGMOID, b.mul(x, alpha)))


def thresholded_relu(b: Builder, node: SourceNode) -> Value:
    """x where x > alpha, else 0."""
    x = b.value(node, 0)
    above = b.emit("compare", [x, node.number("alpha", 1.0)], {"function": CompareFunction.GREATER})
    return b.emit("select", [above, x, 0.0])


def clip(b: Builder, node: SourceNode) -> Value:
    """Bounds are attributes before operator set 11 and inputs since; integers and computed bounds take min and max."""
    x = b.value(node, 0)
    if node.opset < 11:
        return clamp(b, x, node.number("min", -math.inf), node.number("max", math.inf))
    bounds = [b.constant(node, index) for index in (1, 2)]
    fixed = all(bound is not None or not node.has(index) for index, bound in zip((1, 2), bounds, strict=True))
    if fixed and x.dtype == DType.FLOAT32:
        low, high = (
            float(bound.reshape(-1)[0]) if bound is not None else default
            for bound, default in zip(bounds, (-math.inf, math.inf), strict=True)
        )
        return clamp(b, x, low, high)
    for index, function in ((1, BinaryFunction.MAXIMUM), (2, BinaryFunction.MINIMUM)):
        if node.has(index):
            x = b.emit("binary", [x, b.value(node, index)], {"function": function})
    return x


def clamp(b: Builder, x: Value, low: float, high: float) -> Value:
    """Unary clip, or the activation function that it is."""
    largest = float(np.finfo(np.float32).max)
    low, high = max(low, -largest), min(high, largest)  # exporters write "no bound" as either
    if low == -largest and high == largest:
        return x
    if (low, high) == (0.0, largest):
        return b.unary(UnaryFunction.RELU, x)
    if (low, high) == (0.0, 6.0):
        return b.unary(UnaryFunction.RELU6, x)
    if (low, high) == (-1.0, 1.0):
        return b.unary(UnaryFunction.RELU_N1_TO_1, x)
    return b.unary(UnaryFunction.CLIP, x, low, high)


def prelu(b: Builder, node: SourceNode) -> Value:
    x, slope = b.value(node, 0), b.constant(node, 1)
    if slope is None:
        return b.emit("prelu", [x, b.value(node, 1)])
    if slope.size == 1:
        return b.unary(UnaryFunction.LEAKY_RELU, x, float(slope.reshape(-1)[0]))
    return b.emit("prelu", [x, slope])


def arithmetic(op: str, b: Builder, node: SourceNode) -> Value:
    return b.emit(op, [b.value(node, 0), b.value(node, 1)])


def variadic(op: str, function: BinaryFunction | None, b: Builder, node: SourceNode) -> Value:
    """Sum, Min, Max of any number of inputs, from left to right."""
    attrs = {} if function is None else {"function": function}
    values = [b.value(node, index) for index in range(len(node.inputs))]
    if len(values) == 1:
        return b.emit("copy", values)
    return reduce(lambda left, right: b.emit(op, [left, right], attrs), values)


def mean_of_inputs(b: Builder, node: SourceNode) -> Value:
    return b.mul(variadic("add", None, b, node), 1.0 / len(node.inputs))


def compare(function: CompareFunction, b: Builder, node: SourceNode) -> Value:
    return b.emit("compare", [b.value(node, 0), b.value(node, 1)], {"function": function})


def is_nan(b: Builder, node: SourceNode) -> Value:
    """Only NaN differs from itself."""
    x = b.value(node, 0)
    return b.emit("compare", [x, x], {"function": CompareFunction.NOT_EQUAL})


def where(b: Builder, node: SourceNode) -> Value:
    return b.emit("select", [b.value(node, index) for index in range(3)])


def cast(b: Builder, node: SourceNode) -> Value:
    return cast_to(b, b.value(node, 0), node.integer("to", 1))


def cast_like(b: Builder, node: SourceNode) -> Value:
    from onnx import helper

    target = b.value(node, 1).dtype
    return cast_to(b, b.value(node, 0), int(helper.np_dtype_to_tensor_dtype(np.dtype(target.numpy_name))))


def cast_to(b: Builder, x: Value, element_type: int) -> Value:
    """element_type: a number of onnx.TensorProto.DataType. Floats of every width are float32 here."""
    from onnx import helper

    name = np.dtype(helper.tensor_dtype_to_np_dtype(element_type)).name
    if name in ("float64", "float16", "bfloat16"):
        name = "float32"
    try:
        target = DType.of(name)
    except KeyError:
        raise RefusedError(f"it casts to {name}", "cast to float32, int8, uint8, int32, int64 or bool") from None
    if x in b.unsigned:
        x = b.add(b.emit("cast", [x], dtype=DType.INT32), np.asarray(128, np.int32))
    return x if x.dtype == target else b.emit("cast", [x], dtype=target)


HANDLERS: dict[str, Handler] = {
    **{name: partial(plain_unary, function) for name, function in PLAIN.items()},
    **{name: partial(unary_with_attributes, *entry) for name, entry in WITH_ATTRIBUTES.items()},
    **{name: partial(compare, function) for name, function in COMPARISONS.items()},
    "Trilu": triangle,
    "Gelu": gelu,
    "com.microsoft.Gelu": gelu,
    "com.microsoft.QuickGelu": lambda b, node: b.mul(
        b.value(node, 0), b.unary(UnaryFunction.SIGMOID, b.mul(b.value(node, 0), node.number("alpha", 1.702)))
    ),
    "Swish": swish,
    "ThresholdedRelu": thresholded_relu,
    "Clip": clip,
    "PRelu": prelu,
    "Add": partial(arithmetic, "add"),
    "Sub": partial(arithmetic, "sub"),
    "Mul": partial(arithmetic, "mul"),
    "Sum": partial(variadic, "add", None),
    "Min": partial(variadic, "binary", BinaryFunction.MINIMUM),
    "Max": partial(variadic, "binary", BinaryFunction.MAXIMUM),
    "Mean": mean_of_inputs,
    "IsNaN": is_nan,
    "Where": where,
    "Cast": cast,
    "CastLike": cast_like,
}
