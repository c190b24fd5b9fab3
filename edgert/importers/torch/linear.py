"""PyTorch handlers: products of matrices, attention."""

from __future__ import annotations

import math

import numpy as np

from edgert.dtypes import DType
from edgert.importers.layers.attention import attention
from edgert.importers.layers.einsum import einsum as shared_einsum
from edgert.importers.torch.builder import (
    Array,
    Builder,
    Call,
    Handler,
    QuantizedConstant,
    RefusedError,
    normal_axis,
)
from edgert.ir import Value
from edgert.ops._enums import ReduceFunction


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


def scaled_dot_product_attention(b: Builder, call: Call) -> Value:
    if call.number("dropout_p"):
        raise RefusedError("it drops elements at random, as in training", "export the model after module.eval()")
    return attention(
        b, b.value(call, "query"), b.value(call, "key"), b.value(call, "value"),
        mask=b.optional(call, "attn_mask"), causal=call.flag("is_causal"),
        scale=call.number("scale") if call.has("scale") else None,
    )  # fmt: skip


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
    "aten.scaled_dot_product_attention": scaled_dot_product_attention,
    "aten.tensordot": tensor_dot,
    "aten.inner": inner_product,
}
