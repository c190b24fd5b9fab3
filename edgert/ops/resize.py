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
    if attrs["mode"] == ResizeMode.BILINEAR and x.dtype not in (DType.FLOAT32, DType.INT8, DType.INT16):
        raise ModelError(f"bilinear on {x.dtype.name}, needed FLOAT32, INT8 or INT16")
    stated = attrs["scale_h"] or attrs["scale_w"] or attrs["coordinates"] == CoordinateMode.PYTORCH_HALF_PIXEL
    if attrs["mode"] == ResizeMode.BILINEAR and x.dtype == DType.INT16 and stated:
        raise ModelError("bilinear on INT16 with a scale of its own, or PyTorch's coordinates")
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
    return np.asarray(np.clip(rounded, 0, size - 1)).astype(np.int64)


def _bilinear_positions(size: int, out: int, scale: float, mode: int) -> Array:
    """As _positions, but that LiteRT's default (XNNPACK, src/indirection.c) adds the half pixels in another order."""
    if scale or mode not in _HALF or (mode == CoordinateMode.PYTORCH_HALF_PIXEL and out == 1):
        return _positions(size, out, scale, mode)
    half, step = np.float32(0.5), np.float32(size) / np.float32(out)
    return np.arange(out, dtype=np.float32) * step + (half * step - half)


def _bilinear_taps(size: int, out: int, scale: float, mode: int) -> tuple[Array, Array, Array]:
    """Lower index, upper index, and the upper one's weight."""
    positions = _bilinear_positions(size, out, scale, mode)
    lower = np.clip(np.floor(positions), 0, size - 1).astype(np.int64)
    upper = np.clip(np.ceil(positions), 0, size - 1).astype(np.int64)
    return lower, upper, np.where(lower == upper, np.float32(0), positions - np.floor(positions))


def _bilinear_int16(x: Array, axes: Sequence[tuple[int, int, float, int]]) -> Array:
    """TFLite's integers (tensorflow/lite/kernels/internal/reference/resize_bilinear.h): positions and weights in units
    of 2^-10, the sum rounded half away from 0."""

    def taps(size: int, out: int, scale: float, mode: int) -> tuple[Array, Array, Array]:
        corners = mode == CoordinateMode.ALIGN_CORNERS and out > 1
        span, steps = (size - 1, out - 1) if corners else (size, out)
        step = (1024 * span + steps // 2) // steps
        at = np.arange(out, dtype=np.int64) * step + (step // 2 - 512 if mode == CoordinateMode.HALF_PIXEL else 0)
        lower = np.clip(at // 1024, 0, size - 1)
        upper = np.clip(-(-at // 1024), 0, size - 1)
        return lower, upper, np.where(lower == upper, 0, at % 1024)

    (top, bottom, fy), (left, right, fx) = (taps(*axis) for axis in axes)
    wide, fy, fx = x.astype(np.int64), fy[:, None, None], fx[:, None]
    above, below = (wide[:, row][:, :, left] * (1024 - fx) + wide[:, row][:, :, right] * fx for row in (top, bottom))
    total = above * (1024 - fy) + below * fy
    return np.asarray(np.sign(total) * ((np.abs(total) + (1 << 19)) >> 20), np.int16)


def _reference(
    arrays: Sequence[Array | None],
    attrs: Attrs,
    in_quants: Sequence[QuantParams | None],
    out_quants: Sequence[QuantParams | None],
) -> list[Array]:
    """int8 bilinear is LiteRT's default (XNNPACK's s8 bilinear interpolation): weights in units of 2^-11 on each axis,
    the sum rounded half up."""
    (x,) = arrays
    assert x is not None
    axes = [
        (size, attrs[f"out_{axis}"], attrs[f"scale_{axis}"], attrs["coordinates"])
        for axis, size in (("h", x.shape[1]), ("w", x.shape[2]))
    ]
    if attrs["mode"] == ResizeMode.NEAREST:
        rows, columns = (_nearest(_positions(*axis), axis[0], attrs["nearest"]) for axis in axes)
        return [x[:, rows][:, :, columns]]
    if x.dtype == np.int16:
        return [_bilinear_int16(x, axes)]
    (top, bottom, fy), (left, right, fx) = (_bilinear_taps(*axis) for axis in axes)
    fy, fx = fy[:, None, None], fx[:, None]

    def corners(image: Array) -> list[Array]:
        return [image[:, rows][:, :, columns] for rows in (top, bottom) for columns in (left, right)]

    if x.dtype != np.int8:
        a, b, c, d = corners(x)
        above, below = a + (b - a) * fx, c + (d - c) * fx
        return [above + (below - above) * fy]
    a, b, c, d = corners(x.astype(np.int64))
    gx, gy = np.rint(fx * np.float32(2048)).astype(np.int64), np.rint(fy * np.float32(2048)).astype(np.int64)
    total: Array = (a * (2048 - gx) + b * gx) * (2048 - gy) + (c * (2048 - gx) + d * gx) * gy
    return [((total + (1 << 21)) >> 22).astype(np.int8)]


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
