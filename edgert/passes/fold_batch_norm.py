"""Folds products and sums per output channel into the weights and bias of the operator above them.

Cases: conv2d, depthwise_conv2d and fully_connected with constant float32 weights and no activation, whose only reader
is mul, add or sub with a constant that is a scalar or has one number for each output channel (the last axis):
batch normalisation in inference form, a bias added apart, a scaled layer. `constant - x` is left alone. An activation
fused into the product or sum moves to the operator.
"""

from __future__ import annotations

import numpy as np

from edgert.dtypes import DType
from edgert.ir import Graph, Node, Value
from edgert.ops._enums import Activation
from edgert.passes._rewrite import Array, Sweep

CHANNEL_AXIS = {"conv2d": 0, "depthwise_conv2d": 2, "fully_connected": 0}  # of the weights


def fold_batch_norm(graph: Graph) -> bool:
    """Folds them; True when there were any."""
    return Sweep(graph).run(_visit)


def _visit(sweep: Sweep, node: Node) -> bool:
    if node.op not in ("mul", "add", "sub"):
        return False
    x, other = node.inputs
    if node.op != "sub" and x is not None and x.constant:
        x, other = other, x
    layer = None if x is None else sweep.producer.get(x)
    if x is None or layer is None or layer.op not in CHANNEL_AXIS or not sweep.single_use(x):
        return False
    weights = layer.inputs[1]
    bias = layer.inputs[2] if len(layer.inputs) > 2 else None
    foldable = weights is not None and weights.constant and weights.dtype == DType.FLOAT32
    if not foldable or not (bias is None or bias.constant) or layer.attrs["activation"] != Activation.NONE:
        return False
    vector = per_channel(other, x)
    if vector is None or weights is None or weights.data is None or node.output.shape != x.shape:
        return False
    offset = np.zeros(len(vector), np.float32) if bias is None or bias.data is None else bias.data
    new_weights = weights
    if node.op == "mul":
        shape = [1] * weights.data.ndim
        shape[CHANNEL_AXIS[layer.op]] = -1
        with np.errstate(over="ignore", invalid="ignore"):
            product = weights.data * vector.reshape(shape)
        if not np.isfinite(product).all():
            return False  # apart, the two may still give numbers
        new_weights = sweep.constant(product, weights)
        offset = offset * vector
    else:
        offset = offset + vector if node.op == "add" else offset - vector
    inputs = [layer.inputs[0], new_weights, sweep.constant(offset.astype(np.float32), layer)]
    sweep.emit(layer.op, inputs, {**layer.attrs, "activation": node.attrs["activation"]}, layer, output=node.output)
    return True


def per_channel(value: Value | None, x: Value) -> Array | None:
    """A float constant as a vector with one number for each index of x's last axis; None when it is none."""
    if value is None or not value.constant or value.data is None or value.dtype != DType.FLOAT32:
        return None
    channels = x.shape[-1]
    wide = (1, *value.shape)
    if value.data.size != 1 and (wide[-1] != channels or value.data.size != channels):
        return None
    return np.array(np.broadcast_to(value.data.reshape(-1), (channels,)), np.float32)
