"""Caffe handlers: activations, functions, arithmetic on several inputs, products with weights."""

from __future__ import annotations

import math
from functools import partial, reduce

import numpy as np

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.builder import GraphBuilder, RefusedError
from edgert.importers.caffe.layer import Handler, SourceLayer, axis_of
from edgert.importers.layers import elementwise as layers
from edgert.importers.layers.movement import flatten
from edgert.ir import Value
from edgert.ops._enums import CompareFunction, ReduceFunction, UnaryFunction


def plain(function: UnaryFunction, b: GraphBuilder, layer: SourceLayer) -> Value:
    return b.unary(function, layer.input())


def hard_sigmoid(b: GraphBuilder, layer: SourceLayer) -> Value:
    """relu6(x + 3) / 6, as MobileNetV3's forks have it."""
    return b.unary(UnaryFunction.HARD_SIGMOID, layer.input(), 1 / 6, 0.5)


def relu(b: GraphBuilder, layer: SourceLayer) -> Value:
    return layers.leaky_relu(b, layer.input(), layer.param("relu_param").negative_slope)


def prelu(b: GraphBuilder, layer: SourceLayer) -> Value:
    return layers.prelu(b, layer.input(), layer.blob(0))


def elu(b: GraphBuilder, layer: SourceLayer) -> Value:
    return b.unary(UnaryFunction.ELU, layer.input(), layer.param("elu_param").alpha)


def swish(b: GraphBuilder, layer: SourceLayer) -> Value:
    return layers.swish(b, layer.input(), layer.param("swish_param").beta)


def clip(b: GraphBuilder, layer: SourceLayer) -> Value:
    param = layer.param("clip_param")
    return layers.clamp(b, layer.input(), param.min, param.max)


def power(b: GraphBuilder, layer: SourceLayer) -> Value:
    """(shift + scale * x) ** power"""
    param = layer.param("power_param")
    return layers.power(b, layers.affine(b, layer.input(), param.scale, param.shift), param.power)


def exponential(b: GraphBuilder, layer: SourceLayer) -> Value:
    """base ** (shift + scale * x); a base of -1 is e."""
    param = layer.param("exp_param")
    rate = _log_of_base(param.base)
    return b.unary(UnaryFunction.EXP, layers.affine(b, layer.input(), param.scale * rate, param.shift * rate))


def logarithm(b: GraphBuilder, layer: SourceLayer) -> Value:
    """log of (shift + scale * x) to the base."""
    param = layer.param("log_param")
    y = b.unary(UnaryFunction.LOG, layers.affine(b, layer.input(), param.scale, param.shift))
    return layers.affine(b, y, 1 / _log_of_base(param.base), 0)


def _log_of_base(base: float) -> float:
    if base == -1:
        return 1.0
    if base <= 0 or base == 1:
        raise ModelError(f"the base {base:g}, needed a positive one that is not 1")
    return math.log(base)


def threshold(b: GraphBuilder, layer: SourceLayer) -> Value:
    """1 where x > threshold, else 0."""
    limit = float(layer.param("threshold_param").threshold)
    above = b.emit("compare", [layer.input(), limit], {"function": CompareFunction.GREATER})
    return b.emit("cast", [above], dtype=DType.FLOAT32)


def softmax(b: GraphBuilder, layer: SourceLayer) -> Value:
    x = layer.input()
    return b.emit("softmax", [x], {"axis": axis_of(layer.param("softmax_param").axis, len(x.shape))})


def identity(b: GraphBuilder, layer: SourceLayer) -> list[Value]:
    """Dropout, Split: every output is the input."""
    return [layer.input()] * layer.outputs


def eltwise(b: GraphBuilder, layer: SourceLayer) -> Value:
    """Product, sum with coefficients, or maximum of inputs of one shape."""
    param = layer.param("eltwise_param")
    first, *others = layer.inputs or [layer.input()]
    if any(value.shape != first.shape for value in others):
        raise ModelError(f"inputs of the shapes {', '.join(str(list(value.shape)) for value in layer.inputs)}")
    if param.operation == 0:
        return reduce(b.mul, others, first)
    if param.operation == 2:
        return reduce(partial(layers.largest, b), others, first)
    factors = list(param.coeff) or [1.0] * len(layer.inputs)
    if len(factors) != len(layer.inputs):
        raise ModelError(f"{len(factors)} coefficients for {len(layer.inputs)} inputs")
    total: Value | None = None
    for value, factor in zip(layer.inputs, factors, strict=True):
        if total is not None and factor == -1:
            total = b.sub(total, value)
            continue
        part = layers.affine(b, value, factor, 0)
        total = part if total is None else b.add(total, part)
    assert total is not None
    return total


def axpy(b: GraphBuilder, layer: SourceLayer) -> Value:
    """scale [N, C] or [N, C, 1, 1], x, y -> scale * x + y (of SENet's fork)."""
    scale, x, y = (layer.input(index) for index in range(3))
    return b.add(b.mul(b.reshape(scale, (*x.shape[:2], *[1] * (len(x.shape) - 2))), x), y)


def inner_product(b: GraphBuilder, layer: SourceLayer) -> Value:
    param, x = layer.param("inner_product_param"), layer.input()
    axis = axis_of(param.axis, len(x.shape))
    rows = flatten(b, x, axis)
    inputs, outputs = rows.shape[-1], param.num_output
    transposed = getattr(param, "transpose", False)
    weights = layer.blob(0, (inputs, outputs) if transposed else (outputs, inputs))
    bias = layer.blob(1, (outputs,)) if param.bias_term else None
    return layers.linear(b, rows, weights.T if transposed else weights, bias)


def embed(b: GraphBuilder, layer: SourceLayer) -> Value:
    """Rows of a table by their numbers, which Caffe keeps as floats."""
    param = layer.param("embed_param")
    numbers = b.emit("cast", [layer.input()], dtype=DType.INT32)
    rows = b.emit("gather", [layer.blob(0, (param.input_dim, param.num_output)), numbers], {"axis": 0})
    return b.add(rows, layer.blob(1, (param.num_output,))) if param.bias_term else rows


def arg_max(b: GraphBuilder, layer: SourceLayer) -> Value:
    """Numbers as floats, as in Caffe. Without an axis: over all but the first dimension, to [N, 1, k] or [N, 2, k]."""
    param, x = layer.param("argmax_param"), layer.input()
    if param.has("axis"):
        axis = axis_of(param.axis, len(x.shape))
        largest, found = _top(b, x, axis, param.top_k)
        return largest if param.out_max_val else found
    largest, found = _top(b, flatten(b, x), 1, param.top_k)
    parts = [b.reshape(part, (x.shape[0], 1, param.top_k)) for part in (found, largest)]
    return b.emit("concat", parts, {"axis": 1}) if param.out_max_val else parts[0]


def _top(b: GraphBuilder, x: Value, axis: int, count: int) -> tuple[Value, Value]:
    """The largest elements along an axis, and where they are, as floats."""
    if count == 1:
        largest = b.reduce(ReduceFunction.MAX, x, (axis,))
        found = b.emit("arg_max", [x], {"axis": axis, "keep_dims": True}, dtype=DType.INT32)
    else:
        largest, found = b.emit_all("top_k", [x], {"k": count, "axis": axis})
    return largest, b.emit("cast", [found], dtype=DType.FLOAT32)


def reduction(b: GraphBuilder, layer: SourceLayer) -> Value:
    """Sum, sum of absolute values or of squares, or mean over all dimensions from an axis on."""
    param, x = layer.param("reduction_param"), layer.input()
    axis = axis_of(param.axis, len(x.shape))
    prepared = {2: UnaryFunction.ABS, 3: UnaryFunction.SQUARE}.get(param.operation)
    y = x if prepared is None else b.unary(prepared, x)
    function = ReduceFunction.MEAN if param.operation == 4 else ReduceFunction.SUM
    return layers.affine(b, b.reduce(function, y, range(axis, len(x.shape)), keep_dims=False), param.coeff, 0)


def parameter(b: GraphBuilder, layer: SourceLayer) -> Value:
    return b.const(np.asarray(layer.blob(0)))


def recurrent(b: GraphBuilder, layer: SourceLayer) -> Value:
    raise RefusedError(
        "a second input says at which steps sequences begin, which is known only when it runs",
        "export the recurrent layers through ONNX instead",
    )


HANDLERS: dict[str, Handler] = {
    "AbsVal": partial(plain, UnaryFunction.ABS),
    "ArgMax": arg_max,
    "Axpy": axpy,
    "BNLL": partial(plain, UnaryFunction.SOFTPLUS),
    "Clip": clip,
    "Dropout": identity,
    "ELU": elu,
    "Eltwise": eltwise,
    "Embed": embed,
    "Exp": exponential,
    "HSigmoid": hard_sigmoid,
    "HSwish": partial(plain, UnaryFunction.HARD_SWISH),
    "HardSigmoid": hard_sigmoid,
    "HardSwish": partial(plain, UnaryFunction.HARD_SWISH),
    "InnerProduct": inner_product,
    "LSTM": recurrent,
    "Log": logarithm,
    "Mish": partial(plain, UnaryFunction.MISH),
    "PReLU": prelu,
    "Parameter": parameter,
    "Power": power,
    "RNN": recurrent,
    "ReLU": relu,
    "ReLU6": partial(plain, UnaryFunction.RELU6),
    "Reduction": reduction,
    "Sigmoid": partial(plain, UnaryFunction.SIGMOID),
    "Softmax": softmax,
    "Split": identity,
    "Swish": swish,
    "TanH": partial(plain, UnaryFunction.TANH),
    "Threshold": threshold,
}
