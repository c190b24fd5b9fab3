"""lut: y = table[x + 128], any function of one int8 tensor."""

from __future__ import annotations

from collections.abc import Sequence

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from edgert.ir import Value
from edgert.ops._def import Array, Attrs, OpDef, QuantRule, TensorSpec
from edgert.ops._enums import OpCode
from edgert.ops._table import look_up


def _infer(inputs: Sequence[Value | None], attrs: Attrs) -> list[TensorSpec]:
    x, table = inputs
    assert x is not None
    assert table is not None
    if x.dtype != DType.INT8:
        raise ModelError(f"input is {x.dtype.name.lower()}, needed int8")
    if table.dtype != DType.INT8 or table.shape != (256,) or not table.constant:
        raise ModelError(f"the table is {table!r}, needed a constant int8[256]")
    return [TensorSpec(x.shape, DType.INT8)]


def _reference(
    arrays: Sequence[Array | None],
    attrs: Attrs,
    in_quants: Sequence[QuantParams | None],
    out_quants: Sequence[QuantParams | None],
) -> list[Array]:
    x, table = arrays
    assert x is not None
    assert table is not None
    return [look_up(table, x)]


LUT = OpDef(name="lut", code=OpCode.LUT, inputs=(2, 2), infer=_infer, reference=_reference, quant=QuantRule.TABLE)
