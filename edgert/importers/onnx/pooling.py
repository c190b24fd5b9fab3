"""ONNX handlers: pools that say where their maximum stood, pools of powers, and columns put back into images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import numpy as np

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.layers import axes, pool
from edgert.importers.layers.conv_transposed import transposed_convolution
from edgert.importers.layers.window import Window
from edgert.importers.onnx.builder import Array, Builder, Handler, Outputs, RefusedError, SourceNode
from edgert.importers.onnx.spatial import pool_window
from edgert.ir import Value
from edgert.ops._enums import CompareFunction, UnaryFunction

MOST_TAPS = 128  # of a window whose positions are asked for: each becomes a few nodes


def max_pool(b: Builder, node: SourceNode) -> Outputs:
    x = b.value(node, 0)
    place = pool_window(node, x)
    if not any(node.outputs[1:]):
        return pool.max_pool(b, x, place)
    return _with_positions(b, x, place, bool(node.integer("storage_order", 0)))


def _with_positions(b: Builder, x: Value, place: Window, column_major: bool) -> list[Value]:
    """The maxima and where in the whole tensor they stand: tap after tap, the first of equal ones stays."""
    if math.prod(place.kernel) > MOST_TAPS:
        raise RefusedError(f"positions of a maximum of {math.prod(place.kernel)}", f"at most {MOST_TAPS} are compared")
    if x.dtype != DType.FLOAT32:
        raise RefusedError(f"positions of the maxima of {x.dtype.name.lower()}", "cast to float32 before it")
    sizes = x.shape[2:]
    ends = [after + more for after, more in zip(place.after, place.overhang, strict=True)]
    lowest = float(np.finfo(np.float32).min)
    padded = b.pad(x, (0, 0, *place.before), (0, 0, *ends), lowest)
    out = place.sizes(sizes)
    positions = _positions(b.room(x.shape), place, ends, column_major)
    best: Value | None = None
    found: Value | None = None
    for tap in product(*(range(size) for size in place.kernel)):
        starts = [at * step for at, step in zip(tap, place.dilation, strict=True)]
        reach = [start + (n - 1) * step + 1 for start, n, step in zip(starts, out, place.stride, strict=True)]
        values = b.slices(padded, (0, 0, *starts), (*x.shape[:2], *reach), (1, 1, *place.stride))
        cut = tuple(slice(*item) for item in zip(starts, reach, place.stride, strict=True))
        here = np.ascontiguousarray(positions[(slice(None), slice(None), *cut)])
        if best is None or found is None:
            best, found = values, b.const(here)
            continue
        larger = b.emit("compare", [values, best], {"function": CompareFunction.GREATER})
        best, found = b.emit("select", [larger, values, best]), b.emit("select", [larger, here, found])
    assert best is not None
    assert found is not None
    return [best, found]


def _positions(shape: Sequence[int], place: Window, ends: list[int], column_major: bool) -> Array:
    """The index of every element of a tensor in it, padded like it."""
    order = (*range(2), *reversed(range(2, len(shape)))) if column_major else tuple(range(len(shape)))
    numbers = np.arange(math.prod(shape), dtype=np.int64).reshape([shape[axis] for axis in order])
    numbers = numbers.transpose(np.argsort(order))
    return np.pad(numbers, [(0, 0), (0, 0), *zip(place.before, ends, strict=True)])


def lp_pool(b: Builder, node: SourceNode) -> Value:
    """(sum of |x|^p) ^ (1/p) over the window; padding counts as 0."""
    x = b.value(node, 0)
    place, power = pool_window(node, x), node.integer("p", 2)
    magnitudes = _power(b, b.unary(UnaryFunction.ABS, x), float(power))
    last = axes.to_last(b, magnitudes)
    image = place.image()
    ends = [after + more for after, more in zip(image.after, image.overhang, strict=True)]
    last = axes.pad_sizes(b, last, image.before, ends)
    mean = pool.average_pool(b, axes.from_last(b, last, len(x.shape)), place.unpadded(), counts_padding=False)
    return _power(b, b.mul(mean, float(math.prod(place.kernel))), 1.0 / power)


def global_lp_pool(b: Builder, node: SourceNode) -> Value:
    x, power = b.value(node, 0), node.integer("p", 2)
    magnitudes = _power(b, b.unary(UnaryFunction.ABS, x), float(power))
    mean = b.mean(magnitudes, range(2, len(x.shape)))
    return _power(b, b.mul(mean, float(math.prod(x.shape[2:]))), 1.0 / power)


def _power(b: Builder, x: Value, exponent: float) -> Value:
    from edgert.importers.layers.elementwise import power

    return power(b, x, exponent)


def max_unpool(b: Builder, node: SourceNode) -> Value:
    """Every element at the place that its index says, counted in the size that was pooled; zeros elsewhere, and up to
    an output that is stated to be larger."""
    x, indices = b.value(node, 0), b.value(node, 1)
    rank = len(x.shape) - 2
    kernel = node.integers("kernel_shape") or ()
    strides = node.integers("strides") or (1,) * rank
    pads = node.integers("pads") or (0,) * (2 * rank)
    if len(kernel) != rank or len(strides) != rank or len(pads) != 2 * rank:
        raise ModelError(f"kernel, strides or pads do not fit {rank} spatial dimensions")
    inner = [
        (size - 1) * step + width - before - after
        for size, step, width, before, after in zip(x.shape[2:], strides, kernel, pads, pads[rank:], strict=False)
    ]
    own = (*x.shape[:2], *inner)
    shape = tuple(b.ints(node, 2, "output shape")) if node.has(2) else own
    count = math.prod(x.shape)
    zeros = np.zeros(b.room([math.prod(own)]), np.float32)
    flat = b.emit("scatter_elements", [zeros, b.reshape(indices, (count,)), b.reshape(x, (count,))], {"axis": 0})
    y = b.reshape(flat, own)
    if shape == own:
        return y
    if len(shape) != len(own) or any(size < have for size, have in zip(shape, own, strict=True)):
        raise RefusedError(f"an output {list(shape)} smaller than {list(own)}", "state none, or a larger one")
    return b.pad(y, (0,) * len(own), [size - have for size, have in zip(shape, own, strict=True)])


def columns_to_image(b: Builder, node: SourceNode) -> Value:
    """Col2Im: [N, C * taps, positions], summed where windows overlap: a transposed convolution that only moves."""
    x = b.value(node, 0)
    image, kernel = b.ints(node, 1, "image shape"), b.ints(node, 2, "block shape")
    rank = len(image)
    strides, dilations = (node.integers(name) or (1,) * rank for name in ("strides", "dilations"))
    pads = node.integers("pads") or (0,) * (2 * rank)
    taps = math.prod(kernel)
    if len(x.shape) != 3 or x.shape[1] % taps or {len(kernel), len(strides), len(dilations), len(pads) // 2} != {rank}:
        raise ModelError(f"columns {list(x.shape)} do not fit blocks {list(kernel)}")
    counts = [
        (size + pads[axis] + pads[rank + axis] - (kernel[axis] - 1) * dilations[axis] - 1) // strides[axis] + 1
        for axis, size in enumerate(image)
    ]
    if math.prod(counts) != x.shape[2]:
        raise ModelError(f"{x.shape[2]} columns do not fit {counts} positions")
    channels = x.shape[1] // taps
    b.room([taps, taps, channels])
    weights = np.tile(np.eye(taps, dtype=np.float32), (channels, 1)).reshape(channels * taps, 1, *kernel)
    return transposed_convolution(
        b,
        b.reshape(x, (*x.shape[:2], *counts)),
        weights,
        None,
        stride=strides,
        dilation=dilations,
        before=pads[:rank],
        out=image,
        groups=channels,
    )


HANDLERS: dict[str, Handler] = {
    "MaxPool": max_pool,
    "LpPool": lp_pool,
    "GlobalLpPool": global_lp_pool,
    "MaxUnpool": max_unpool,
    "Col2Im": columns_to_image,
}
