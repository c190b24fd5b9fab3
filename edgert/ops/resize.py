"""resize: x[N, H, W, C] to y[N, out_h, out_w, C], nearest or bilinear."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from edgert.ir import Value
from edgert.ops._def import Array, Attrs, OpDef, QuantRule, TensorSpec
from edgert.ops._enums import CoordinateMode, NearestMode, OpCode, ResizeMode
from edgert.ops._move import check_shape

_HALF = (CoordinateMode.HALF_PIXEL, CoordinateMode.PYTORCH_HALF_PIXEL)


def _infer(inputs: Sequence[Value | None], attrs: Attrs) -> list[TensorSpec]:
    (x,) = inputs
    assert x is not None
    if len(x.shape) != 4:
        raise ModelError(f"input has {len(x.shape)} dimensions, needed 4 (N, H, W, C)")
    if attrs["mode"] == ResizeMode.BILINEAR and x.dtype not in (DType.FLOAT32, DType.INT8):
        raise ModelError(f"bilinear on {x.dtype.name}, needed FLOAT32 or INT8")
    if min(attrs["out_h"], attrs["out_w"], *x.shape[1:3]) < 1:
        raise ModelError(f"resizes {list(x.shape)} to {attrs['out_h']}x{attrs['out_w']}, needed at least 1x1")
    for name in ("scale_h", "scale_w"):
        if attrs[name] != 0 and not 1e-6 <= attrs[name] <= 1e6:
            raise ModelError(f"{name} is {attrs[name]}, needed 0 or 1e-6 to 1e6")
    return [TensorSpec(check_shape([x.shape[0], attrs["out_h"], attrs["out_w"], x.shape[3]]), x.dtype)]


def _positions(size: int, out: int, scale: float, mode: int) -> Array:
    """Source position of every output index, in float32 (ext/ops/resize_axis.c says which order of operations)."""
    one, i, factor = np.float32(1), np.arange(out, dtype=np.float32), np.float32(scale)
    if mode == CoordinateMode.ALIGN_CORNERS:
        if out == 1:
            return np.zeros(1, np.float32)
        span, steps = np.float32(size) - one, np.float32(out) - one
        return i * span / steps if scale else i * (span / steps)
    if mode == CoordinateMode.PYTORCH_HALF_PIXEL and out == 1:
        return np.zeros(1, np.float32)
    half = np.float32(0.5 if mode in _HALF else 0.0)
    at = i + half
    return (at / factor if scale else at * (np.float32(size) / np.float32(out))) - half


def _nearest(positions: Array, size: int, mode: int) -> Array:
    half = np.float32(0.5)
    rounded = {
        NearestMode.FLOOR: np.floor(positions),
        NearestMode.CEIL: np.ceil(positions),
        NearestMode.ROUND_PREFER_FLOOR: np.ceil(positions - half),
        NearestMode.ROUND_PREFER_CEIL: np.floor(positions + half),
    }[NearestMode(mode)]
    return np.clip(rounded, 0, size - 1).astype(np.int64)


def _float_taps(positions: Array, size: int) -> tuple[Array, Array, Array]:
    """Lower index, upper index, and the upper one's weight."""
    lower = np.clip(np.floor(positions), 0, size - 1).astype(np.int64)
    upper = np.clip(np.ceil(positions), 0, size - 1).astype(np.int64)
    return lower, upper, np.where(lower == upper, np.float32(0), positions - np.floor(positions))


def _fixed_taps(size: int, out: int, scale: float, mode: int) -> tuple[Array, Array, Array]:
    """The same in units of 1/1024, as TFLite's ComputeInterpolationValues counts them."""
    if mode == CoordinateMode.ALIGN_CORNERS and out > 1:
        step = (1024 * (size - 1) + (out - 1) // 2) // (out - 1)
    elif mode != CoordinateMode.ALIGN_CORNERS and scale:
        step = int(np.rint(1024.0 / float(np.float32(scale))))
    else:
        step = (1024 * size + out // 2) // out
    half = mode in _HALF and not (mode == CoordinateMode.PYTORCH_HALF_PIXEL and out == 1)
    positions = np.arange(out, dtype=np.int64) * step + (step // 2 - 512 if half else 0)
    lower = np.clip(positions // 1024, 0, size - 1)
    upper = np.clip(-(-positions // 1024), 0, size - 1)
    return lower, upper, np.where(lower == upper, 0, positions - 1024 * lower)


def _reference(
    arrays: Sequence[Array | None],
    attrs: Attrs,
    in_quants: Sequence[QuantParams | None],
    out_quants: Sequence[QuantParams | None],
) -> list[Array]:
    """int8 bilinear is TFLite's (tensorflow/lite/kernels/internal/reference/resize_bilinear.h, the int8 overload):
    weights in units of 1/1024, the sum rounded half away from zero."""
    (x,) = arrays
    assert x is not None
    axes = [
        (size, attrs[f"out_{axis}"], attrs[f"scale_{axis}"], attrs["coordinates"])
        for axis, size in (("h", x.shape[1]), ("w", x.shape[2]))
    ]
    if attrs["mode"] == ResizeMode.NEAREST:
        rows, columns = (_nearest(_positions(*axis), axis[0], attrs["nearest"]) for axis in axes)
        return [x[:, rows][:, :, columns]]
    fixed = x.dtype == np.int8
    (top, bottom, fy), (left, right, fx) = (
        _fixed_taps(*axis) if fixed else _float_taps(_positions(*axis), axis[0]) for axis in axes
    )
    fy, fx = fy[:, None, None], fx[:, None]
    if not fixed:
        above = x[:, top][:, :, left] + (x[:, top][:, :, right] - x[:, top][:, :, left]) * fx
        below = x[:, bottom][:, :, left] + (x[:, bottom][:, :, right] - x[:, bottom][:, :, left]) * fx
        return [above + (below - above) * fy]
    wide = x.astype(np.int64)
    above = wide[:, top][:, :, left] * (1024 - fx) + wide[:, top][:, :, right] * fx
    below = wide[:, bottom][:, :, left] * (1024 - fx) + wide[:, bottom][:, :, right] * fx
    total = above * (1024 - fy) + below * fy
    return [(np.sign(total) * ((np.abs(total) + (1 << 19)) >> 20)).astype(np.int8)]


RESIZE = OpDef(
    name="resize",
    code=OpCode.RESIZE,
    inputs=(1, 1),
    infer=_infer,
    reference=_reference,
    quant=QuantRule.SAME,
    attrs={
        "out_h": ..., "out_w": ..., "mode": ResizeMode.NEAREST, "coordinates": CoordinateMode.ASYMMETRIC,
        "nearest": NearestMode.FLOOR, "scale_h": 0.0, "scale_w": 0.0,
    },
)  # fmt: skip
