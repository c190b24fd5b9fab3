"""arg_max: index of the largest or smallest element along one axis, the first one among equals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from edgert.ir import Value
from edgert.ops._def import Array, Attrs, OpDef, QuantRule, TensorSpec
from edgert.ops._enums import OpCode
from edgert.ops._move import normal_axis

_DTYPES = (DType.FLOAT32, DType.INT8, DType.UINT8, DType.INT32, DType.INT64)


def _infer(inputs: Sequence[Value | None], attrs: Attrs) -> list[TensorSpec]:
    (x,) = inputs
    assert x is not None
    if x.dtype not in _DTYPES:
        raise ModelError(f"input is {x.dtype.name.lower()}, needed {', '.join(d.name.lower() for d in _DTYPES)}")
    axis = normal_axis(attrs["axis"], len(x.shape))
    kept = (1,) if attrs["keep_dims"] else ()
    return [TensorSpec((*x.shape[:axis], *kept, *x.shape[axis + 1 :]), attrs.get("dtype", DType.INT64))]


def _reference(
    arrays: Sequence[Array | None],
    attrs: Attrs,
    in_quants: Sequence[QuantParams | None],
    out_quants: Sequence[QuantParams | None],
) -> list[Array]:
    (x,) = arrays
    assert x is not None
    find = np.argmin if attrs["minimum"] else np.argmax
    found = np.asarray(find(x, attrs["axis"], keepdims=attrs["keep_dims"]))
    return [found.astype(attrs.get("dtype", DType.INT64).numpy_name)]


ARG_MAX = OpDef(
    name="arg_max",
    code=OpCode.ARG_MAX,
    inputs=(1, 1),
    infer=_infer,
    reference=_reference,
    quant=QuantRule.FOLLOW,
    attrs={"axis": -1, "keep_dims": False, "minimum": False},
    out_dtypes=(DType.INT64, DType.INT32),
)
