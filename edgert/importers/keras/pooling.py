"""Keras handlers: pooling."""

from __future__ import annotations

from functools import partial

from edgert.errors import ModelError
from edgert.importers.builder import GraphBuilder, RefusedError
from edgert.importers.keras.layer import Call, Handler, real
from edgert.importers.keras.spatial import placed, spatial_axes
from edgert.importers.layers.pool import average_pool, global_pool, max_pool
from edgert.importers.layers.window import window
from edgert.ir import Value
from edgert.ops._enums import ReduceFunction

RANKS = (1, 2, 3)


def pool(largest: bool, rank: int, b: GraphBuilder, call: Call) -> Value:
    """Padding never wins, and never counts."""
    layer, x, last = call.layer, real(b, call.input), call.layer.channels_last()
    kernel = layer.sizes("pool_size", rank, 2)
    stride = layer.sizes("strides", rank, kernel)
    padding = layer.text("padding", "valid")
    x, place = placed(b, layer, x, kernel, stride, (1,) * rank, padding=padding, channels_last=last, pool=True)
    if largest:
        return max_pool(b, x, place, channels_last=last)
    return average_pool(b, x, place, counts_padding=False, channels_last=last)


def whole(function: ReduceFunction, rank: int, b: GraphBuilder, call: Call) -> Value:
    layer, x = call.layer, real(b, call.input)
    spatial_axes(x, rank, True)
    keep = layer.flag("keepdims", False)
    return global_pool(b, x, function, channels_last=layer.channels_last(), keep_dims=keep)


def adaptive(largest: bool, rank: int, b: GraphBuilder, call: Call) -> Value:
    """To a size that divides the input's."""
    layer, x, last = call.layer, real(b, call.input), call.layer.channels_last()
    sizes = [x.shape[axis] for axis in spatial_axes(x, rank, last)]
    wanted = layer.sizes("output_size", rank)
    if min(wanted) < 1:
        raise ModelError(f"output_size is {list(wanted)}, needed at least 1")
    if any(size % out for size, out in zip(sizes, wanted, strict=True)):
        raise RefusedError(f"{sizes} positions do not part into {list(wanted)}", "use an output_size that divides them")
    step = [size // out for size, out in zip(sizes, wanted, strict=True)]
    place = window(sizes, step, stride=step)
    if largest:
        return max_pool(b, x, place, channels_last=last)
    return average_pool(b, x, place, counts_padding=False, channels_last=last)


HANDLERS: dict[str, Handler] = {
    **{f"{name}{rank}D": partial(pool, True, rank) for rank in RANKS for name in ("MaxPooling", "MaxPool")},
    **{f"{name}{rank}D": partial(pool, False, rank) for rank in RANKS for name in ("AveragePooling", "AvgPool")},
    **{
        f"{name}{rank}D": partial(whole, ReduceFunction.MAX, rank)
        for rank in RANKS
        for name in ("GlobalMaxPooling", "GlobalMaxPool")
    },
    **{
        f"{name}{rank}D": partial(whole, ReduceFunction.MEAN, rank)
        for rank in RANKS
        for name in ("GlobalAveragePooling", "GlobalAvgPool")
    },
    **{f"AdaptiveMaxPooling{rank}D": partial(adaptive, True, rank) for rank in RANKS},
    **{f"AdaptiveAveragePooling{rank}D": partial(adaptive, False, rank) for rank in RANKS},
}
