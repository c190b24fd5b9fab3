"""conv2d: 2-D convolution with groups."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgert.dtypes import QuantParams
from edgert.errors import ModelError
from edgert.ir import Value
from edgert.ops._conv import (
    WINDOW_ATTRS,
    check_image,
    check_weighted,
    requantize_weighted,
    taps,
    weight_zero_point,
    window_output,
)
from edgert.ops._def import Array, Attrs, OpDef, QuantRule, Shape, TensorSpec
from edgert.ops._enums import Activation, OpCode
from edgert.ops._quantmath import activation_clip, given, integer_dot


def _infer(inputs: Sequence[Value | None], attrs: Attrs) -> list[TensorSpec]:
    weights = inputs[1]
    assert weights is not None
    x, w = check_weighted(inputs, weights.shape[0] if weights.shape else 0)
    check_image(x, w)
    out_channels, kernel_h, kernel_w, group_channels = w.shape
    groups = attrs["groups"]
    if groups < 1 or out_channels % groups:
        raise ModelError(f"groups is {groups}, needed a divisor of {out_channels} output channels")
    if x.shape[3] != group_channels * groups:
        raise ModelError(
            f"input has {x.shape[3]} channels, needed {group_channels * groups} "
            f"({groups} groups of the weights' {group_channels})"
        )
    oh, ow = window_output(x, kernel_h, kernel_w, attrs)
    return [TensorSpec((x.shape[0], oh, ow, out_channels), x.dtype)]


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
    out_channels, kernel_h, kernel_w, group_channels = w.shape
    if integer:
        zero_x, w_quant = given(in_quants[0], "input").zero_point, given(in_quants[1], "weights")
        zero_w = weight_zero_point(w_quant)
        w = w.astype(np.int64) - np.reshape(zero_w, (-1, 1, 1, 1))
    windows = taps(x, kernel_h, kernel_w, attrs, zero_x if integer else 0)
    per_group = out_channels // attrs["groups"]
    pieces = []
    for group in range(attrs["groups"]):
        channels = slice(group * group_channels, (group + 1) * group_channels)
        rows = windows[..., channels].reshape(*windows.shape[:3], -1)
        columns = w[group * per_group : (group + 1) * per_group].reshape(per_group, -1).T
        pieces.append(integer_dot(rows.astype(np.int64) - zero_x, columns) if integer else rows @ columns)
    y = np.concatenate(pieces, axis=-1)
    if integer:
        return [requantize_weighted(y, bias, in_quants, out_quants[0], attrs["activation"], x.dtype == np.int16)]
    if bias is not None:
        y = y + bias
    return [activation_clip(attrs["activation"], y)]


def _macs(inputs: Sequence[Shape], outputs: Sequence[Shape]) -> int:
    """KH * KW * C/groups for every output."""
    return math.prod(outputs[0]) * math.prod(inputs[1][1:])


CONV2D = OpDef(
    name="conv2d",
    code=OpCode.CONV2D,
    inputs=(2, 3),
    infer=_infer,
    reference=_reference,
    quant=QuantRule.WEIGHTED,
    attrs={**WINDOW_ATTRS, "groups": 1, "activation": Activation.NONE},
    macs=_macs,
)
