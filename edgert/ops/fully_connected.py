"""fully_connected: every row of x [..., K] times weights [N, K]."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgert.dtypes import QuantParams
from edgert.errors import ModelError
from edgert.ir import Value
from edgert.ops._conv import check_weighted, requantize_weighted, weight_zero_point
from edgert.ops._def import Array, Attrs, OpDef, QuantRule, Shape, TensorSpec
from edgert.ops._enums import Activation, OpCode
from edgert.ops._quantmath import activation_clip, given, integer_dot


def _infer(inputs: Sequence[Value | None], attrs: Attrs) -> list[TensorSpec]:
    weights = inputs[1]
    assert weights is not None
    x, w = check_weighted(inputs, weights.shape[0] if weights.shape else 0)
    if len(w.shape) != 2:
        raise ModelError(f"weights have {len(w.shape)} dimensions, needed 2 (N, K)")
    if not x.shape or x.shape[-1] != w.shape[1]:
        raise ModelError(f"input has the shape {list(x.shape)}, needed {w.shape[1]} as its last dimension")
    return [TensorSpec((*x.shape[:-1], w.shape[0]), x.dtype)]


def _reference(
    arrays: Sequence[Array | None],
    attrs: Attrs,
    in_quants: Sequence[QuantParams | None],
    out_quants: Sequence[QuantParams | None],
) -> list[Array]:
    x, w = arrays[0], arrays[1]
    bias = arrays[2] if len(arrays) > 2 else None
    assert x is not None
    assert w is not None
    if x.dtype in (np.int8, np.int16):
        wide = w.astype(np.int64) - np.reshape(weight_zero_point(given(in_quants[1], "weights")), (-1, 1))
        acc = integer_dot(x.astype(np.int64) - given(in_quants[0], "input").zero_point, wide.T)
        wide_x = x.dtype == np.int16
        return [requantize_weighted(acc, bias, in_quants, out_quants[0], attrs["activation"], wide_x, exact=True)]
    y = x @ w.T
    if bias is not None:
        y = y + bias
    return [activation_clip(attrs["activation"], y)]


def _macs(inputs: Sequence[Shape], outputs: Sequence[Shape]) -> int:
    """K for every output."""
    return math.prod(outputs[0]) * inputs[1][1]


FULLY_CONNECTED = OpDef(
    name="fully_connected",
    code=OpCode.FULLY_CONNECTED,
    inputs=(2, 3),
    infer=_infer,
    reference=_reference,
    quant=QuantRule.WEIGHTED,
    attrs={"activation": Activation.NONE},
    macs=_macs,
)
