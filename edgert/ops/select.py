"""select: a where the condition holds, else b; all three broadcast."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from edgert.ir import Value
from edgert.ops._broadcast import broadcast_shape
from edgert.ops._def import Array, Attrs, OpDef, QuantRule, TensorSpec
from edgert.ops._enums import OpCode


def _infer(inputs: Sequence[Value | None], attrs: Attrs) -> list[TensorSpec]:
    condition, a, b = inputs
    assert condition is not None
    assert a is not None
    assert b is not None
    if condition.dtype != DType.BOOL:
        raise ModelError(f"the condition is {condition.dtype.name.lower()}, needed bool")
    if a.dtype != b.dtype:
        raise ModelError(f"third input is {b.dtype.name.lower()}, needed {a.dtype.name.lower()} as the second")
    if a.quant != b.quant:
        raise ModelError("the inputs differ in quantisation, needed the same")
    return [TensorSpec(broadcast_shape(condition.shape, broadcast_shape(a.shape, b.shape)), a.dtype)]


def _reference(
    arrays: Sequence[Array | None],
    attrs: Attrs,
    in_quants: Sequence[QuantParams | None],
    out_quants: Sequence[QuantParams | None],
) -> list[Array]:
    condition, a, b = arrays
    assert condition is not None
    assert a is not None
    assert b is not None
    return [np.where(condition, a, b)]


SELECT = OpDef(
    name="select", code=OpCode.SELECT, inputs=(3, 3), infer=_infer, reference=_reference, quant=QuantRule.FLOAT
)
