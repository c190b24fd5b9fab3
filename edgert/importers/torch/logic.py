"""PyTorch handlers: comparisons, truth values, choices."""

from __future__ import annotations

from functools import partial

from edgert.dtypes import DType
from edgert.importers.torch.builder import Builder, Call, Handler, RefusedError
from edgert.importers.torch.elementwise import LARGEST
from edgert.ir import Value
from edgert.ops._enums import BinaryFunction, CompareFunction, UnaryFunction

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


def where(b: Builder, call: Call) -> Value:
    condition = truth(b, b.value(call, "condition"))
    left, right = b.pair(call)
    return b.emit("select", [condition, left, right])


def masked_fill(b: Builder, call: Call) -> Value:
    x = b.value(call, "self")
    filler = b.cast(b.value(call, "value"), x.dtype)
    return b.emit("select", [truth(b, b.value(call, "mask")), filler, x])


def copy_sign(b: Builder, call: Call) -> Value:
    """The size of self with the sign of other; zeros count as positive."""
    left, right = b.pair(call)
    size = b.unary(UnaryFunction.ABS, left)
    below = b.emit("compare", [right, b.number(0, right.dtype)], {"function": CompareFunction.LESS})
    return b.emit("select", [below, b.unary(UnaryFunction.NEG, size), size])


def sign_bit(b: Builder, call: Call) -> Value:
    x = b.value(call, "self")
    return b.emit("compare", [x, b.number(0, x.dtype)], {"function": CompareFunction.LESS})


def nan_to_num(b: Builder, call: Call) -> Value:
    x = b.value(call, "self")
    missing = b.emit("compare", [x, x], {"function": CompareFunction.NOT_EQUAL})
    y = b.emit("select", [missing, b.const(call.number("nan", 0.0)), x])
    return b.unary(UnaryFunction.CLIP, y, call.number("neginf", -LARGEST), call.number("posinf", LARGEST))


HANDLERS: dict[str, Handler] = {
    **{f"aten.{name}": partial(compare, function) for name, function in COMPARISONS.items()},
    "aten.logical_and": partial(logical, BinaryFunction.LOGICAL_AND),
    "aten.logical_or": partial(logical, BinaryFunction.LOGICAL_OR),
    "aten.logical_xor": exclusive_or,
    "aten.logical_not": logical_not,
    "aten.bitwise_not": logical_not,
    **{f"aten.bitwise_{name}": partial(bitwise, name) for name in BITWISE},
    **{f"aten.__{name}__": partial(bitwise, name) for name in BITWISE},
    "aten.copysign": copy_sign,
    "aten.signbit": sign_bit,
    "aten.isnan": is_nan,
    "aten.isinf": is_inf,
    "aten.isfinite": is_finite,
    "aten.where": where,
    "aten.masked_fill": masked_fill,
    "aten.nan_to_num": nan_to_num,
}
