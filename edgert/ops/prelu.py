"""prelu: y = x where x >= 0, else x * slope."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from edgert.ir import Value
from edgert.ops._broadcast import infer_binary
from edgert.ops._def import Array, Attrs, OpDef, QuantRule, TensorSpec
from edgert.ops._enums import OpCode


def _infer(inputs: Sequence[Value | None], attrs: Attrs) -> list[TensorSpec]:
    x, slope = inputs
    assert x is not None
    assert slope is not None
    spec = infer_binary(inputs, (DType.FLOAT32,))
    if spec.shape != x.shape:
        raise ModelError(f"the slope {list(slope.shape)} does not broadcast to the input {list(x.shape)}")
    return [spec]


def _reference(
    arrays: Sequence[Array | None],
    attrs: Attrs,
    in_quants: Sequence[QuantParams | None],
    out_quants: Sequence[QuantParams | None],
) -> list[Array]:
    x, slope = arrays
    assert x is not None
    assert slope is not None
    with np.errstate(all="ignore"):
        return [np.where(x < 0, x * slope, x)]


PRELU = OpDef(name="prelu", code=OpCode.PRELU, inputs=(2, 2), infer=_infer, reference=_reference, quant=QuantRule.FLOAT)
