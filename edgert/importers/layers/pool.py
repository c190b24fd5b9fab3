"""Pooling of sequences, images and volumes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgert.importers.builder import Array, GraphBuilder
from edgert.importers.layers import axes
from edgert.importers.layers.window import Window
from edgert.ir import Value
from edgert.ops._enums import ReduceFunction


def max_pool(b: GraphBuilder, x: Value, place: Window, *, channels_last: bool = False) -> Value:
    """x [N, C, *sizes] ([N, *sizes, C] if channels_last); padding never wins. A volume: planes first, then depth."""
    y = axes.to_last(b, x, channels_last)

    def pool(image: Value, part: Window) -> Value:
        return b.emit("max_pool2d", [image], part.attrs(kernel=True, dilation=True, overhang=True))

    y = _planes_then_depth(b, y, place, pool) if place.rank == 3 else pool(y, place)
    return axes.from_last(b, y, len(x.shape), channels_last)


def average_pool(
    b: GraphBuilder, x: Value, place: Window, *, counts_padding: bool, channels_last: bool = False
) -> Value:
    """x [N, C, *sizes] ([N, *sizes, C] if channels_last); counts_padding: padding counts as zeros, but never what
    rounding the sizes up adds."""

    def pool(image: Value, part: Window) -> Value:
        counts = counts_padding
        part = part.image()
        if part.dilated:
            return _dilated_average(b, image, part, counts)
        if counts and any(part.overhang):  # padding that counts and an overhang that does not: the former apart
            image = axes.pad_sizes(b, image, part.before, part.after)
            part, counts = part._replace(before=(0, 0), after=(0, 0)), False
        attrs = {**part.attrs(kernel=True, dilation=False, overhang=True), "count_include_pad": counts}
        return b.emit("average_pool2d", [image], attrs)

    y = axes.to_last(b, x, channels_last)
    y = _planes_then_depth(b, y, place, pool) if place.rank == 3 else pool(y, place)
    return axes.from_last(b, y, len(x.shape), channels_last)


def global_pool(
    b: GraphBuilder, x: Value, function: ReduceFunction, *, channels_last: bool = False, keep_dims: bool = True
) -> Value:
    """Mean, maximum or sum over all spatial dimensions."""
    rank = len(x.shape)
    return b.reduce(function, x, range(1, rank - 1) if channels_last else range(2, rank), keep_dims)


def _planes_then_depth(b: GraphBuilder, y: Value, place: Window, pool: Callable[[Value, Window], Value]) -> Value:
    """[N, D, H, W, C]: over height and width, then over depth with the planes as rows of an image."""
    batch, depth, height, width, channels = y.shape
    y = pool(b.reshape(y, (batch * depth, height, width, channels)), place.only(1, 2))
    _, height, width, _ = y.shape
    deep = place.only(0)
    tall = Window(*((items[0], filler) for items, filler in zip(deep, (1, 1, 1, 0, 0, 0), strict=True)))
    y = pool(b.reshape(y, (batch, depth, height * width, channels)), tall)
    return b.reshape(y, (batch, y.shape[1], height, width, channels))


def _dilated_average(b: GraphBuilder, image: Value, place: Window, counts_padding: bool) -> Value:
    """The sum over each window, as a depthwise convolution with ones, over the number of positions that count."""
    channels = image.shape[3]
    after = tuple(end + more for end, more in zip(place.after, place.overhang, strict=True))
    ones = np.ones((*place.kernel, channels), np.float32)
    wide = place._replace(after=after)
    total = b.emit("depthwise_conv2d", [image, ones], wide.attrs(kernel=False, dilation=True))
    inside = np.ones(image.shape[1:3], np.float32)
    if counts_padding:
        inside = np.pad(inside, tuple(zip(place.before, place.after, strict=True)), constant_values=1)
        inside = np.pad(inside, tuple((0, more) for more in place.overhang))
    else:
        inside = np.pad(inside, tuple(zip(place.before, after, strict=True)))
    return b.mul(total, (1 / _window_sums(inside, place)).astype(np.float32)[np.newaxis, :, :, np.newaxis])


def _window_sums(plane: Array, place: Window) -> Array:
    """Sum over each window of a plane [H, W] that is padded already."""
    height, width = place.unpadded().sizes(plane.shape)
    total = np.zeros((height, width))
    for row, column in np.ndindex(*place.kernel):
        top, left = row * place.dilation[0], column * place.dilation[1]
        rows = slice(top, top + (height - 1) * place.stride[0] + 1, place.stride[0])
        columns = slice(left, left + (width - 1) * place.stride[1] + 1, place.stride[1])
        total += plane[rows, columns]
    return total
