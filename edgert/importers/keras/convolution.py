"""Keras handlers: convolutions, transposed, depthwise and separable ones, and layers that share no weights."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import partial

import numpy as np

from edgert.errors import ModelError
from edgert.importers.builder import Array, GraphBuilder, RefusedError
from edgert.importers.keras.elementwise import activated
from edgert.importers.keras.layer import Call, Handler, Layer
from edgert.importers.keras.spatial import placed, reach, same_start, spatial_axes
from edgert.importers.layers import axes as layout
from edgert.importers.layers.conv import convolution
from edgert.importers.layers.conv_transposed import transposed_convolution
from edgert.importers.layers.norm import along
from edgert.ir import Value


def outputs_first(kernel: Array) -> Array:
    """[*kernel, in, out] as [out, in, *kernel]."""
    rank = kernel.ndim - 2
    return np.ascontiguousarray(kernel.transpose(rank + 1, rank, *range(rank)))


def _kernel(layer: Layer, name: str, rank: int) -> Array:
    kernel = layer.weight(name)
    if kernel.ndim != rank + 2:
        raise ModelError(f"its {name} has the shape {list(kernel.shape)}, needed {rank + 2} dimensions")
    return kernel


def slid(b: GraphBuilder, layer: Layer, x: Value, weights: Array, bias: Array | None, groups: int, rank: int) -> Value:
    """x under the layer's window, with weights [out, in/groups, *kernel]."""
    last = layer.channels_last()
    stride, dilation = layer.sizes("strides", rank, 1), layer.sizes("dilation_rate", rank, 1)
    x, place = placed(
        b, layer, x, weights.shape[2:], stride, dilation, padding=layer.text("padding", "valid"), channels_last=last
    )
    return convolution(b, x, weights, bias, place, groups, channels_last=last)


def conv(rank: int, b: GraphBuilder, call: Call) -> Value:
    layer = call.layer
    weights = outputs_first(_kernel(layer, "kernel", rank))
    y = slid(b, layer, call.only(rank + 2), weights, layer.optional("bias"), layer.integer("groups", 1), rank)
    return activated(b, layer, y)


def _depthwise(kernel: Array) -> Array:
    """[*kernel, in, multiplier] as [in * multiplier, 1, *kernel]."""
    rank = kernel.ndim - 2
    flat = kernel.reshape(*kernel.shape[:rank], 1, -1)
    return outputs_first(flat)


def depthwise(rank: int, b: GraphBuilder, call: Call) -> Value:
    layer = call.layer
    kernel = _kernel(layer, "kernel", rank)
    y = slid(b, layer, call.only(rank + 2), _depthwise(kernel), layer.optional("bias"), kernel.shape[rank], rank)
    return activated(b, layer, y)


def separable(rank: int, b: GraphBuilder, call: Call) -> Value:
    layer = call.layer
    kernel, point = _kernel(layer, "depthwise_kernel", rank), _kernel(layer, "pointwise_kernel", rank)
    y = slid(b, layer, call.only(rank + 2), _depthwise(kernel), None, kernel.shape[rank], rank)
    last, ones = layer.channels_last(), (1,) * rank
    y, place = placed(b, layer, y, point.shape[:rank], ones, ones, padding="valid", channels_last=last)
    y = convolution(b, y, outputs_first(point), layer.optional("bias"), place, channels_last=last)
    return activated(b, layer, y)


def transposed(rank: int, b: GraphBuilder, call: Call) -> Value:
    """kernel [*kernel, out, in]. Sizes of the output: Keras' deconv_output_length."""
    layer, x, last = call.layer, call.only(rank + 2), call.layer.channels_last()
    kernel = _kernel(layer, "kernel", rank)
    stride, dilation = layer.sizes("strides", rank, 1), layer.sizes("dilation_rate", rank, 1)
    if min(*stride, *dilation) < 1:
        raise ModelError("strides and dilation must be at least 1")
    padding = layer.text("padding", "valid").lower()
    if padding not in ("valid", "same"):
        raise RefusedError(f"padding {padding!r}", "use 'valid' or 'same'")
    spans, sizes = reach(kernel.shape[:rank], dilation), [x.shape[axis] for axis in spatial_axes(x, rank, last)]
    out = _transposed_sizes(layer, sizes, spans, stride, padding, rank)
    before = [
        same_start(layer, size, span, step) if padding == "same" else 0
        for size, span, step in zip(out, spans, stride, strict=True)
    ]
    if min(before) < 0:
        raise RefusedError("strides larger than its kernel, with the backend CNTK", "use padding='valid'")
    weights = np.ascontiguousarray(kernel.transpose(rank + 1, rank, *range(rank)))
    whole = [(size - 1) * step + span for size, span, step in zip(sizes, spans, stride, strict=True)]
    made = [min(end, full - start) for end, full, start in zip(out, whole, before, strict=True)]
    beyond = [end - size for end, size in zip(out, made, strict=True)]  # positions that no kernel reaches
    bias = layer.optional("bias")
    y = transposed_convolution(
        b, x, weights, None if any(beyond) else bias, stride=stride, dilation=dilation, before=before, out=made,
        groups=layer.integer("groups", 1), channels_last=last,
    )  # fmt: skip
    if any(beyond):
        after = (0, *beyond, 0) if last else (0, 0, *beyond)
        y = b.pad(y, (0,) * len(after), after)
        y = y if bias is None else b.add(y, along(b, y, bias, -1 if last else 1))
    return activated(b, layer, y)


def _transposed_sizes(
    layer: Layer, sizes: Sequence[int], spans: Sequence[int], stride: Sequence[int], padding: str, rank: int
) -> list[int]:
    stated = layer.get("output_shape")
    if isinstance(stated, (list, tuple)) and len(stated) == rank + 2:  # Keras 1
        items = stated[1:-1] if layer.channels_last() else stated[2:]
        if all(isinstance(size, int) for size in items):
            return list(items)
    extra = None if layer.get("output_padding") is None else layer.sizes("output_padding", rank)
    out = []
    for at, (size, span, step) in enumerate(zip(sizes, spans, stride, strict=True)):
        if extra is not None:
            out.append((size - 1) * step + span - (2 * (span // 2) if padding == "same" else 0) + extra[at])
        else:
            out.append(size * step + (max(span - step, 0) if padding == "valid" else 0))
    return out


def locally_connected(rank: int, b: GraphBuilder, call: Call) -> Value:
    """A kernel of its own for every position: kernel [positions, window * in, out], bias [*positions, out]."""
    layer, x, last = call.layer, call.only(rank + 2), call.layer.channels_last()
    kernel, window = layer.weight("kernel"), layer.sizes("kernel_size", rank)
    if layer.integer("implementation", 1) != 1 or kernel.ndim != 3 or layer.text("padding", "valid") != "valid":
        raise RefusedError("implementation 2 or 3, or padding", "use implementation=1 and padding='valid'")
    channels = layout.channels(x, last)
    stride = layer.sizes("strides", rank, 1)
    sizes = [x.shape[axis] for axis in spatial_axes(x, rank, last)]
    out = [(size - span) // step + 1 for size, span, step in zip(sizes, window, stride, strict=True)]
    if min(out) < 1 or kernel.shape[:2] != (math.prod(out), math.prod(window) * channels):
        raise ModelError(f"its kernel {list(kernel.shape)} does not fit an input {list(x.shape)}")
    numbers = np.arange(math.prod(x.shape[1:])).reshape(x.shape[1:])
    taken = []
    for position in itertools.product(*(range(size) for size in out)):
        part = tuple(slice(p * step, p * step + span) for p, step, span in zip(position, stride, window, strict=True))
        taken.append(numbers[(*part, slice(None)) if last else (slice(None), *part)].reshape(-1))
    flat = b.reshape(x, (x.shape[0], numbers.size))
    patches = b.emit("gather", [flat, np.stack(taken).astype(np.int32)], {"axis": 1})
    y = b.transpose(b.emit("matmul", [b.transpose(patches, (1, 0, 2)), b.const(kernel)]), (1, 0, 2))
    bias = layer.optional("bias")
    if bias is not None:
        y = b.add(y, bias.reshape(y.shape[1:]))
    y = b.reshape(y, (x.shape[0], *out, kernel.shape[2]))
    y = y if last else b.transpose(y, (0, rank + 1, *range(1, rank + 1)))
    return activated(b, layer, y)


HANDLERS: dict[str, Handler] = {
    **{f"Conv{rank}D": partial(conv, rank) for rank in (1, 2, 3)},
    **{f"Conv{rank}DTranspose": partial(transposed, rank) for rank in (1, 2, 3)},
    **{f"DepthwiseConv{rank}D": partial(depthwise, rank) for rank in (1, 2)},
    **{f"SeparableConv{rank}D": partial(separable, rank) for rank in (1, 2)},
    **{f"LocallyConnected{rank}D": partial(locally_connected, rank) for rank in (1, 2)},
}
