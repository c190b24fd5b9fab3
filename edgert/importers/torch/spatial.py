"""PyTorch handlers: convolutions, pools and resizing of sequences, images and volumes, channels first.

PyTorch lets the batch dimension away; such inputs get one of size 1 for the while.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from edgert.errors import ModelError, Unsupported
from edgert.importers.layers import conv, conv_transposed, pool
from edgert.importers.layers.resize import resize
from edgert.importers.layers.window import Window, window
from edgert.importers.torch.builder import Builder, Call, Handler, Lost, QuantizedConstant, RefusedError
from edgert.ir import Value
from edgert.ops._enums import ReduceFunction


def batched(b: Builder, x: Value, rank: int, run: Callable[[Value], Value]) -> Value:
    """run on x with a batch dimension; rank: of spatial dimensions."""
    if len(x.shape) == rank + 2:
        return run(x)
    if len(x.shape) != rank + 1:
        raise ModelError(f"its input has the shape {list(x.shape)}, needed [N, C] and {rank} sizes")
    y = run(b.reshape(x, (1, *x.shape)))
    return b.reshape(y, y.shape[1:])


def _weights_shape(b: Builder, call: Call) -> tuple[int, ...]:
    weights = b.weights(call)
    return weights.data.shape if isinstance(weights, QuantizedConstant) else weights.shape


def convolution(b: Builder, call: Call) -> Value:
    """conv1d, conv2d, conv3d; padding is a list, or "same" or "valid"."""
    x, groups = b.value(call, "input"), call.integer("groups", 1)
    kernel = _weights_shape(b, call)[2:]
    rank = len(kernel)
    stride, dilation = call.spread("stride", rank, 1), call.spread("dilation", rank, 1)
    text = call.args.get("padding")
    before: Sequence[int]
    after: Sequence[int]
    if isinstance(text, str):
        total = [(size - 1) * step if text == "same" else 0 for size, step in zip(kernel, dilation, strict=True)]
        before = [size // 2 for size in total]
        after = [size - size // 2 for size in total]
    else:
        before = after = call.spread("padding", rank, 0)

    def run(image: Value) -> Value:
        place = window(image.shape[2:], kernel, stride=stride, dilation=dilation, before=before, after=after)
        return conv.convolution(b, image, b.weights(call), b.optional(call, "bias"), place, groups)

    return batched(b, x, rank, run)


def transposed_convolution(b: Builder, call: Call) -> Value:
    x, groups = b.value(call, "input"), call.integer("groups", 1)
    kernel = _weights_shape(b, call)[2:]
    rank = len(kernel)
    stride, dilation = call.spread("stride", rank, 1), call.spread("dilation", rank, 1)
    padding, further = call.spread("padding", rank, 0), call.spread("output_padding", rank, 0)

    def run(image: Value) -> Value:
        out = [
            (size - 1) * step - 2 * pad + gap * (taps - 1) + more + 1
            for size, step, pad, gap, taps, more in zip(
                image.shape[2:], stride, padding, dilation, kernel, further, strict=True
            )
        ]
        return conv_transposed.transposed_convolution(
            b, image, b.weights(call), b.optional(call, "bias"),
            stride=stride, dilation=dilation, before=padding, out=out, groups=groups,
        )  # fmt: skip

    return batched(b, x, rank, run)


def either_convolution(b: Builder, call: Call) -> Value:
    """aten.convolution, which says by a flag whether it is transposed."""
    return transposed_convolution(b, call) if call.flag("transposed") else convolution(b, call)


# Pools


def _pool_window(call: Call, sizes: Sequence[int]) -> Window:
    rank = len(sizes)
    kernel = call.spread("kernel_size", rank, 1)
    stride = call.spread("stride", rank, 1) if call.integers("stride") else kernel
    padding = call.spread("padding", rank, 0)
    dilation = call.spread("dilation", rank, 1)
    return window(
        sizes, kernel, stride=stride, dilation=dilation, before=padding, after=padding, ceil=call.flag("ceil_mode")
    )


def max_pool(rank: int, b: Builder, call: Call) -> Value:
    return batched(
        b, b.value(call, "self"), rank, lambda x: pool.max_pool(b, x, _pool_window(call, x.shape[2:]))
    )  # fmt: skip


def max_pool_with_indices(rank: int, b: Builder, call: Call) -> list[Value | Lost]:
    return [max_pool(rank, b, call), _no_positions(call)]


def _no_positions(call: Call) -> Lost:
    """Where the maxima stand: only using that is refused."""
    reason = Unsupported(call.name, call.op, "the positions of its maxima are used", "do without them (max_unpool)")
    return Lost((reason,))


def average_pool(rank: int, b: Builder, call: Call) -> Value:
    counts = call.flag("count_include_pad", True)
    x = b.value(call, "self")
    y = batched(
        b,
        x,
        rank,
        lambda image: pool.average_pool(b, image, _pool_window(call, image.shape[2:]), counts_padding=counts),
    )
    if not call.has("divisor_override"):
        return y
    if any(call.integers("padding")) and not counts:
        raise RefusedError("divisor_override with padding that does not count", "use count_include_pad=True")
    kernel = call.spread("kernel_size", rank, 1)
    return b.mul(y, math.prod(kernel) / call.integer("divisor_override"))


def _adaptive_sizes(call: Call, sizes: Sequence[int]) -> tuple[int, ...]:
    stated = call.args.get("output_size")
    items = list(stated) if isinstance(stated, list | tuple) else [stated] * len(sizes)
    if len(items) == 1:
        items *= len(sizes)
    wanted = call.spread("output_size", len(sizes), 1) if None not in items else tuple(
        size if item is None else int(item) for item, size in zip(items, sizes, strict=True)
    )  # fmt: skip
    if min(wanted) < 1:
        raise ModelError(f"it pools to {list(wanted)}")
    return wanted


def adaptive_pool(maximum: bool, rank: int, b: Builder, call: Call) -> Value:
    """Windows from floor(i * size / out) to ceil((i + 1) * size / out): even ones are an ordinary pool; uneven ones
    are one matrix for each axis (average), or one pool for each output position (maximum)."""

    def run(x: Value) -> Value:
        sizes = x.shape[2:]
        out = _adaptive_sizes(call, sizes)
        function = ReduceFunction.MAX if maximum else ReduceFunction.MEAN
        if math.prod(out) == 1:
            return pool.global_pool(b, x, function)
        if all(size % count == 0 for size, count in zip(sizes, out, strict=True)):
            kernel = [size // count for size, count in zip(sizes, out, strict=True)]
            place = window(sizes, kernel, stride=kernel)
            return pool.max_pool(b, x, place) if maximum else pool.average_pool(b, x, place, counts_padding=True)
        for axis, (size, count) in enumerate(zip(sizes, out, strict=True), 2):
            x = _uneven(b, x, axis, size, count, maximum)
        return x

    return batched(b, b.value(call, "self"), rank, run)


def _uneven(b: Builder, x: Value, axis: int, size: int, count: int, maximum: bool) -> Value:
    bounds = [(at * size // count, -(-(at + 1) * size // count)) for at in range(count)]
    if maximum:
        parts = [b.reduce(ReduceFunction.MAX, b.slice(x, axis, *bound), [axis]) for bound in bounds]
        return b.emit("concat", parts, {"axis": axis})
    matrix = np.zeros((count, size), np.float32)
    for row, (begin, end) in enumerate(bounds):
        matrix[row, begin:end] = 1 / (end - begin)
    order = (*(at for at in range(len(x.shape)) if at != axis), axis)
    y = b.emit("fully_connected", [b.transpose(x, order), matrix])
    return b.transpose(y, [order.index(at) for at in range(len(order))])


def adaptive_max_pool(rank: int, b: Builder, call: Call) -> list[Value | Lost]:
    return [adaptive_pool(True, rank, b, call), _no_positions(call)]


# Resizing


def upsample(mode: str, b: Builder, call: Call) -> Value:
    """mode: nearest, nearest-exact, linear or cubic. Sizes come as output_size or as factors."""
    x = b.value(call, call.any_of("self", "input"))
    sizes = x.shape[2:]
    rank = len(sizes)
    factors = _factors(call, rank)
    if call.has("output_size"):
        out = call.spread("output_size", rank, 1)
    elif any(factors):
        out = tuple(math.floor(size * factor) for size, factor in zip(sizes, factors, strict=True))
    else:
        raise ModelError("it states neither sizes nor factors")
    corners = call.flag("align_corners")
    coordinates = {"nearest": "asymmetric", "nearest-exact": "half_pixel"}.get(
        mode, "align_corners" if corners else "half_pixel"
    )
    return resize(
        b, x, (*x.shape[:2], *out), scales=(1.0, 1.0, *factors) if any(factors) else None,
        mode="nearest" if mode.startswith("nearest") else mode, coordinates=coordinates,
        nearest="floor" if mode == "nearest" else "round_prefer_ceil", antialias=call.op.endswith("_aa"),
        cubic_coefficient=-0.5 if call.op.endswith("_aa") else -0.75, exclude_outside=call.op.endswith("_aa"),
    )  # fmt: skip


def _factors(call: Call, rank: int) -> tuple[float, ...]:
    """Scale factors, 0 where they are not given."""
    if call.has("scale_factors"):
        stated = call.args["scale_factors"]
        items = list(stated) if isinstance(stated, list | tuple) else [stated] * rank
        return tuple(float(item) for item in items)
    names = {1: ("scales",), 2: ("scales_h", "scales_w"), 3: ("scales_d", "scales_h", "scales_w")}[rank]
    found = tuple(call.number(name) for name in names)
    return found if all(found) else (0.0,) * rank


def im2col(b: Builder, call: Call) -> Value:
    """[N, C, H, W] -> [N, C * KH * KW, positions]: one slice for each tap."""
    x = b.value(call, "self")
    kernel, stride = call.spread("kernel_size", 2, 1), call.spread("stride", 2, 1)
    dilation, padding = call.spread("dilation", 2, 1), call.spread("padding", 2, 0)
    place = window(x.shape[2:], kernel, stride=stride, dilation=dilation, before=padding, after=padding)
    rows, columns = place.sizes(x.shape[2:])
    y = b.pad(x, (0, 0, *padding), (0, 0, *padding))
    taps = []
    for row, column in np.ndindex(*kernel):
        top, left = row * dilation[0], column * dilation[1]
        begins, ends = (0, 0, top, left), (*x.shape[:2], top + (rows - 1) * stride[0] + 1,
                                           left + (columns - 1) * stride[1] + 1)  # fmt: skip
        part = b.slices(y, begins, ends, (1, 1, *stride))
        taps.append(b.reshape(part, (*x.shape[:2], 1, rows * columns)))
    joined = taps[0] if len(taps) == 1 else b.emit("concat", taps, {"axis": 2})
    return b.reshape(joined, (x.shape[0], x.shape[1] * len(taps), rows * columns))


def col2im(b: Builder, call: Call) -> Value:
    """[N, C * KH * KW, positions] -> [N, C, H, W]: the inverse of im2col, overlaps summed, is a transposed convolution
    with a kernel for each tap that has a 1 there."""
    x = b.value(call, "self")
    kernel, stride = call.spread("kernel_size", 2, 1), call.spread("stride", 2, 1)
    dilation, padding = call.spread("dilation", 2, 1), call.spread("padding", 2, 0)
    sizes = call.spread("output_size", 2, 1)
    taps = math.prod(kernel)
    batched_columns = x if len(x.shape) == 3 else b.reshape(x, (1, *x.shape))
    rows, columns = window(sizes, kernel, stride=stride, dilation=dilation, before=padding, after=padding).sizes(sizes)
    batch, channels = batched_columns.shape[0], batched_columns.shape[1] // taps
    image = b.reshape(batched_columns, (batch * channels, taps, rows, columns))
    kernels = np.eye(taps, dtype=np.float32).reshape(taps, 1, *kernel)
    y = conv_transposed.transposed_convolution(
        b, image, kernels, None, stride=stride, dilation=dilation, before=padding, out=sizes
    )
    return b.reshape(y, (batch, channels, *sizes) if len(x.shape) == 3 else (channels, *sizes))


HANDLERS: dict[str, Handler] = {
    "aten.conv1d": convolution,
    "aten.conv2d": convolution,
    "aten.conv3d": convolution,
    "aten._convolution_mode": convolution,
    "aten._convolution": either_convolution,
    "aten.convolution": either_convolution,
    "aten.conv_transpose1d": transposed_convolution,
    "aten.conv_transpose2d": transposed_convolution,
    "aten.conv_transpose3d": transposed_convolution,
    **{f"aten.max_pool{rank}d": partial(max_pool, rank) for rank in (1, 2, 3)},
    **{f"aten.max_pool{rank}d_with_indices": partial(max_pool_with_indices, rank) for rank in (1, 2, 3)},
    **{f"aten.avg_pool{rank}d": partial(average_pool, rank) for rank in (1, 2, 3)},
    **{f"aten.adaptive_avg_pool{rank}d": partial(adaptive_pool, False, rank) for rank in (1, 2, 3)},
    **{f"aten._adaptive_avg_pool{rank}d": partial(adaptive_pool, False, rank) for rank in (2, 3)},
    **{f"aten.adaptive_max_pool{rank}d": partial(adaptive_max_pool, rank) for rank in (1, 2, 3)},
    **{f"aten.upsample_nearest{rank}d": partial(upsample, "nearest") for rank in (1, 2, 3)},
    **{f"aten._upsample_nearest_exact{rank}d": partial(upsample, "nearest-exact") for rank in (1, 2, 3)},
    "aten.upsample_linear1d": partial(upsample, "linear"),
    "aten.upsample_bilinear2d": partial(upsample, "linear"),
    "aten._upsample_bilinear2d_aa": partial(upsample, "linear"),
    "aten.upsample_trilinear3d": partial(upsample, "linear"),
    "aten.upsample_bicubic2d": partial(upsample, "cubic"),
    "aten._upsample_bicubic2d_aa": partial(upsample, "cubic"),
    "aten.im2col": im2col,
    "aten.col2im": col2im,
}
