"""log_softmax along one axis."""

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
    if x.dtype != DType.FLOAT32:
        raise ModelError(f"input is {x.dtype.name.lower()}, needed float32")
    normal_axis(attrs["axis"], len(x.shape))
    return [TensorSpec(x.shape, DType.FLOAT32)]


def _reference(
    arrays: Sequence[Array | None],
    attrs: Attrs,
    in_quants: Sequence[QuantParams | None],
    out_quants: Sequence[QuantParams | None],
) -> list[Array]:
    (x,) = arrays
    assert x is not None
    wide = x.astype(np.float64)
    with np.errstate(invalid="ignore"):
        shifted = wide - wide.max(attrs["axis"], keepdims=True)
        return [(shifted - np.log(np.exp(shifted).sum(attrs["axis"], keepdims=True))).astype(np.float32)]


LOG_SOFTMAX = OpDef(
    name="log_softmax",
    code=OpCode.LOG_SOFTMAX,
    inputs=(1, 1),
    infer=_infer,
    reference=_reference,
    quant=QuantRule.FLOAT,
    attrs={"axis": -1},
)
