"""Handlers of operations between layers: keras.ops (Keras 3), and TensorFlow's functions in models of tf.keras 2."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.builder import GraphBuilder, RefusedError
from edgert.importers.keras import shapes
from edgert.importers.keras.arguments import (
    MISSING,
    X,
    Y,
    argument,
    axes_of,
    constant,
    dtype_of,
    first,
    given,
    integer,
    operands,
    shape_of,
    tensors,
)
from edgert.importers.keras.elementwise import FUNCTIONS, glu, log_softmax, softmax
from edgert.importers.keras.images import resized
from edgert.importers.keras.layer import Call, Handler, real
from edgert.importers.layers import attention, elementwise, norm
from edgert.importers.layers.einsum import einsum
from edgert.ir import Value
from edgert.ops._enums import BinaryFunction, CompareFunction, ReduceFunction, UnaryFunction

# Name -> what the IR has for it; keras.ops and TensorFlow call most of them alike.
UNARY = {
    "exp": UnaryFunction.EXP, "log": UnaryFunction.LOG, "sqrt": UnaryFunction.SQRT, "rsqrt": UnaryFunction.RSQRT,
    "square": UnaryFunction.SQUARE, "abs": UnaryFunction.ABS, "absolute": UnaryFunction.ABS,
    "negative": UnaryFunction.NEG, "neg": UnaryFunction.NEG, "floor": UnaryFunction.FLOOR, "ceil": UnaryFunction.CEIL,
    "round": UnaryFunction.ROUND, "sign": UnaryFunction.SIGN, "sin": UnaryFunction.SIN, "cos": UnaryFunction.COS,
    "tan": UnaryFunction.TAN, "tanh": UnaryFunction.TANH, "sinh": UnaryFunction.SINH, "cosh": UnaryFunction.COSH,
    "erf": UnaryFunction.ERF, "reciprocal": UnaryFunction.RECIPROCAL, "sigmoid": UnaryFunction.SIGMOID,
    "arctan": UnaryFunction.ATAN, "arcsin": UnaryFunction.ASIN, "arccos": UnaryFunction.ACOS,
    "arcsinh": UnaryFunction.ASINH, "arccosh": UnaryFunction.ACOSH, "arctanh": UnaryFunction.ATANH,
    "atan": UnaryFunction.ATAN, "asin": UnaryFunction.ASIN, "acos": UnaryFunction.ACOS,
}  # fmt: skip
ARITHMETIC = {"add": "add", "subtract": "sub", "multiply": "mul", "sub": "sub", "mul": "mul"}
BINARY = {
    "divide": BinaryFunction.DIV, "truediv": BinaryFunction.DIV, "true_divide": BinaryFunction.DIV,
    "maximum": BinaryFunction.MAXIMUM, "minimum": BinaryFunction.MINIMUM, "power": BinaryFunction.POW,
    "pow": BinaryFunction.POW, "floor_divide": BinaryFunction.FLOOR_DIV, "floordiv": BinaryFunction.FLOOR_DIV,
    "mod": BinaryFunction.FLOOR_MOD, "squared_difference": BinaryFunction.SQUARED_DIFFERENCE,
    "logical_and": BinaryFunction.LOGICAL_AND, "logical_or": BinaryFunction.LOGICAL_OR,
    "arctan2": BinaryFunction.ATAN2, "atan2": BinaryFunction.ATAN2,
}  # fmt: skip
COMPARE = {
    "equal": CompareFunction.EQUAL, "not_equal": CompareFunction.NOT_EQUAL, "less": CompareFunction.LESS,
    "less_equal": CompareFunction.LESS_EQUAL, "greater": CompareFunction.GREATER,
    "greater_equal": CompareFunction.GREATER_EQUAL,
}  # fmt: skip
REDUCE = {
    "mean": ReduceFunction.MEAN, "sum": ReduceFunction.SUM, "max": ReduceFunction.MAX, "min": ReduceFunction.MIN,
    "amax": ReduceFunction.MAX, "amin": ReduceFunction.MIN, "prod": ReduceFunction.PROD,
}  # fmt: skip


def unary(function: UnaryFunction, b: GraphBuilder, call: Call) -> Value:
    x = first(call)
    integers = function in (UnaryFunction.ABS, UnaryFunction.NEG, UnaryFunction.SQUARE, UnaryFunction.SIGN)
    return b.unary(function, x if integers else real(b, x))


def arithmetic(op: str, b: GraphBuilder, call: Call) -> Value:
    return b.emit(op, operands(b, call, X, Y))


def binary(function: BinaryFunction, b: GraphBuilder, call: Call) -> Value:
    x, y = operands(b, call, X, Y)
    if function == BinaryFunction.DIV:
        x, y = real(b, x), real(b, y)
        if y.constant and y.data is not None and y.data.all():
            return b.mul(x, (1 / y.data.astype(np.float64)).astype(np.float32))
    if function == BinaryFunction.POW and y.constant and y.data is not None and y.data.size == 1:
        return elementwise.power(b, real(b, x), float(y.data.reshape(-1)[0]))
    return b.emit("binary", [x, y], {"function": function})


def divide_no_nan(b: GraphBuilder, call: Call) -> Value:
    """0 where the divisor is."""
    x, y = (real(b, value) for value in operands(b, call, X, Y))
    nothing = b.emit("compare", [y, 0.0], {"function": CompareFunction.EQUAL})
    return b.emit("select", [nothing, 0.0, b.emit("binary", [x, y], {"function": BinaryFunction.DIV})])


def compare(function: CompareFunction, b: GraphBuilder, call: Call) -> Value:
    return b.emit("compare", operands(b, call, X, Y), {"function": function})


def reduction(function: ReduceFunction, b: GraphBuilder, call: Call) -> Value:
    x = first(call)
    axes = axes_of(given(call, 1, None, "axis"), len(x.shape))
    return b.reduce(function, x, axes, bool(given(call, 2, False, "keepdims", "keep_dims")))


def quantifier(function: ReduceFunction, b: GraphBuilder, call: Call) -> Value:
    """any, all: the largest, or smallest, of truth values."""
    x = real(b, first(call))
    axes, keep = axes_of(given(call, 1, None, "axis"), len(x.shape)), bool(given(call, 2, False, "keepdims"))
    return b.emit("cast", [b.reduce(function, x, axes, keep)], dtype=DType.BOOL)


def variance(root: bool, b: GraphBuilder, call: Call) -> Value:
    x = real(b, first(call))
    axes, keep = axes_of(given(call, 1, None, "axis"), len(x.shape)), bool(given(call, 2, False, "keepdims"))
    spread = b.reduce(ReduceFunction.MEAN, b.unary(UnaryFunction.SQUARE, b.sub(x, b.mean(x, axes))), axes, keep)
    return b.unary(UnaryFunction.SQRT, spread) if root else spread


def log_sum_exp(b: GraphBuilder, call: Call) -> Value:
    x = real(b, first(call))
    axes, keep = axes_of(given(call, 1, None, "axis"), len(x.shape)), bool(given(call, 2, False, "keepdims"))
    top = b.reduce(ReduceFunction.MAX, x, axes)
    total = b.reduce(ReduceFunction.SUM, b.unary(UnaryFunction.EXP, b.sub(x, top)), axes)
    y = b.add(b.unary(UnaryFunction.LOG, total), top)
    return y if keep else b.reshape(y, [size for axis, size in enumerate(x.shape) if axis not in axes])


def plain_activation(name: str, b: GraphBuilder, call: Call) -> Value:
    return FUNCTIONS[name](b, real(b, first(call)))


def with_axis(function: Callable[[GraphBuilder, Value, int], Value], b: GraphBuilder, call: Call) -> Value:
    return function(b, real(b, first(call)), integer(given(call, 1, -1, "axis"), "axis"))


def hard_sigmoid(b: GraphBuilder, call: Call) -> Value:
    return b.unary(UnaryFunction.HARD_SIGMOID, real(b, first(call)), 1 / 6, 0.5)


def leaky_relu(default: float, b: GraphBuilder, call: Call) -> Value:
    slope = given(call, 1, default, "negative_slope", "alpha")
    return elementwise.leaky_relu(b, real(b, first(call)), float(slope))


def keras_relu(b: GraphBuilder, call: Call) -> Value:
    """tf.keras.activations.relu, which has the options of the layer."""
    x, most = real(b, first(call)), argument(call, 2, "max_value")
    slope, limit = given(call, 1, 0.0, "alpha", "negative_slope"), given(call, 3, 0.0, "threshold")
    if slope or limit:
        raise RefusedError("relu with a slope or a threshold", "use the layer ReLU")
    return elementwise.clamp(b, x, 0.0, float(most) if isinstance(most, (int, float)) else np.inf)


def elu(b: GraphBuilder, call: Call) -> Value:
    return b.unary(UnaryFunction.ELU, real(b, first(call)), float(given(call, 1, 1.0, "alpha")))


def gelu(default: bool, b: GraphBuilder, call: Call) -> Value:
    near = bool(given(call, 1, default, "approximate"))
    return b.unary(UnaryFunction.GELU_TANH if near else UnaryFunction.GELU, real(b, first(call)))


def clip(b: GraphBuilder, call: Call) -> Value:
    x = first(call)
    low, high = (given(call, at, None, *names) for at, names in ((1, LOW), (2, HIGH)))
    if all(isinstance(bound, (int, float)) for bound in (low, high)):
        return elementwise.clamp(b, x, float(low), float(high))
    for bound, function in ((low, BinaryFunction.MAXIMUM), (high, BinaryFunction.MINIMUM)):
        other = bound if isinstance(bound, Value) else b.const(constant(bound, x))
        x = b.emit("binary", [x, other], {"function": function})
    return x


LOW, HIGH = ("x_min", "clip_value_min"), ("x_max", "clip_value_max")


def matmul(b: GraphBuilder, call: Call) -> Value:
    x, y = operands(b, call, X, Y)
    sides = [bool(given(call, at, False, name)) for at, name in ((2, "transpose_a"), (3, "transpose_b"))]
    if len(y.shape) == 2 and y.constant and y.data is not None and not sides[0]:
        weights = np.ascontiguousarray(y.data if sides[1] else y.data.T)
        return elementwise.linear(b, x, weights, None)
    if min(len(x.shape), len(y.shape)) < 2:
        return einsum(b, _vector_product(len(x.shape), len(y.shape)), [x, y])
    return b.emit("matmul", [x, y], {"transpose_a": sides[0], "transpose_b": sides[1]})


def _vector_product(left: int, right: int) -> str:
    if left == 1:
        return "k,k->" if right == 1 else "k,...kn->...n"
    return "...k,k->..."


def einstein_sum(b: GraphBuilder, call: Call) -> Value:
    equation = argument(call, -1, "subscripts", "equation")
    if equation is MISSING and call.args and isinstance(call.args[0], str):
        equation = call.args[0]
    return einsum(b, str(equation), [real(b, value) for value in tensors(call)])


def tensor_dot(b: GraphBuilder, call: Call) -> Value:
    x, y = operands(b, call, X, Y)
    axes = given(call, 2, 2, "axes")
    if isinstance(axes, int):
        left, right = list(range(len(x.shape) - axes, len(x.shape))), list(range(axes))
    else:
        left, right = axes_of(axes[0], len(x.shape)), axes_of(axes[1], len(y.shape))
    letters = [chr(ord("a") + axis) for axis in range(len(x.shape))]
    others = [chr(ord("m") + axis) for axis in range(len(y.shape))]
    for one, two in zip(left, right, strict=True):
        others[two] = letters[one]
    kept = [letter for letter in letters if letter not in others] + [item for item in others if item not in letters]
    return einsum(b, f"{''.join(letters)},{''.join(others)}->{''.join(kept)}", [x, y])


def where(b: GraphBuilder, call: Call) -> Value:
    condition = argument(call, 0, "condition")
    sides = [argument(call, at, *names) for at, names in ((1, ("x1", "x")), (2, ("x2", "y")))]
    if not isinstance(condition, Value) or any(side is MISSING or side is None for side in sides):
        raise RefusedError("where without two values to choose from", "give it x1 and x2")
    typed = next((side for side in sides if isinstance(side, Value)), None)
    values = [side if isinstance(side, Value) else b.const(constant(side, typed)) for side in sides]
    chosen = condition if condition.dtype == DType.BOOL else b.emit("cast", [condition], dtype=DType.BOOL)
    return b.emit("select", [chosen, *values])


def cast(b: GraphBuilder, call: Call) -> Value:
    x, target = first(call), dtype_of(argument(call, 1, "dtype"))
    return x if x.dtype == target else b.emit("cast", [x], dtype=target)


def arg_extreme(smallest: bool, b: GraphBuilder, call: Call) -> Value:
    x, axis = first(call), given(call, 1, None, "axis")
    if axis is None:
        if not call.layer.kind.startswith("ops."):
            axis = 0
        else:
            x, axis = b.reshape(x, (int(np.prod(x.shape)),)), 0
    (at,) = axes_of(axis, len(x.shape))
    attrs = {"axis": at, "keep_dims": bool(given(call, 2, False, "keepdims")), "minimum": smallest}
    tf = not call.layer.kind.startswith("ops.")
    return b.emit("arg_max", [x], attrs, dtype=DType.INT64 if tf else DType.INT32)


def take(b: GraphBuilder, call: Call) -> Value:
    x, indices = argument(call, 0, "x", "params"), argument(call, 1, "indices")
    table = x if isinstance(x, Value) else b.const(constant(x))
    axis = given(call, 2, given(call, 3, 0, "axis"), "axis")
    (at,) = axes_of(axis, len(table.shape))
    places = indices if isinstance(indices, Value) else b.const(constant(indices).astype(np.int32))
    if places.dtype not in (DType.INT32, DType.INT64):
        places = b.emit("cast", [places], dtype=DType.INT32)
    return b.emit("gather", [table, places], {"axis": at})


def cumulative_sum(b: GraphBuilder, call: Call) -> Value:
    x = first(call)
    (axis,) = axes_of(given(call, 1, 0, "axis"), len(x.shape))
    attrs = {"axis": axis, "exclusive": bool(given(call, 2, False, "exclusive")),
             "reverse": bool(given(call, 3, False, "reverse"))}  # fmt: skip
    return b.emit("cumsum", [x], attrs)


def add_n(b: GraphBuilder, call: Call) -> Value:
    values = tensors(call)
    total = values[0]
    for value in values[1:]:
        total = b.add(total, value)
    return total


def normalize(b: GraphBuilder, call: Call) -> Value:
    """keras.ops.normalize, tf.nn.l2_normalize: to length 1."""
    x = real(b, first(call))
    if given(call, 2, 2, "order") != 2:
        raise RefusedError("a norm that is not the square one", "use order=2")
    return norm.l2_norm(b, x, axes_of(given(call, 1, -1, "axis"), len(x.shape)), 1e-6)


def dot_product_attention(b: GraphBuilder, call: Call) -> Value:
    """query, key, value [B, T, heads, size]."""
    parts = [argument(call, at, name) for at, name in enumerate(("query", "key", "value"))]
    if not all(isinstance(part, Value) for part in parts):
        raise ModelError("it is called without query, key and value")
    query, key, value = (b.transpose(part, (0, 2, 1, 3)) for part in parts)
    mask, scale = given(call, 4, None, "mask"), given(call, 5, None, "scale")
    causal = bool(given(call, 6, False, "is_causal"))
    y = attention.attention(b, query, key, value, mask=mask, causal=causal, scale=scale)
    return b.transpose(y, (0, 2, 1, 3))


def image_resize(b: GraphBuilder, call: Call) -> Value:
    x = real(b, first(call))
    last = str(given(call, -1, "channels_last", "data_format")) == "channels_last"
    first_axis = len(x.shape) - (3 if last else 2)
    sizes = shape_of(argument(call, 1, "size"), "size")
    method = str(given(call, 2, "bilinear", "interpolation", "method")).lower()
    return resized(b, x, [first_axis, first_axis + 1], sizes, method,
                   antialias=bool(given(call, 3, False, "antialias")), channels_last=last)  # fmt: skip


def identity(b: GraphBuilder, call: Call) -> Value:
    return first(call)


def chained(functions: tuple[UnaryFunction, float], b: GraphBuilder, call: Call) -> Value:
    """A function, times a number."""
    function, factor = functions
    return b.mul(b.unary(function, real(b, first(call))), factor)


COMMON: dict[str, Handler] = {
    **shapes.COMMON,
    **{name: partial(unary, function) for name, function in UNARY.items()},
    **{name: partial(arithmetic, op) for name, op in ARITHMETIC.items()},
    **{name: partial(binary, function) for name, function in BINARY.items()},
    **{name: partial(compare, function) for name, function in COMPARE.items()},
    "logical_not": partial(unary, UnaryFunction.LOGICAL_NOT),
    "log1p": lambda b, call: b.unary(UnaryFunction.LOG, b.add(real(b, first(call)), 1.0)),
    "expm1": lambda b, call: b.sub(b.unary(UnaryFunction.EXP, real(b, first(call))), 1.0),
    "log2": partial(chained, (UnaryFunction.LOG, float(1 / np.log(2)))),
    "log10": partial(chained, (UnaryFunction.LOG, float(1 / np.log(10)))),
    "softmax": partial(with_axis, softmax),
    "log_softmax": partial(with_axis, log_softmax),
    **{
        name: partial(plain_activation, name)
        for name in ("relu", "relu6", "softplus", "softsign", "silu", "selu", "swish", "log_sigmoid")
    },
    "elu": elu,
    "matmul": matmul,
    "einsum": einstein_sum,
    "tensordot": tensor_dot,
    "where": where,
    "cast": cast,
    "argmax": partial(arg_extreme, False),
    "argmin": partial(arg_extreme, True),
    "cumsum": cumulative_sum,
    "stop_gradient": identity,
}


def _class_name(name: str) -> str:
    """argmax -> Argmax, expand_dims -> ExpandDims."""
    return "".join(part.capitalize() for part in name.split("_"))


KERAS: dict[str, Handler] = {
    **shapes.KERAS,
    **{_class_name(name): handler for name, handler in COMMON.items()},
    **{_class_name(name): partial(reduction, function) for name, function in REDUCE.items()},
    "TrueDivide": partial(binary, BinaryFunction.DIV),
    "HardSigmoid": hard_sigmoid,
    **{
        kind: partial(plain_activation, name)
        for kind, name in (("HardSilu", "hard_silu"), ("HardTanh", "hard_tanh"), ("Celu", "celu"),
                           ("HardShrink", "hard_shrink"), ("SoftShrink", "soft_shrink"), ("SparsePlus", "sparse_plus"),
                           ("SparseSigmoid", "sparse_sigmoid"), ("Squareplus", "squareplus"),
                           ("TanhShrink", "tanh_shrink"))
    },
    "Glu": partial(with_axis, glu),
    "LeakyRelu": partial(leaky_relu, 0.2),
    "Gelu": partial(gelu, True),
    "Clip": clip,
    "Any": partial(quantifier, ReduceFunction.MAX),
    "All": partial(quantifier, ReduceFunction.MIN),
    "Var": partial(variance, False),
    "Std": partial(variance, True),
    "Logsumexp": log_sum_exp,
    "Take": take,
    "Normalize": normalize,
    "DotProductAttention": dot_product_attention,
    "Resize": image_resize,
    "Copy": identity,
    "ConvertToTensor": identity,
}  # fmt: skip

# Under the names that are left without their modules (structure.py).
TENSORFLOW: dict[str, Handler] = {
    **shapes.TENSORFLOW,
    **COMMON,
    **{f"reduce_{name}": partial(reduction, function) for name, function in REDUCE.items()},
    **{f"keras.activations.{name}": partial(plain_activation, name) for name in FUNCTIONS},
    "keras.activations.relu": keras_relu,
    "keras.activations.softmax": partial(with_axis, softmax),
    "keras.activations.elu": elu,
    "keras.activations.gelu": partial(gelu, False),
    "keras.activations.hard_sigmoid": lambda b, call: b.unary(
        UnaryFunction.HARD_SIGMOID, real(b, first(call)), 0.2, 0.5
    ),
    "reduce_any": partial(quantifier, ReduceFunction.MAX),
    "reduce_all": partial(quantifier, ReduceFunction.MIN),
    "reduce_std": partial(variance, True),
    "reduce_variance": partial(variance, False),
    "reduce_logsumexp": log_sum_exp,
    "divide_no_nan": divide_no_nan,
    "gelu": partial(gelu, False),
    "leaky_relu": partial(leaky_relu, 0.2),
    "l2_normalize": normalize,
    "clip_by_value": clip,
    "gather": take,
    "embedding_lookup": take,
    "add_n": add_n,
    "image.resize": image_resize,
    "convert_to_tensor": identity,
    "identity": identity,
}

HANDLERS: dict[str, Handler] = {
    **{f"ops.{name}": handler for name, handler in KERAS.items()},
    **{f"tf.{name}": handler for name, handler in TENSORFLOW.items()},
}
