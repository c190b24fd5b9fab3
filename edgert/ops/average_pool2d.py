"""average_pool2d: the mean of each window, over the taps inside the image or (count_include_pad) over all of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgert.dtypes import QuantParams
from edgert.ops._def import Array, Attrs, OpDef, QuantRule
from edgert.ops._enums import Activation, OpCode
from edgert.ops._fixed_point import activation_bounds, average
from edgert.ops._pool import POOL_ATTRS, padding, pool_infer, tap_images
from edgert.ops._quantmath import activation_clip, given


def _reference(
    arrays: Sequence[Array | None],
    attrs: Attrs,
    in_quants: Sequence[QuantParams | None],
    out_quants: Sequence[QuantParams | None],
) -> list[Array]:
    """int8 and int16: TFLite's integer formula (tensorflow/lite/kernels/internal/reference/integer_ops/pooling.h), the
    mean of the quantised values rounded half away from zero. Padding that counts is real 0, the zero point."""
    (x,) = arrays
    assert x is not None
    integer = x.dtype != np.float32
    zero = given(in_quants[0], "input").zero_point if integer and attrs["count_include_pad"] else 0
    total_type = np.int64 if integer else np.float32
    padded = np.pad(x.astype(total_type), padding(attrs), constant_values=zero)
    total = sum(tap_images(padded, attrs), np.zeros((), total_type))
    inside = np.full(x.shape[1:3], 1, np.int32)[None, :, :, None]
    counted = np.pad(inside, padding(attrs), constant_values=int(attrs["count_include_pad"]))
    count = sum(tap_images(counted, attrs), np.zeros((), np.int32))
    if not integer:
        return [activation_clip(attrs["activation"], total / count.astype(np.float32))]
    low, high = activation_bounds(attrs["activation"], given(out_quants[0], "output"), x.dtype)
    return [np.clip(average(total, count), low, high).astype(x.dtype)]


AVERAGE_POOL2D = OpDef(
    name="average_pool2d",
    code=OpCode.AVERAGE_POOL2D,
    inputs=(1, 1),
    infer=pool_infer,
    reference=_reference,
    quant=QuantRule.SAME,
    attrs={**POOL_ATTRS, "count_include_pad": False, "activation": Activation.NONE},
)
