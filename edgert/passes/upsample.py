"""Makes pictures enlarged by repeated pixels one resize.

Cases:
- a broadcast_to of one dimension of size 1 whose result a reshape shows as an image [N, H, W, C], where it repeats
  every row, or every column, so many times (UpSampling2D of Keras 3, repeat_interleave of PyTorch);
- a resize that repeats rows behind one that repeats columns, or the other way round: one resize.
"""

from __future__ import annotations

import math

from edgert.ir import Graph, Node, Value
from edgert.ops._enums import CoordinateMode, NearestMode, ResizeMode
from edgert.passes._rewrite import Sweep, first_input

# Positions in the middle of the repeated pixels, where rounding cannot matter.
REPEAT = {
    "mode": ResizeMode.NEAREST, "coordinates": CoordinateMode.HALF_PIXEL, "nearest": NearestMode.ROUND_PREFER_CEIL
}  # fmt: skip


def upsample(graph: Graph) -> bool:
    """Makes them; True when there were any."""
    return Sweep(graph).run(_visit)


def _visit(sweep: Sweep, node: Node) -> bool:
    if node.op == "reshape":
        return _repeated(sweep, node)
    return node.op == "resize" and _twice(sweep, node)


def _repeated(sweep: Sweep, node: Node) -> bool:
    wide = first_input(node)
    repeat = sweep.producer.get(wide)
    if repeat is None or repeat.op != "broadcast_to" or not sweep.single_use(wide) or len(node.output.shape) != 4:
        return False
    x = first_input(repeat)
    shape = (1,) * (len(wide.shape) - len(x.shape)) + x.shape
    axes = [axis for axis, size in enumerate(shape) if size != wide.shape[axis]]
    if len(axes) != 1 or 0 in wide.shape:
        return False
    times, before, after = wide.shape[axes[0]], math.prod(shape[: axes[0]]), math.prod(shape[axes[0] :])
    n, height, width, channels = node.output.shape
    if height % times == 0 and (before, after) == (n * height // times, width * channels):
        small: tuple[int, ...] = (n, height // times, width, channels)
    elif width % times == 0 and (before, after) == (n * height * width // times, channels):
        small = (n, height, width // times, channels)
    else:
        return False
    image = x if x.shape == small else sweep.emit("reshape", [x], {"shape": small}, node)
    return _resize(sweep, node, image)


def _twice(sweep: Sweep, node: Node) -> bool:
    middle = first_input(node)
    first = sweep.producer.get(middle)
    if first is None or first.op != "resize" or not sweep.single_use(middle):
        return False
    if not (_is_repeat(node) and _is_repeat(first)):
        return False
    image = first_input(first)
    if not any(image.shape[axis] == middle.shape[axis] and middle.shape[3 - axis] == node.output.shape[3 - axis]
               for axis in (1, 2)):  # fmt: skip
        return False
    return _resize(sweep, node, image)


def _is_repeat(node: Node) -> bool:
    x, y = first_input(node), node.output
    whole = all(y.shape[axis] % x.shape[axis] == 0 for axis in (1, 2))
    scaled = node.attrs["scale_h"] or node.attrs["scale_w"]
    return whole and not scaled and all(node.attrs[name] == value for name, value in REPEAT.items())


def _resize(sweep: Sweep, node: Node, image: Value) -> bool:
    _, height, width, _ = node.output.shape
    sweep.emit("resize", [image], {**REPEAT, "out_h": height, "out_w": width}, node, output=node.output)
    return True
