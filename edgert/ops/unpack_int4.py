"""unpack_int4: int8 weights from numbers of four bits, two a byte, and a factor for every 32 of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from edgert.ir import Value
from edgert.ops._def import Array, Attrs, OpDef, QuantRule, TensorSpec
from edgert.ops._enums import OpCode

BLOCK = 32  # elements of a row that have one multiplier
_MOST_RANK = 8


def pack_int4(q: Array) -> Array:
    """int [R, ...] in [-8, 7] -> uint8 [R, ceil(K / 2)], K elements a row: element 2j in the low half of byte j.

    The last high half of rows of an odd K is 0. Raises ValueError for numbers that four bits do not hold.
    """
    rows = q.reshape(q.shape[0], -1)
    if rows.size and (rows.min() < -8 or rows.max() > 7):
        raise ValueError(f"numbers from {rows.min()} to {rows.max()} do not fit into four bits, -8 to 7")
    halves = np.zeros((rows.shape[0], rows.shape[1] + rows.shape[1] % 2), np.uint8)
    halves[:, : rows.shape[1]] = rows.astype(np.int8).view(np.uint8) & 15
    packed: Array = halves[:, 0::2] | halves[:, 1::2] << 4
    return packed


def unpack_int4(packed: Array, shape: Sequence[int], multipliers: Array | None = None) -> Array:
    """uint8 [R, ceil(K / 2)] -> int8 of `shape`; multipliers: uint8 [R, ceil(K / 32)], or None for 1 everywhere.

    Products are clamped to [-127, 127].
    """
    rows, columns = shape[0], math.prod(shape[1:])
    halves = np.stack([packed & 15, packed >> 4], axis=-1).reshape(rows, -1)[:, :columns]
    q = (halves ^ 8).astype(np.int32) - 8
    if multipliers is not None:
        q = q * np.repeat(multipliers, BLOCK, axis=1)[:, :columns].astype(np.int32)
    numbers: Array = np.clip(q, -127, 127).astype(np.int8)
    return numbers.reshape(tuple(shape))


def _infer(inputs: Sequence[Value | None], attrs: Attrs) -> list[TensorSpec]:
    packed = inputs[0]
    multipliers = inputs[1] if len(inputs) > 1 else None
    assert packed is not None
    shape = tuple(attrs["shape"])
    if not 1 <= len(shape) <= _MOST_RANK or min(shape) < 1:
        raise ModelError(f"shape is {list(shape)}, needed 1 to {_MOST_RANK} dimensions of at least 1")
    rows, columns = shape[0], math.prod(shape[1:])
    for value, what, each in ((packed, "input", 2), (multipliers, "multipliers", BLOCK)):
        if value is None:
            continue
        needed = (rows, -(-columns // each))
        if value.dtype != DType.UINT8:
            raise ModelError(f"{what} is {value.dtype.name.lower()}, needed uint8")
        if value.shape != needed:
            raise ModelError(f"{what} has shape {list(value.shape)}, needed {list(needed)} for {list(shape)}")
    return [TensorSpec(shape, DType.INT8)]


def _reference(
    arrays: Sequence[Array | None],
    attrs: Attrs,
    in_quants: Sequence[QuantParams | None],
    out_quants: Sequence[QuantParams | None],
) -> list[Array]:
    assert arrays[0] is not None
    return [unpack_int4(arrays[0], attrs["shape"], arrays[1] if len(arrays) > 1 else None)]


UNPACK_INT4 = OpDef(
    name="unpack_int4",
    code=OpCode.UNPACK_INT4,
    inputs=(1, 2),
    infer=_infer,
    reference=_reference,
    quant=QuantRule.FLOAT,
    attrs={"shape": ...},
)
