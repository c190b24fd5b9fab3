"""PyTorch handlers: elements picked, placed, ordered and summed up by index."""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise

import numpy as np

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.torch.builder import Array, Builder, Call, Handler, QuantizedConstant, RefusedError, normal_axis
from edgert.importers.torch.movement import broadcast, slice_bounds
from edgert.importers.torch.views import put_region
from edgert.ir import Value
from edgert.ops._enums import CompareFunction, ReduceFunction, ScatterReduction

BY_DATA = "its output's shape depends on the data"
CUT = "cut the model before it, or multiply by the mask instead"
MOST_PICKED = 1 << 22  # elements that strides may pick


def embedding(b: Builder, call: Call) -> Value:
    table, indices = call.args["weight"], b.indices(call, "indices")
    if isinstance(table, QuantizedConstant):
        if table.quant.per_channel:
            return b.emit("gather", [table.dequantized(), indices], {"axis": 0})
        stored = b.const(table.data, quant=table.quant)
        picked = b.emit("gather", [stored, indices], {"axis": 0}, quant=table.quant)
        return b.emit("dequantize", [picked])
    return b.emit("gather", [b.value(call, "weight"), indices], {"axis": 0})


def embedding_bag(b: Builder, call: Call) -> list[Value]:
    """Bags of one size: indices [bags, size], or [n] with evenly spaced constant offsets."""
    indices, mode = b.indices(call, "indices"), call.integer("mode")
    if len(indices.shape) == 1:
        offsets = b.array(call, "offsets").reshape(-1)
        size = indices.shape[0] // max(len(offsets), 1)
        if not np.array_equal(offsets, np.arange(len(offsets)) * size) or size * len(offsets) != indices.shape[0]:
            raise RefusedError("bags of different sizes", "give every bag the same number of indices")
        indices = b.reshape(indices, (len(offsets), size))
    rows = b.emit("gather", [b.value(call, "weight"), indices], {"axis": 0})
    if call.has("per_sample_weights"):
        factors = b.value(call, "per_sample_weights")
        rows = b.mul(rows, b.reshape(factors, (*indices.shape, 1)))
    function = (ReduceFunction.SUM, ReduceFunction.MEAN, ReduceFunction.MAX)[mode % 3]
    y = b.reduce(function, rows, [1], False)
    return [y, y, y, y]


def index_select(b: Builder, call: Call) -> Value:
    x, indices = b.value(call, "self"), b.indices(call, "index")
    return picked(b, x, b.reshape(indices, (math.prod(indices.shape),)), normal_axis(call.integer("dim"), len(x.shape)))


def picked(b: Builder, x: Value, indices: Value, axis: int) -> Value:
    """A gather; constant indices in even steps are a slice."""
    if indices.constant and indices.data is not None and indices.data.size:
        size = x.shape[axis]
        if indices.data.min() < -size or indices.data.max() >= size:
            raise ModelError(f"an index is outside -{size}..{size - 1}")
        flat = [int(index) % size for index in indices.data.reshape(-1)]
        steps = {right - left for left, right in pairwise(flat)}
        if len(steps) <= 1 and min(steps, default=1) >= 1:
            part = b.slice(x, axis, flat[0], flat[-1] + 1, min(steps, default=1))
            return b.reshape(part, (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))
        indices = b.const(np.asarray(flat, np.int32).reshape(indices.shape))
    return b.emit("gather", [x, indices], {"axis": axis})


def gather(b: Builder, call: Call) -> Value:
    x, indices = b.value(call, "self"), b.indices(call, call.any_of("index", "indices"))
    if not call.has("dim"):
        x, indices = b.reshape(x, (math.prod(x.shape),)), b.reshape(indices, (math.prod(indices.shape),))
    axis = normal_axis(call.integer("dim"), len(x.shape))
    if call.op == "aten.take_along_dim":
        shape = np.broadcast_shapes(
            *(tuple(1 if at == axis else size for at, size in enumerate(item.shape)) for item in (x, indices))
        )
        x = broadcast(b, x, [*shape[:axis], x.shape[axis], *shape[axis + 1 :]])
        indices = broadcast(b, indices, [*shape[:axis], indices.shape[axis], *shape[axis + 1 :]])
    return b.emit("gather_elements", [x, indices], {"axis": axis})


REDUCTIONS = {
    "add": ScatterReduction.ADD, "sum": ScatterReduction.ADD, "multiply": ScatterReduction.MUL,
    "prod": ScatterReduction.MUL, "amax": ScatterReduction.MAX, "amin": ScatterReduction.MIN,
}  # fmt: skip


def scatter(reduction: str, b: Builder, call: Call) -> Value:
    """self with elements at index along an axis written, or joined, by those of src (or by one number)."""
    x, indices = b.value(call, "self"), b.indices(call, "index")
    axis = normal_axis(call.integer("dim"), len(x.shape))
    name = call.text("reduce", reduction)
    if name not in ("", *REDUCTIONS) or not call.flag("include_self", True):
        raise RefusedError(f"it joins elements by {name!r}, or without self", "use add, prod, amax or amin with self")
    if call.tensor("src"):
        source = b.cast(b.value(call, "src"), x.dtype)
        if source.shape != indices.shape:  # only so much of src is read as there are indices
            source = b.slices(source, [0] * len(source.shape), indices.shape, [1] * len(source.shape))
    else:
        source = broadcast(b, b.cast(b.value(call, call.any_of("value", "src")), x.dtype), indices.shape)
    attrs = {"axis": axis, "reduction": REDUCTIONS.get(name, ScatterReduction.NONE)}
    return b.emit("scatter_elements", [x, indices, source], attrs)


def slice_scatter(b: Builder, call: Call) -> Value:
    x = b.value(call, "self")
    axis, begin, end, step = slice_bounds(call, x.shape)
    source = b.value(call, "src")
    shape = list(x.shape)
    shape[axis] = len(range(begin, end, step))
    return put_region(b, x, broadcast(b, source, shape), axis, begin, end, step)


def select_scatter(b: Builder, call: Call) -> Value:
    x = b.value(call, "self")
    axis = normal_axis(call.integer("dim"), len(x.shape))
    index = call.integer("index") % x.shape[axis]
    source = broadcast(b, b.value(call, "src"), (*x.shape[:axis], *x.shape[axis + 1 :]))
    row = b.reshape(source, (*x.shape[:axis], 1, *x.shape[axis + 1 :]))
    return put_region(b, x, row, axis, index, index + 1)


def index_add(b: Builder, call: Call) -> Value:
    """Rows of source added to (or, index_copy, written over) the rows of self that index names."""
    x, indices, source = b.value(call, "self"), b.indices(call, "index"), b.value(call, "source")
    axis = normal_axis(call.integer("dim"), len(x.shape))
    alpha = call.number("alpha", 1.0)
    source = source if alpha == 1.0 else b.mul(source, alpha)
    adds = call.op == "aten.index_add"
    return _placed(b, x, {axis: indices}, source, ScatterReduction.ADD if adds else ScatterReduction.NONE, True)


# Indexing by tensors: x[i, :, j]


def _indices(b: Builder, call: Call, x: Value) -> dict[int, Value]:
    """Axis -> integer indices; a constant mask is the indices of what it holds."""
    found: dict[int, Value] = {}
    axis = 0
    for item in call.args.get("indices") or ():
        if item is None:
            axis += 1
            continue
        indices = b.indices(Call(call.name, call.op, "", {"index": item}), "index")
        if indices.dtype in (DType.BOOL, DType.UINT8):
            if not indices.constant or indices.data is None:
                raise RefusedError(BY_DATA, CUT)
            if indices.shape != x.shape[axis : axis + len(indices.shape)]:
                raise ModelError(f"a mask {list(indices.shape)} for the axes from {axis} of {list(x.shape)}")
            for positions in np.nonzero(indices.data):
                found[axis] = b.const(positions.astype(np.int64))
                axis += 1
            continue
        found[axis] = indices
        axis += 1
    if not found or max(found) >= len(x.shape):
        raise ModelError(f"it indexes {len(x.shape)} dimensions by {axis} tensors")
    return found


def _tuples(b: Builder, x: Value, found: dict[int, Value]) -> tuple[Value, tuple[int, ...]]:
    """The indices side by side in a last axis, and the shape that they share."""
    shape = np.broadcast_shapes(*(indices.shape for indices in found.values()))
    if all(indices.constant and indices.data is not None for indices in found.values()):
        arrays = []
        for axis, indices in found.items():
            data: Array = np.asarray(indices.data)
            if data.size and (data.min() < -x.shape[axis] or data.max() >= x.shape[axis]):
                raise ModelError(f"an index is outside -{x.shape[axis]}..{x.shape[axis] - 1}")
            arrays.append(np.broadcast_to(data % x.shape[axis], shape))
        return b.const(np.stack(arrays, -1).astype(np.int64)), shape
    columns = [b.reshape(broadcast(b, b.cast(item, DType.INT64), shape), (*shape, 1)) for item in found.values()]
    return columns[0] if len(columns) == 1 else b.emit("concat", columns, {"axis": len(shape)}), shape


def index(b: Builder, call: Call) -> Value:
    """Where the indexed axes are neighbours, the result's axes stand in their place; else they come first."""
    x = b.value(call, "self")
    found = _indices(b, call, x)
    axes = sorted(found)
    if len(axes) == 1:
        return picked(b, x, found[axes[0]], axes[0])
    rest = [axis for axis in range(len(x.shape)) if axis not in found]
    tuples, shape = _tuples(b, x, found)
    y = b.emit("gather_nd", [b.transpose(x, (*axes, *rest)), tuples])
    front = axes[0] if axes == list(range(axes[0], axes[-1] + 1)) else 0
    many = len(shape)
    order = (*range(many, many + front), *range(many), *range(many + front, len(y.shape)))
    return b.transpose(y, order)


def index_put(b: Builder, call: Call) -> Value:
    x, values = b.value(call, "self"), b.value(call, "values")
    values = b.cast(values, x.dtype)
    items = [item for item in call.args.get("indices") or () if item is not None]
    if len(items) == 1 and isinstance(items[0], Value) and items[0].dtype == DType.BOOL and not items[0].constant:
        mask = items[0]
        if math.prod(values.shape) != 1 or call.flag("accumulate") or call.args["indices"][0] is None:
            raise RefusedError("it writes several values by a mask that depends on the data", "use torch.where")
        mask = b.reshape(mask, (*mask.shape, *(1,) * (len(x.shape) - len(mask.shape))))
        return b.emit("select", [mask, b.reshape(values, ()), x])
    found = _indices(b, call, x)
    reduction = ScatterReduction.ADD if call.flag("accumulate") else ScatterReduction.NONE
    return _placed(b, x, found, values, reduction, False)


def _placed(
    b: Builder, x: Value, found: dict[int, Value], values: Value, reduction: ScatterReduction, in_place: bool
) -> Value:
    """x with what the indices name written by values; in_place: their axis is where the index's axis is."""
    axes = sorted(found)
    rest = [axis for axis in range(len(x.shape)) if axis not in found]
    order = (*axes, *rest)
    tuples, shape = _tuples(b, x, found)
    together = axes == list(range(axes[0], axes[-1] + 1))
    front = axes[0] if together or in_place else 0
    sizes = [x.shape[axis] for axis in rest]
    full = broadcast(b, values, (*sizes[:front], *shape, *sizes[front:]))
    many = len(shape)
    updates = b.transpose(full, (*range(front, front + many), *range(front), *range(front + many, len(full.shape))))
    y = b.emit("scatter_nd", [b.transpose(x, order), tuples, updates], {"reduction": reduction})
    return b.transpose(y, [order.index(axis) for axis in range(len(order))])


def take(b: Builder, call: Call) -> Value:
    x = b.value(call, "self")
    return picked(b, b.reshape(x, (math.prod(x.shape),)), b.indices(call, "index"), 0)


# Order


def top_k(b: Builder, call: Call) -> list[Value]:
    x = b.value(call, "self")
    axis = normal_axis(call.integer("dim", -1), len(x.shape))
    attrs = {"k": call.integer("k", 1), "axis": axis, "smallest": not call.flag("largest", True)}
    values, indices = b.emit_all("top_k", [x], attrs)
    return [values, b.cast(indices, DType.INT64)]


def sort(b: Builder, call: Call) -> list[Value]:
    x = b.value(call, "self")
    if not x.shape:
        return [x, b.const(np.zeros((), np.int64))]
    axis = normal_axis(call.integer("dim", -1), len(x.shape))
    attrs = {"k": x.shape[axis], "axis": axis, "smallest": not call.flag("descending")}
    values, indices = b.emit_all("top_k", [x], attrs)
    return [values, b.cast(indices, DType.INT64)]


def argsort(b: Builder, call: Call) -> Value:
    return sort(b, call)[1]


def median(b: Builder, call: Call) -> Value | list[Value]:
    """The lower one of the two in the middle; along an axis with its place, else of all."""
    if call.has("dim"):
        return kth_value(b, call)
    x = b.value(call, "self")
    flat = b.reshape(x, (math.prod(x.shape),))
    return kth_value(b, Call(call.name, call.op, "", {"self": flat, "dim": 0}))[0]


def bucket(b: Builder, call: Call) -> Value:
    """bucketize and searchsorted with one line of boundaries: how many of them lie below each element."""
    bounds = b.floating(b.value(call, call.any_of("boundaries", "sorted_sequence")))
    x = b.floating(b.value(call, "self"))
    if len(bounds.shape) != 1:
        raise RefusedError("several lines of boundaries", "search one line at a time")
    right = call.flag("right") or call.text("side") == "right"
    function = CompareFunction.LESS_EQUAL if right else CompareFunction.LESS
    below = b.emit("compare", [bounds, b.reshape(x, (*x.shape, 1))], {"function": function})
    count = b.reduce(ReduceFunction.SUM, b.cast(below, DType.INT32), [len(x.shape)], False)
    return b.cast(count, DType.INT32 if call.flag("out_int32") else DType.INT64)


def as_strided(b: Builder, call: Call) -> Value:
    """Elements of a contiguous tensor, by strides through its memory."""
    x = b.value(call, "self")
    sizes, strides = call.integers("size"), call.integers("stride")
    if len(sizes) != len(strides) or min((*sizes, *strides), default=0) < 0 or math.prod(sizes) > MOST_PICKED:
        raise ModelError(f"it shows {list(x.shape)} as {list(sizes)} with strides {list(strides)}")
    places = np.full(sizes, call.integer("storage_offset"))
    for axis, (size, stride) in enumerate(zip(sizes, strides, strict=True)):
        places += (np.arange(size) * stride).reshape([-1 if at == axis else 1 for at in range(len(sizes))])
    flat = b.reshape(x, (math.prod(x.shape),))
    if places.size and not 0 <= places.min() <= places.max() < flat.shape[0]:
        raise ModelError(f"it reads beyond the {flat.shape[0]} elements there are")
    return picked(b, flat, b.const(places.astype(np.int64)), 0)


def kth_value(b: Builder, call: Call) -> list[Value]:
    """The k-th smallest along an axis, and where it stands."""
    x = b.value(call, "self")
    axis, k = normal_axis(call.integer("dim", -1), len(x.shape)), call.integer("k", 1)
    if call.op == "aten.median":
        k = (x.shape[axis] + 1) // 2
    made = b.emit_all("top_k", [x], {"k": k, "axis": axis, "smallest": True})
    rows = [b.slice(value, axis, k - 1, k) for value in made]
    if not call.flag("keepdim"):
        rows = [b.reshape(row, (*x.shape[:axis], *x.shape[axis + 1 :])) for row in rows]
    return [rows[0], b.cast(rows[1], DType.INT64)]


def cumulative_sum(b: Builder, call: Call) -> Value:
    x = b.value(call, "self")
    if x.dtype not in (DType.FLOAT32, DType.INT64):
        x = b.cast(x, DType.INT64)
    if call.has("dtype"):
        x = b.cast(x, call.dtype_or(x.dtype))
    return b.emit("cumsum", [x], {"axis": normal_axis(call.integer("dim"), len(x.shape))})


def one_hot(b: Builder, call: Call) -> Value:
    classes = call.integer("num_classes", -1)
    if not 1 <= classes <= 1 << 12:
        raise RefusedError("the number of classes is open, or above 4096", "state num_classes")
    return b.emit("gather", [np.eye(classes, dtype=np.int64), b.indices(call, "self")], {"axis": 0})


HANDLERS: dict[str, Handler] = {
    "aten.embedding": embedding,
    "aten._embedding_bag": embedding_bag,
    "aten.embedding_bag": embedding_bag,
    "aten.index_select": index_select,
    "aten.gather": gather,
    "aten.take_along_dim": gather,
    "aten.take": take,
    "aten.scatter": partial(scatter, ""),
    "aten.scatter_add": partial(scatter, "add"),
    "aten.scatter_reduce": partial(scatter, ""),
    "aten.slice_scatter": slice_scatter,
    "aten.select_scatter": select_scatter,
    "aten.index_add": index_add,
    "aten.index_copy": index_add,
    "aten.index": index,
    "aten._unsafe_index": index,
    "aten.index_put": index_put,
    "aten._unsafe_index_put": index_put,
    "aten.topk": top_k,
    "aten.sort": sort,
    "aten.argsort": argsort,
    "aten.kthvalue": kth_value,
    "aten.median": median,
    "aten.bucketize": bucket,
    "aten.searchsorted": bucket,
    "aten.as_strided": as_strided,
    "aten.cumsum": cumulative_sum,
    "aten.one_hot": one_hot,
}
