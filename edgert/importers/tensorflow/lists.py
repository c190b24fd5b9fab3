"""TensorFlow handlers: TensorLists (TensorFlow 2) and TensorArrays (TensorFlow 1), taken apart while the graph is read.

Loops fill them item by item; since loops unroll, each item is a tensor of its own.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.builder import RefusedError
from edgert.importers.layers.movement import concat
from edgert.importers.tensorflow.builder import Builder, Handler, Opaque, Outputs, SourceNode, TensorList
from edgert.importers.tensorflow.tensors import dtype_of
from edgert.ir import Value

MOST_ITEMS = 1 << 14


def _list(node: SourceNode, index: int) -> TensorList:
    bound = node.inputs[index] if index < len(node.inputs) else None
    if not isinstance(bound, TensorList):
        raise RefusedError("it reads a list that is not known here", "cut the model after it: inputs=[...]")
    return bound


def _count(count: int) -> int:
    if not 0 <= count <= MOST_ITEMS:
        raise ModelError(f"a list of {count} items")
    return count


def _stated(b: Builder, node: SourceNode, index: int) -> tuple[int, ...] | None:
    """An item's shape; None where a scalar -1 says that it is open."""
    shape = b.constant(node, index)
    if shape is None or shape.ndim == 0:
        return None
    return tuple(int(size) for size in shape)


def _place(b: Builder, node: SourceNode, index: int, items: TensorList) -> int:
    at = int(b.scalar(node, index, "index"))
    if not 0 <= at < len(items):
        raise ModelError(f"item {at} of a list of {len(items)}")
    return at


def _item(b: Builder, items: TensorList, at: int, stated: tuple[int, ...] | None = None) -> Value:
    """An item that was never written is zeros."""
    if items.source is not None:
        return b.reshape(b.slice(items.source, 0, at, at + 1), items.source.shape[1:])
    item = items.items[at]
    if item is not None:
        return item
    shape = next((value.shape for value in items.items if value is not None), None)
    for known in (items.shape, stated):
        if shape is None and known is not None and min(known, default=0) >= 0:
            shape = known
    if shape is None:
        raise ModelError(f"item {at} was never written, and its shape is not known")
    return b.const(np.zeros(shape, items.dtype.numpy_name))


def reserve(b: Builder, node: SourceNode) -> Outputs:
    count = _count(int(b.scalar(node, 1, "length")))
    return TensorList((None,) * count, _stated(b, node, 0), node.type("element_dtype"))


def empty(b: Builder, node: SourceNode) -> Outputs:
    return TensorList((), _stated(b, node, 0), node.type("element_dtype"))


def from_tensor(b: Builder, node: SourceNode) -> Outputs:
    return of_tensor(b.value(node, 0))


def of_tensor(x: Value) -> TensorList:
    """The list of the parts of x along its first axis."""
    if not x.shape:
        raise ModelError("it takes a scalar apart")
    _count(x.shape[0])
    return TensorList((), x.shape[1:], x.dtype, x)


def _apart(b: Builder, items: TensorList) -> TensorList:
    """The list with items of its own, so that one of them can change."""
    if items.source is None:
        return items
    return TensorList(tuple(_item(b, items, at) for at in range(len(items))), items.shape, items.dtype)


def stack(b: Builder, node: SourceNode) -> Outputs:
    items = _list(node, 0)
    if items.source is not None:
        return items.source
    return stacked(b, [_item(b, items, at, _stated(b, node, 1)) for at in range(len(items))])


def stacked(b: Builder, values: list[Value]) -> Value:
    if not values:
        raise RefusedError("it stacks a list without items", "give the loop a constant length above 0")
    wide = [b.reshape(value, (1, *value.shape)) for value in values]
    while len(wide) > 1:  # an operator joins 255 tensors at most
        wide = [concat(b, wide[at : at + 255], 0) for at in range(0, len(wide), 255)]
    return wide[0]


def get_item(b: Builder, node: SourceNode) -> Outputs:
    items = _list(node, 0)
    return _item(b, items, _place(b, node, 1, items), _stated(b, node, 2))


def set_item(b: Builder, node: SourceNode) -> Outputs:
    """One behind the end lengthens the list (resize_if_index_out_of_bounds)."""
    items = _apart(b, _list(node, 0))
    at = int(b.scalar(node, 1, "index"))
    if at == len(items):
        return TensorList((*items.items, b.value(node, 2)), items.shape, items.dtype)
    return _with(items, _place(b, node, 1, items), b.value(node, 2))


def _with(items: TensorList, at: int, value: Value) -> TensorList:
    return TensorList((*items.items[:at], value, *items.items[at + 1 :]), items.shape, items.dtype)


def push_back(b: Builder, node: SourceNode) -> Outputs:
    items = _apart(b, _list(node, 0))
    _count(len(items) + 1)
    return TensorList((*items.items, b.value(node, 1)), items.shape, items.dtype)


def pop_back(b: Builder, node: SourceNode) -> Outputs:
    items = _apart(b, _list(node, 0))
    if not items.items:
        raise ModelError("it takes an item from an empty list")
    rest = TensorList(items.items[:-1], items.shape, items.dtype)
    return [rest, _item(b, items, len(items) - 1, _stated(b, node, 1))]


def length(b: Builder, node: SourceNode) -> Outputs:
    at = 1 if node.op == "TensorArraySizeV3" else 0
    return b.number(len(_list(node, at)), DType.INT32)


def element_shape(b: Builder, node: SourceNode) -> Outputs:
    items = _list(node, 0)
    shape = next((value.shape for value in items.items if value is not None), items.shape)
    return b.const(np.array(-1 if shape is None else shape, node.type("shape_type").numpy_name))


def gather(at: int, b: Builder, node: SourceNode) -> Outputs:
    """at: which input the list is."""
    items = _list(node, at)
    picked = b.ints(node, 1, "indices")
    if any(not 0 <= index < len(items) for index in picked):
        raise ModelError(f"items {list(picked)[:8]} of a list of {len(items)}")
    if items.source is not None and picked == tuple(range(len(items))):
        return items.source
    return stacked(b, [_item(b, items, index) for index in picked])


def concat_items(at: int, b: Builder, node: SourceNode) -> Outputs:
    items = _list(node, at)
    values = [_item(b, items, index) for index in range(len(items))]
    lengths = b.const(np.array([value.shape[0] if value.shape else 1 for value in values], np.int64))
    while len(values) > 1:
        values = [concat(b, values[index : index + 255], 0) for index in range(0, len(values), 255)]
    if not values:
        raise RefusedError("it joins a list without items", "give the loop a constant length above 0")
    return [values[0], lengths]


# TensorArrays: the handle is nothing here, and what is called the flow is the list.


def array(b: Builder, node: SourceNode) -> Outputs:
    count = _count(int(b.scalar(node, 0, "length")))
    shape = node.shape("element_shape") if node.has_attr("element_shape") else None
    items = TensorList((None,) * count, shape, dtype_of(node.attr("dtype").type))
    return [Opaque("a TensorArray's handle"), items]


def array_write(b: Builder, node: SourceNode) -> Outputs:
    items, at = _apart(b, _list(node, 3)), int(b.scalar(node, 1, "index"))
    if at == len(items):
        return TensorList((*items.items, b.value(node, 2)), items.shape, items.dtype)
    return _with(items, _place(b, node, 1, items), b.value(node, 2))


def array_read(b: Builder, node: SourceNode) -> Outputs:
    items = _list(node, 2)
    return _item(b, items, _place(b, node, 1, items))


def array_scatter(b: Builder, node: SourceNode) -> Outputs:
    items, picked = _apart(b, _list(node, 3)), b.ints(node, 1, "indices")
    whole = of_tensor(b.value(node, 2))
    if len(whole) != len(picked) or min(picked, default=0) < 0:
        raise ModelError(f"{len(whole)} items for {len(picked)} indices")
    if picked == tuple(range(len(picked))) and len(items) <= len(picked):
        return whole
    values = _apart(b, whole).items
    held = list(items.items)
    held += [None] * (_count(max(picked, default=-1) + 1) - len(held))
    for at, value in zip(picked, values, strict=True):
        held[at] = value
    return TensorList(tuple(held), items.shape, items.dtype)


HANDLERS: dict[str, Handler] = {
    "TensorListReserve": reserve,
    "EmptyTensorList": empty,
    "TensorListFromTensor": from_tensor,
    "TensorListStack": stack,
    "TensorListGetItem": get_item,
    "TensorListSetItem": set_item,
    "TensorListPushBack": push_back,
    "TensorListPopBack": pop_back,
    "TensorListLength": length,
    "TensorListElementShape": element_shape,
    "TensorListGather": partial(gather, 0),
    "TensorListConcat": partial(concat_items, 0),
    "TensorListConcatV2": partial(concat_items, 0),
    "TensorArrayV3": array,
    "TensorArrayWriteV3": array_write,
    "TensorArrayReadV3": array_read,
    "TensorArrayScatterV3": array_scatter,
    "TensorArrayGatherV3": partial(gather, 2),
    "TensorArrayConcatV3": partial(concat_items, 2),
    "TensorArraySizeV3": length,
}
