"""concat: joins tensors along one axis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from edgert.ir import Value
from edgert.ops._def import Array, Attrs, OpDef, QuantRule, TensorSpec
from edgert.ops._enums import Activation, OpCode
from edgert.ops._move import check_shape, normal_axis
from edgert.ops._quantmath import activation_bounds_i8, activation_clip, given


def _infer(inputs: Sequence[Value | None], attrs: Attrs) -> list[TensorSpec]:
    values = [value for value in inputs if value is not None]
    if len(values) != len(inputs):
        raise ModelError(f"input {inputs.index(None)} is absent")
    first = values[0]
    axis = normal_axis(attrs["axis"], len(first.shape))
    for i, value in enumerate(values):
        if value.dtype != first.dtype:
            raise ModelError(f"input {i} is {value.dtype.name}, needed {first.dtype.name} as input 0")
        others = [size for at, size in enumerate(value.shape) if at != axis]
        if len(value.shape) != len(first.shape) or others != [*first.shape[:axis], *first.shape[axis + 1 :]]:
            raise ModelError(f"input {i} is {list(value.shape)}, needed {list(first.shape)} but for axis {axis}")
    if attrs["activation"] != Activation.NONE and first.dtype not in (DType.FLOAT32, DType.INT8):
        raise ModelError(f"an activation on {first.dtype.name}, needed FLOAT32 or INT8")
    joined = sum(value.shape[axis] for value in values)
    return [TensorSpec(check_shape([*first.shape[:axis], joined, *first.shape[axis + 1 :]]), first.dtype)]


def _reference(
    arrays: Sequence[Array | None],
    attrs: Attrs,
    in_quants: Sequence[QuantParams | None],
    out_quants: Sequence[QuantParams | None],
) -> list[Array]:
    joined = np.concatenate([array for array in arrays if array is not None], axis=attrs["axis"])
    if attrs["activation"] == Activation.NONE:
        return [joined]
    if joined.dtype == np.int8:
        low, high = activation_bounds_i8(attrs["activation"], given(out_quants[0], "output"))
        return [np.clip(joined, low, high)]
    return [activation_clip(attrs["activation"], joined)]


CONCAT = OpDef(
    name="concat",
    code=OpCode.CONCAT,
    inputs=(1, 255),
    infer=_infer,
    reference=_reference,
    quant=QuantRule.SHARED,
    attrs={"axis": 0, "activation": Activation.NONE},
)
