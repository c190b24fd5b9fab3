"""ONNX handlers: determinants, one-hot maxima, running products, masks: what is put together of simpler operators."""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.onnx.builder import Builder, Handler, RefusedError, SourceNode
from edgert.importers.onnx.constants import plain
from edgert.ir import Value
from edgert.ops._enums import CompareFunction

LARGEST_DETERMINANT = 6  # rows; the number of minors doubles with each


def determinant(b: Builder, node: SourceNode) -> Value:
    """By Laplace's expansion along the rows; every minor is computed once."""
    x = b.value(node, 0)
    size = x.shape[-1] if len(x.shape) >= 2 else 0
    if size < 1 or x.shape[-2] != size:
        raise ModelError(f"its input is {list(x.shape)}, needed square matrices")
    if size > LARGEST_DETERMINANT:
        raise RefusedError(f"the determinant of {size} rows", f"at most {LARGEST_DETERMINANT} are taken apart")
    rows, columns = len(x.shape) - 2, len(x.shape) - 1

    def element(row: int, column: int) -> Value:
        return b.slice(b.slice(x, rows, row, row + 1), columns, column, column + 1)

    @cache
    def minor(row: int, left: tuple[int, ...]) -> Value:
        """Of the rows from `row` on and the columns that are left."""
        if len(left) == 1:
            return element(row, left[0])
        total: Value | None = None
        for at, column in enumerate(left):
            term = b.mul(element(row, column), minor(row + 1, left[:at] + left[at + 1 :]))
            total = term if total is None else b.emit("sub" if at % 2 else "add", [total, term])
        assert total is not None
        return total

    return b.reshape(minor(0, tuple(range(size))), x.shape[:-2])


def hardmax(b: Builder, node: SourceNode) -> Value:
    """1 at the first of the largest along an axis, 0 elsewhere; before operator set 13 over everything from it on."""
    x = b.value(node, 0)
    rank = len(x.shape)
    axis = node.integer("axis", -1 if node.opset >= 13 else 1) % rank
    source = x
    if node.opset < 13:
        x = b.reshape(x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))
        axis = 1
    best = b.emit("arg_max", [x], {"axis": axis, "keep_dims": True, "minimum": False})
    shape = [1] * len(x.shape)
    shape[axis] = x.shape[axis]
    positions = np.arange(x.shape[axis], dtype=np.dtype(best.dtype.numpy_name)).reshape(shape)
    chosen = b.emit("compare", [positions, best], {"function": CompareFunction.EQUAL})
    return b.reshape(b.emit("cast", [chosen], dtype=source.dtype), source.shape)


def running_product(b: Builder, node: SourceNode) -> Value:
    """Each round multiplies by what stands 1, 2, 4 ... positions before: as many rounds as the length has bits."""
    x = b.value(node, 0)
    rank = len(x.shape)
    axis = b.ints(node, 1, "axis")[0] % rank
    length, backwards = x.shape[axis], bool(node.integer("reverse", 0))

    def shifted(y: Value, by: int) -> Value:
        amounts = tuple(by if at == axis else 0 for at in range(rank))
        nothing = (0,) * rank
        part = b.slice(y, axis, by, length) if backwards else b.slice(y, axis, 0, length - by)
        return b.pad(part, nothing, amounts, 1.0) if backwards else b.pad(part, amounts, nothing, 1.0)

    if node.integer("exclusive", 0):
        if length == 1:
            return b.const(np.ones(b.room(x.shape), np.dtype(x.dtype.numpy_name)))
        x = shifted(x, 1)
    step = 1
    while step < length:
        x = b.mul(x, shifted(x, step))
        step *= 2
    return x


def dropout(b: Builder, node: SourceNode) -> list[Value]:
    """What it is when nobody trains: its input, and a mask that keeps everything."""
    training = b.constant(node, 2) if node.has(2) else np.asarray(False)
    ratio = b.constant(node, 1) if node.has(1) else np.asarray(node.number("ratio", 0.5))
    idle = training is not None and (not training.any() or (ratio is not None and float(ratio.reshape(-1)[0]) == 0.0))
    if not idle:
        raise RefusedError("it is in training mode", "export the model for inference")
    x = b.value(node, 0)
    if not any(node.outputs[1:]):
        return [x]
    mask = np.ones(b.room(x.shape), np.bool_ if node.opset >= 10 else np.dtype(x.dtype.numpy_name))
    return [x, b.const(mask)]


def eye_like(b: Builder, node: SourceNode) -> Value:
    """Ones on a diagonal of a matrix that has the input's shape."""
    from onnx import helper

    x, stated = b.value(node, 0), node.integer("dtype", 0)
    if len(x.shape) != 2:
        raise ModelError(f"its input is {list(x.shape)}, needed a matrix")
    name = helper.tensor_dtype_to_np_dtype(stated) if stated else x.dtype.numpy_name
    b.room(x.shape)
    return b.const(plain(np.eye(*x.shape, k=node.integer("k", 0), dtype=name)))


def array_feature_extractor(b: Builder, node: SourceNode) -> Value:
    """The chosen columns of the last axis."""
    x = b.value(node, 0)
    indices = b.value(node, 1)
    count = math.prod(indices.shape)
    y = b.emit("gather", [x, b.reshape(indices, (count,))], {"axis": len(x.shape) - 1})
    return b.reshape(y, (1, count)) if len(x.shape) == 1 else y


def binarizer(b: Builder, node: SourceNode) -> Value:
    x = b.value(node, 0)
    above = b.emit("compare", [x, node.number("threshold", 0.0)], {"function": CompareFunction.GREATER})
    return b.emit("cast", [above], dtype=DType.FLOAT32)


HANDLERS: dict[str, Handler] = {
    "Det": determinant,
    "Hardmax": hardmax,
    "CumProd": running_product,
    "EyeLike": eye_like,
    "Dropout": dropout,
    "ai.onnx.ml.ArrayFeatureExtractor": array_feature_extractor,
    "ai.onnx.ml.Binarizer": binarizer,
}
