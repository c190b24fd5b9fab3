"""Keras handlers: dense layers, embeddings, and layers around a layer."""

from __future__ import annotations

import numpy as np

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.builder import GraphBuilder
from edgert.importers.keras.elementwise import activated
from edgert.importers.keras.layer import Call, Handler, leaves, real
from edgert.importers.layers import elementwise
from edgert.importers.layers.einsum import einsum
from edgert.ir import Value
from edgert.ops._enums import ReduceFunction, UnaryFunction


def dense(b: GraphBuilder, call: Call) -> Value:
    """x [..., I] times kernel [I, O]."""
    x, layer = real(b, call.input), call.layer
    kernel = layer.weight("kernel")
    if kernel.ndim != 2 or len(x.shape) < 2 or x.shape[-1] != kernel.shape[0]:
        raise ModelError(f"its kernel {list(kernel.shape)} does not fit an input {list(x.shape)}")
    y = elementwise.linear(b, x, np.ascontiguousarray(kernel.T), layer.optional("bias"))
    return activated(b, layer, y)


def einsum_dense(b: GraphBuilder, call: Call) -> Value:
    layer = call.layer
    y = einsum(b, layer.text("equation", ""), [real(b, call.input), b.const(layer.weight("kernel"))])
    bias = layer.optional("bias")
    return activated(b, layer, y if bias is None else b.add(y, bias))


def embedding(b: GraphBuilder, call: Call) -> Value:
    if call.layer.flag("mask_zero", False):
        call.note(
            f"Layer {call.layer.path!r}: masks are not carried on (mask_zero): index 0 counts like any other; "
            "give sequences without padding."
        )
    x = call.input
    indices = x if x.dtype in (DType.INT32, DType.INT64) else b.emit("cast", [x], dtype=DType.INT32)
    return b.emit("gather", [call.layer.weight("embeddings"), indices], {"axis": 0})


def maxout_dense(b: GraphBuilder, call: Call) -> Value:
    """The largest of several dense layers' results; kernel [features, I, O], bias [features, O]."""
    x, kernel, bias = call.only(2), call.layer.weight("kernel"), call.layer.optional("bias")
    if kernel.ndim != 3:
        raise ModelError(f"its kernel has the shape {list(kernel.shape)}, needed 3 dimensions")
    features, _, units = kernel.shape
    flat = np.ascontiguousarray(kernel.transpose(0, 2, 1).reshape(features * units, -1))
    y = elementwise.linear(b, x, flat, None if bias is None else bias.reshape(-1))
    return b.reduce(ReduceFunction.MAX, b.reshape(y, (x.shape[0], features, units)), [1], keep_dims=False)


def highway(b: GraphBuilder, call: Call) -> Value:
    """t f(W x) + (1 - t) x, where t = sigmoid(W_carry x)."""
    x, layer = call.only(2), call.layer
    carry, kernel = (np.ascontiguousarray(layer.weight(name).T) for name in ("carry_kernel", "kernel"))
    t = b.unary(UnaryFunction.SIGMOID, elementwise.linear(b, x, carry, layer.optional("carry_bias")))
    y = activated(b, layer, elementwise.linear(b, x, kernel, layer.optional("bias")))
    return b.add(x, b.mul(t, b.sub(y, x)))


def time_distributed(b: GraphBuilder, call: Call) -> Value:
    """The inner layer on every step: steps become samples."""
    x = call.inputs()[0]
    if len(x.shape) < 3:
        raise ModelError(f"its input has {len(x.shape)} dimensions, needed at least 3 (samples, steps, ...)")
    inner = call.layer.children["layer"]
    made = call.invoke(inner, [b.reshape(x, (x.shape[0] * x.shape[1], *x.shape[2:]))], {})
    outputs = list(leaves(made, Value))
    if len(outputs) != 1:
        return made  # type: ignore[no-any-return]  # nothing: the inner layer is refused
    b.begin(call.layer.path, call.layer.kind)
    return b.reshape(outputs[0], (*x.shape[:2], *outputs[0].shape[1:]))


def wrapped(b: GraphBuilder, call: Call) -> Value:
    """A wrapper that matters at training alone: the inner layer."""
    return call.invoke(call.layer.children["layer"], call.args, {})  # type: ignore[no-any-return]


HANDLERS: dict[str, Handler] = {
    "Dense": dense,
    "EinsumDense": einsum_dense,
    "Embedding": embedding,
    "MaxoutDense": maxout_dense,
    "Highway": highway,
    "TimeDistributed": time_distributed,
    "SpectralNormalization": wrapped,
}
