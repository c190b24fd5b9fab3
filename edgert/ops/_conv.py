"""What conv2d and depthwise_conv2d share: window arithmetic, and the checks of weights and bias."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from edgert.ir import Value
from edgert.ops import _fixed_point
from edgert.ops._def import Attrs
from edgert.ops._quantmath import activation_bounds_i8, given, multipliers, requantize, wrap_int32

Array = NDArray[Any]

WINDOW_ATTRS = {
    "stride_h": 1, "stride_w": 1, "dilation_h": 1, "dilation_w": 1,
    "pad_top": 0, "pad_left": 0, "pad_bottom": 0, "pad_right": 0,
}  # fmt: skip

# Types that a bias may have, by the input's type.
_BIASES = {DType.FLOAT32: (DType.FLOAT32,), DType.INT8: (DType.INT32,), DType.INT16: (DType.INT32, DType.INT64)}


def output_size(size: int, kernel: int, stride: int, dilation: int, before: int, after: int, axis: str) -> int:
    """Output positions along one axis; ModelError when an attribute is impossible or the window does not fit."""
    if stride < 1 or dilation < 1:
        raise ModelError(f"stride_{axis} is {stride} and dilation_{axis} {dilation}, needed at least 1")
    if before < 0 or after < 0:
        raise ModelError(f"padding along {axis} is {before} and {after}, needed at least 0")
    span = dilation * (kernel - 1) + 1
    room = size + before + after - span
    if room < 0:
        raise ModelError(f"the window spans {span} along {axis} and the padded input has {size + before + after}")
    return room // stride + 1


def window_output(x: Value, kernel_h: int, kernel_w: int, attrs: Attrs) -> tuple[int, int]:
    """(OH, OW) of a window operator on x [N, H, W, C]."""
    oh = output_size(
        x.shape[1], kernel_h, attrs["stride_h"], attrs["dilation_h"], attrs["pad_top"], attrs["pad_bottom"], "h"
    )
    ow = output_size(
        x.shape[2], kernel_w, attrs["stride_w"], attrs["dilation_w"], attrs["pad_left"], attrs["pad_right"], "w"
    )
    return oh, ow


def check_weighted(inputs: Sequence[Value | None], channels: int) -> tuple[Value, Value]:
    """Input and weights of a weighted operator, after checking dtypes and the bias (`channels` entries)."""
    x, w = inputs[0], inputs[1]
    bias = inputs[2] if len(inputs) > 2 else None
    assert x is not None
    assert w is not None
    if x.dtype not in _BIASES:
        raise ModelError(f"input is {x.dtype.name}, needed FLOAT32, INT8 or INT16")
    needed_weights = DType.INT8 if x.dtype == DType.INT16 else x.dtype
    if w.dtype != needed_weights:
        raise ModelError(f"weights are {w.dtype.name}, needed {needed_weights.name} for an input of {x.dtype.name}")
    if bias is not None:
        needed = _BIASES[x.dtype]
        if bias.dtype not in needed or bias.shape != (channels,):
            raise ModelError(
                f"bias is {bias.dtype.name}{list(bias.shape)}, needed "
                f"{' or '.join(dtype.name for dtype in needed)}{[channels]} ({channels} output channels)"
            )
    if x.dtype == DType.INT16:
        _fixed_point.check_symmetric(x, "input")
        _fixed_point.check_symmetric(w, "weights")
    return x, w


def check_image(x: Value, w: Value) -> None:
    """Rank 4 for input and weights."""
    if len(x.shape) != 4:
        raise ModelError(f"input has {len(x.shape)} dimensions, needed 4 (N, H, W, C)")
    if len(w.shape) != 4:
        raise ModelError(f"weights have {len(w.shape)} dimensions, needed 4")


def taps(x: Array, kernel_h: int, kernel_w: int, attrs: Attrs, pad_value: int) -> Array:
    """Every window of x [N, H, W, C]: an array [N, OH, OW, KH, KW, C] that shares memory with the padded x."""
    pads = ((0, 0), (attrs["pad_top"], attrs["pad_bottom"]), (attrs["pad_left"], attrs["pad_right"]), (0, 0))
    padded = np.pad(x, pads, constant_values=pad_value)
    dilation_h, dilation_w = attrs["dilation_h"], attrs["dilation_w"]
    span = (dilation_h * (kernel_h - 1) + 1, dilation_w * (kernel_w - 1) + 1)
    # One axis at a time: the type stubs of NumPy 1 know no more.
    windows: Array = np.lib.stride_tricks.sliding_window_view(padded, span[0], axis=1)
    windows = np.lib.stride_tricks.sliding_window_view(windows, span[1], axis=2)
    windows = windows[:, :: attrs["stride_h"], :: attrs["stride_w"], :, ::dilation_h, ::dilation_w]
    return windows.transpose(0, 1, 2, 4, 5, 3)


def weight_zero_point(quant: QuantParams) -> int | Array:
    """The weights' zero points: one number, or one for each output channel."""
    return quant.zero_points[0] if len(quant.zero_points) == 1 else np.array(quant.zero_points, np.int64)


def requantize_weighted(
    acc: Array,
    bias: Array | None,
    quants: Sequence[QuantParams | None],
    out: QuantParams | None,
    activation: int,
    wide: bool,
    exact: bool = False,
) -> Array:
    """int64 sums [..., channels] of (x - zero_x) * (w - zero_w), plus bias, to int8, or to int16 (wide)."""
    if wide:
        return _fixed_point.weighted(acc, bias, quants, out, activation, exact)
    x, w, y = given(quants[0], "input"), given(quants[1], "weights"), given(out, "output")
    if bias is not None:
        acc = acc + bias.astype(np.int64)
    multiplier = multipliers(x.scale, w.scales, y.scale)
    return requantize(wrap_int32(acc), multiplier, y.zero_point, activation_bounds_i8(activation, y))
