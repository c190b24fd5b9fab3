"""pad: elements before and after every axis: a constant, or the input mirrored or repeated at its edge."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from edgert.ir import Value
from edgert.ops._def import Array, Attrs, OpDef, QuantRule, TensorSpec
from edgert.ops._enums import OpCode, PadMode
from edgert.ops._move import check_length, check_shape

_NUMPY_MODES = {PadMode.REFLECT: "reflect", PadMode.SYMMETRIC: "symmetric", PadMode.EDGE: "edge"}


def _infer(inputs: Sequence[Value | None], attrs: Attrs) -> list[TensorSpec]:
    (x,) = inputs
    assert x is not None
    before, after = (check_length(attrs, name, len(x.shape)) for name in ("before", "after"))
    for axis, (size, *margins) in enumerate(zip(x.shape, before, after, strict=True)):
        most = {PadMode.REFLECT: max(size - 1, 0), PadMode.SYMMETRIC: size}.get(attrs["mode"], 2**31 - 1)
        if attrs["mode"] == PadMode.EDGE and size == 0:
            most = 0
        if min(margins) < 0 or max(margins) > most:
            raise ModelError(f"axis {axis} of {size} is padded by {margins[0]} and {margins[1]}, needed 0 to {most}")
    _encode(attrs["value"], x.dtype, x.quant)
    return [TensorSpec(check_shape([b + n + a for b, n, a in zip(before, x.shape, after, strict=True)]), x.dtype)]


def _encode(value: float, dtype: DType, quant: QuantParams | None) -> int | float:
    """The padding value in the tensor's own type: quantised as clamp(rne(value / scale) + zero_point) in float32."""
    if dtype == DType.FLOAT32:
        return value
    if dtype == DType.FLOAT16:
        if value != 0:
            raise ModelError(f"value is {value} on FLOAT16, needed 0")
        return 0.0
    if np.isnan(value):
        raise ModelError("value is not a number")
    # 64-bit tensors take what 32 bits hold: a float32 attribute carries no more.
    info = np.iinfo(np.int32 if dtype == DType.INT64 else "uint8" if dtype == DType.BOOL else dtype.numpy_name)
    low, high = int(info.min), 1 if dtype == DType.BOOL else int(info.max)
    if quant is not None and not quant.per_channel:
        steps = float(np.rint(np.float32(value) / np.float32(quant.scale))) + quant.zero_point
        return int(min(max(steps, low), high))
    if not low <= value <= high or value != int(value):
        raise ModelError(f"value {value} is no {dtype.name}")
    return int(value)


def _reference(
    arrays: Sequence[Array | None],
    attrs: Attrs,
    in_quants: Sequence[QuantParams | None],
    out_quants: Sequence[QuantParams | None],
) -> list[Array]:
    (x,) = arrays
    assert x is not None
    margins = list(zip(attrs["before"], attrs["after"], strict=True))
    if not margins:
        return [x]
    if attrs["mode"] == PadMode.CONSTANT:
        value = _encode(attrs["value"], DType.of(x.dtype), in_quants[0])
        return [np.pad(x, margins, constant_values=value)]
    mode = _NUMPY_MODES[attrs["mode"]]
    return [np.pad(x, margins, mode=mode)]  # type: ignore[call-overload]


PAD = OpDef(
    name="pad",
    code=OpCode.PAD,
    inputs=(1, 1),
    infer=_infer,
    reference=_reference,
    quant=QuantRule.SAME,
    attrs={"before": ..., "after": ..., "mode": PadMode.CONSTANT, "value": 0.0},
)
