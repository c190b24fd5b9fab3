"""MXNet handlers: normalisation."""

from __future__ import annotations

import numpy as np

from edgert.errors import ModelError
from edgert.importers.builder import GraphBuilder, Operand
from edgert.importers.layers import norm
from edgert.importers.mxnet.node import Handler, SourceNode
from edgert.ir import Value


def batch_norm(b: GraphBuilder, node: SourceNode) -> Value:
    """fix_gamma, the default, makes the scale 1 whatever is stored."""
    x, axis = node.input(), node.axis("axis", 1)
    scale: Operand | None = None if node.flag("fix_gamma", True) else node.input(1)
    return norm.batch_norm(b, x, scale, node.input(2), node.input(3), node.input(4), node.number("eps", 1e-3), axis)


def instance_norm(b: GraphBuilder, node: SourceNode) -> Value:
    return norm.instance_norm(b, node.input(), node.input(1), node.input(2), node.number("eps", 1e-3))


def layer_norm(b: GraphBuilder, node: SourceNode) -> Value:
    x, axis = node.input(), node.axis("axis", -1)
    scale, bias = (norm.along(b, x, node.input(index), axis) for index in (1, 2))
    return norm.layer_norm(b, x, (axis,), scale, bias, node.number("eps", 1e-5))


def group_norm(b: GraphBuilder, node: SourceNode) -> Value:
    """Scale and bias are one for each group, or in later versions one for each channel."""
    x, groups = node.input(), node.integer("num_groups", 1)
    scale, bias = (node.array(index, "scales and biases") for index in (1, 2))
    if groups >= 1 and scale.size == bias.size == groups:
        scale, bias = (np.repeat(item, x.shape[1] // groups) for item in (scale, bias))
    return norm.group_norm(b, x, groups, scale, bias, node.number("eps", 1e-5))


def l2_normalization(b: GraphBuilder, node: SourceNode) -> Value:
    x, mode = node.input(), node.text("mode", "instance")
    axes = {"instance": range(1, len(x.shape)), "channel": (1,), "spatial": range(2, len(x.shape))}
    if mode not in axes:
        raise ModelError(f"mode {mode!r}, needed one of {', '.join(axes)}")
    return norm.l2_norm(b, x, tuple(axes[mode]), node.number("eps", 1e-10), inside=True)


def lrn(b: GraphBuilder, node: SourceNode) -> Value:
    x, size = node.input(), node.integer("nsize", 5)
    if size < 1:
        raise ModelError(f"nsize {size}, needed at least 1")
    alpha, beta, knorm = node.number("alpha", 1e-4), node.number("beta", 0.75), node.number("knorm", 2)
    return norm.local_response_norm(b, x, size, alpha / size, beta, knorm)


HANDLERS: dict[str, Handler] = {
    "BatchNorm": batch_norm,
    "BatchNorm_v1": batch_norm,
    "CuDNNBatchNorm": batch_norm,
    "GroupNorm": group_norm,
    "InstanceNorm": instance_norm,
    "L2Normalization": l2_normalization,
    "LRN": lrn,
    "LayerNorm": layer_norm,
    "_contrib_SyncBatchNorm": batch_norm,
}
