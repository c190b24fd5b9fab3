"""Torch7 handlers: activations, functions, constants, products with weights, reductions."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.layers import elementwise as layers
from edgert.importers.torch7.module import Builder, Handler, Module, tensor_of
from edgert.ir import Value
from edgert.ops._enums import CompareFunction, ReduceFunction, UnaryFunction


def plain(function: UnaryFunction, b: Builder, module: Module, x: Any) -> Value:
    return b.unary(function, tensor_of(x))


def prelu(b: Builder, module: Module, x: Any) -> Value:
    value = tensor_of(x)
    return layers.prelu(b, value, module.array("weight"), channel_axis(value))


def channel_axis(x: Value) -> int:
    """Of [N, C, ...], or of a vector [C]."""
    return 1 if len(x.shape) > 1 else 0


def leaky_relu(b: Builder, module: Module, x: Any) -> Value:
    return layers.leaky_relu(b, tensor_of(x), module.number("negval", 0.01))


def rrelu(b: Builder, module: Module, x: Any) -> Value:
    slope = (module.number("lower", 1 / 8) + module.number("upper", 1 / 3)) / 2
    return layers.leaky_relu(b, tensor_of(x), slope)


def elu(b: Builder, module: Module, x: Any) -> Value:
    return b.unary(UnaryFunction.ELU, tensor_of(x), module.number("alpha", 1.0))


def hard_tanh(b: Builder, module: Module, x: Any) -> Value:
    return layers.clamp(b, tensor_of(x), module.number("min_val", -1), module.number("max_val", 1))


def threshold(b: Builder, module: Module, x: Any) -> Value:
    limit, other = module.number("threshold", 1e-6), module.number("val", 0)
    if limit == other == 0:
        return b.unary(UnaryFunction.RELU, tensor_of(x))
    return layers.threshold(b, tensor_of(x), limit, other)


def soft_plus(b: Builder, module: Module, x: Any) -> Value:
    """log(1 + exp(beta x)) / beta; x itself where beta x is above a threshold, which comes to the same."""
    beta = module.number("beta", 1)
    return layers.affine(b, b.unary(UnaryFunction.SOFTPLUS, layers.affine(b, tensor_of(x), beta, 0)), 1 / beta, 0)


def log_sigmoid(b: Builder, module: Module, x: Any) -> Value:
    negative = b.unary(UnaryFunction.NEG, tensor_of(x))
    return b.unary(UnaryFunction.NEG, b.unary(UnaryFunction.SOFTPLUS, negative))


def tanh_shrink(b: Builder, module: Module, x: Any) -> Value:
    return b.sub(tensor_of(x), b.unary(UnaryFunction.TANH, tensor_of(x)))


def hard_shrink(b: Builder, module: Module, x: Any) -> Value:
    """x, but 0 within lambda of 0."""
    value = tensor_of(x)
    return layers.threshold(b, value, module.number("lambda", 0.5), _below(b, value, module))


def _below(b: Builder, value: Value, module: Module) -> Value:
    """x where x < -lambda, else 0."""
    limit = -module.number("lambda", 0.5)
    return b.emit("select", [b.emit("compare", [value, limit], {"function": CompareFunction.LESS}), value, 0.0])


def soft_shrink(b: Builder, module: Module, x: Any) -> Value:
    """x brought nearer to 0 by lambda, and 0 where it is nearer already."""
    limit = module.number("lambda", 0.5)
    return b.sub(tensor_of(x), b.unary(UnaryFunction.CLIP, tensor_of(x), -limit, limit))


def lookup_table(b: Builder, module: Module, x: Any) -> Value:
    """Rows of a table by their numbers, which count from 1."""
    numbers = b.emit("cast", [b.add(tensor_of(x), -1.0)], dtype=DType.INT32)
    return b.emit("gather", [module.array("weight"), numbers], {"axis": 0})


def power(b: Builder, module: Module, x: Any) -> Value:
    return layers.power(b, tensor_of(x), module.number("pow"))


def softmax(op: str, b: Builder, module: Module, x: Any) -> Value:
    """Over channels: the first dimension of [C] and [C, H, W], the second of [N, C] and [N, C, H, W]."""
    value = tensor_of(x)
    if not 1 <= len(value.shape) <= 5:
        raise ModelError(f"an input {list(value.shape)}")
    y = b.unary(UnaryFunction.NEG, value) if module.kind == "nn.SoftMin" else value
    return b.emit(op, [y], {"axis": 0 if len(value.shape) in (1, 3) else 1})


def dropout(b: Builder, module: Module, x: Any) -> Value:
    """Scales at inference where the module does not do so in training: before version 2, and SpatialDropout."""
    scales = module.kind == "nn.SpatialDropout" or not module.flag("v2", False)
    return layers.affine(b, tensor_of(x), 1 - module.number("p", 0.5), 0) if scales else tensor_of(x)


def linear(b: Builder, module: Module, x: Any) -> Value:
    value, weights = tensor_of(x), module.array("weight")
    bias = module.optional("bias", weights.shape[:1])
    if len(value.shape) == 1:
        row = layers.linear(b, b.reshape(value, (1, *value.shape)), weights, bias)
        return b.reshape(row, weights.shape[:1])
    return layers.linear(b, value, weights, bias)


def multiplied(b: Builder, module: Module, x: Any) -> Value:
    return layers.affine(b, tensor_of(x), module.number("constant_scalar"), 0)


def shifted(b: Builder, module: Module, x: Any) -> Value:
    return layers.affine(b, tensor_of(x), 1, module.number("constant_scalar"))


def by_weight(b: Builder, module: Module, x: Any) -> Value:
    return layers.affine(b, tensor_of(x), float(module.array("weight", (1,))[0]), 0)


def plus_bias(b: Builder, module: Module, x: Any) -> Value:
    bias = module.array("bias")
    return b.add(tensor_of(x), bias.reshape(()) if bias.size == 1 else bias)


def by_tensor(b: Builder, module: Module, x: Any) -> Value:
    return b.mul(tensor_of(x), _spread(module.array("weight"), tensor_of(x)))


def plus_tensor(b: Builder, module: Module, x: Any) -> Value:
    return b.add(tensor_of(x), _spread(module.array("bias"), tensor_of(x)))


def _spread(array: np.ndarray[Any, np.dtype[Any]], x: Value) -> np.ndarray[Any, np.dtype[Any]]:
    """A tensor of CMul or CAdd, whose sizes line up with the input's from the end."""
    if len(array.shape) > len(x.shape):
        raise ModelError(f"a tensor {list(array.shape)} for an input {list(x.shape)}")
    return array


def reduced(function: ReduceFunction, b: Builder, module: Module, x: Any) -> Value:
    """Along a dimension, which goes unless `squeeze` is false."""
    value = tensor_of(x)
    axis = module.axis("dimension", len(value.shape))
    if module.flag("sizeAverage", False):
        function = ReduceFunction.MEAN
    keep = not module.flag("squeeze", True)
    return b.reduce(function, value, (axis,), keep_dims=keep or len(value.shape) == 1)


HANDLERS: dict[str, Handler] = {
    "nn.Abs": partial(plain, UnaryFunction.ABS),
    "nn.Add": plus_bias,
    "nn.AddConstant": shifted,
    "nn.CAdd": plus_tensor,
    "nn.CMul": by_tensor,
    "nn.Clamp": hard_tanh,
    "nn.Dropout": dropout,
    "nn.ELU": elu,
    "nn.Exp": partial(plain, UnaryFunction.EXP),
    "nn.HardShrink": hard_shrink,
    "nn.HardTanh": hard_tanh,
    "nn.LeakyReLU": leaky_relu,
    "nn.Linear": linear,
    "nn.Log": partial(plain, UnaryFunction.LOG),
    "nn.LogSigmoid": log_sigmoid,
    "nn.LookupTable": lookup_table,
    "nn.LogSoftMax": partial(softmax, "log_softmax"),
    "nn.Max": partial(reduced, ReduceFunction.MAX),
    "nn.Mean": partial(reduced, ReduceFunction.MEAN),
    "nn.Min": partial(reduced, ReduceFunction.MIN),
    "nn.Mul": by_weight,
    "nn.MulConstant": multiplied,
    "nn.Negative": partial(plain, UnaryFunction.NEG),
    "nn.PReLU": prelu,
    "nn.Power": power,
    "nn.RReLU": rrelu,
    "nn.ReLU": partial(plain, UnaryFunction.RELU),
    "nn.ReLU6": partial(plain, UnaryFunction.RELU6),
    "nn.Sigmoid": partial(plain, UnaryFunction.SIGMOID),
    "nn.SoftMax": partial(softmax, "softmax"),
    "nn.SoftMin": partial(softmax, "softmax"),
    "nn.SoftPlus": soft_plus,
    "nn.SoftShrink": soft_shrink,
    "nn.SoftSign": partial(plain, UnaryFunction.SOFTSIGN),
    "nn.SpatialDropout": dropout,
    "nn.SpatialLogSoftMax": partial(softmax, "log_softmax"),
    "nn.SpatialSoftMax": partial(softmax, "softmax"),
    "nn.Sqrt": partial(plain, UnaryFunction.SQRT),
    "nn.Square": partial(plain, UnaryFunction.SQUARE),
    "nn.Sum": partial(reduced, ReduceFunction.SUM),
    "nn.Tanh": partial(plain, UnaryFunction.TANH),
    "nn.TanhShrink": tanh_shrink,
    "nn.Threshold": threshold,
}
