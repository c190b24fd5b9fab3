"""ONNX handlers: matrix products, softmax, reductions and normalisations over them."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from edgert.dtypes import DType
from edgert.importers.layers import norm
from edgert.importers.layers.einsum import einsum as einstein_sum
from edgert.importers.onnx.builder import Builder, Handler, RefusedError, SourceNode
from edgert.ir import Value
from edgert.ops._enums import BinaryFunction, ReduceFunction, UnaryFunction


def gemm(b: Builder, node: SourceNode) -> Value:
    """alpha * A' * B' + beta * C; constant B becomes a fully connected layer, with alpha in its weights."""
    x = b.value(node, 0)
    alpha, beta = node.number("alpha", 1.0), node.number("beta", 1.0)
    if node.integer("transA", 0):
        x = b.transpose(x, (1, 0))
    transposed = bool(node.integer("transB", 0))
    if not b.is_constant(node, 1):
        y = b.emit("matmul", [x, b.value(node, 1)], {"transpose_b": transposed})
        if alpha != 1.0:
            y = b.mul(y, alpha)
        return b.add(y, _scaled(b, b.value(node, 2), beta)) if node.has(2) else y
    weights = b.rearranged(node, 1, "matrix B", (0, 1) if transposed else (1, 0), alpha)
    if not node.has(2):
        return b.emit("fully_connected", [x, weights])
    units = weights.shape[0]
    bias = b.constant(node, 2)
    if bias is not None and bias.size in (1, units) and (bias.ndim < 2 or bias.shape[0] == 1):
        full = np.broadcast_to(bias.reshape(-1), (units,)) * np.float32(beta)
        return b.emit("fully_connected", [x, weights, np.asarray(full, np.float32)])
    added = b.value(node, 2)
    if node.inputs[2] in b.quantized and added.shape == (units,) and beta == 1.0:
        return b.emit("fully_connected", [x, weights, added])
    return b.add(b.emit("fully_connected", [x, weights]), _scaled(b, added, beta))


def _scaled(b: Builder, x: Value, factor: float) -> Value:
    return x if factor == 1.0 else b.mul(x, factor)


def matmul(b: Builder, node: SourceNode) -> Value:
    """NumPy's matmul; a constant matrix on the right becomes a fully connected layer."""
    x, other = b.value(node, 0), b.value(node, 1)
    if len(other.shape) == 2 and b.is_constant(node, 1):
        return b.emit("fully_connected", [x, b.rearranged(node, 1, "matrix B", (1, 0))])
    left, right = len(x.shape) == 1, len(other.shape) == 1
    if left:
        x = b.reshape(x, (1, *x.shape))
    if right:
        other = b.reshape(other, (*other.shape, 1))
    y = b.emit("matmul", [x, other])
    rows, columns = len(y.shape) - 2, len(y.shape) - 1
    dropped = {rows} if left else set()
    dropped |= {columns} if right else set()
    return b.reshape(y, [size for axis, size in enumerate(y.shape) if axis not in dropped])


def einsum(b: Builder, node: SourceNode) -> Value:
    return einstein_sum(b, node.text("equation", ""), [b.value(node, index) for index in range(len(node.inputs))])


def softmax(op: str, b: Builder, node: SourceNode) -> Value:
    """Over one axis since operator set 13; before, over everything from the axis on, taken as one dimension."""
    x = b.value(node, 0)
    rank = len(x.shape)
    if node.opset >= 13:
        return b.emit(op, [x], {"axis": node.integer("axis", -1) % rank})
    axis = node.integer("axis", 1) % rank
    if math.prod(x.shape[axis + 1 :]) == 1:
        return b.emit(op, [x], {"axis": axis})
    flat = b.reshape(x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))
    return b.reshape(b.emit(op, [flat], {"axis": 1}), x.shape)


def _axes(b: Builder, node: SourceNode, rank: int) -> tuple[int, ...]:
    """Axes of a reduction: attribute or input, all when there are none."""
    axes = b.ints(node, 1, "axes") if node.has(1) else node.integers("axes")
    if not axes:
        return () if node.integer("noop_with_empty_axes", 0) else tuple(range(rank))
    return tuple(axis % rank for axis in axes)


def reduction(function: ReduceFunction, b: Builder, node: SourceNode) -> Value:
    x = b.value(node, 0)
    return b.reduce(function, x, _axes(b, node, len(x.shape)), bool(node.integer("keepdims", 1)))


def reduction_of(inner: UnaryFunction, outer: UnaryFunction | None, b: Builder, node: SourceNode) -> Value:
    """outer(sum(inner(x))): L1 and L2 norms, sums of squares."""
    x = b.value(node, 0)
    axes = _axes(b, node, len(x.shape))
    y = b.reduce(ReduceFunction.SUM, b.unary(inner, x), axes, bool(node.integer("keepdims", 1)))
    return y if outer is None else b.unary(outer, y)


def reduce_log_sum(b: Builder, node: SourceNode) -> Value:
    return b.unary(UnaryFunction.LOG, reduction(ReduceFunction.SUM, b, node))


def reduce_log_sum_exp(b: Builder, node: SourceNode) -> Value:
    """max + log(sum(exp(x - max))), which does not overflow."""
    x = b.value(node, 0)
    axes = _axes(b, node, len(x.shape))
    largest = b.reduce(ReduceFunction.MAX, x, axes)
    total = b.reduce(ReduceFunction.SUM, b.unary(UnaryFunction.EXP, b.sub(x, largest)), axes)
    y = b.add(b.unary(UnaryFunction.LOG, total), largest)
    if node.integer("keepdims", 1):
        return y
    return b.reshape(y, [size for axis, size in enumerate(y.shape) if axis not in axes])


def arg(minimum: bool, b: Builder, node: SourceNode) -> Value:
    x = b.value(node, 0)
    axis = node.integer("axis", 0) % len(x.shape)
    last = bool(node.integer("select_last_index", 0))
    if last:  # the first one from the end
        x = b.slice(x, axis, x.shape[axis] - 1, -1, -1)
    attrs = {
        "axis": axis,
        "keep_dims": bool(node.integer("keepdims", 1)),
        "minimum": minimum,
    }
    y = b.emit("arg_max", [x], attrs)
    if last:
        y = b.sub(np.asarray(x.shape[axis] - 1, np.dtype(y.dtype.numpy_name)), y)
    return y if y.dtype == DType.INT64 else b.emit("cast", [y], dtype=DType.INT64)


def _from_axis(node: SourceNode, rank: int) -> range:
    """The axes from the attribute's on."""
    return range(node.integer("axis", -1) % rank, rank)


def layer_normalization(b: Builder, node: SourceNode) -> Value:
    x = b.value(node, 0)
    _only_first_output(node)
    bias = b.value(node, 2) if node.has(2) else None
    return norm.layer_norm(b, x, _from_axis(node, len(x.shape)), b.value(node, 1), bias, node.number("epsilon", 1e-5))


def rms_normalization(b: Builder, node: SourceNode) -> Value:
    x = b.value(node, 0)
    return norm.rms_norm(b, x, _from_axis(node, len(x.shape)), b.value(node, 1), node.number("epsilon", 1e-5))


def mean_variance_normalization(b: Builder, node: SourceNode) -> Value:
    x = b.value(node, 0)
    return norm.normalized(b, x, node.integers("axes") or (0, 2, 3), 1e-9)


def lp_normalization(b: Builder, node: SourceNode) -> Value:
    x = b.value(node, 0)
    axes = [node.integer("axis", -1)]
    if node.integer("p", 2) == 1:
        size = b.reduce(ReduceFunction.SUM, b.unary(UnaryFunction.ABS, x), axes)
    else:
        size = b.unary(UnaryFunction.SQRT, b.reduce(ReduceFunction.SUM, b.unary(UnaryFunction.SQUARE, x), axes))
    least = float(np.finfo(np.float32).tiny)  # zeros stay zeros
    size = b.emit("binary", [size, least], {"function": BinaryFunction.MAXIMUM})
    return b.mul(x, b.unary(UnaryFunction.RECIPROCAL, size))


def _only_first_output(node: SourceNode) -> None:
    if any(node.outputs[1:]):
        raise RefusedError("its further outputs, which serve training, are used", "export the model for inference")


HANDLERS: dict[str, Handler] = {
    "Gemm": gemm,
    "MatMul": matmul,
    "Einsum": einsum,
    "Softmax": partial(softmax, "softmax"),
    "LogSoftmax": partial(softmax, "log_softmax"),
    "ReduceMean": partial(reduction, ReduceFunction.MEAN),
    "ReduceSum": partial(reduction, ReduceFunction.SUM),
    "ReduceMax": partial(reduction, ReduceFunction.MAX),
    "ReduceMin": partial(reduction, ReduceFunction.MIN),
    "ReduceProd": partial(reduction, ReduceFunction.PROD),
    "ReduceL1": partial(reduction_of, UnaryFunction.ABS, None),
    "ReduceL2": partial(reduction_of, UnaryFunction.SQUARE, UnaryFunction.SQRT),
    "ReduceSumSquare": partial(reduction_of, UnaryFunction.SQUARE, None),
    "ReduceLogSum": reduce_log_sum,
    "ReduceLogSumExp": reduce_log_sum_exp,
    "ArgMax": partial(arg, False),
    "ArgMin": partial(arg, True),
    "LayerNormalization": layer_normalization,
    "RMSNormalization": rms_normalization,
    "MeanVarianceNormalization": mean_variance_normalization,
    "LpNormalization": lp_normalization,
}
