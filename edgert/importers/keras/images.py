"""Keras handlers: resizing, scaling and cropping images."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from edgert.errors import ModelError
from edgert.importers.builder import Array, GraphBuilder, RefusedError
from edgert.importers.keras.layer import Call, Handler, Layer, real
from edgert.importers.keras.spatial import spatial_axes
from edgert.importers.layers.movement import tile_axis
from edgert.importers.layers.resize import LARGEST_MATRIX, Line, resize
from edgert.ir import Value

MODES = {"nearest": "nearest", "bilinear": "linear", "bicubic": "cubic"}


def resized(
    b: GraphBuilder, x: Value, axes: Sequence[int], sizes: Sequence[int], interpolation: str, *,
    antialias: bool = False, coordinates: str = "half_pixel", channels_last: bool = True,
) -> Value:  # fmt: skip
    """As tf.image.resize: pixels' centres, Keys' cubic with -1/2, and no weight outside the image."""
    if interpolation not in MODES:
        raise RefusedError(f"interpolation {interpolation!r}", "use nearest, bilinear or bicubic")
    shape = list(x.shape)
    for axis, size in zip(axes, sizes, strict=True):
        shape[axis] = size
    if interpolation == "nearest":
        return resize(b, x, shape, mode="nearest", coordinates="tf_half_pixel_for_nn", nearest="floor",
                      channels_last=channels_last)  # fmt: skip
    return resize(
        b, x, shape, mode=MODES[interpolation], coordinates=coordinates, cubic_coefficient=-0.5, exclude_outside=True,
        antialias=antialias, channels_last=channels_last,
    )  # fmt: skip


class _Table(Line):
    """TensorFlow looks the cubic kernel up in a table of 1024 places between two pixels."""

    def positions(self) -> Array:
        at = super().positions()
        return np.asarray(np.floor(at) + np.rint((at - np.floor(at)) * 1024) / 1024)


def cubic_by_table(b: GraphBuilder, x: Value, axes: Sequence[int], sizes: Sequence[int]) -> Value:
    """TensorFlow's bicubic resizing, by a product along each axis."""
    for axis, size in zip(axes, sizes, strict=True):
        if size == x.shape[axis]:
            continue
        if size * x.shape[axis] > LARGEST_MATRIX:
            raise ModelError(f"it resizes {x.shape[axis]} positions to {size}, which is too many")
        line = _Table(x.shape[axis], size, size / x.shape[axis], "half_pixel", (0.0, 1.0))
        matrix, _ = line.matrix("cubic", -0.5, True, False, 0.0)
        last = len(x.shape) - 1
        order = [*(at for at in range(last + 1) if at != axis), axis]
        y = b.emit("fully_connected", [b.transpose(x, order), matrix.astype(np.float32)])
        x = b.transpose(y, [order.index(at) for at in range(last + 1)])
    return x


def up_sampling(rank: int, b: GraphBuilder, call: Call) -> Value:
    x, layer = call.input, call.layer
    last = rank == 1 or layer.channels_last()
    axes, factors = spatial_axes(x, rank, last), layer.sizes("size", rank, 2)
    if min(factors) < 1:
        raise ModelError(f"size is {list(factors)}, needed at least 1")
    interpolation = layer.text("interpolation", "nearest")
    sizes = [x.shape[axis] * factor for axis, factor in zip(axes, factors, strict=True)]
    if interpolation == "nearest" and rank == 2:
        shape = list(x.shape)
        for axis, size in zip(axes, sizes, strict=True):
            shape[axis] = size
        return resize(b, x, shape, mode="nearest", coordinates="asymmetric", nearest="floor", channels_last=last)
    if interpolation == "nearest":
        for axis, factor in zip(axes, factors, strict=True):
            x = repeated(b, x, axis, factor)
        return x
    coordinates = "half_pixel"
    if layer.origin.release.startswith(("2.0.", "2.1.", "2.2.")) and "tf" not in layer.origin.release:
        coordinates = "asymmetric"  # TensorFlow 1 counts from the corner
        call.note(f"Layer {layer.path!r}: resized from the corner, as Keras {layer.origin.release} did.")
    if interpolation == "bicubic" and layer.origin.version < 3:
        return cubic_by_table(b, real(b, x), axes, sizes)
    return resized(b, real(b, x), axes, sizes, interpolation, coordinates=coordinates, channels_last=last)


def repeated(b: GraphBuilder, x: Value, axis: int, count: int) -> Value:
    """Every position of an axis `count` times."""
    if count == 1:
        return x
    apart = b.reshape(x, (*x.shape[: axis + 1], 1, *x.shape[axis + 1 :]))
    return b.reshape(
        tile_axis(b, apart, axis + 1, count), (*x.shape[:axis], x.shape[axis] * count, *x.shape[axis + 1 :])
    )


def _image(layer: Layer, x: Value) -> tuple[list[int], bool]:
    """Axes of height and width of a batch of images, or of one."""
    last = layer.channels_last()
    if len(x.shape) not in (3, 4):
        raise ModelError(f"its input has {len(x.shape)} dimensions, needed 3 or 4")
    first = len(x.shape) - (3 if last else 2)
    return [first, first + 1], last


def _centre(b: GraphBuilder, x: Value, axes: Sequence[int], sizes: Sequence[int]) -> Value:
    for axis, size in zip(axes, sizes, strict=True):
        start = (x.shape[axis] - size) // 2
        x = b.slice(x, axis, start, start + size)
    return x


def resizing(b: GraphBuilder, call: Call) -> Value:
    layer, x = call.layer, real(b, call.input)
    axes, last = _image(layer, x)
    height, width = layer.integer("height"), layer.integer("width")
    if min(height, width) < 1:
        raise ModelError(f"it resizes to {height}x{width}")
    if layer.flag("pad_to_aspect_ratio", False):
        raise RefusedError("pad_to_aspect_ratio", "pad the image before the model")
    if layer.flag("crop_to_aspect_ratio", False):
        old_height, old_width = (x.shape[axis] for axis in axes)
        crop = (min(old_height, int(old_width * height / width)), min(old_width, int(old_height * width / height)))
        x = _centre(b, x, axes, [max(size, 1) for size in crop])
    interpolation, antialias = layer.text("interpolation", "bilinear").lower(), layer.flag("antialias", False)
    if interpolation == "bicubic" and layer.origin.version < 3 and not antialias:
        return cubic_by_table(b, x, axes, (height, width))
    return resized(b, x, axes, (height, width), interpolation, antialias=antialias, channels_last=last)


def center_crop(b: GraphBuilder, call: Call) -> Value:
    layer, x = call.layer, call.input
    axes, _ = _image(layer, x)
    wanted = (layer.integer("height"), layer.integer("width"))
    if any(size > x.shape[axis] or size < 1 for axis, size in zip(axes, wanted, strict=True)):
        raise RefusedError(f"it crops {list(x.shape)} to {list(wanted)}, which is larger", "resize the image before it")
    return _centre(b, x, axes, wanted)


def rescaling(b: GraphBuilder, call: Call) -> Value:
    layer, x = call.layer, real(b, call.input)
    scale, offset = (
        np.asarray(layer.get(name, default), np.float32) for name, default in (("scale", 1.0), ("offset", 0.0))
    )
    return b.add(b.mul(x, scale), offset) if offset.any() else b.mul(x, scale)


HANDLERS: dict[str, Handler] = {
    **{f"UpSampling{rank}D": partial(up_sampling, rank) for rank in (1, 2, 3)},
    "Resizing": resizing,
    "CenterCrop": center_crop,
    "Rescaling": rescaling,
}
