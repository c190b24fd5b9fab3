"""ONNX handlers: GridSample and RoiAlign, which read an image between its pixels: gathers and weighted sums."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import numpy as np

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.layers.norm import along
from edgert.importers.onnx.builder import Builder, Handler, RefusedError, SourceNode
from edgert.importers.onnx.spatial import placed
from edgert.ir import Value
from edgert.ops._enums import BinaryFunction, CompareFunction, ReduceFunction, UnaryFunction

CUBIC = -0.75  # of the convolution kernel, as in ONNX and PyTorch


def _last(b: Builder, x: Value, index: int) -> Value:
    axis = len(x.shape) - 1
    return b.reshape(b.slice(x, axis, index, index + 1), x.shape[:-1])


def _rows(b: Builder, x: Value) -> Value:
    """[N, C, *sizes] as rows of channels, [N * pixels, C]."""
    rank = len(x.shape)
    last = b.transpose(x, (0, *range(2, rank), 1))
    return b.reshape(last, (x.shape[0] * math.prod(x.shape[2:]), x.shape[1]))


def _gathered(b: Builder, rows: Value, sizes: Sequence[int], at: Sequence[Value], first: Value) -> Value:
    """Rows [..., C] at whole, valid coordinates [...] of every axis; first: [...] number of each one's first row."""
    index = at[0]
    for coordinate, size in zip(at[1:], sizes[1:], strict=True):
        index = b.add(b.mul(index, float(size)), coordinate)
    whole = b.add(b.emit("cast", [index], dtype=DType.INT32), first)
    return b.emit("gather", [rows, whole], {"axis": 0})


def _reflected(b: Builder, x: Value, low: float, high: float) -> Value:
    """Coordinates folded back into [low, high] at its ends."""
    span = high - low
    if span <= 0:
        return b.mul(x, 0.0)
    rest = b.emit("binary", [b.sub(x, low), 2.0 * span], {"function": BinaryFunction.FLOOR_MOD})
    away = b.unary(UnaryFunction.ABS, b.sub(rest, span))
    return b.add(b.mul(away, -1.0), high)


class _Border:
    """What a padding mode makes of coordinates outside an axis."""

    def __init__(self, b: Builder, padding: str, align: bool) -> None:
        self.b, self.padding, self.align = b, padding, align

    def continuous(self, x: Value, size: int) -> Value:
        """Of a coordinate between pixels, before it is taken apart."""
        if self.padding == "border":
            return self.b.unary(UnaryFunction.CLIP, x, 0.0, float(size - 1))
        if self.padding == "reflection":
            return self.whole(x, size)
        return x

    def whole(self, x: Value, size: int) -> Value:
        """Of a coordinate of a pixel: one that is inside."""
        if self.padding == "reflection":
            low, high = (0.0, size - 1.0) if self.align else (-0.5, size - 0.5)
            x = _reflected(self.b, x, low, high)
        return self.b.unary(UnaryFunction.CLIP, x, 0.0, float(size - 1))

    def inside(self, x: Value, size: int) -> Value | None:
        """1 where a pixel counts, 0 where it does not; None where all do."""
        if self.padding != "zeros":
            return None
        return _within(self.b, x, 0.0, size - 1.0)


def _within(b: Builder, x: Value, low: float, high: float) -> Value:
    above = b.emit("compare", [x, float(low)], {"function": CompareFunction.GREATER_EQUAL})
    below = b.emit("compare", [x, float(high)], {"function": CompareFunction.LESS_EQUAL})
    both = b.emit("binary", [above, below], {"function": BinaryFunction.LOGICAL_AND})
    return b.emit("cast", [both], dtype=DType.FLOAT32)


def _taps(b: Builder, x: Value, mode: str) -> list[tuple[Value, Value | None]]:
    """The pixels that a coordinate reads along an axis, with their weights."""
    if mode == "nearest":
        return [(b.unary(UnaryFunction.ROUND, x), None)]
    floor = b.unary(UnaryFunction.FLOOR, x)
    part = b.sub(x, floor)
    if mode == "linear":
        return [(floor, b.add(b.mul(part, -1.0), 1.0)), (b.add(floor, 1.0), part)]
    distances = [b.add(part, 1.0), part, b.add(b.mul(part, -1.0), 1.0), b.add(b.mul(part, -1.0), 2.0)]
    return [(b.add(floor, float(step)), _cubic(b, distance, abs(step - 0.5) > 1)) for step, distance in
            zip((-1, 0, 1, 2), distances, strict=True)]  # fmt: skip


def _cubic(b: Builder, d: Value, far: bool) -> Value:
    """Keys' kernel at a distance in 0..1, or in 1..2 if far, by Horner's rule."""
    a = CUBIC
    factors = (a, -5 * a, 8 * a, -4 * a) if far else (a + 2, -(a + 3), 0.0, 1.0)
    y = b.add(b.mul(d, factors[0]), factors[1])
    for factor in factors[2:]:
        y = b.add(b.mul(y, d), float(factor))
    return y


def grid_sample(b: Builder, node: SourceNode) -> Value:
    """x [N, C, *sizes] at grid [N, *out, axes], whose coordinates run from -1 to 1, the innermost axis first."""
    x, grid = b.value(node, 0), b.value(node, 1)
    mode = {"bilinear": "linear", "bicubic": "cubic"}.get(node.text("mode", "linear"), node.text("mode", "linear"))
    padding, align = node.text("padding_mode", "zeros"), bool(node.integer("align_corners", 0))
    sizes = x.shape[2:]
    rank = len(sizes)
    if len(grid.shape) != rank + 2 or grid.shape[-1] != rank or grid.shape[0] != x.shape[0]:
        raise ModelError(f"a grid {list(grid.shape)} does not fit an input {list(x.shape)}")
    if mode not in ("linear", "nearest", "cubic") or padding not in ("zeros", "border", "reflection"):
        raise RefusedError(f"mode {mode!r} with padding {padding!r}", "use linear, nearest or cubic")
    if mode == "cubic" and rank != 2:
        raise RefusedError("cubic sampling of other than images", "use linear")
    border = _Border(b, padding, align)
    taps = []
    for axis, size in enumerate(sizes):
        at = _last(b, grid, rank - 1 - axis)
        scale, shift = ((size - 1) / 2, (size - 1) / 2) if align else (size / 2, (size - 1) / 2)
        at = b.add(b.mul(at, scale), shift)
        taps.append(_taps(b, at if mode == "cubic" else border.continuous(at, size), mode))
    first = np.arange(x.shape[0], dtype=np.int32).reshape(-1, *[1] * rank) * np.int32(math.prod(sizes))
    y = _weighted(b, _rows(b, x), sizes, taps, border, b.const(first))
    return b.transpose(y, (0, rank + 1, *range(1, rank + 1)))


def _weighted(
    b: Builder,
    rows: Value,
    sizes: Sequence[int],
    taps: Sequence[Sequence[tuple[Value, Value | None]]],
    border: _Border,
    first: Value,
) -> Value:
    """The sum over all combinations of the axes' taps."""
    total: Value | None = None
    for chosen in product(*taps):
        factors = [weight for _, weight in chosen if weight is not None]
        counts = [border.inside(at, size) for (at, _), size in zip(chosen, sizes, strict=True)]
        factors += [count for count in counts if count is not None]
        at = [border.whole(coordinate, size) for (coordinate, _), size in zip(chosen, sizes, strict=True)]
        pixels = _gathered(b, rows, sizes, at, first)
        if factors:
            factor = factors[0]
            for other in factors[1:]:
                factor = b.mul(factor, other)
            pixels = b.mul(pixels, b.reshape(factor, (*factor.shape, 1)))
        total = pixels if total is None else b.add(total, pixels)
    assert total is not None
    return total


def roi_align(b: Builder, node: SourceNode) -> Value:
    """x [N, C, H, W], rois [R, 4] of x1, y1, x2, y2, batch indices [R] -> [R, C, height, width]: every cell is the mean
    (or the largest) of samples between pixels."""
    x, rois, batches = (b.value(node, index) for index in range(3))
    height, width = node.integer("output_height", 1), node.integer("output_width", 1)
    samples = node.integer("sampling_ratio", 0)
    if samples < 1:
        raise RefusedError("sampling_ratio=0 (as many samples as each region needs)", "state a sampling_ratio")
    modern = node.opset >= 16 and node.text("coordinate_transformation_mode", "half_pixel") == "half_pixel"
    scale, offset = node.number("spatial_scale", 1.0), -0.5 if modern else 0.0
    count, sizes = rois.shape[0], x.shape[2:]
    edges = b.add(b.mul(rois, scale), offset)
    taps = []
    for axis, cells in enumerate((height, width)):
        begin, end = (b.slice(edges, 1, at, at + 1) for at in (1 - axis, 3 - axis))
        extent = b.sub(end, begin)
        if not modern:
            extent = b.emit("binary", [extent, 1.0], {"function": BinaryFunction.MAXIMUM})
        steps = ((np.arange(cells * samples) + 0.5) / (cells * samples)).astype(np.float32)
        at = b.add(b.mul(extent, steps), begin)  # [R, cells * samples]
        shape = (count, cells * samples, 1) if axis == 0 else (count, 1, cells * samples)
        taps.append(_roi_taps(b, b.reshape(at, shape), sizes[axis]))
    whole = b.emit("cast", [batches], dtype=DType.INT32)
    first = b.reshape(b.mul(whole, np.asarray(math.prod(sizes), np.int32)), (count, 1, 1))
    channels = x.shape[1]
    y: Value | None = None
    rows, maxima = _rows(b, x), node.text("mode", "avg") == "max"
    for (row, row_weight), (column, column_weight) in product(*taps):
        pixels = _gathered(b, rows, sizes, (row, column), first)
        factor = b.mul(row_weight, column_weight)
        pixels = b.mul(pixels, b.reshape(factor, (*factor.shape, 1)))
        if y is None:
            y = pixels
        else:  # ONNX's maximum is over the weighted pixels, not over the samples
            y = b.emit("binary", [y, pixels], {"function": BinaryFunction.MAXIMUM}) if maxima else b.add(y, pixels)
    assert y is not None
    parted = b.reshape(y, (count, height, samples, width, samples, channels))
    function = ReduceFunction.MAX if maxima else ReduceFunction.MEAN
    cells_of = b.reduce(function, parted, (2, 4), keep_dims=False)
    return b.transpose(cells_of, (0, 3, 1, 2))


def _roi_taps(b: Builder, at: Value, size: int) -> list[tuple[Value, Value]]:
    """The two pixels around a coordinate; beyond a pixel outside of the image there is nothing."""
    counts = _within(b, at, -1.0, float(size))
    held = b.unary(UnaryFunction.CLIP, at, 0.0, float(size - 1))
    floor = b.unary(UnaryFunction.FLOOR, held)
    part = b.sub(held, floor)
    following = b.unary(UnaryFunction.CLIP, b.add(floor, 1.0), 0.0, float(size - 1))
    rest = b.add(b.mul(part, -1.0), 1.0)
    return [(floor, b.mul(rest, counts)), (following, b.mul(part, counts))]


def deformable_conv(b: Builder, node: SourceNode) -> Value:
    """DeformConv of images: every tap is sampled where an offset moves it, weighted by the mask, and multiplied."""
    x, offsets = b.value(node, 0), b.value(node, 2)
    weights = b.value(node, 1)
    if len(x.shape) != 4 or len(weights.shape) != 4:
        raise RefusedError("a deformable convolution of other than images", "use images [N,C,H,W]")
    place = placed(node, x.shape[2:], node.integers("kernel_shape") or weights.shape[2:])
    out = place.sizes(x.shape[2:])
    groups, parts = node.integer("group", 1), node.integer("offset_group", 1)
    batch, channels = x.shape[:2]
    taps = math.prod(place.kernel)
    if offsets.shape != (batch, parts * taps * 2, *out) or channels % parts or channels % groups:
        raise ModelError(f"offsets {list(offsets.shape)} do not fit {parts} groups of {taps} taps and {list(out)}")
    apart = b.reshape(offsets, (batch, parts, taps, 2, *out))
    mask = b.reshape(b.value(node, 4), (batch, parts, taps, *out)) if node.has(4) else None
    border = _Border(b, "zeros", True)
    first = b.const(np.arange(batch, dtype=np.int32).reshape(-1, 1, 1, 1) * np.int32(math.prod(x.shape[2:])))
    columns = []
    for part in range(parts):
        width = channels // parts
        rows = _rows(b, b.slice(x, 1, part * width, (part + 1) * width))
        own = b.reshape(b.slice(apart, 1, part, part + 1), (batch, taps, 2, *out))
        read = []
        for axis in range(2):
            steps = np.arange(out[axis]) * place.stride[axis] - place.before[axis]
            tap = np.unravel_index(np.arange(taps), place.kernel)[axis] * place.dilation[axis]
            at = tap[:, np.newaxis, np.newaxis] + (steps[:, np.newaxis] if axis == 0 else steps[np.newaxis, :])
            moved = b.reshape(b.slice(own, 2, axis, axis + 1), (batch, taps, *out))
            read.append(_taps(b, b.add(moved, at.astype(np.float32)), "linear"))
        sampled = _weighted(b, rows, x.shape[2:], read, border, first)  # [N, taps, oh, ow, width]
        if mask is not None:
            weight = b.reshape(b.slice(mask, 1, part, part + 1), (batch, taps, *out, 1))
            sampled = b.mul(sampled, weight)
        columns.append(sampled)
    joined = columns[0] if parts == 1 else b.emit("concat", columns, {"axis": 4})
    pixels = b.transpose(joined, (0, 2, 3, 4, 1))  # [N, oh, ow, C, taps]
    depth = channels // groups * taps
    pixels = b.reshape(pixels, (batch, *out, groups, depth))
    outputs = weights.shape[0] // groups
    results = []
    for group in range(groups):
        given = b.reshape(b.slice(pixels, 3, group, group + 1), (batch * math.prod(out), depth))
        matrix = b.reshape(b.slice(weights, 0, group * outputs, (group + 1) * outputs), (outputs, depth))
        results.append(b.emit("matmul", [given, matrix], {"transpose_b": True}))
    y = results[0] if groups == 1 else b.emit("concat", results, {"axis": 1})
    y = b.transpose(b.reshape(y, (batch, *out, groups * outputs)), (0, 3, 1, 2))
    return b.add(y, along(b, y, b.value(node, 3), 1)) if node.has(3) else y


HANDLERS: dict[str, Handler] = {"GridSample": grid_sample, "RoiAlign": roi_align, "DeformConv": deformable_conv}
