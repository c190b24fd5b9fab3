"""TensorFlow handlers: constants, shapes and the arithmetic of indices that is known when the graph is read."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.builder import FOLD_LIMIT, RefusedError
from edgert.importers.tensorflow.builder import Builder, Handler, Opaque, Outputs, SourceNode, Variable
from edgert.importers.tensorflow.tensors import RESOURCE, STRING, VARIANT, dtype_of
from edgert.ir import Node, Value


def const(b: Builder, node: SourceNode) -> Outputs:
    proto = node.attr("value").tensor
    if proto.dtype in (STRING, RESOURCE, VARIANT):
        return Opaque("text" if proto.dtype == STRING else "a handle")
    return b.const(b.tensors.array(proto), name=b.unique(f"{node.name}/constant"))


def placeholder(b: Builder, node: SourceNode) -> Outputs:
    """Those that are inputs never come here."""
    raise RefusedError(
        "it is an input that was not asked for", "name it in inputs=[...], or give constants={name: array}"
    )


def variable_handle(b: Builder, node: SourceNode) -> Outputs:
    name = node.text("shared_name", "") or node.name
    stored = b.variables.get(node.name)  # a node is unique, a shared name is not always
    stored = b.variables.get(name) if stored is None else stored
    if name not in b.stateful or stored is None:
        return Variable(name, None if stored is None else b.const(stored, name=b.unique(name)))
    if name not in b.lasting:
        lasting = Value(name, tuple(stored.shape), DType.of(stored.dtype), None, stored.copy(), variable=True)
        b.bear(lasting, name)
        b.lasting[name] = lasting
        b.state[name] = b.emit_unfolded("copy", [lasting], {})  # a later assignment must not change it
    return Variable(name, b.state[name])


def stored_variable(b: Builder, node: SourceNode) -> Outputs:
    """Variable and VariableV2 of TensorFlow 1 are their values."""
    stored = b.variables.get(node.name)
    if stored is None:
        raise RefusedError("its value is not in the file", "freeze the graph, or give the SavedModel folder")
    return b.const(stored, name=b.unique(f"{node.name}/stored"))


def read_variable(b: Builder, node: SourceNode) -> Value:
    handle = node.inputs[0] if node.inputs else None
    if not isinstance(handle, Variable):
        raise RefusedError("it reads a variable that is not known here", "freeze the graph")
    if handle.value is None:
        raise RefusedError(
            f"the value of the variable {handle.name!r} is not in the file",
            "freeze the graph (variables become constants), or give the SavedModel folder",
        )
    return b.state.get(handle.name, handle.value)


def write_variable(op: str, b: Builder, node: SourceNode) -> Outputs:
    """AssignVariableOp, AssignAddVariableOp and AssignSubVariableOp. The walk sees to their order."""
    old, value = read_variable(b, node), b.value(node, 1)
    handle = node.inputs[0]
    assert isinstance(handle, Variable)
    value = b.emit(op, [old, value]) if op else value
    if (value.shape, value.dtype) != (old.shape, old.dtype):
        raise ModelError(f"it writes {list(value.shape)} into the variable {handle.name!r} of {list(old.shape)}")
    b.state[handle.name] = value
    return []


def write_state(b: Builder) -> None:
    """The end of the graph: variables take what was written to them."""
    for name, variable in b.lasting.items():
        if b.state[name] is not variable:
            b.graph.nodes.append(Node("assign", [variable, b.state[name]], [], {}, name, "AssignVariableOp"))


def shape(b: Builder, node: SourceNode) -> list[Value]:
    kind = dtype_of(node.attr("out_type").type) if node.has_attr("out_type") else None
    name = kind.numpy_name if kind is not None else "int32"
    values = [b.value(node, index) for index in range(len(node.inputs))]
    return [b.const(np.array(value.shape, name), name=b.unique(f"{node.name}/shape")) for value in values]


def rank(b: Builder, node: SourceNode) -> Value:
    return b.const(np.array(len(b.value(node, 0).shape), np.int32))


def size(b: Builder, node: SourceNode) -> Value:
    kind = node.type("out_type").numpy_name if node.has_attr("out_type") else "int32"
    return b.const(np.array(np.prod(b.value(node, 0).shape, dtype=np.int64), kind))


def range_(b: Builder, node: SourceNode) -> Value:
    parts = (b.need_constant(node, at, what) for at, what in enumerate(("start", "limit", "step")))
    start, limit, delta = (part.reshape(-1) for part in parts)
    if not (start.size == limit.size == delta.size == 1) or delta[0] == 0:
        raise ModelError("start, limit and step are not three numbers, or the step is 0")
    count = (float(limit[0]) - float(start[0])) / float(delta[0])
    if not count * start.itemsize < FOLD_LIMIT:
        raise ModelError(f"a range of {count} numbers")
    with np.errstate(all="ignore"):
        return b.const(np.arange(start[0], limit[0], delta[0], dtype=start.dtype))


def lin_space(b: Builder, node: SourceNode) -> Value:
    start, stop, count = (b.scalar(node, at, what) for at, what in enumerate(("start", "stop", "count")))
    if not 1 <= count <= FOLD_LIMIT // 4:
        raise ModelError(f"{count} numbers")
    return b.const(np.linspace(start, stop, int(count), dtype=np.float32))


def invert_permutation(b: Builder, node: SourceNode) -> Value:
    perm = b.need_constant(node, 0, "permutation").reshape(-1)
    if sorted(perm.tolist()) != list(range(perm.size)):
        raise ModelError(f"{perm.tolist()} is no permutation")
    return b.const(np.argsort(perm).astype(perm.dtype))


def list_diff(b: Builder, node: SourceNode) -> list[Value]:
    x, gone = (b.need_constant(node, at, "list").reshape(-1) for at in (0, 1))
    kept = np.flatnonzero(~np.isin(x, gone))
    return [b.const(x[kept]), b.const(kept.astype(np.int32))]


def broadcast_args(b: Builder, node: SourceNode) -> Value:
    first, second = b.ints(node, 0, "shape"), b.ints(node, 1, "shape")
    kind = b.need_constant(node, 0, "shape").dtype
    return b.const(np.array(np.broadcast_shapes(first, second), kind))


def where(b: Builder, node: SourceNode) -> Value:
    """Of one input: the indices of what is true, whose number depends on the data unless it is constant."""
    flags = b.constant(node, 0)
    if flags is None:
        raise RefusedError("its output's shape depends on the data", "cut the model before it: outputs=[...]")
    return b.const(np.argwhere(flags).astype(np.int64))


def unique(b: Builder, node: SourceNode) -> list[Value]:
    x = b.need_constant(node, 0, "list").reshape(-1)
    values, first, inverse = np.unique(x, return_index=True, return_inverse=True)
    order = np.argsort(first)  # in the order in which they come
    back = np.argsort(order)
    return [b.const(values[order]), b.const(back[inverse.reshape(-1)].astype(np.int32))]


def dynamic_stitch(b: Builder, node: SourceNode) -> Value:
    """Constant indices and data, joined: what comes later wins."""
    half = len(node.inputs) // 2
    indices = [b.need_constant(node, at, "indices") for at in range(half)]
    data = [b.need_constant(node, half + at, "data") for at in range(half)]
    count = 1 + max((int(index.max()) for index in indices if index.size), default=-1)
    rest = data[0].shape[indices[0].ndim :]
    if (
        count < 1
        or count * max(math.prod(rest), 1) > FOLD_LIMIT
        or any(index.size and index.min() < 0 for index in indices)
    ):
        raise ModelError(f"indices up to {count}")
    result = np.zeros((count, *rest), data[0].dtype)
    for index, part in zip(indices, data, strict=True):
        result[index.reshape(-1)] = part.reshape(index.size, *rest)
    return b.const(result)


def nothing(b: Builder, node: SourceNode) -> Outputs:
    """Checks and prints, which only control inputs name."""
    return []


HANDLERS: dict[str, Handler] = {
    "Const": const,
    "HostConst": const,
    "Placeholder": placeholder,
    "VarHandleOp": variable_handle,
    "Variable": stored_variable,
    "VariableV2": stored_variable,
    "ReadVariableOp": read_variable,
    "AssignVariableOp": partial(write_variable, ""),
    "AssignAddVariableOp": partial(write_variable, "add"),
    "AssignSubVariableOp": partial(write_variable, "sub"),
    "Shape": shape,
    "ShapeN": shape,
    "Rank": rank,
    "Size": size,
    "Range": range_,
    "LinSpace": lin_space,
    "InvertPermutation": invert_permutation,
    "ListDiff": list_diff,
    "SetDiff1d": list_diff,
    "BroadcastArgs": broadcast_args,
    "Where": where,
    "Unique": unique,
    "DynamicStitch": dynamic_stitch,
    "ParallelDynamicStitch": dynamic_stitch,
    "NoOp": nothing,
    "Assert": nothing,
}
