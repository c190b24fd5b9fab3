"""softmax along one axis; the int8 form computes in integers alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from edgert.ir import Value
from edgert.ops import _softmax_int16
from edgert.ops._def import Array, Attrs, OpDef, QuantRule, TensorSpec
from edgert.ops._enums import OpCode
from edgert.ops._move import normal_axis
from edgert.ops._quantmath import given

OUTPUT_QUANT = QuantParams((1 / 256,), (-128,))  # of every int8 softmax
ONE = 1 << 23  # exp(0) in the table


def exp_table(scale: float, beta: float) -> tuple[int, ...]:
    """The 256 entries round(2^23 * exp(-beta * scale * d)), in float64; scale is the input's."""
    distance = np.arange(256, dtype=np.float64)
    return tuple(int(e) for e in np.rint(ONE * np.exp(-float(np.float32(beta)) * scale * distance)))


def softmax_int8(x: Array, table: Sequence[int], axis: int) -> Array:
    """min((512 e + s) // (2 s), 255) - 128 with e = table[max(x) - x] and s = sum(e): 256 e / s, halves up."""
    wide = x.astype(np.int64)
    e = np.array(table, np.uint64)[wide.max(axis, keepdims=True) - wide]
    total = e.sum(axis, keepdims=True, dtype=np.uint64)
    share = (e * np.uint64(512) + total) // (total * np.uint64(2))
    return np.asarray(np.minimum(share, 255).astype(np.int32) - 128, np.int8)


def _infer(inputs: Sequence[Value | None], attrs: Attrs) -> list[TensorSpec]:
    (x,) = inputs
    assert x is not None
    if x.dtype not in (DType.FLOAT32, DType.INT8, DType.INT16):
        raise ModelError(f"input is {x.dtype.name.lower()}, needed float32, int8 or int16")
    entries = _softmax_int16.ENTRIES if x.dtype == DType.INT16 else 256
    if len(attrs["exp_table"]) not in (0, entries):
        raise ModelError(f"exp_table has {len(attrs['exp_table'])} entries, needed {entries} or none yet")
    axis = normal_axis(attrs["axis"], len(x.shape))
    if x.dtype == DType.INT16 and x.shape[axis] > _softmax_int16.LONGEST_ROW:
        raise ModelError(f"{x.shape[axis]} int16 numbers in a row, needed at most {_softmax_int16.LONGEST_ROW}")
    return [TensorSpec(x.shape, x.dtype)]


def _reference(
    arrays: Sequence[Array | None],
    attrs: Attrs,
    in_quants: Sequence[QuantParams | None],
    out_quants: Sequence[QuantParams | None],
) -> list[Array]:
    (x,) = arrays
    assert x is not None
    axis, beta = attrs["axis"], attrs["beta"]
    if x.dtype == np.int8:
        table = attrs["exp_table"] or exp_table(given(in_quants[0], "input").scale, beta)
        return [softmax_int8(x, table, axis)]
    if x.dtype == np.int16:
        table = attrs["exp_table"] or _softmax_int16.tables()
        return [_softmax_int16.softmax_int16(x, table, given(in_quants[0], "input").scale, beta, axis)]
    wide = x.astype(np.float64)
    with np.errstate(invalid="ignore"):
        e = np.exp((wide - wide.max(axis, keepdims=True)) * float(np.float32(beta)))
    return [(e / e.sum(axis, keepdims=True)).astype(np.float32)]


SOFTMAX = OpDef(
    name="softmax",
    code=OpCode.SOFTMAX,
    inputs=(1, 1),
    infer=_infer,
    reference=_reference,
    quant=QuantRule.FIXED,
    attrs={"axis": -1, "beta": 1.0, "exp_table": ()},
)
