"""depthwise_conv2d: every input channel is convolved with `multiplier` filters of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgert.dtypes import QuantParams
from edgert.errors import ModelError
from edgert.ir import Value
from edgert.ops._conv import (
    WINDOW_ATTRS,
    check_weighted,
    requantize_weighted,
    taps,
    weight_zero_point,
    window_output,
)
from edgert.ops._def import Array, Attrs, OpDef, QuantRule, Shape, TensorSpec
from edgert.ops._enums import Activation, OpCode
from edgert.ops._quantmath import activation_clip, given


def _infer(inputs: Sequence[Value | None], attrs: Attrs) -> list[TensorSpec]:
    weights = inputs[1]
    assert weights is not None
    x, w = check_weighted(inputs, weights.shape[-1] if weights.shape else 0)
    if len(w.shape) != 3:
        raise ModelError(f"weights have {len(w.shape)} dimensions, needed 3 (KH, KW, C * multiplier)")
    if len(x.shape) != 4:
        raise ModelError(f"input has {len(x.shape)} dimensions, needed 4 (N, H, W, C)")
    kernel_h, kernel_w, channels = w.shape
    multiplier = attrs["multiplier"]
    if multiplier < 1 or channels != x.shape[3] * multiplier:
        raise ModelError(
            f"weights have {channels} channels, needed {x.shape[3] * multiplier} "
            f"({x.shape[3]} input channels, multiplier {multiplier})"
        )
    oh, ow = window_output(x, kernel_h, kernel_w, attrs)
    return [TensorSpec((x.shape[0], oh, ow, channels), x.dtype)]


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
    integer = x.dtype in (np.int8, np.int16)
    zero_x = given(in_quants[0], "input").zero_point if integer else 0
    windows = np.repeat(taps(x, w.shape[0], w.shape[1], attrs, zero_x), attrs["multiplier"], axis=-1)
    if integer:
        wide = w.astype(np.int64) - weight_zero_point(given(in_quants[1], "weights"))
        acc = np.einsum("nhwijc,ijc->nhwc", windows.astype(np.int64) - zero_x, wide)
        return [requantize_weighted(acc, bias, in_quants, out_quants[0], attrs["activation"], x.dtype == np.int16)]
    y = np.einsum("nhwijc,ijc->nhwc", windows, w)
    if bias is not None:
        y = y + bias
    return [activation_clip(attrs["activation"], y)]


def _macs(inputs: Sequence[Shape], outputs: Sequence[Shape]) -> int:
    """KH * KW for every output."""
    return math.prod(outputs[0]) * math.prod(inputs[1][:2])


DEPTHWISE_CONV2D = OpDef(
    name="depthwise_conv2d",
    code=OpCode.DEPTHWISE_CONV2D,
    inputs=(2, 3),
    infer=_infer,
    reference=_reference,
    quant=QuantRule.WEIGHTED,
    attrs={**WINDOW_ATTRS, "multiplier": 1, "activation": Activation.NONE},
    macs=_macs,
)
