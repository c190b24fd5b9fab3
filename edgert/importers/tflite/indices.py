"""Operators that pick, place and sort by index."""

from __future__ import annotations

from functools import partial

import numpy as np

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.layers import indices as layers
from edgert.importers.tflite.builder import Builder, Handler, RefusedError
from edgert.importers.tflite.read import SourceOp
from edgert.ir import Value
from edgert.ops._enums import ReduceFunction, ScatterReduction


def top_k(b: Builder, op: SourceOp) -> list[Value]:
    values, indices = layers.top_k(b, b.value(op, 0), b.scalar(op, 1, "k"))
    return [values, layers.converted(b, indices, b.out_dtype(op, 1))]


def cumulative_sum(b: Builder, op: SourceOp) -> Value:
    options, x = op.options("CumsumOptions"), b.real(b.value(op, 0))
    axis = b.scalar(op, 1, "axis")
    return layers.cumulative_sum(b, x, axis, bool(options.Exclusive()), bool(options.Reverse()))


def gather_nd(b: Builder, op: SourceOp) -> Value:
    return layers.gather_nd(b, b.value(op, 0), _wide(b, b.value(op, 1)))


def _wide(b: Builder, indices: Value) -> Value:
    """Indices as int32 where they are shorter."""
    return indices if indices.dtype == DType.INT64 else layers.converted(b, indices, DType.INT32)


def scatter_nd(b: Builder, op: SourceOp) -> Value:
    """Updates of the same place are added up."""
    indices, updates, shape = _wide(b, b.value(op, 0)), b.value(op, 1), b.ints(op, 2, "shape")
    updates = b.real(updates)
    zero = b.const(np.zeros((), np.dtype(updates.dtype.numpy_name)))
    empty = b.emit("broadcast_to", [zero], {"shape": shape})
    y = layers.scatter(b, empty, indices, updates, ScatterReduction.ADD)
    quant = b.out_quant(op)
    return y if quant is None else b.quantized(y, quant)


def one_hot(b: Builder, op: SourceOp) -> Value:
    depth, axis = b.scalar(op, 1, "depth"), op.options("OneHotOptions").Axis()
    return layers.one_hot(b, _wide(b, b.value(op, 0)), depth, b.value(op, 2), b.value(op, 3), axis)


def reverse_sequence(b: Builder, op: SourceOp) -> Value:
    options = op.options("ReverseSequenceOptions")
    lengths = _wide(b, b.value(op, 1))
    return layers.reverse_sequence(b, b.value(op, 0), lengths, options.BatchDim(), options.SeqDim())


def segment_sum(b: Builder, op: SourceOp) -> Value:
    """As many segments as the constant ids tell."""
    ids = b.constant(op, 1, "segment ids")
    if ids.ndim != 1 or not ids.size or ids.min() < 0:
        raise ModelError(f"its segment ids, {list(ids.shape)}, are no list of numbers from 0 on")
    return layers.segments(b, b.value(op, 0), b.value(op, 1), int(ids.max()) + 1, ReduceFunction.SUM)


def unsorted_segments(function: ReduceFunction, b: Builder, op: SourceOp) -> Value:
    ids = b.value(op, 1)
    if ids.constant and ids.data is not None and ids.data.size and ids.data.min() < 0:
        raise RefusedError("it drops rows, by negative segment ids", "leave those rows out before it")
    return layers.segments(b, b.value(op, 0), ids, b.scalar(op, 2, "number of segments"), function)


def embedding_lookup(b: Builder, op: SourceOp) -> Value:
    """Rows of the table; of an int8 table in a float model as float32."""
    table = b.value(op, 1)
    table = b.real(table) if b.out_dtype(op) == DType.FLOAT32 else table
    return b.emit("gather", [table, _wide(b, b.value(op, 0))], {"axis": 0})


HANDLERS: dict[str, Handler] = {
    "TOPK_V2": top_k,
    "CUMSUM": cumulative_sum,
    "GATHER_ND": gather_nd,
    "SCATTER_ND": scatter_nd,
    "ONE_HOT": one_hot,
    "REVERSE_SEQUENCE": reverse_sequence,
    "SEGMENT_SUM": segment_sum,
    "UNSORTED_SEGMENT_SUM": partial(unsorted_segments, ReduceFunction.SUM),
    "UNSORTED_SEGMENT_PROD": partial(unsorted_segments, ReduceFunction.PROD),
    "UNSORTED_SEGMENT_MIN": partial(unsorted_segments, ReduceFunction.MIN),
    "UNSORTED_SEGMENT_MAX": partial(unsorted_segments, ReduceFunction.MAX),
    "EMBEDDING_LOOKUP": embedding_lookup,
}
