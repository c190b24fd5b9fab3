"""lut: y = table[x + 128], any function of one int8 tensor; of an int16 one by interpolation between 513 entries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from edgert.ir import Value
from edgert.ops import _unary_int16
from edgert.ops._def import Array, Attrs, OpDef, QuantRule, TensorSpec
from edgert.ops._enums import OpCode
from edgert.ops._table import look_up

_SIZES = {DType.INT8: 256, DType.INT16: _unary_int16.TABLE_SIZE}


def _infer(inputs: Sequence[Value | None], attrs: Attrs) -> list[TensorSpec]:
    x, table = inputs
    assert x is not None
    assert table is not None
    if x.dtype not in _SIZES:
        raise ModelError(f"input is {x.dtype.name.lower()}, needed int8 or int16")
    if table.dtype != x.dtype or table.shape != (_SIZES[x.dtype],) or not table.constant:
        raise ModelError(f"the table is {table!r}, needed a constant {x.dtype.name.lower()}[{_SIZES[x.dtype]}]")
    return [TensorSpec(x.shape, x.dtype)]


def _reference(
    arrays: Sequence[Array | None],
    attrs: Attrs,
    in_quants: Sequence[QuantParams | None],
    out_quants: Sequence[QuantParams | None],
) -> list[Array]:
    x, table = arrays
    assert x is not None
    assert table is not None
    return [_unary_int16.look_up(table, x) if x.dtype == np.int16 else look_up(table, x)]


LUT = OpDef(name="lut", code=OpCode.LUT, inputs=(2, 2), infer=_infer, reference=_reference, quant=QuantRule.TABLE)
