"""cumsum: running sums along one axis, in the order of its elements."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from edgert.ir import Value
from edgert.ops._def import Array, Attrs, OpDef, QuantRule, TensorSpec
from edgert.ops._enums import OpCode
from edgert.ops._move import normal_axis


def _infer(inputs: Sequence[Value | None], attrs: Attrs) -> list[TensorSpec]:
    (x,) = inputs
    assert x is not None
    if x.dtype not in (DType.FLOAT32, DType.INT32, DType.INT64):
        raise ModelError(f"input is {x.dtype.name.lower()}, needed float32, int32 or int64")
    normal_axis(attrs["axis"], len(x.shape))
    return [TensorSpec(x.shape, x.dtype)]


def _reference(
    arrays: Sequence[Array | None],
    attrs: Attrs,
    in_quants: Sequence[QuantParams | None],
    out_quants: Sequence[QuantParams | None],
) -> list[Array]:
    """exclusive: without the element itself; reverse: from the end. Integers wrap."""
    (x,) = arrays
    assert x is not None
    y = np.moveaxis(x, attrs["axis"], 0)
    if attrs["reverse"]:
        y = y[::-1]
    if attrs["exclusive"]:
        y = np.concatenate([np.zeros_like(y[:1]), y[:-1]])
    y = np.cumsum(y, axis=0, dtype=x.dtype)
    if attrs["reverse"]:
        y = y[::-1]
    return [np.ascontiguousarray(np.moveaxis(y, 0, attrs["axis"]))]


CUMSUM = OpDef(
    name="cumsum",
    code=OpCode.CUMSUM,
    inputs=(1, 1),
    infer=_infer,
    reference=_reference,
    quant=QuantRule.FLOAT,
    attrs={"axis": 0, "exclusive": False, "reverse": False},
)
