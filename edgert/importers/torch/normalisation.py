"""PyTorch handlers: normalisations."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from edgert.importers.layers import norm
from edgert.importers.torch.builder import Array, Builder, Call, Handler, RefusedError
from edgert.ir import Value
from edgert.ops._enums import ReduceFunction, UnaryFunction


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


def layer_norm(b: Builder, call: Call) -> Value:
    x = b.value(call, "input")
    rank, over = len(x.shape), len(call.integers("normalized_shape"))
    axes = tuple(range(rank - over, rank))
    return norm.layer_norm(
        b, x, axes, b.optional(call, "weight"), b.optional(call, "bias"), call.number("eps", 1e-5)
    )  # fmt: skip


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


def with_statistics(layer: Callable[[Builder, Call], Value], b: Builder, call: Call) -> list[Value]:
    """As core ATen has a norm: the statistics are further results, which only training reads."""
    y = layer(b, call)
    nothing = b.const(np.zeros(0, np.float32))
    return [y, nothing, nothing]


def instance_norm(b: Builder, call: Call) -> Value:
    if not call.flag("use_input_stats", True):
        return batch_norm(b, call)
    return norm.instance_norm(
        b, b.value(call, "input"), b.optional(call, "weight"), b.optional(call, "bias"), call.number("eps", 1e-5)
    )


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
    "aten.batch_norm": batch_norm,
    "aten._native_batch_norm_legit_no_training": partial(with_statistics, batch_norm),
    "aten.native_batch_norm": partial(with_statistics, batch_norm),
    "aten._native_batch_norm_legit": partial(with_statistics, batch_norm),
    "aten.layer_norm": layer_norm,
    "aten.native_layer_norm": partial(with_statistics, layer_norm),
    "aten.rms_norm": rms_norm,
    "aten.group_norm": group_norm,
    "aten.native_group_norm": partial(with_statistics, group_norm),
    "aten.instance_norm": instance_norm,
    "aten.cosine_similarity": cosine_similarity,
    "aten._weight_norm": weight_norm,
    "aten._weight_norm_interface": weight_norm_interface,
}
