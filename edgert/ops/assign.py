"""assign: writes a value into a variable, which keeps it until the next assignment."""

from __future__ import annotations

from collections.abc import Sequence

from edgert.dtypes import QuantParams
from edgert.errors import ModelError
from edgert.ir import Value
from edgert.ops._def import Array, Attrs, OpDef, QuantRule, TensorSpec
from edgert.ops._enums import OpCode


def _infer(inputs: Sequence[Value | None], attrs: Attrs) -> list[TensorSpec]:
    variable, value = inputs
    assert variable is not None
    assert value is not None
    if not variable.variable:
        raise ModelError(f"first input {variable.name!r} is no variable")
    if (variable.shape, variable.dtype, variable.quant) != (value.shape, value.dtype, value.quant):
        raise ModelError(f"{value!r} does not fit the variable {variable!r}: shape, dtype or quantisation differ")
    return []


def _reference(
    arrays: Sequence[Array | None],
    attrs: Attrs,
    in_quants: Sequence[QuantParams | None],
    out_quants: Sequence[QuantParams | None],
) -> list[Array]:
    """Writes into the first array."""
    variable, value = arrays
    assert variable is not None
    assert value is not None
    variable[...] = value
    return []


ASSIGN = OpDef(
    name="assign", code=OpCode.ASSIGN, inputs=(2, 2), infer=_infer, reference=_reference, quant=QuantRule.FLOAT
)
