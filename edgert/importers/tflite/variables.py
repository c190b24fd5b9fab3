"""State tensors: variable tensors that recurrent operators read, and write when they are done."""

from __future__ import annotations

import math

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from edgert.importers.tflite.builder import Array, Builder
from edgert.importers.tflite.read import SourceOp
from edgert.ir import Node, Value

LARGEST_BYTES = 2**31


def operand(b: Builder, op: SourceOp, index: int) -> Array | None:
    """A constant operand as float32, whatever integers the file holds it in; None when it is absent."""
    if not b.has(op, index):
        return None
    tensor = b.tensor(op, index)
    if tensor.data is None or tensor.quant is None or tensor.type not in ("INT8", "UINT8", "INT16", "INT32"):
        return b.constant(op, index, "weights").astype(np.float32)
    scales, zeros = (np.asarray(items) for items in (tensor.quant.scales, tensor.quant.zero_points))
    if scales.size > 1:
        shape = [-1] + [1] * (tensor.data.ndim - 1)
        scales, zeros = scales.reshape(shape), zeros.reshape(shape)
    return np.asarray((tensor.data.astype(np.int64) - zeros) * scales, np.float32)


def state(
    b: Builder, op: SourceOp, index: int, shape: tuple[int, ...], dtype: DType, quant: QuantParams | None = None
) -> Value | None:
    """The state that an operator starts from: a variable that starts as zeros, or whatever else the model gives.

    Operators that share a tensor share the variable.
    """
    if not b.has(op, index):
        return None
    number, tensor = op.inputs[index], b.tensor(op, index)
    if number not in b.values and tensor.variable:
        if math.prod(shape) * dtype.itemsize > LARGEST_BYTES:
            raise ModelError(f"state {tensor.name!r} has the shape {list(shape)}, more than {LARGEST_BYTES} bytes")
        zero = quant.zero_point if quant is not None else 0
        data = np.full(shape, zero, dtype.numpy_name)
        b.values[number] = Value(b.tensor_names[number], shape, dtype, quant, data, variable=True)
    value = b.value(op, index)
    if math.prod(value.shape) != math.prod(shape):
        raise ModelError(f"state {tensor.name!r} has the shape {list(value.shape)}, needed {list(shape)}")
    if value.variable and (value.shape, value.dtype, value.quant) != (shape, dtype, quant):
        raise ModelError(f"state {tensor.name!r} is {value!r} to one operator and {list(shape)} to another")
    if dtype == DType.FLOAT32:
        value = b.real(value)
    return value if value.variable else b.reshape(value, shape)


def keep(b: Builder, op: SourceOp, variable: Value | None, value: Value) -> None:
    """Writes the state back for the next run, if it is a variable."""
    if variable is not None and variable.variable:
        b.graph.nodes.append(Node("assign", [variable, value], [], {}, variable.name, op.kind))
