"""top_k: the k largest or smallest elements along one axis, in order, and where they stand."""

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
    axis, k = normal_axis(attrs["axis"], len(x.shape)), attrs["k"]
    if not 0 <= k <= x.shape[axis]:
        raise ModelError(f"k is {k}, needed 0 to {x.shape[axis]}")
    shape = (*x.shape[:axis], k, *x.shape[axis + 1 :])
    return [TensorSpec(shape, x.dtype), TensorSpec(shape, DType.INT32)]


def _reference(
    arrays: Sequence[Array | None],
    attrs: Attrs,
    in_quants: Sequence[QuantParams | None],
    out_quants: Sequence[QuantParams | None],
) -> list[Array]:
    """Among equals the lower index comes first; NaN is the largest, as NumPy sorts it."""
    (x,) = arrays
    assert x is not None
    axis, k = attrs["axis"], attrs["k"]
    if attrs["smallest"]:
        order = np.argsort(x, axis=axis, kind="stable")
    else:  # stable from the end: the last of equals first, and turned about the first
        order = x.shape[axis] - 1 - np.flip(np.argsort(np.flip(x, axis), axis=axis, kind="stable"), axis)
    picked = np.take(order, np.arange(k), axis=axis)
    return [np.take_along_axis(x, picked, axis), picked.astype(np.int32)]


TOP_K = OpDef(
    name="top_k",
    code=OpCode.TOP_K,
    inputs=(1, 1),
    infer=_infer,
    reference=_reference,
    quant=QuantRule.SAME,
    attrs={"k": ..., "axis": -1, "smallest": False},
)
