"""Keras handlers: layers that join several tensors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial, reduce

from edgert.errors import ModelError
from edgert.importers.builder import GraphBuilder, RefusedError
from edgert.importers.keras.layer import Call, Handler, Tensor, leaves
from edgert.importers.layers import elementwise, movement, norm
from edgert.importers.layers.einsum import einsum
from edgert.ir import Value
from edgert.ops._enums import BinaryFunction, UnaryFunction

Join = tuple[str, BinaryFunction | None]
JOINS: dict[str, Join] = {
    "Add": ("add", None),
    "Multiply": ("mul", None),
    "Subtract": ("sub", None),
    "Maximum": ("binary", BinaryFunction.MAXIMUM),
    "Minimum": ("binary", BinaryFunction.MINIMUM),
}


def aligned(b: GraphBuilder, values: Sequence[Value]) -> list[Value]:
    """Values of fewer dimensions get further ones behind the batch."""
    rank = max(len(value.shape) for value in values)
    return [
        b.reshape(value, (value.shape[0], *[1] * (rank - len(value.shape)), *value.shape[1:])) if value.shape else value
        for value in values
    ]


def joined(b: GraphBuilder, values: Sequence[Value], join: Join) -> Value:
    op, function = join
    attrs = {} if function is None else {"function": function}
    return reduce(lambda left, right: b.emit(op, [left, right], attrs), aligned(b, values))


def elementwise_join(join: Join, b: GraphBuilder, call: Call) -> Value:
    return joined(b, call.inputs(), join)


def average(b: GraphBuilder, call: Call) -> Value:
    values = call.inputs()
    return b.mul(joined(b, values, JOINS["Add"]), 1 / len(values))


def concatenate(b: GraphBuilder, call: Call) -> Value:
    return _concat(b, call.inputs(), call.layer.integer("axis", -1))


def _concat(b: GraphBuilder, values: Sequence[Value], axis: int) -> Value:
    rank = len(values[0].shape)
    if not -rank <= axis < rank:
        raise ModelError(f"axis is {axis}, and its inputs have {rank} dimensions")
    return movement.concat(b, values, axis % rank)


def dot(b: GraphBuilder, call: Call) -> Value:
    layer = call.layer
    axes = layer.sizes("axes", 2, -1)
    return batch_dot(b, call.inputs(2), axes, layer.flag("normalize", False))


def batch_dot(b: GraphBuilder, values: Sequence[Value], axes: Sequence[int], unit: bool = False) -> Value:
    """Sums over one axis of each of two tensors, sample by sample."""
    x, y = values
    at = [axis % len(value.shape) for value, axis in zip(values, axes, strict=True)]
    if min(at) < 1 or x.shape[at[0]] != y.shape[at[1]]:
        raise ModelError(f"the axes {at} of {list(x.shape)} and {list(y.shape)} do not fit")
    if unit:
        x, y = norm.l2_norm(b, x, [at[0]], 1e-6), norm.l2_norm(b, y, [at[1]], 1e-6)
    left = "b" + "".join("z" if axis == at[0] else chr(ord("c") + axis) for axis in range(1, len(x.shape)))
    right = "b" + "".join("z" if axis == at[1] else chr(ord("m") + axis) for axis in range(1, len(y.shape)))
    kept = "b" + (left[1:] + right[1:]).replace("z", "")
    made = einsum(b, f"{left},{right}->{kept}", [x, y])
    return b.reshape(made, (made.shape[0], 1)) if len(made.shape) == 1 else made


MERGES = {"sum": "Add", "mul": "Multiply", "max": "Maximum"}


def merge(b: GraphBuilder, call: Call) -> Value:
    """Keras 1's layer for all of these. In a Sequential model it holds the models whose outputs it joins."""
    layer, values = call.layer, call.inputs()
    if layer.children:
        values = _branches(call, values)
        b.begin(layer.path, layer.kind)
    mode = layer.get("mode", "sum")
    if not isinstance(mode, str) or layer.get("mode_type", "raw") != "raw":
        raise RefusedError("its mode is code of the author's own, which is never run", "use one of Merge's named modes")
    if mode in MERGES:
        return joined(b, values, JOINS[MERGES[mode]])
    if mode == "ave":
        return b.mul(joined(b, values, JOINS["Add"]), 1 / len(values))
    if mode == "concat":
        return _concat(b, values, layer.integer("concat_axis", -1))
    if mode in ("dot", "cos") and len(values) == 2:
        axes = layer.sizes("dot_axes", 2, -1)
        product = batch_dot(b, values, axes)
        if mode == "dot":
            return product
        x, y = values
        squares = b.mul(batch_dot(b, [x, x], (axes[0], axes[0])), batch_dot(b, [y, y], (axes[1], axes[1])))
        length = elementwise.largest(b, b.unary(UnaryFunction.SQRT, squares), 1e-7)
        cosine = elementwise.divided(b, product, length)
        return b.reshape(cosine, (cosine.shape[0], 1, *cosine.shape[1:]))
    raise RefusedError(f"mode {mode!r}", "use sum, mul, ave, max, concat, dot or cos")


def _branches(call: Call, values: Sequence[Value]) -> list[Value]:
    """What each of the models makes of its share of the inputs."""
    left, made = list(values), []
    for branch in call.layer.children.values():
        if branch.body is None:
            raise ModelError(f"it joins {branch.name!r}, which is no model")
        count = len(list(leaves(branch.body.inputs, Tensor)))
        outputs = list(leaves(call.invoke(branch, left[:count], {}), Value))
        if len(outputs) != 1:
            raise RefusedError("a model that it joins cannot be converted, or has several outputs", "join single ones")
        made.append(outputs[0])
        left = left[count:]
    return made


HANDLERS: dict[str, Handler] = {
    **{kind: partial(elementwise_join, join) for kind, join in JOINS.items()},
    "Average": average,
    "Concatenate": concatenate,
    "Dot": dot,
    "Merge": merge,
}
