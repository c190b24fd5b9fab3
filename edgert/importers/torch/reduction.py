"""PyTorch handlers: softmax, reductions, norms."""

from __future__ import annotations

import math
from functools import partial

from edgert.dtypes import DType
from edgert.importers.torch.builder import Builder, Call, Handler, RefusedError, normal_axes, normal_axis
from edgert.importers.torch.elementwise import binary
from edgert.importers.torch.logic import truth
from edgert.importers.torch.types import is_float
from edgert.ir import Value
from edgert.ops._enums import BinaryFunction, CompareFunction, ReduceFunction, UnaryFunction


def _reduced(b: Builder, function: ReduceFunction, x: Value, axes: tuple[int, ...], keep: bool) -> Value:
    if not x.shape:
        return x
    return b.reduce(function, x, axes, keep)


def _axes(call: Call, x: Value) -> tuple[int, ...]:
    return normal_axes(call.integers("dim"), len(x.shape))


def reduction(function: ReduceFunction, b: Builder, call: Call) -> Value:
    """mean, sum, prod, amax, amin; sums of integers and booleans are int64."""
    x = b.value(call, "self")
    if call.has("dtype"):
        x = b.cast(x, call.dtype_or(x.dtype))
    elif function in (ReduceFunction.SUM, ReduceFunction.PROD) and not is_float(x.dtype):
        x = b.cast(x, DType.INT64)
    return _reduced(b, function, x, _axes(call, x), call.flag("keepdim"))


def extreme(function: ReduceFunction, b: Builder, call: Call) -> Value | list[Value]:
    """max and min: of all, along an axis (with indices), or of two tensors."""
    if call.has("other"):
        larger = function == ReduceFunction.MAX
        return binary(BinaryFunction.MAXIMUM if larger else BinaryFunction.MINIMUM, b, call)
    x = b.value(call, "self")
    if not call.has("dim"):
        return _reduced(b, function, x, tuple(range(len(x.shape))), False)
    return [_reduced(b, function, x, _axes(call, x), call.flag("keepdim")),
            arg(function == ReduceFunction.MIN, b, call)]  # fmt: skip


def aminmax(b: Builder, call: Call) -> list[Value]:
    x = b.value(call, "self")
    axes, keep = _axes(call, x), call.flag("keepdim")
    return [_reduced(b, function, x, axes, keep) for function in (ReduceFunction.MIN, ReduceFunction.MAX)]


def arg(minimum: bool, b: Builder, call: Call) -> Value:
    """Index of the first largest (or smallest) element; of all elements as one line without an axis."""
    x = b.value(call, "self")
    keep = call.flag("keepdim")
    if not call.has("dim"):
        flat = b.reshape(x, (math.prod(x.shape),))
        y = b.emit("arg_max", [flat], {"axis": 0, "keep_dims": False, "minimum": minimum})
        y = b.reshape(y, (1,) * len(x.shape)) if keep else y
    else:
        axis = normal_axis(call.integer("dim"), len(x.shape))
        y = b.emit("arg_max", [x], {"axis": axis, "keep_dims": keep, "minimum": minimum})
    return b.cast(y, DType.INT64)


def variance(root: bool, b: Builder, call: Call) -> Value:
    return _spread(b, call, root)[0]


def variance_and_mean(root: bool, b: Builder, call: Call) -> list[Value]:
    return list(_spread(b, call, root))


def _spread(b: Builder, call: Call, root: bool) -> tuple[Value, Value]:
    """Variance (or its root) and mean; `correction` is what the count is lessened by, 1 by default."""
    x = b.value(call, "self")
    axes, keep = _axes(call, x), call.flag("keepdim")
    unbiased = call.args.get("unbiased")
    correction = call.number("correction", 1.0) if unbiased is None else float(bool(unbiased))
    count = math.prod(x.shape[axis] for axis in axes)
    mean = b.mean(x, axes)
    power = b.mean(b.unary(UnaryFunction.SQUARE, b.sub(x, mean)), axes)
    if correction and count > correction:
        power = b.mul(power, count / (count - correction))
    y = b.unary(UnaryFunction.SQRT, power) if root else power
    shape = y.shape if keep else tuple(size for axis, size in enumerate(x.shape) if axis not in axes)
    return b.reshape(y, shape), b.reshape(mean, shape)


def log_sum_exp(b: Builder, call: Call) -> Value:
    """max + log(sum(exp(x - max))), which does not overflow."""
    x = b.value(call, "self")
    axes = _axes(call, x)
    largest = b.reduce(ReduceFunction.MAX, x, axes)
    total = b.reduce(ReduceFunction.SUM, b.unary(UnaryFunction.EXP, b.sub(x, largest)), axes)
    y = b.add(b.unary(UnaryFunction.LOG, total), largest)
    return y if call.flag("keepdim") else b.reshape(y, [s for axis, s in enumerate(x.shape) if axis not in axes])


def vector_norm(b: Builder, call: Call) -> Value:
    """The p-norm over the axes; p may be 0, 1, 2, any other positive number or infinite."""
    x = b.floating(b.value(call, "self"))
    given = call.args.get(call.any_of("p", "ord"))
    if isinstance(given, str) and given != "fro":
        raise RefusedError(f"the norm {given!r}", "use a vector norm (a number) or 'fro'")
    order = 2.0 if given is None or isinstance(given, str) else call.number(call.any_of("p", "ord"))
    axes, keep = _axes(call, x), call.flag("keepdim")
    size = b.unary(UnaryFunction.ABS, x)
    if math.isinf(order):
        return _reduced(b, ReduceFunction.MAX if order > 0 else ReduceFunction.MIN, size, axes, keep)
    if order == 0:
        counted = b.cast(truth(b, x), DType.FLOAT32)
        return _reduced(b, ReduceFunction.SUM, counted, axes, keep)
    if order == 1:
        return _reduced(b, ReduceFunction.SUM, size, axes, keep)
    if order == 2:
        return b.unary(
            UnaryFunction.SQRT, _reduced(b, ReduceFunction.SUM, b.unary(UnaryFunction.SQUARE, x), axes, keep)
        )
    total = _reduced(
        b, ReduceFunction.SUM, b.emit("binary", [size, order], {"function": BinaryFunction.POW}), axes, keep
    )
    return b.emit("binary", [total, 1 / order], {"function": BinaryFunction.POW})


def any_all(every: bool, b: Builder, call: Call) -> Value:
    """Whether any or every element is not 0."""
    x = b.cast(truth(b, b.value(call, "self")), DType.INT32)
    function = ReduceFunction.MIN if every else ReduceFunction.MAX
    y = _reduced(b, function, x, _axes(call, x), call.flag("keepdim"))
    return b.emit("compare", [y, b.number(0, y.dtype)], {"function": CompareFunction.NOT_EQUAL})


def nan_sum(b: Builder, call: Call) -> Value:
    x = b.value(call, "self")
    missing = b.emit("compare", [x, x], {"function": CompareFunction.NOT_EQUAL})
    kept = b.emit("select", [missing, b.number(0, x.dtype), x])
    return _reduced(b, ReduceFunction.SUM, kept, _axes(call, x), call.flag("keepdim"))


def softmax(op: str, b: Builder, call: Call) -> Value:
    x = b.floating(b.value(call, "self"))
    if not x.shape:
        return b.reshape(b.emit(op, [b.reshape(x, (1,))], {"axis": 0}), ())
    return b.emit(op, [x], {"axis": normal_axis(call.integer("dim", -1), len(x.shape))})


def softmin(b: Builder, call: Call) -> Value:
    x = b.unary(UnaryFunction.NEG, b.value(call, "self"))
    return b.emit("softmax", [x], {"axis": normal_axis(call.integer("dim", -1), len(x.shape))})


def distances(b: Builder, call: Call) -> Value:
    """cdist: the p-norm of every row of x1 less every row of x2."""
    left, right = b.value(call, "x1"), b.value(call, "x2")
    across = b.sub(
        b.reshape(left, (*left.shape[:-1], 1, left.shape[-1])),
        b.reshape(right, (*right.shape[:-2], 1, *right.shape[-2:])),
    )
    return vector_norm(b, Call(call.name, call.op, "", {"self": across, "p": call.number("p", 2.0), "dim": [-1]}))


HANDLERS: dict[str, Handler] = {
    "aten.softmax": partial(softmax, "softmax"),
    "aten._softmax": partial(softmax, "softmax"),
    "aten._safe_softmax": partial(softmax, "softmax"),
    "aten.log_softmax": partial(softmax, "log_softmax"),
    "aten._log_softmax": partial(softmax, "log_softmax"),
    "aten.special_softmax": partial(softmax, "softmax"),
    "aten.softmin": softmin,
    "aten.mean": partial(reduction, ReduceFunction.MEAN),
    "aten.sum": partial(reduction, ReduceFunction.SUM),
    "aten.prod": partial(reduction, ReduceFunction.PROD),
    "aten.amax": partial(reduction, ReduceFunction.MAX),
    "aten.amin": partial(reduction, ReduceFunction.MIN),
    "aten.max": partial(extreme, ReduceFunction.MAX),
    "aten.min": partial(extreme, ReduceFunction.MIN),
    "aten.aminmax": aminmax,
    "aten.argmax": partial(arg, False),
    "aten.argmin": partial(arg, True),
    "aten.var": partial(variance, False),
    "aten.std": partial(variance, True),
    "aten.var_mean": partial(variance_and_mean, False),
    "aten.std_mean": partial(variance_and_mean, True),
    "aten.logsumexp": log_sum_exp,
    "aten.norm": vector_norm,
    "aten.linalg_vector_norm": vector_norm,
    "aten.linalg_norm": vector_norm,
    "aten.frobenius_norm": vector_norm,
    "aten.any": partial(any_all, False),
    "aten.all": partial(any_all, True),
    "aten.nansum": nan_sum,
    "aten._cdist_forward": distances,
    "aten.cdist": distances,
}
