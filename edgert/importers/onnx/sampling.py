"""ONNX handlers: operators that read an image between its pixels, at places that the run computes."""

from __future__ import annotations

import math

import numpy as np

from edgert.errors import ModelError
from edgert.importers.layers import axes
from edgert.importers.layers import sampling as layers
from edgert.importers.layers.norm import along
from edgert.importers.layers.window import Window
from edgert.importers.onnx.builder import Builder, Handler, RefusedError, SourceNode
from edgert.importers.onnx.spatial import placed
from edgert.ir import Value


def grid_sample(b: Builder, node: SourceNode) -> Value:
    modes = {"linear": "linear", "bilinear": "linear", "cubic": "cubic", "bicubic": "cubic", "nearest": "nearest"}
    mode = node.text("mode", "linear")
    if mode not in modes:
        raise RefusedError(f"the mode {mode!r}", f"use one of {', '.join(modes)}")
    padding, align = node.text("padding_mode", "zeros"), bool(node.integer("align_corners", 0))
    return layers.grid_sample(b, b.value(node, 0), b.value(node, 1), modes[mode], padding, align)


def roi_align(b: Builder, node: SourceNode) -> Value:
    """Centres lie at 0.5 by default since operator set 16."""
    ratio, mode = node.integer("sampling_ratio", 0), node.text("mode", "avg")
    if ratio < 1:
        raise RefusedError("the data decides how many samples a bin has", "set sampling_ratio, to 2 for example")
    out = node.integer("output_height", 1), node.integer("output_width", 1)
    default = "half_pixel" if node.opset >= 16 else "output_half_pixel"
    half = node.text("coordinate_transformation_mode", default) == "half_pixel"
    return layers.roi_align(
        b, b.value(node, 0), b.value(node, 1), b.value(node, 2), out, ratio,
        node.number("spatial_scale", 1.0), half, mode == "max",
    )  # fmt: skip


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
    columns = []
    for part in range(parts):
        width = channels // parts
        source = axes.to_last(b, b.slice(x, 1, part * width, (part + 1) * width))
        own = b.reshape(b.slice(apart, 1, part, part + 1), (batch, taps, 2, *out))
        sampled = _moved_taps(b, source, own, place)
        if mask is not None:
            weight = b.reshape(b.slice(mask, 1, part, part + 1), (batch, taps, *out, 1))
            sampled = b.mul(sampled, weight)
        columns.append(sampled)
    joined = columns[0] if parts == 1 else b.emit("concat", columns, {"axis": 4})
    y = _product_by_groups(b, b.transpose(joined, (0, 2, 3, 4, 1)), weights, groups)
    return b.add(y, along(b, y, b.value(node, 3), 1)) if node.has(3) else y


def _moved_taps(b: Builder, x: Value, offsets: Value, place: Window) -> Value:
    """x [N, H, W, C], sampled where offsets [N, taps, 2, *out] move each tap of the window: [N, taps, *out, C]."""
    batch, taps, _, *out = offsets.shape
    sizes = x.shape[1:3]
    images = np.arange(batch, dtype=np.float32).reshape(-1, 1, 1, 1)
    read = []
    for axis in range(2):
        steps = np.arange(out[axis]) * place.stride[axis] - place.before[axis]
        tap = np.unravel_index(np.arange(taps), place.kernel)[axis] * place.dilation[axis]
        at = tap[:, np.newaxis, np.newaxis] + (steps[:, np.newaxis] if axis == 0 else steps[np.newaxis, :])
        moved = b.reshape(b.slice(offsets, 2, axis, axis + 1), (batch, taps, *out))
        read.append(layers.linear_taps(b, b.add(moved, at.astype(np.float32)), sizes[axis]))
    return layers.fetched(b, x, sizes, read, images)


def _product_by_groups(b: Builder, pixels: Value, weights: Value, groups: int) -> Value:
    """pixels [N, *out, C, taps] times weights [O, C/groups, *kernel]: [N, O, *out]."""
    batch, *out, channels, taps = pixels.shape
    depth = channels // groups * taps
    parted = b.reshape(pixels, (batch, *out, groups, depth))
    outputs = weights.shape[0] // groups
    results = []
    for group in range(groups):
        given = b.reshape(b.slice(parted, 3, group, group + 1), (batch * math.prod(out), depth))
        matrix = b.reshape(b.slice(weights, 0, group * outputs, (group + 1) * outputs), (outputs, depth))
        results.append(b.emit("matmul", [given, matrix], {"transpose_b": True}))
    y = results[0] if groups == 1 else b.emit("concat", results, {"axis": 1})
    return b.transpose(b.reshape(y, (batch, *out, groups * outputs)), (0, 3, 1, 2))


HANDLERS: dict[str, Handler] = {"GridSample": grid_sample, "RoiAlign": roi_align, "DeformConv": deformable_conv}
