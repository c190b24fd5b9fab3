"""TensorFlow handlers: resizing of images, in the three coordinate conventions that TensorFlow has had."""

from __future__ import annotations

from functools import partial

import numpy as np

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.builder import Array, RefusedError
from edgert.importers.layers.pool import average_pool
from edgert.importers.layers.resize import resize
from edgert.importers.layers.window import window
from edgert.importers.tensorflow.builder import Builder, Handler, SourceNode
from edgert.importers.tensorflow.spatial import need_rank
from edgert.ir import Value

STEPS = 1024  # of the table of cubic weights
LARGEST_MATRIX, LARGEST_SIDE = 1 << 24, 1 << 20


def _target(b: Builder, node: SourceNode, x: Value) -> tuple[int, int]:
    need_rank(x, 4)
    size = b.ints(node, 1, "size")
    if len(size) != 2 or min(size) < 1 or max(size) > LARGEST_SIDE:
        raise ModelError(f"it resizes to {list(size)}")
    return size[0], size[1]


def _real(b: Builder, x: Value) -> Value:
    return x if x.dtype == DType.FLOAT32 else b.emit("cast", [x], dtype=DType.FLOAT32)


def resize_image(mode: str, b: Builder, node: SourceNode) -> Value:
    """Corners aligned, centres of pixels, or (older graphs) their upper left corners."""
    x = b.value(node, 0)
    height, width = _target(b, node, x)
    corners, centres = node.flag("align_corners"), node.flag("half_pixel_centers")
    if corners and centres:
        raise ModelError("align_corners and half_pixel_centers exclude each other")
    coordinates = "align_corners" if corners else "half_pixel" if centres else "asymmetric"
    sizes = (x.shape[0], height, width, x.shape[3])
    if mode == "nearest":
        whole = height % x.shape[1] == 0 and width % x.shape[2] == 0
        if centres:  # whole steps up repeat each pixel, whichever way one counts
            coordinates = "asymmetric" if whole else "tf_half_pixel_for_nn"
        nearest = "round_prefer_ceil" if corners else "floor"
        return resize(b, x, sizes, mode=mode, coordinates=coordinates, nearest=nearest, channels_last=True)
    return resize(b, _real(b, x), sizes, mode=mode, coordinates=coordinates, channels_last=True)


def resize_bicubic(b: Builder, node: SourceNode) -> Value:
    """Along each axis a product with a matrix [out, in] of the kernel's weights."""
    x = b.value(node, 0)
    target = _target(b, node, x)
    corners, centres = node.flag("align_corners"), node.flag("half_pixel_centers")
    x = _real(b, x)
    for axis, size in enumerate(target, 1):
        if size != x.shape[axis]:
            order = [at for at in range(4) if at != axis] + [axis]
            y = b.emit("fully_connected", [b.transpose(x, order), _cubic(x.shape[axis], size, corners, centres)])
            x = b.transpose(y, [order.index(at) for at in range(4)])
    return x


def _cubic(size: int, out: int, corners: bool, centres: bool) -> Array:
    """Weights [out, size] of tensorflow/core/kernels/image/resize_bicubic_op.cc: they are looked up in a table of 1024
    steps; with centres of pixels the kernel is Keys' (-1/2) and leaves out what is outside, else -3/4 and repeats it.
    """
    if size * out > LARGEST_MATRIX:
        raise ModelError(f"it resizes {size} to {out}")
    scale = np.float32((size - 1) / (out - 1) if corners and out > 1 else size / out)
    at = np.arange(out, dtype=np.float32)
    place = (at + np.float32(0.5)) * scale - np.float32(0.5) if centres else at * scale
    first = np.floor(place)
    step = np.rint((place - first) * STEPS) / STEPS
    a = -0.5 if centres else -0.75
    near = [((a + 2) * t - (a + 3)) * t * t + 1 for t in (step, 1 - step)]
    far = [((a * t - 5 * a) * t + 8 * a) * t - 4 * a for t in (1 + step, 2 - step)]
    taps = np.stack([far[0], near[0], near[1], far[1]], 1)
    read = first.astype(np.int64)[:, np.newaxis] + np.arange(-1, 3)
    if centres:
        taps = np.where((read >= 0) & (read < size), taps, 0.0)
        taps /= taps.sum(1, keepdims=True)
    matrix = np.zeros((out, size))
    np.add.at(matrix, (np.arange(out)[:, np.newaxis], np.clip(read, 0, size - 1)), taps)
    return matrix.astype(np.float32)


def resize_area(b: Builder, node: SourceNode) -> Value:
    """Means of whole blocks of pixels."""
    x = b.value(node, 0)
    target, sizes = _target(b, node, x), x.shape[1:3]
    if any(size % out for size, out in zip(sizes, target, strict=True)) or node.flag("align_corners"):
        raise RefusedError(
            f"it makes {list(target)} of {list(sizes)}", "shrink by whole factors, or use ResizeBilinear"
        )
    block = tuple(size // out for size, out in zip(sizes, target, strict=True))
    return average_pool(b, _real(b, x), window(sizes, block, stride=block), counts_padding=False, channels_last=True)


HANDLERS: dict[str, Handler] = {
    "ResizeBilinear": partial(resize_image, "linear"),
    "ResizeNearestNeighbor": partial(resize_image, "nearest"),
    "ResizeBicubic": resize_bicubic,
    "ResizeArea": resize_area,
}
