"""Layers that pick, place and sort by index, as sources of many kinds have them.

They emit through the few methods of Emitter, which every importer's builder has.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from edgert.ir import Value
from edgert.ops._enums import CompareFunction, ReduceFunction, ScatterReduction
from edgert.ops._indices import check_tuples, settled
from edgert.ops._move import normal_axis

Array = NDArray[Any]
MOST_PLACES = 1 << 24  # of an axis that a layer counts through
SUMMED = (DType.FLOAT32, DType.INT32, DType.INT64)  # types that cumsum has


class Emitter(Protocol):
    """What a layer needs of a builder: importers.builder.GraphBuilder says what the methods do."""

    def const(self, array: Array, /) -> Value: ...

    def emit(
        self,
        op: str,
        inputs: Sequence[Value],
        attrs: Mapping[str, Any] | None = None,
        quant: QuantParams | None = None,
        dtype: DType | None = None,
    ) -> Value: ...

    def emit_all(self, op: str, inputs: Sequence[Value], attrs: Mapping[str, Any] | None = None) -> list[Value]: ...


def shaped(b: Emitter, x: Value, shape: Sequence[int]) -> Value:
    return x if tuple(shape) == x.shape else b.emit("reshape", [x], {"shape": tuple(shape)})


def ordered(b: Emitter, x: Value, perm: Sequence[int]) -> Value:
    order = tuple(perm)
    return x if order == tuple(range(len(order))) else b.emit("transpose", [x], {"perm": order})


def converted(b: Emitter, x: Value, dtype: DType) -> Value:
    return x if x.dtype == dtype else b.emit("cast", [x], dtype=dtype)


def number(b: Emitter, value: float, like: DType) -> Value:
    """A scalar constant of a type."""
    return b.const(np.asarray(value, np.dtype(like.numpy_name)))


def reverse(b: Emitter, x: Value, axes: Sequence[int]) -> Value:
    """x backwards along these axes."""
    turned = {normal_axis(axis, len(x.shape)) for axis in axes if x.shape[normal_axis(axis, len(x.shape))] > 1}
    if not turned:
        return x
    attrs = {
        "begin": tuple(size - 1 if axis in turned else 0 for axis, size in enumerate(x.shape)),
        "end": tuple(-1 if axis in turned else size for axis, size in enumerate(x.shape)),
        "strides": tuple(-1 if axis in turned else 1 for axis in range(len(x.shape))),
    }
    return b.emit("slice", [x], attrs)


def top_k(b: Emitter, x: Value, k: int, axis: int = -1, smallest: bool = False) -> tuple[Value, Value]:
    """The k largest or smallest elements in order, and their indices (int32)."""
    values, indices = b.emit_all("top_k", [x], {"k": k, "axis": axis, "smallest": smallest})
    return values, indices


def cumulative_sum(b: Emitter, x: Value, axis: int, exclusive: bool = False, reverse: bool = False) -> Value:
    """Integers of fewer than 32 bits, and booleans, are summed as int32 and are that type again afterwards."""
    attrs = {"axis": normal_axis(axis, len(x.shape)), "exclusive": exclusive, "reverse": reverse}
    if x.dtype in SUMMED:
        return b.emit("cumsum", [x], attrs)
    wide = DType.FLOAT32 if x.dtype == DType.FLOAT16 else DType.INT32
    return converted(b, b.emit("cumsum", [converted(b, x, wide)], attrs), x.dtype)


def one_hot(b: Emitter, indices: Value, depth: int, on: Value, off: Value, axis: int = -1, wrap: bool = False) -> Value:
    """`on` where the position on the new axis is the index, else `off`; an index outside gets none.

    on, off: of one element. axis: of the result. wrap: a negative index counts from the end (ONNX).
    """
    rank = len(indices.shape) + 1
    at = normal_axis(axis, rank)
    if not 1 <= depth <= MOST_PLACES:
        raise ModelError(f"a depth of {depth}, needed 1 to {MOST_PLACES}")
    if wrap:
        zero, size = number(b, 0, indices.dtype), number(b, depth, indices.dtype)
        negative = b.emit("compare", [indices, zero], {"function": CompareFunction.LESS})
        indices = b.emit("select", [negative, b.emit("add", [indices, size]), indices])
    places = np.arange(depth).astype(indices.dtype.numpy_name).reshape([depth if i == at else 1 for i in range(rank)])
    wide = shaped(b, indices, (*indices.shape[:at], 1, *indices.shape[at:]))
    hit = b.emit("compare", [wide, b.const(places)], {"function": CompareFunction.EQUAL})
    return b.emit("select", [hit, shaped(b, on, ()), shaped(b, off, ())], None, on.quant)


def reverse_sequence(b: Emitter, x: Value, lengths: Value, batch_axis: int, time_axis: int) -> Value:
    """Each sequence of the batch backwards up to its own length; what lies behind stays."""
    rank = len(x.shape)
    batch, time = normal_axis(batch_axis, rank), normal_axis(time_axis, rank)
    if batch == time or lengths.shape != (x.shape[batch],):
        raise ModelError(f"lengths {list(lengths.shape)} of {list(x.shape)} with batch axis {batch}, time axis {time}")
    perm = [batch, time, *(axis for axis in range(rank) if axis not in (batch, time))]
    steps = np.arange(x.shape[time]).astype(lengths.dtype.numpy_name)[np.newaxis]
    last = b.emit("sub", [shaped(b, lengths, (x.shape[batch], 1)), number(b, 1, lengths.dtype)])
    within = b.emit("compare", [b.const(steps), last], {"function": CompareFunction.LESS_EQUAL})
    order = b.emit("select", [within, b.emit("sub", [last, b.const(steps)]), b.const(steps)])
    turned = b.emit("gather_nd", [ordered(b, x, perm), shaped(b, order, (*order.shape, 1))], {"batch_dims": 1})
    return ordered(b, turned, [perm.index(axis) for axis in range(rank)])


def gather_along(b: Emitter, x: Value, indices: Value, axis: int, batch_dims: int) -> Value:
    """Gather along one axis with indices of its own for every position of the first batch_dims dimensions (TensorFlow):
    x.shape[:axis] + indices.shape[batch_dims:] + x.shape[axis + 1:]."""
    rank, count = len(x.shape), len(indices.shape)
    at, batch = normal_axis(axis, rank), batch_dims if batch_dims >= 0 else batch_dims + count
    if not 0 <= batch <= min(at, count) or indices.shape[:batch] != x.shape[:batch]:
        raise ModelError(
            f"indices {list(indices.shape)} into {list(x.shape)} on axis {at}, {batch_dims} batch dimensions"
        )
    if not batch:
        return b.emit("gather", [x, indices], {"axis": at})
    front = ordered(b, x, [*range(batch), at, *range(batch, at), *range(at + 1, rank)])
    picked = b.emit("gather_nd", [front, shaped(b, indices, (*indices.shape, 1))], {"batch_dims": batch})
    between, own = at - batch, count - batch
    axes = [
        *range(batch),
        *range(count, count + between),
        *range(batch, count),
        *range(count + between, rank - 1 + own),
    ]
    return ordered(b, picked, axes)


def gather_nd(b: Emitter, x: Value, indices: Value, batch_dims: int = 0) -> Value:
    """Each tuple in the last dimension of the indices picks an element of x, or all that lies behind it.

    Constant tuples become the numbers of rows: a gather, which passes know how to simplify.
    """
    check_tuples(x, indices, batch_dims)
    if not indices.constant or indices.data is None:
        return b.emit("gather_nd", [x, indices], {"batch_dims": batch_dims})
    lead = batch_dims + indices.shape[-1]
    sizes, copies = x.shape[batch_dims:lead], math.prod(x.shape[:batch_dims])
    rows = np.ravel_multi_index(tuple(np.moveaxis(settled(indices.data, sizes), -1, 0)), sizes)
    rows = rows.reshape(copies, -1) + np.arange(copies)[:, np.newaxis] * math.prod(sizes)
    flat = shaped(b, x, (math.prod(x.shape[:lead]), *x.shape[lead:]))
    picked = b.emit("gather", [flat, b.const(rows.reshape(-1).astype(np.int32))], {"axis": 0})
    return shaped(b, picked, (*indices.shape[:-1], *x.shape[lead:]))


def scatter(b: Emitter, x: Value, indices: Value, updates: Value, reduction: ScatterReduction) -> Value:
    """x with the updates, each where the tuple of indices in the last dimension says (ONNX ScatterND)."""
    return b.emit("scatter_nd", [x, indices, updates], {"reduction": reduction})


_START = {
    ScatterReduction.ADD: 0.0,
    ScatterReduction.MUL: 1.0,
    ScatterReduction.MIN: np.inf,
    ScatterReduction.MAX: -np.inf,
}
_REDUCED = {
    ReduceFunction.SUM: ScatterReduction.ADD,
    ReduceFunction.PROD: ScatterReduction.MUL,
    ReduceFunction.MIN: ScatterReduction.MIN,
    ReduceFunction.MAX: ScatterReduction.MAX,
}


def segments(b: Emitter, x: Value, ids: Value, count: int, function: ReduceFunction) -> Value:
    """The rows of x that have the same id, joined: [count, ...]; without any: 0, 1, the type's largest or smallest."""
    if ids.shape != x.shape[: len(ids.shape)] or not ids.shape or count < 1:
        raise ModelError(f"ids {list(ids.shape)} for {list(x.shape)}, {count} segments")
    reduction, dtype = _REDUCED[function], np.dtype(x.dtype.numpy_name)
    start = _START[reduction]
    if not np.isfinite(start):
        limits: Any = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
        start = limits.max if start > 0 else limits.min
    shape = (count, *x.shape[len(ids.shape) :])
    empty = b.emit("broadcast_to", [b.const(np.asarray(start, dtype))], {"shape": shape})
    return scatter(b, empty, shaped(b, ids, (*ids.shape, 1)), x, reduction)
