"""PyTorch handlers: products of matrices, softmax, reductions, normalisations."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from edgert.dtypes import DType
from edgert.importers.layers import norm
from edgert.importers.layers.attention import attention
from edgert.importers.layers.einsum import einsum as shared_einsum
from edgert.importers.torch.builder import (
    Array,
    Builder,
    Call,
    Handler,
    QuantizedConstant,
    RefusedError,
    normal_axes,
    normal_axis,
)
from edgert.importers.torch.elementwise import binary, truth
from edgert.importers.torch.types import is_float
from edgert.ir import Value
from edgert.ops._enums import BinaryFunction, CompareFunction, ReduceFunction, UnaryFunction


def product(b: Builder, x: Value, weights: QuantizedConstant | Array | Value, bias: Value | None = None) -> Value:
    """x [..., K] times weights [N, K], plus bias [N]: a fully connected layer where the weights are constant."""
    if isinstance(weights, Value):
        y = b.emit("matmul", [_rows(b, x), weights], {"transpose_b": True})
        y = b.reshape(y, (*x.shape[:-1], weights.shape[0]))
        return y if bias is None else b.add(y, bias)
    if isinstance(weights, QuantizedConstant):
        if weights.quant.per_channel and weights.quant.axis != 0:
            raise RefusedError(f"weights quantised along axis {weights.quant.axis}", "quantise them per row (axis 0)")
        matrix = b.dequantized(weights)
    else:
        matrix = b.const(np.ascontiguousarray(weights))
    single = len(x.shape) == 1
    inputs = [b.reshape(x, (1, *x.shape)) if single else x, matrix]
    if bias is not None and (bias.shape != matrix.shape[:1]):
        y = b.add(b.emit("fully_connected", inputs), bias)
    else:
        y = b.emit("fully_connected", inputs if bias is None else [*inputs, bias])
    return b.reshape(y, y.shape[1:]) if single else y


def _rows(b: Builder, x: Value) -> Value:
    return b.reshape(x, (1, *x.shape)) if len(x.shape) == 1 else x


def linear(b: Builder, call: Call) -> Value:
    return product(b, b.value(call, "input"), b.weights(call), b.optional(call, "bias"))


def _transposed(weights: QuantizedConstant | Array) -> QuantizedConstant | Array:
    return weights.transposed((1, 0)) if isinstance(weights, QuantizedConstant) else np.ascontiguousarray(weights.T)


def _multiplied(b: Builder, call: Call, left: str, right: str, bias: Value | None = None) -> Value:
    """NumPy's matmul; a constant matrix on the right becomes a fully connected layer."""
    x, weights = b.value(call, left), b.weights(call, right)
    if not isinstance(weights, Value):
        shape = weights.data.shape if isinstance(weights, QuantizedConstant) else weights.shape
        if len(shape) == 2 and x.dtype == DType.FLOAT32:
            return product(b, x, _transposed(weights), bias)
    other = b.value(call, right)
    is_row, is_column = len(x.shape) == 1, len(other.shape) == 1
    x = b.reshape(x, (1, *x.shape)) if is_row else x
    other = b.reshape(other, (*other.shape, 1)) if is_column else other
    y = b.emit("matmul", [b.floating(x), b.floating(other)])
    dropped = {len(y.shape) - 2} if is_row else set()
    dropped |= {len(y.shape) - 1} if is_column else set()
    y = b.reshape(y, [size for axis, size in enumerate(y.shape) if axis not in dropped])
    return y if bias is None else b.add(y, bias)


def matmul(b: Builder, call: Call) -> Value:
    return _multiplied(b, call, "self", call.any_of("other", "mat2", "vec", "tensor"))


def addmm(b: Builder, call: Call) -> Value:
    """beta * self + alpha * (first @ second)."""
    first, second = (("mat1", "mat2") if call.has("mat1") else ("batch1", "batch2") if call.has("batch1") else
                     ("mat", "vec"))  # fmt: skip
    beta, alpha = call.number("beta", 1.0), call.number("alpha", 1.0)
    added = b.value(call, "self")
    if beta == alpha == 1.0:
        return _multiplied(b, call, first, second, added)
    y = _multiplied(b, call, first, second)
    y = y if alpha == 1.0 else b.mul(y, alpha)
    if beta == 0.0:
        return y
    return b.add(y, added if beta == 1.0 else b.mul(added, beta))


def bilinear(b: Builder, call: Call) -> Value:
    """y[..., o] = input1[..., i] weight[o, i, j] input2[..., j] + bias[o]."""
    left, right, weights = b.value(call, "input1"), b.value(call, "input2"), b.array(call, "weight")
    outputs, rows, columns = weights.shape
    flat = product(b, left, np.ascontiguousarray(weights.transpose(0, 2, 1)).reshape(outputs * columns, rows))
    parted = b.reshape(flat, (*left.shape[:-1], outputs, columns))
    summed = b.mul(parted, b.reshape(right, (*right.shape[:-1], 1, columns)))
    y = b.reduce(ReduceFunction.SUM, summed, [-1], False)
    bias = b.optional(call, "bias")
    return y if bias is None else b.add(y, bias)


def trilinear(b: Builder, call: Call) -> Value:
    """The product of three tensors, each with new axes (expand1 ...), summed over the axes sumdim."""
    factors = []
    for number in (1, 2, 3):
        x = b.value(call, f"i{number}")
        shape = list(x.shape)
        for axis in sorted(call.integers(f"expand{number}")):
            shape.insert(axis, 1)
        factors.append(b.reshape(x, shape))
    return b.reduce(ReduceFunction.SUM, b.mul(b.mul(*factors[:2]), factors[2]), call.integers("sumdim"), False)


def outer(b: Builder, call: Call) -> Value:
    left, right = b.value(call, "self"), b.value(call, call.any_of("vec2", "other"))
    return b.mul(b.reshape(left, (left.shape[0], 1)), right)


def einsum(b: Builder, call: Call) -> Value:
    return shared_einsum(b, call.text("equation"), b.values(call, "tensors"))


# Softmax and reductions


def softmax(op: str, b: Builder, call: Call) -> Value:
    x = b.floating(b.value(call, "self"))
    if not x.shape:
        return b.reshape(b.emit(op, [b.reshape(x, (1,))], {"axis": 0}), ())
    return b.emit(op, [x], {"axis": normal_axis(call.integer("dim", -1), len(x.shape))})


def softmin(b: Builder, call: Call) -> Value:
    x = b.unary(UnaryFunction.NEG, b.value(call, "self"))
    return b.emit("softmax", [x], {"axis": normal_axis(call.integer("dim", -1), len(x.shape))})


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


# Normalisations


def _constant(b: Builder, call: Call, name: str) -> Array | None:
    return b.array(call, name) if call.has(name) else None


def batch_norm(b: Builder, call: Call) -> Value:
    """Without running statistics those of the batch count, in use as in training."""
    if not call.has("running_mean"):
        x = b.value(call, "input")
        y = norm.normalized(b, x, [axis for axis in range(len(x.shape)) if axis != 1], call.number("eps", 1e-5))
        y = b.mul(y, norm.along(b, y, b.value(call, "weight"), 1)) if call.has("weight") else y
        return b.add(y, norm.along(b, y, b.value(call, "bias"), 1)) if call.has("bias") else y
    if call.flag("training"):
        raise RefusedError(
            "it computes statistics of the batch, as in training", "export the model after module.eval()"
        )
    return norm.batch_norm(
        b, b.value(call, "input"), _constant(b, call, "weight"), _constant(b, call, "bias"),
        b.array(call, "running_mean"), b.array(call, "running_var"), call.number("eps", 1e-5),
    )  # fmt: skip


def batch_norm_core(b: Builder, call: Call) -> list[Value]:
    """As core ATen has it: the statistics are further results, which only training reads."""
    y = batch_norm(b, call)
    nothing = b.const(np.zeros(0, np.float32))
    return [y, nothing, nothing]


def layer_norm(b: Builder, call: Call) -> Value:
    x = b.value(call, "input")
    rank, over = len(x.shape), len(call.integers("normalized_shape"))
    axes = tuple(range(rank - over, rank))
    return norm.layer_norm(
        b, x, axes, b.optional(call, "weight"), b.optional(call, "bias"), call.number("eps", 1e-5)
    )  # fmt: skip


def layer_norm_core(b: Builder, call: Call) -> list[Value]:
    y = layer_norm(b, call)
    nothing = b.const(np.zeros(0, np.float32))
    return [y, nothing, nothing]


def rms_norm(b: Builder, call: Call) -> Value:
    x = b.value(call, "input")
    rank, over = len(x.shape), len(call.integers("normalized_shape"))
    epsilon = call.number("eps", float(np.finfo(np.float32).eps))
    return norm.rms_norm(b, x, tuple(range(rank - over, rank)), b.optional(call, "weight"), epsilon)


def group_norm(b: Builder, call: Call) -> Value:
    groups = call.integer(call.any_of("num_groups", "group"))
    return norm.group_norm(
        b, b.value(call, "input"), groups, b.optional(call, "weight"), b.optional(call, "bias"),
        call.number("eps", 1e-5),
    )  # fmt: skip


def group_norm_core(b: Builder, call: Call) -> list[Value]:
    y = group_norm(b, call)
    nothing = b.const(np.zeros(0, np.float32))
    return [y, nothing, nothing]


def instance_norm(b: Builder, call: Call) -> Value:
    if not call.flag("use_input_stats", True):
        return batch_norm(b, call)
    return norm.instance_norm(
        b, b.value(call, "input"), b.optional(call, "weight"), b.optional(call, "bias"), call.number("eps", 1e-5)
    )


# Attention


def scaled_dot_product_attention(b: Builder, call: Call) -> Value:
    if call.number("dropout_p"):
        raise RefusedError("it drops elements at random, as in training", "export the model after module.eval()")
    return attention(
        b, b.value(call, "query"), b.value(call, "key"), b.value(call, "value"),
        mask=b.optional(call, "attn_mask"), causal=call.flag("is_causal"),
        scale=call.number("scale") if call.has("scale") else None,
    )  # fmt: skip


def nan_sum(b: Builder, call: Call) -> Value:
    x = b.value(call, "self")
    missing = b.emit("compare", [x, x], {"function": CompareFunction.NOT_EQUAL})
    kept = b.emit("select", [missing, b.number(0, x.dtype), x])
    return _reduced(b, ReduceFunction.SUM, kept, _axes(call, x), call.flag("keepdim"))


def distances(b: Builder, call: Call) -> Value:
    """cdist: the p-norm of every row of x1 less every row of x2."""
    left, right = b.value(call, "x1"), b.value(call, "x2")
    across = b.sub(
        b.reshape(left, (*left.shape[:-1], 1, left.shape[-1])),
        b.reshape(right, (*right.shape[:-2], 1, *right.shape[-2:])),
    )
    return vector_norm(b, Call(call.name, call.op, "", {"self": across, "p": call.number("p", 2.0), "dim": [-1]}))


def tensor_dot(b: Builder, call: Call) -> Value:
    """Sums of products over the axes dims_self of one and dims_other of the other."""
    left, right = b.value(call, "self"), b.value(call, "other")
    inner = [normal_axis(axis, len(left.shape)) for axis in call.integers("dims_self")]
    outer_axes = [normal_axis(axis, len(right.shape)) for axis in call.integers("dims_other")]
    rows = [axis for axis in range(len(left.shape)) if axis not in inner]
    columns = [axis for axis in range(len(right.shape)) if axis not in outer_axes]
    depth = math.prod(left.shape[axis] for axis in inner)
    first = b.reshape(b.transpose(left, (*rows, *inner)), (_product_of(left, rows), depth))
    second = b.reshape(b.transpose(right, (*columns, *outer_axes)), (_product_of(right, columns), depth))
    constant = second.constant and second.data is not None
    y = product(b, first, np.asarray(second.data) if constant else second)
    return b.reshape(y, (*(left.shape[axis] for axis in rows), *(right.shape[axis] for axis in columns)))


def _product_of(x: Value, axes: list[int]) -> int:
    return math.prod(x.shape[axis] for axis in axes)


def inner_product(b: Builder, call: Call) -> Value:
    last = {"dims_self": [-1], "dims_other": [-1]}
    return tensor_dot(b, Call(call.name, call.op, "", {**call.args, **last}))


def cosine_similarity(b: Builder, call: Call) -> Value:
    left, right = b.value(call, "x1"), b.value(call, "x2")
    axis, epsilon = call.integer("dim", 1), call.number("eps", 1e-8)
    both = b.mul(norm.l2_norm(b, left, [axis], epsilon), norm.l2_norm(b, right, [axis], epsilon))
    return b.reduce(ReduceFunction.SUM, both, [axis], False)


def weight_norm(b: Builder, call: Call) -> Value:
    """g * v / |v|, the norm over all axes but `dim`."""
    v, g = b.value(call, "v"), b.value(call, "g")
    axes = [axis for axis in range(len(v.shape)) if axis != call.integer("dim") % len(v.shape)]
    total = b.reduce(ReduceFunction.SUM, b.unary(UnaryFunction.SQUARE, v), axes)
    return b.mul(v, b.mul(g, b.unary(UnaryFunction.RSQRT, total)))


def weight_norm_interface(b: Builder, call: Call) -> list[Value]:
    y = weight_norm(b, call)
    return [y, y]


HANDLERS: dict[str, Handler] = {
    "aten.linear": linear,
    "aten.matmul": matmul,
    "aten.mm": matmul,
    "aten.bmm": matmul,
    "aten.mv": matmul,
    "aten.dot": matmul,
    "aten.linalg_matmul": matmul,
    "aten.addmm": addmm,
    "aten.baddbmm": addmm,
    "aten.addmv": addmm,
    "aten.addbmm": addmm,
    "aten.bilinear": bilinear,
    "aten._trilinear": trilinear,
    "aten.outer": outer,
    "aten.einsum": einsum,
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
    "aten.batch_norm": batch_norm,
    "aten._native_batch_norm_legit_no_training": batch_norm_core,
    "aten.native_batch_norm": batch_norm_core,
    "aten._native_batch_norm_legit": batch_norm_core,
    "aten.layer_norm": layer_norm,
    "aten.native_layer_norm": layer_norm_core,
    "aten.rms_norm": rms_norm,
    "aten.group_norm": group_norm,
    "aten.native_group_norm": group_norm_core,
    "aten.instance_norm": instance_norm,
    "aten.scaled_dot_product_attention": scaled_dot_product_attention,
    "aten.nansum": nan_sum,
    "aten._cdist_forward": distances,
    "aten.cdist": distances,
    "aten.tensordot": tensor_dot,
    "aten.inner": inner_product,
    "aten.cosine_similarity": cosine_similarity,
    "aten._weight_norm": weight_norm,
    "aten._weight_norm_interface": weight_norm_interface,
}
