"""Layers that read images at computed places: grid sampling, and pooling of regions.

Every axis has taps: indices that lie inside the image, and a weight for each. A pixel is fetched for every combination
of taps, with the images as one list of pixels [N * H * W, C].
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.builder import Array, GraphBuilder
from edgert.importers.layers import axes
from edgert.ir import Value
from edgert.ops._enums import BinaryFunction, CompareFunction, ReduceFunction, UnaryFunction

LARGEST_EXACT = 1 << 24  # pixels whose number float32 holds exactly
MOST_SAMPLES = 1 << 12  # of a region, along an axis
CUBIC = -0.75  # the coefficient of Keys's cubic (https://ieeexplore.ieee.org/document/1163711) that frameworks agree on


class Tap(NamedTuple):
    place: Value  # float32, a whole number within the axis
    weight: Value | None  # None: 1


def grid_sample(
    b: GraphBuilder,
    x: Value,
    grid: Value,
    mode: str = "linear",
    padding: str = "zeros",
    align_corners: bool = False,
    channels_last: bool = False,
) -> Value:
    """x [N, C, *sizes] at places grid [N, *out, K], of which the last dimension counts axes from the last and -1 and 1
    are the image's ends (PyTorch grid_sample, ONNX GridSample): [N, C, *out].

    mode: nearest, linear or cubic. padding, of places outside: zeros, border or reflection.
    """
    sizes, out = axes.spatial(x, channels_last), grid.shape[1:-1]
    if grid.shape[-1:] != (len(sizes),) or grid.shape[0] != x.shape[0] or len(out) != len(sizes) or len(sizes) > 3:
        raise ModelError(f"a grid {list(grid.shape)} for {list(x.shape)}")
    if padding not in ("zeros", "border", "reflection"):
        raise ModelError(f"the padding {padding!r}, needed zeros, border or reflection")
    batch, places = x.shape[0], math.prod(out)
    flat = b.reshape(grid, (batch, places, len(sizes)))
    taps = []
    for axis, size in enumerate(sizes):
        column = len(sizes) - 1 - axis
        at = b.reshape(b.slice(flat, 2, column, column + 1), (batch, places))
        position = _position(b, at, size, align_corners)
        taps.append(_TAPS[mode](b, position, size, padding, align_corners))
    y = fetched(b, axes.to_last(b, x, channels_last), sizes, taps, np.arange(batch, dtype=np.float32)[:, np.newaxis])
    y = b.reshape(y, (batch, *out, y.shape[-1]))
    return y if channels_last else b.transpose(y, (0, len(out) + 1, *range(1, len(out) + 1)))


def _position(b: GraphBuilder, at: Value, size: int, align_corners: bool) -> Value:
    """From -1..1 to pixels: the ends are the centres of the outermost pixels if align_corners, else their edges."""
    if align_corners:
        return b.mul(b.add(at, 1.0), (size - 1) / 2)
    return b.mul(b.sub(b.mul(b.add(at, 1.0), float(size)), 1.0), 0.5)


def _clip(b: GraphBuilder, x: Value, size: int) -> Value:
    return b.unary(UnaryFunction.CLIP, x, 0.0, float(size - 1))


def _inside(b: GraphBuilder, position: Value, size: int, padding: str, align_corners: bool) -> Value:
    """What border and reflection make of a place outside."""
    if padding == "reflection":
        low, span = (0.0, size - 1.0) if align_corners else (-0.5, float(size))
        if span == 0:
            return b.mul(position, 0.0)
        period = b.unary(UnaryFunction.ABS, b.sub(position, low))
        phase = b.emit("binary", [period, 2 * span], {"function": BinaryFunction.FLOOR_MOD})
        position = b.add(b.sub(span, b.unary(UnaryFunction.ABS, b.sub(phase, span))), low)
    return _clip(b, position, size)


def _tap(b: GraphBuilder, index: Value, weight: Value | None, size: int, padding: str) -> Tap:
    """A tap outside counts nothing with zeros; with the others its place has been seen to."""
    clipped = _clip(b, index, size)
    if padding != "zeros":
        return Tap(clipped, weight)
    hit = b.emit("compare", [index, clipped], {"function": CompareFunction.EQUAL})
    return Tap(clipped, b.emit("select", [hit, 1.0 if weight is None else weight, 0.0]))


def _nearest(b: GraphBuilder, position: Value, size: int, padding: str, align_corners: bool) -> list[Tap]:
    """The nearest pixel, the even one among two."""
    index = b.unary(UnaryFunction.ROUND, position)
    if padding != "zeros":
        index = _inside(b, index, size, padding, align_corners)
    return [_tap(b, index, None, size, padding)]


def linear_taps(
    b: GraphBuilder, position: Value, size: int, padding: str = "zeros", align_corners: bool = False
) -> list[Tap]:
    """The two pixels around each place on an axis; places are counted in pixels from the first one's centre."""
    if padding != "zeros":
        position = _inside(b, position, size, padding, align_corners)
    first = b.unary(UnaryFunction.FLOOR, position)
    part = b.sub(position, first)
    return [_tap(b, first, b.sub(1.0, part), size, padding), _tap(b, b.add(first, 1.0), part, size, padding)]


def _cubic(b: GraphBuilder, position: Value, size: int, padding: str, align_corners: bool) -> list[Tap]:
    """Four taps, each brought inside by itself, as in PyTorch."""
    first = b.unary(UnaryFunction.FLOOR, position)
    part = b.sub(position, first)
    rest = b.sub(1.0, part)
    weights = [_far(b, b.add(part, 1.0)), _near(b, part), _near(b, rest), _far(b, b.add(rest, 1.0))]
    taps = []
    for place, weight in enumerate(weights):
        index = b.add(first, float(place - 1)) if place != 1 else first
        if padding != "zeros":
            index = _inside(b, index, size, padding, align_corners)
        taps.append(_tap(b, index, weight, size, padding))
    return taps


def _near(b: GraphBuilder, t: Value) -> Value:
    """((A + 2) t - (A + 3)) t^2 + 1, up to a distance of 1"""
    inner = b.sub(b.mul(t, CUBIC + 2), CUBIC + 3)
    return b.add(b.mul(inner, b.unary(UnaryFunction.SQUARE, t)), 1.0)


def _far(b: GraphBuilder, t: Value) -> Value:
    """((A t - 5 A) t + 8 A) t - 4 A, between distances of 1 and 2"""
    inner = b.add(b.mul(b.sub(b.mul(t, CUBIC), 5 * CUBIC), t), 8 * CUBIC)
    return b.sub(b.mul(inner, t), 4 * CUBIC)


_TAPS = {"nearest": _nearest, "linear": linear_taps, "cubic": _cubic}


def fetched(
    b: GraphBuilder, x: Value, sizes: Sequence[int], taps: Sequence[Sequence[Tap]], image: Array | Value
) -> Value:
    """The sum [..., C] over all combinations of taps [...], a list of them for every axis, in images x [N, *sizes, C].

    image: the number of each place's image, float32, of a shape that broadcasts to that of the taps.
    """
    total: Value | None = None
    for pixel, weight in _pixels(b, x, sizes, taps, image):
        part = pixel if weight is None else b.mul(pixel, weight)
        total = part if total is None else b.add(total, part)
    assert total is not None
    return total


def _pixels(
    b: GraphBuilder, x: Value, sizes: Sequence[int], taps: Sequence[Sequence[Tap]], image: Array | Value
) -> list[tuple[Value, Value | None]]:
    """The pixels [..., C] and the weights [..., 1] of all combinations of taps."""
    count = math.prod(x.shape[:-1])
    if count > LARGEST_EXACT:
        raise ModelError(f"images of {count} pixels, needed at most {LARGEST_EXACT}")
    flat, found = b.reshape(x, (count, x.shape[-1])), []
    for chosen in itertools.product(*taps):
        number: Value | None = None  # of the pixel: rows of rows
        weight: Value | None = None
        for tap, size in zip(chosen, sizes, strict=True):
            number = tap.place if number is None else b.add(b.mul(number, float(size)), tap.place)
            if tap.weight is not None:
                weight = tap.weight if weight is None else b.mul(weight, tap.weight)
        assert number is not None
        if x.shape[0] > 1:
            first = b.mul(image, float(math.prod(sizes))) if isinstance(image, Value) else image * math.prod(sizes)
            number = b.add(number, first)
        places = b.emit("cast", [number], dtype=DType.INT32)
        pixel = b.emit("gather", [flat, places], {"axis": 0})
        found.append((pixel, None if weight is None else b.reshape(weight, (*weight.shape, 1))))
    return found


def roi_align(
    b: GraphBuilder,
    x: Value,
    regions: Value,
    images: Value,
    out: tuple[int, int],
    ratio: int,
    scale: float = 1.0,
    half_pixel: bool = True,
    largest: bool = False,
) -> Value:
    """Regions [R, 4] (x1, y1, x2, y2) of images x [N, C, H, W], each as [C, *out]: [R, C, *out].

    images: [R], the image of each. ratio: samples of a bin along each axis, at least 1. scale: from the regions' pixels
    to those of x. half_pixel: a pixel's centre lies at 0.5. largest: not the mean of a bin's samples, but the largest
    product of pixel and weight (ONNX RoiAlign, mode max). Mask R-CNN, https://arxiv.org/abs/1703.06870.
    """
    if len(x.shape) != 4 or regions.shape[1:] != (4,) or images.shape != regions.shape[:1]:
        raise ModelError(f"regions {list(regions.shape)} of images {list(x.shape)}, their numbers {list(images.shape)}")
    if min(*out, ratio) < 1 or max(out) * ratio > MOST_SAMPLES:
        raise ModelError(f"{ratio} samples of each of {out[0]}x{out[1]} bins, needed 1 to {MOST_SAMPLES} along an axis")
    count, channels = regions.shape[0], x.shape[1]
    corners = b.mul(regions, float(scale)) if scale != 1 else regions
    corners = b.sub(corners, 0.5) if half_pixel else corners
    taps = [_bin_taps(b, corners, axis, x.shape[2 + axis], out[axis] * ratio, half_pixel) for axis in range(2)]
    numbers = b.reshape(b.emit("cast", [images], dtype=DType.FLOAT32), (count, 1, 1))
    parted = (count, out[0], ratio, out[1], ratio, channels)
    last = b.transpose(x, (0, 2, 3, 1))
    if largest:
        pairs = _pixels(b, last, x.shape[2:], taps, numbers)
        products = [b.mul(pixel, weight) for pixel, weight in pairs if weight is not None]
        y = reduce(lambda one, other: b.emit("binary", [one, other], {"function": BinaryFunction.MAXIMUM}), products)
        y = b.reduce(ReduceFunction.MAX, b.reshape(y, parted), (2, 4), keep_dims=False)
    else:
        y = b.reshape(fetched(b, last, x.shape[2:], taps, numbers), parted)
        y = b.reduce(ReduceFunction.MEAN, y, (2, 4), keep_dims=False)
    return b.transpose(y, (0, 3, 1, 2))


def _bin_taps(b: GraphBuilder, corners: Value, axis: int, size: int, samples: int, half_pixel: bool) -> list[Tap]:
    """The taps along one of two axes, shaped to be broadcast over the other; corners [R, 4] in pixels of the image."""
    start, end = (b.slice(corners, 1, column, column + 1) for column in (1 - axis, 3 - axis))
    length = b.sub(end, start)
    if not half_pixel:  # a region of no size counts as one pixel
        length = b.emit("binary", [length, 1.0], {"function": BinaryFunction.MAXIMUM})
    steps = ((np.arange(samples) + 0.5) / samples).astype(np.float32)[np.newaxis]
    shape = [corners.shape[0], 1, 1]
    shape[1 + axis] = samples
    return [Tap(*(b.reshape(item, shape) for item in tap)) for tap in _region_taps(b, start, length, steps, size)]


def _region_taps(b: GraphBuilder, start: Value, length: Value, steps: Array, size: int) -> list[tuple[Value, Value]]:
    """Indices and weights [R, samples] of two taps; samples more than a pixel outside count nothing."""
    position = b.add(b.mul(length, steps), start)
    low = b.emit("compare", [position, -1.0], {"function": CompareFunction.GREATER_EQUAL})
    high = b.emit("compare", [position, float(size)], {"function": CompareFunction.LESS_EQUAL})
    inside = b.emit("binary", [low, high], {"function": BinaryFunction.LOGICAL_AND})
    clipped = _clip(b, position, size)
    first = b.unary(UnaryFunction.FLOOR, clipped)
    part = b.sub(clipped, first)
    second = _clip(b, b.add(first, 1.0), size)
    weights = (b.sub(1.0, part), part)
    masked = [b.emit("select", [inside, weight, 0.0]) for weight in weights]
    return [(first, masked[0]), (second, masked[1])]
