"""Operations that move elements about: keras.ops (Keras 3), and TensorFlow's functions in models of tf.keras 2."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from edgert.errors import ModelError
from edgert.importers.builder import GraphBuilder, RefusedError
from edgert.importers.keras.arguments import argument, axes_of, constant, first, given, integer, shape_of, tensors
from edgert.importers.keras.images import repeated
from edgert.importers.keras.layer import Call, Handler
from edgert.importers.layers import movement
from edgert.ir import Value
from edgert.ops._enums import PadMode


def reshape(b: GraphBuilder, call: Call) -> Value:
    x = first(call)
    return b.reshape(x, movement.resolve_shape(x.shape, shape_of(argument(call, 1, "newshape", "shape"))))


def transpose(b: GraphBuilder, call: Call) -> Value:
    x = first(call)
    order = given(call, 1, list(reversed(range(len(x.shape)))), "axes", "perm", "pattern")
    axes = axes_of(order, len(x.shape))
    if sorted(axes) != list(range(len(x.shape))):
        raise ModelError(f"axes are {order!r}, needed each of {len(x.shape)} once")
    return b.transpose(x, axes)


def swap_axes(b: GraphBuilder, call: Call) -> Value:
    x = first(call)
    order = list(range(len(x.shape)))
    one, two = axes_of([given(call, 1, 0, "axis1"), given(call, 2, 1, "axis2")], len(order))
    order[one], order[two] = order[two], order[one]
    return b.transpose(x, order)


def move_axis(b: GraphBuilder, call: Call) -> Value:
    x = first(call)
    sources, targets = (
        axes_of(given(call, at, 0, name), len(x.shape)) for at, name in ((1, "source"), (2, "destination"))
    )
    order = [axis for axis in range(len(x.shape)) if axis not in sources]
    for target, source in sorted(zip(targets, sources, strict=True)):
        order.insert(target, source)
    return b.transpose(x, order)


def expand_dims(b: GraphBuilder, call: Call) -> Value:
    x = first(call)
    found = given(call, 1, 0, "axis")
    items = found if isinstance(found, (list, tuple)) else [found]
    shape = list(x.shape)
    for axis in sorted(axes_of(list(items), len(shape) + len(items))):
        shape.insert(axis, 1)
    return b.reshape(x, shape)


def squeeze(b: GraphBuilder, call: Call) -> Value:
    x = first(call)
    found = given(call, 1, None, "axis")
    axes = [axis for axis, size in enumerate(x.shape) if size == 1] if found is None else axes_of(found, len(x.shape))
    if any(x.shape[axis] != 1 for axis in axes):
        raise ModelError(f"axis {found!r} of {list(x.shape)} is not 1")
    return b.reshape(x, [size for axis, size in enumerate(x.shape) if axis not in axes])


def concatenate(b: GraphBuilder, call: Call) -> Value:
    values = tensors(call)
    (axis,) = axes_of(given(call, 1, 0, "axis"), len(values[0].shape))
    if any(isinstance(item, (int, float)) for item in np.ravel(np.asarray(call.args[:1], object))):
        raise RefusedError("it joins tensors and numbers", "make the numbers a tensor of the model")
    return movement.concat(b, values, axis)


def stack(b: GraphBuilder, call: Call) -> Value:
    values = tensors(call)
    (axis,) = axes_of(given(call, 1, 0, "axis"), len(values[0].shape) + 1)
    wide = [b.reshape(value, (*value.shape[:axis], 1, *value.shape[axis:])) for value in values]
    return movement.concat(b, wide, axis)


def unstack(b: GraphBuilder, call: Call) -> list[Value]:
    x = first(call)
    (axis,) = axes_of(given(call, 2, 0, "axis"), len(x.shape))
    parts = movement.split(b, x, axis, [1] * x.shape[axis])
    return [b.reshape(part, (*x.shape[:axis], *x.shape[axis + 1 :])) for part in parts]


def split(b: GraphBuilder, call: Call) -> list[Value]:
    """keras.ops counts the places where it cuts, TensorFlow the sizes of the parts."""
    x = first(call)
    (axis,) = axes_of(given(call, 2, 0, "axis"), len(x.shape))
    found = given(call, 1, 1, "indices_or_sections", "num_or_size_splits")
    if isinstance(found, int):
        return movement.split(b, x, axis, movement.equal_parts(x.shape[axis], found))
    numbers = shape_of(found, "parts")
    if call.layer.kind.startswith("ops."):
        edges = [0, *numbers, x.shape[axis]]
        numbers = [end - begin for begin, end in itertools.pairwise(edges)]
    elif -1 in numbers:
        numbers[numbers.index(-1)] = x.shape[axis] - sum(numbers) - 1
    return movement.split(b, x, axis, numbers)


def get_item(b: GraphBuilder, call: Call) -> Value:
    """x[key]: integers, slices, an ellipsis and new axes."""
    x = first(call)
    key = argument(call, 1, "key", "slice_spec")
    return indexed(b, x, [_index(item) for item in (key if isinstance(key, (list, tuple)) else [key])])


def _index(item: Any) -> Any:
    if isinstance(item, Mapping) and {"start", "stop", "step"} & set(item):  # tf.keras 2
        return slice(item.get("start"), item.get("stop"), item.get("step"))
    return Ellipsis if item == "..." else item


def indexed(b: GraphBuilder, x: Value, key: list[Any]) -> Value:
    if next((item for item in key if isinstance(item, Value)), None) is not None:
        raise RefusedError("it is indexed by a tensor", "use keras.ops.take")
    dots = sum(item is Ellipsis for item in key)
    if dots > 1:
        raise ModelError("there are two ellipses in the index")
    taken = sum(item is not Ellipsis and item is not None for item in key)
    if taken > len(x.shape):
        raise ModelError(f"{taken} indices for {len(x.shape)} dimensions")
    rest = [slice(None)] * (len(x.shape) - taken)
    at = next((place for place, item in enumerate(key) if item is Ellipsis), len(key))
    key = [*key[:at], *rest, *key[at + (1 if dots else 0) :]]
    begins, ends, strides, shape = [], [], [], []
    axis = 0
    for item in key:
        if item is None:
            shape.append(1)
            continue
        size = x.shape[axis]
        if isinstance(item, slice):
            bounds = [bound for bound in (item.start, item.stop, item.step) if bound is not None]
            if any(isinstance(bound, bool) or not isinstance(bound, int) for bound in bounds):
                raise RefusedError("it is indexed by a tensor", "index it by numbers")
            begin, end, step = item.indices(size)
            count = len(range(begin, end, step))
            shape.append(count)
        else:
            number = integer(item, "index")
            if not -size <= number < size:
                raise ModelError(f"index {number} of an axis of {size}")
            begin, end, step, count = number % size, number % size + 1, 1, 1
        if count == 0:
            raise ModelError(f"the index leaves nothing of an axis of {size}")
        begins.append(begin)
        ends.append(max(end, -1))
        strides.append(step)
        axis += 1
    return b.reshape(b.slices(x, begins, ends, strides), shape)


def strided_slice(b: GraphBuilder, call: Call) -> Value:
    """keras.ops.slice, tf.slice: where it begins, and sizes."""
    x = first(call)
    starts = shape_of(argument(call, 1, "start_indices", "begin"), "begin")
    sizes = shape_of(argument(call, 2, "shape", "size"), "size")
    key = [slice(start, None if size == -1 else start + size) for start, size in zip(starts, sizes, strict=True)]
    return indexed(b, x, key)


def flip(b: GraphBuilder, call: Call) -> Value:
    x = first(call)
    for axis in axes_of(given(call, 1, None, "axis"), len(x.shape)):
        x = b.slice(x, axis, x.shape[axis] - 1, -1, -1) if x.shape[axis] > 1 else x
    return x


def repeat(b: GraphBuilder, call: Call) -> Value:
    x = first(call)
    count = integer(given(call, 1, None, "repeats"), "repeats")
    (axis,) = (
        axes_of(given(call, 2, None, "axis"), len(x.shape))
        if len(x.shape) == 1
        else axes_of(given(call, 2, [], "axis"), len(x.shape))
    )
    return repeated(b, x, axis, count)


def tile(b: GraphBuilder, call: Call) -> Value:
    x, counts = first(call), shape_of(argument(call, 1, "repeats", "multiples"), "repeats")
    if len(counts) > len(x.shape):
        x = b.reshape(x, [*[1] * (len(counts) - len(x.shape)), *x.shape])
    return movement.tile(b, x, (1,) * (len(x.shape) - len(counts)) + tuple(counts))


PAD_MODES = {
    "constant": PadMode.CONSTANT,
    "reflect": PadMode.REFLECT,
    "symmetric": PadMode.SYMMETRIC,
    "edge": PadMode.EDGE,
}


def pad(b: GraphBuilder, call: Call) -> Value:
    x = first(call)
    found = given(call, 1, 0, "pad_width", "paddings")
    mode = str(given(call, 2, "constant", "mode")).lower()
    if mode not in PAD_MODES:
        raise RefusedError(f"padding mode {mode!r}", f"use one of {', '.join(PAD_MODES)}")
    widths = np.broadcast_to(constant(found), (len(x.shape), 2)).tolist()
    value = given(call, 3, 0, "constant_values")
    attrs = {
        "before": tuple(low for low, _ in widths), "after": tuple(high for _, high in widths),
        "mode": PAD_MODES[mode], "value": float(value),
    }  # fmt: skip
    return b.emit("pad", [x], attrs)


def broadcast_to(b: GraphBuilder, call: Call) -> Value:
    return b.emit("broadcast_to", [first(call)], {"shape": tuple(shape_of(argument(call, 1, "shape")))})


def like(fill: float | None, b: GraphBuilder, call: Call) -> Value:
    x = first(call)
    number = given(call, 1, 0, "fill_value") if fill is None else fill
    return b.const(np.full(x.shape, number, x.dtype.numpy_name))


# By the names that keras.ops and TensorFlow share.
COMMON: dict[str, Handler] = {
    "reshape": reshape,
    "transpose": transpose,
    "expand_dims": expand_dims,
    "squeeze": squeeze,
    "stack": stack,
    "unstack": unstack,
    "split": split,
    "slice": strided_slice,
    "tile": tile,
    "repeat": repeat,
    "pad": pad,
    "broadcast_to": broadcast_to,
    "zeros_like": partial(like, 0.0),
    "ones_like": partial(like, 1.0),
}
KERAS: dict[str, Handler] = {
    "Concatenate": concatenate,
    "GetItem": get_item,
    "Flip": flip,
    "Swapaxes": swap_axes,
    "Moveaxis": move_axis,
    "FullLike": partial(like, None),
}
TENSORFLOW: dict[str, Handler] = {"getitem": get_item, "concat": concatenate, "reverse": flip}
