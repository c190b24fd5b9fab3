"""Resizing: nearest, linear and cubic, along any axes, in the coordinate conventions of the frameworks.

Nearest and linear resizing of height and width is an operator of its own. All else is exact by other means, since sizes
are fixed: along each axis, nearest is a gather by constant indices, and linear and cubic are products with a constant
matrix [out, in] (with antialiasing too).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.builder import Array, GraphBuilder, RefusedError
from edgert.importers.layers import axes as layout
from edgert.ir import Value
from edgert.ops._enums import CoordinateMode, NearestMode, ResizeMode

MODES = ("nearest", "linear", "cubic")
COORDINATES = {
    "half_pixel": CoordinateMode.HALF_PIXEL,
    "asymmetric": CoordinateMode.ASYMMETRIC,
    "align_corners": CoordinateMode.ALIGN_CORNERS,
    "pytorch_half_pixel": CoordinateMode.PYTORCH_HALF_PIXEL,
}
LARGEST, LARGEST_MATRIX = 1 << 26, 1 << 24  # elements of an output, and of what is made of its sizes
OTHER_COORDINATES = ("half_pixel_symmetric", "tf_half_pixel_for_nn", "tf_crop_and_resize")
NEAREST = {
    "floor": NearestMode.FLOOR,
    "ceil": NearestMode.CEIL,
    "round_prefer_floor": NearestMode.ROUND_PREFER_FLOOR,
    "round_prefer_ceil": NearestMode.ROUND_PREFER_CEIL,
}


def resize(
    b: GraphBuilder,
    x: Value,
    sizes: Sequence[int],
    *,
    scales: Sequence[float] | None = None,
    mode: str = "linear",
    coordinates: str = "half_pixel",
    nearest: str = "round_prefer_floor",
    cubic_coefficient: float = -0.75,
    exclude_outside: bool = False,
    antialias: bool = False,
    crop: Sequence[tuple[float, float]] | None = None,
    extrapolation: float = 0.0,
    channels_last: bool = False,
) -> Value:
    """x resized to `sizes`, one for every dimension.

    scales: the factors that the source states, one for every dimension, 0 where it states sizes alone. crop: of every
    dimension, where it begins and ends (in parts of the size), for "tf_crop_and_resize"; what lies outside the input is
    `extrapolation`. channels_last: where to look for height and width first; any axis may change.

    Names of modes, and formulas: ONNX, operator Resize.
    """
    rank = len(x.shape)
    factors = tuple(scales) if scales is not None else (0.0,) * rank
    _check(x, sizes, factors, mode, coordinates, nearest)
    changed = [axis for axis in range(rank) if sizes[axis] != x.shape[axis] or factors[axis] not in (0.0, 1.0)]
    if coordinates == "tf_crop_and_resize":
        changed = [axis for axis in range(rank) if crop is not None and (axis in changed or crop[axis] != (0.0, 1.0))]
    if not changed:
        return x
    # Nearest takes one pixel as it is: antialiasing does not concern it.
    has_operator = coordinates in COORDINATES and (mode == "nearest" or (mode == "linear" and not antialias))
    image_axes = (1, 2) if channels_last else (2, 3)
    if has_operator and rank in (3, 4) and set(changed) <= set(image_axes):
        return _operator(b, x, sizes, factors, mode, coordinates, nearest, channels_last)
    if has_operator and rank == 4 and set(changed) <= {1, 2} and 1 in changed:
        return _operator(b, x, sizes, factors, mode, coordinates, nearest, True)
    for axis in changed:
        size, out = x.shape[axis], sizes[axis]
        if (1 if mode == "nearest" else size + 4) * out > LARGEST_MATRIX:
            raise RefusedError(f"tables of {out} positions out of {size}", "resize by steps")
        line = Line(size, out, factors[axis] or out / size, coordinates, crop[axis] if crop else (0.0, 1.0))
        if mode == "nearest":
            x = _gathered(b, x, axis, line, nearest, extrapolation)
        else:
            matrix, offset = line.matrix(mode, cubic_coefficient, exclude_outside, antialias, extrapolation)
            x = _product(b, x, axis, matrix, offset)
    return x


def _check(x: Value, sizes: Sequence[int], factors: Sequence[float], mode: str, coordinates: str, nearest: str) -> None:
    """RefusedError for a mode that nobody knows, ModelError for sizes that no tensor of x's rank can have here."""
    for what, found, known in (
        ("mode", mode, MODES),
        ("coordinate mode", coordinates, (*COORDINATES, *OTHER_COORDINATES)),
        ("nearest mode", nearest, tuple(NEAREST)),
    ):
        if found not in known:
            raise RefusedError(f"{what} {found!r}", f"use one of {', '.join(known)}")
    if len(sizes) != len(x.shape) or min(sizes) < 1 or len(factors) != len(x.shape):
        raise ModelError(f"it resizes {list(x.shape)} to {list(sizes)}")
    if math.prod(sizes) > LARGEST:
        raise ModelError(f"it resizes {list(x.shape)} to {list(sizes)}: more than {LARGEST} elements")


def _operator(
    b: GraphBuilder,
    x: Value,
    sizes: Sequence[int],
    factors: Sequence[float],
    mode: str,
    coordinates: str,
    nearest: str,
    channels_last: bool,
) -> Value:
    out, factor = (list(items[1:-1] if channels_last else items[2:]) for items in (sizes, factors))
    if len(out) == 1:
        out, factor = [1, *out], [0.0, *factor]
    attrs = {
        "out_h": out[0], "out_w": out[1], "scale_h": float(factor[0]), "scale_w": float(factor[1]),
        "mode": ResizeMode.NEAREST if mode == "nearest" else ResizeMode.BILINEAR,
        "coordinates": COORDINATES[coordinates], "nearest": NEAREST[nearest],
    }  # fmt: skip
    y = b.emit("resize", [layout.to_last(b, x, channels_last)], attrs)
    return layout.from_last(b, y, len(x.shape), channels_last)


def _gathered(b: GraphBuilder, x: Value, axis: int, line: Line, nearest: str, extrapolation: float) -> Value:
    at = line.positions()
    indices = np.clip(rounded(at, nearest), 0, line.size - 1).astype(np.int32)
    y = b.emit("gather", [x, indices], {"axis": axis})
    outside = line.outside(at)
    if not outside.any():
        return y
    shape = [1] * len(x.shape)
    shape[axis] = line.out
    fill = np.asarray(extrapolation, x.data.dtype if x.data is not None else np.float32)
    if x.dtype != DType.FLOAT32:
        raise RefusedError("extrapolation of integers", "crop within the image")
    return b.emit("select", [outside.reshape(shape), b.const(fill), y])


def _product(b: GraphBuilder, x: Value, axis: int, matrix: Array, offset: Array) -> Value:
    rank = len(x.shape)
    order = (*(at for at in range(rank) if at != axis), axis)
    bias = offset.astype(np.float32) if offset.any() else None
    y = b.emit("fully_connected", [b.transpose(x, order), matrix.astype(np.float32), bias])
    return b.transpose(y, tuple(order.index(at) for at in range(rank)))


def rounded(positions: Array, nearest: str) -> Array:
    """Positions as integers, in one of the modes of NEAREST."""
    if nearest == "floor":
        return np.asarray(np.floor(positions))
    if nearest == "ceil":
        return np.asarray(np.ceil(positions))
    return np.asarray(np.ceil(positions - 0.5) if nearest == "round_prefer_floor" else np.floor(positions + 0.5))


class Line:
    """One axis: `out` positions out of `size`."""

    def __init__(self, size: int, out: int, scale: float, coordinates: str, crop: tuple[float, float]) -> None:
        self.size, self.out, self.scale, self.coordinates, self.crop = size, out, scale, coordinates, crop

    def positions(self) -> Array:
        """Where each output position lies in the input, float64 [out]."""
        i = np.arange(self.out, dtype=np.float64)
        size, out, scale = self.size, self.out, self.scale
        if self.coordinates == "asymmetric":
            return i / scale
        if self.coordinates == "align_corners":
            return i * ((size - 1) / (out - 1)) if out > 1 else np.zeros(1)
        if self.coordinates == "pytorch_half_pixel" and out == 1:
            return np.zeros(1)
        if self.coordinates == "tf_half_pixel_for_nn":
            return (i + 0.5) / scale
        if self.coordinates == "tf_crop_and_resize":
            begin, end = self.crop
            if out == 1:
                return np.full(1, 0.5 * (begin + end) * (size - 1))
            return begin * (size - 1) + i * ((end - begin) * (size - 1) / (out - 1))
        at = (i + 0.5) / scale - 0.5
        if self.coordinates == "half_pixel_symmetric":  # the centre stays in place when the factor does not give `out`
            at += size / 2 * (1 - out / (scale * size))
        return at

    def outside(self, positions: Array) -> Array:
        """Which positions a crop has beyond the input."""
        if self.coordinates != "tf_crop_and_resize":
            return np.zeros(self.out, bool)
        return np.asarray((positions < 0) | (positions > self.size - 1))

    def matrix(
        self, mode: str, cubic_coefficient: float, exclude_outside: bool, antialias: bool, extrapolation: float
    ) -> tuple[Array, Array]:
        """(weights [out, size], offsets [out]): y = weights @ x + offsets."""
        at = self.positions()
        stretch = max(1.0, 1.0 / self.scale) if antialias else 1.0
        reach = (2.0 if mode == "cubic" else 1.0) * stretch
        if antialias:  # more taps than count: the kernels are 0 beyond their reach
            first, count = np.floor(at - reach) + 1, math.ceil(2 * reach) + 1
        else:
            first, count = np.floor(at) - (1 if mode == "cubic" else 0), 4 if mode == "cubic" else 2
        taps = first[:, np.newaxis] + np.arange(count)
        distance = np.abs(taps - at[:, np.newaxis]) / stretch
        factors = _cubic(distance, cubic_coefficient) if mode == "cubic" else np.maximum(1 - distance, 0)
        if exclude_outside:
            factors = np.where((taps < 0) | (taps >= self.size), 0, factors)
        if exclude_outside or antialias:
            factors = factors / factors.sum(axis=1, keepdims=True)
        weights = np.zeros((self.out, self.size))
        columns = np.clip(taps, 0, self.size - 1).astype(np.int64)
        np.add.at(weights, (np.arange(self.out)[:, np.newaxis], columns), factors)
        outside = self.outside(at)
        weights[outside] = 0
        return weights, np.where(outside, extrapolation, 0.0)


def _cubic(distance: Array, a: float) -> Array:
    """Keys' cubic convolution kernel with coefficient a (R. G. Keys, 1981)."""
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))
