"""Updates at computed places, diagonals, and operators whose results have a fixed shape for constants alone."""

from __future__ import annotations

import numpy as np

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.tflite.builder import Array, Builder, Handler, RefusedError
from edgert.importers.tflite.read import SourceOp
from edgert.ir import Value
from edgert.ops._enums import BinaryFunction, CompareFunction, ReduceFunction

LONGEST = 1 << 24  # of a dimension that is counted out: a file may claim any size
DATA_DEPENDENT = "its output's shape depends on the data: cut the model before it"


def dynamic_update_slice(b: Builder, op: SourceOp) -> Value:
    return update_slice(b, b.value(op, 0), b.value(op, 1), b.value(op, 2))


def update_slice(b: Builder, x: Value, update: Value, start: Value) -> Value:
    """x with `update` in it, starting at computed places [rank], which are moved so far that all of it lies within x.

    On every axis the update is gathered where it comes to lie; a select takes x outside.
    """
    rank = len(x.shape)
    if (
        len(update.shape) != rank
        or start.shape != (rank,)
        or any(n > size for n, size in zip(update.shape, x.shape, strict=True))
    ):
        raise ModelError(f"{list(update.shape)} cannot be written into {list(x.shape)} at {list(start.shape)}")
    inside: Value | None = None
    spread = b.quantized(update, x.quant) if x.quant is not None and update.quant is not None else update
    for axis, (n, size) in enumerate(zip(update.shape, x.shape, strict=True)):
        if n == size:
            continue  # it can only start at 0
        at = _clamped(b, _item(b, start, axis), size - n)
        place = b.emit("sub", [counted(b, size), at])
        spread = b.emit("gather", [spread, _clamped(b, place, n - 1)], {"axis": axis})
        zero, count = b.const(np.array(0, np.int32)), b.const(np.array(n, np.int32))
        above = b.emit("compare", [place, zero], {"function": CompareFunction.GREATER_EQUAL})
        below = b.emit("compare", [place, count], {"function": CompareFunction.LESS})
        here = b.emit("binary", [above, below], {"function": BinaryFunction.LOGICAL_AND})
        here = b.reshape(here, [size if other == axis else 1 for other in range(rank)])
        inside = here if inside is None else b.emit("binary", [inside, here], {"function": BinaryFunction.LOGICAL_AND})
    return spread if inside is None else b.emit("select", [inside, spread, x], {}, x.quant)


def dynamic_slice(b: Builder, x: Value, starts: list[Value], sizes: tuple[int, ...]) -> Value:
    """`sizes` elements of x from computed places, each a scalar, moved so far that all of them lie within x."""
    if len(starts) != len(x.shape) or len(sizes) != len(x.shape):
        raise ModelError(f"{len(starts)} starts and sizes {list(sizes)} for {len(x.shape)} dimensions")
    for axis, (start, n) in enumerate(zip(starts, sizes, strict=True)):
        size = x.shape[axis]
        if not 0 < n <= size:
            raise ModelError(f"{n} elements of a dimension of {size}")
        if n < size:
            at = _clamped(b, b.reshape(start, (1,)), size - n)
            x = b.emit("gather", [x, b.emit("add", [counted(b, n), at])], {"axis": axis})
    return x


def counted(b: Builder, size: int) -> Value:
    """0 to size - 1."""
    if size > LONGEST:
        raise ModelError(f"a dimension of {size}, needed at most {LONGEST} here")
    return b.const(np.arange(size, dtype=np.int32))


def _item(b: Builder, numbers: Value, index: int) -> Value:
    """One of a vector's elements, as int32 [1]."""
    return b.slice(numbers if numbers.dtype == DType.INT32 else b.emit("cast", [numbers], dtype=DType.INT32), [index],
                   [index + 1])  # fmt: skip


def _clamped(b: Builder, x: Value, most: int) -> Value:
    """Integers within 0 to `most`, as int32."""
    narrow = x if x.dtype == DType.INT32 else b.emit("cast", [x], dtype=DType.INT32)
    low = b.emit("binary", [narrow, b.const(np.array(0, np.int32))], {"function": BinaryFunction.MAXIMUM})
    return b.emit("binary", [low, b.const(np.array(most, np.int32))], {"function": BinaryFunction.MINIMUM})


def matrix_diag(b: Builder, op: SourceOp) -> Value:
    """[..., n] -> [..., n, n] with zeros beside the diagonal."""
    x = b.value(op, 0)
    if not x.shape:
        raise ModelError("its input is a single number")
    n = x.shape[-1]
    return _on_diagonal(b, x, b.emit("broadcast_to", [_zero(b, x)], {"shape": (*x.shape, n)}, x.quant))


def matrix_set_diag(b: Builder, op: SourceOp) -> Value:
    """[..., m, n] with another diagonal [..., min(m, n)]."""
    x, diagonal = b.value(op, 0), b.value(op, 1)
    if len(x.shape) < 2 or diagonal.shape != (*x.shape[:-2], min(x.shape[-2:])):
        raise ModelError(f"{list(diagonal.shape)} is no diagonal of {list(x.shape)}")
    rows, columns = x.shape[-2:]
    longer = max(rows, columns)
    if diagonal.shape[-1] < longer:  # what lies behind its end is never picked
        after = (0,) * (len(diagonal.shape) - 1) + (longer - diagonal.shape[-1],)
        diagonal = b.emit("pad", [diagonal], {"before": (0,) * len(after), "after": after}, diagonal.quant)
    return _on_diagonal(b, b.slice(diagonal, [0] * len(diagonal.shape), [*diagonal.shape[:-1], columns]), x)


def _on_diagonal(b: Builder, diagonal: Value, x: Value) -> Value:
    """x [..., m, n] with the elements of diagonal [..., n] where row and column are the same."""
    rows, columns = counted(b, x.shape[-2]), counted(b, x.shape[-1])
    mask = b.emit("compare", [b.reshape(rows, (x.shape[-2], 1)), columns], {"function": CompareFunction.EQUAL})
    across = b.reshape(diagonal, (*diagonal.shape[:-1], 1, diagonal.shape[-1]))
    if x.quant is not None and across.quant is not None:
        across = b.quantized(across, x.quant)
    return b.emit("select", [mask, across, x], {}, x.quant)


def _zero(b: Builder, like: Value) -> Value:
    zero = like.quant.zero_point if like.quant is not None else 0
    return b.const(np.array(zero, like.dtype.numpy_name), like.quant)


def bucketize(b: Builder, op: SourceOp) -> Value:
    """The number of boundaries that are not above each element."""
    stored = op.options("BucketizeOptions").BoundariesAsNumpy()
    boundaries = np.asarray(stored, np.float32) if isinstance(stored, np.ndarray) else np.zeros(0, np.float32)
    x = b.real(b.value(op, 0))
    if boundaries.size == 0:
        return b.emit("broadcast_to", [b.const(np.array(0, np.int32))], {"shape": x.shape})
    wide = x if x.dtype == DType.FLOAT32 else b.emit("cast", [x], dtype=DType.FLOAT32)
    wide = b.reshape(wide, (*x.shape, 1))
    reached = b.emit("compare", [wide, b.const(boundaries)], {"function": CompareFunction.GREATER_EQUAL})
    counts = b.emit("cast", [reached], dtype=DType.INT32)
    return b.emit("reduce", [counts], {"function": ReduceFunction.SUM, "axes": (len(x.shape),)})


def broadcast_args(b: Builder, op: SourceOp) -> Value:
    shapes = [b.ints(op, i, "shape") for i in (0, 1)]
    try:
        joint = np.broadcast_shapes(*shapes)
    except ValueError as error:
        raise ModelError(str(error)) from error
    return b.const(np.array(joint, b.constant(op, 0, "shape").dtype), name="shape")


def bitcast(b: Builder, op: SourceOp) -> Value:
    """Of constants, and where the type stays the same."""
    value, dtype = b.value(op, 0), b.out_dtype(op)
    if value.dtype == dtype:
        return value
    data = b.constant(op, 0, "input")
    try:
        turned = np.ascontiguousarray(data).view(dtype.numpy_name)
    except ValueError as error:
        raise ModelError(str(error)) from error
    return b.const(turned, b.out_quant(op))


def where(b: Builder, op: SourceOp) -> Value:
    """The places of true elements, of a constant."""
    data = _constant(b, op)
    return b.const(np.argwhere(data).astype(np.int64).reshape(-1, data.ndim), name="places")


def unique(b: Builder, op: SourceOp) -> list[Value]:
    """The different elements of a constant in the order of their first, and which of them each one is."""
    data = _constant(b, op).reshape(-1)
    _, first, inverse = np.unique(data, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size)
    dtype = b.out_dtype(op, 1).numpy_name
    return [b.const(data[np.sort(first)]), b.const(rank[inverse.reshape(-1)].astype(dtype))]


def _constant(b: Builder, op: SourceOp) -> Array:
    value = b.value(op, 0)
    if value.data is None or value.variable:
        raise RefusedError(f"its input {value.name!r} is no constant", DATA_DEPENDENT)
    return value.data


def sparse_to_dense(b: Builder, op: SourceOp) -> Value:
    """A tensor of one number with others at places: constant places, or computed ones."""
    indices, shape, values, default = b.value(op, 0), b.ints(op, 1, "shape"), b.value(op, 2), b.value(op, 3)
    rank = len(shape)
    count = indices.shape[0] if indices.shape else 1
    tuples = b.reshape(indices, (count, rank))
    if tuples.dtype not in (DType.INT32, DType.INT64):
        tuples = b.emit("cast", [tuples], dtype=DType.INT32)
    full = b.emit("broadcast_to", [b.reshape(default, ())], {"shape": shape})
    updates = (
        values if values.shape == (count,) else b.emit("broadcast_to", [b.reshape(values, ())], {"shape": (count,)})
    )
    return b.emit("scatter_nd", [full, tuples, updates])


def densify(b: Builder, op: SourceOp) -> Value:
    """Sparse constants are dense since they were read."""
    return b.value(op, 0)


HANDLERS: dict[str, Handler] = {
    "DYNAMIC_UPDATE_SLICE": dynamic_update_slice,
    "MATRIX_DIAG": matrix_diag,
    "MATRIX_SET_DIAG": matrix_set_diag,
    "BUCKETIZE": bucketize,
    "BROADCAST_ARGS": broadcast_args,
    "BITCAST": bitcast,
    "WHERE": where,
    "UNIQUE": unique,
    "SPARSE_TO_DENSE": sparse_to_dense,
    "DENSIFY": densify,
}
