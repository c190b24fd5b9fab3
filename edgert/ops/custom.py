"""custom: an operator from outside (edgert.custom); any number of inputs and outputs of any shapes and types."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgert.custom import TensorType, custom_op, decode_options
from edgert.dtypes import QuantParams
from edgert.errors import ModelError
from edgert.ir import Value
from edgert.ops._def import Array, Attrs, OpDef, QuantRule, TensorSpec
from edgert.ops._enums import OpCode


def _infer(inputs: Sequence[Value | None], attrs: Attrs) -> list[TensorSpec]:
    op = custom_op(attrs["name"])
    types = [TensorType(value.shape, value.dtype) for value in inputs if value is not None]
    if len(types) != len(inputs):
        raise ModelError(f"{op.name} has an absent input, which custom operators cannot have")
    made = op.infer(types, decode_options(attrs["options"]))
    return [TensorSpec(tuple(int(size) for size in item.shape), item.dtype) for item in made]


def _reference(
    arrays: Sequence[Array | None],
    attrs: Attrs,
    in_quants: Sequence[QuantParams | None],
    out_quants: Sequence[QuantParams | None],
) -> list[Array]:
    op = custom_op(attrs["name"])
    given = [array for array in arrays if array is not None]
    return [np.asarray(array) for array in op.reference(given, decode_options(attrs["options"]))]


CUSTOM = OpDef(
    name="custom",
    code=OpCode.CUSTOM,
    inputs=(0, 255),
    infer=_infer,
    reference=_reference,
    quant=QuantRule.FLOAT,
    attrs={"name": "", "options": ""},
)
