"""gather: x, indices -> x.shape[:axis] + indices.shape + x.shape[axis+1:]."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from edgert.ir import Value
from edgert.ops._def import Array, Attrs, OpDef, QuantRule, TensorSpec
from edgert.ops._enums import OpCode
from edgert.ops._move import check_shape, normal_axis


def _infer(inputs: Sequence[Value | None], attrs: Attrs) -> list[TensorSpec]:
    x, indices = inputs
    assert x is not None
    assert indices is not None
    if indices.dtype not in (DType.INT32, DType.INT64):
        raise ModelError(f"indices are {indices.dtype.name}, needed INT32 or INT64")
    axis = normal_axis(attrs["axis"], len(x.shape))
    if indices.constant and indices.data is not None and indices.data.size:
        low, high, size = int(indices.data.min()), int(indices.data.max()), x.shape[axis]
        if low < -size or high >= size:
            raise ModelError(f"indices run from {low} to {high}, needed {-size} to {size - 1}")
    return [TensorSpec(check_shape([*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]]), x.dtype)]


def _reference(
    arrays: Sequence[Array | None],
    attrs: Attrs,
    in_quants: Sequence[QuantParams | None],
    out_quants: Sequence[QuantParams | None],
) -> list[Array]:
    """A negative index counts from the end (ONNX Gather); IndexError outside the axis."""
    x, indices = arrays
    assert x is not None
    assert indices is not None
    return [np.take(x, indices, axis=attrs["axis"])]


GATHER = OpDef(
    name="gather",
    code=OpCode.GATHER,
    inputs=(2, 2),
    infer=_infer,
    reference=_reference,
    quant=QuantRule.SAME,
    attrs={"axis": 0},
)
