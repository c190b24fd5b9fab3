"""max_pool2d: the largest value of each window; padding never wins."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from edgert.dtypes import QuantParams
from edgert.ops._def import Array, Attrs, OpDef, QuantRule
from edgert.ops._enums import Activation, OpCode
from edgert.ops._fixed_point import activation_bounds
from edgert.ops._pool import POOL_ATTRS, padding, pool_infer, tap_images
from edgert.ops._quantmath import activation_clip, given


def _reference(
    arrays: Sequence[Array | None],
    attrs: Attrs,
    in_quants: Sequence[QuantParams | None],
    out_quants: Sequence[QuantParams | None],
) -> list[Array]:
    (x,) = arrays
    assert x is not None
    integer = x.dtype != np.float32
    lowest = np.iinfo(x.dtype).min if integer else -np.inf
    padded = np.pad(x, padding(attrs), constant_values=lowest)
    y = reduce(np.maximum, tap_images(padded, attrs))
    if integer:
        low, high = activation_bounds(attrs["activation"], given(out_quants[0], "output"), x.dtype)
        return [np.clip(y, low, high)]
    return [activation_clip(attrs["activation"], y)]


MAX_POOL2D = OpDef(
    name="max_pool2d",
    code=OpCode.MAX_POOL2D,
    inputs=(1, 1),
    infer=pool_infer,
    reference=_reference,
    quant=QuantRule.SAME,
    attrs={**POOL_ATTRS, "dilation_h": 1, "dilation_w": 1, "activation": Activation.NONE},
)
