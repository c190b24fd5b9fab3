"""Where windows lie: padding as each backend of Keras understands it.

"same" gives ceil(size / stride) positions everywhere, but backends do not begin at the same place. TensorFlow, JAX and
PyTorch: half of what is missing in all, rounded down. Theano: half of the kernel for convolutions, nearly all of it
for pools. CNTK: the kernel's centre at half of what is left over (Source/Math/ConvolveGeometry.h).
"""

from __future__ import annotations

from collections.abc import Sequence

from edgert.errors import ModelError
from edgert.importers.builder import GraphBuilder, RefusedError
from edgert.importers.keras.layer import Layer
from edgert.importers.layers.window import Window, window
from edgert.ir import Value


def spatial_axes(x: Value, rank: int, channels_last: bool) -> list[int]:
    """The axes of x [N, *sizes, C] or [N, C, *sizes] that windows slide over."""
    if len(x.shape) != rank + 2:
        raise ModelError(f"its input has {len(x.shape)} dimensions, needed {rank + 2}")
    return list(range(1, rank + 1)) if channels_last else list(range(2, rank + 2))


def reach(kernel: Sequence[int], dilation: Sequence[int]) -> list[int]:
    return [(size - 1) * step + 1 for size, step in zip(kernel, dilation, strict=True)]


def same_start(layer: Layer, size: int, span: int, stride: int, pool: bool = False) -> int:
    """How many positions of padding come before an axis (fewer than none: positions that are never read)."""
    out = -(-size // stride)
    backend = layer.origin.backend
    if backend == "theano":
        if not pool:
            return span // 2
        return span - 2 if span > 2 and span % 2 else span - 1
    if backend == "cntk":
        return (span - 1) // 2 - (size - ((out - 1) * stride + 1)) // 2
    return max((out - 1) * stride + span - size, 0) // 2


def placed(
    b: GraphBuilder,
    layer: Layer,
    x: Value,
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    *,
    padding: str,
    channels_last: bool,
    pool: bool = False,
) -> tuple[Value, Window]:
    """The window of a layer over x, and x, of which a backend may leave out positions at the beginning."""
    axes = spatial_axes(x, len(kernel), channels_last)
    if min(*kernel, *stride, *dilation) < 1:
        raise ModelError("kernel, strides and dilation must be at least 1")
    spans = reach(kernel, dilation)
    before, after = [0] * len(axes), [0] * len(axes)
    padding = padding.lower()
    if padding == "causal" and len(axes) == 1:
        before[0] = spans[0] - 1
    elif padding == "full":
        before = [span - 1 for span in spans]
        after = list(before)
    elif padding == "same":
        for at, axis in enumerate(axes):
            size = x.shape[axis]
            start = same_start(layer, size, spans[at], stride[at], pool)
            if start < 0:
                x = b.slice(x, axis, -start, size)
            before[at] = max(start, 0)
            after[at] = max((-(-size // stride[at]) - 1) * stride[at] + spans[at] - size - start, 0)
    elif padding != "valid":
        raise RefusedError(f"padding {padding!r}", "use 'valid' or 'same'")
    sizes = [x.shape[axis] for axis in axes]
    return x, window(sizes, kernel, stride=stride, dilation=dilation, before=before, after=after)
