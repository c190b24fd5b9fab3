"""Caffe handlers: layers that move elements about."""

from __future__ import annotations

import itertools

from edgert.errors import ModelError
from edgert.importers.builder import GraphBuilder
from edgert.importers.caffe.layer import Handler, SourceLayer, axis_of
from edgert.importers.layers import movement
from edgert.ir import Value


def concat(b: GraphBuilder, layer: SourceLayer) -> Value:
    param = layer.param("concat_param")
    axis = param.concat_dim if param.has("concat_dim") else param.axis
    return movement.concat(b, layer.inputs, axis_of(axis, len(layer.input().shape)))


def slices(b: GraphBuilder, layer: SourceLayer) -> list[Value]:
    """At the points given, or into equal parts."""
    param, x = layer.param("slice_param"), layer.input()
    axis = axis_of(param.slice_dim if param.has("slice_dim") else param.axis, len(x.shape))
    points = [0, *param.slice_point, x.shape[axis]]
    if len(points) > 2:
        sizes = tuple(end - begin for begin, end in itertools.pairwise(points))
    else:
        sizes = movement.equal_parts(x.shape[axis], layer.outputs)
    if len(sizes) != layer.outputs:
        raise ModelError(f"{len(points) - 2} points to slice at for {layer.outputs} outputs")
    return movement.split(b, x, axis, sizes)


def flatten(b: GraphBuilder, layer: SourceLayer) -> Value:
    x = layer.input()
    axis, end = 1, len(x.shape) - 1
    if hasattr(layer.proto, "flatten_param"):  # V1 has none
        param = layer.proto.flatten_param
        axis, end = axis_of(param.axis, len(x.shape)), axis_of(param.end_axis, len(x.shape))
    if end < axis:
        raise ModelError(f"it flattens from axis {axis} to {end}")
    return movement.flatten(b, x, axis, end + 1)


def reshape(b: GraphBuilder, layer: SourceLayer) -> Value:
    """The dimensions [axis, axis + num_axes) become `shape`, where 0 copies the input's and -1 is what remains."""
    param, x = layer.param("reshape_param"), layer.input()
    rank = len(x.shape)
    begin = param.axis if param.axis >= 0 else param.axis + rank + 1
    end = rank if param.num_axes == -1 else begin + param.num_axes
    if not 0 <= begin <= end <= rank:
        raise ModelError(f"axis {param.axis} and num_axes {param.num_axes} of an input of {rank} dimensions")
    middle = []
    for index, size in enumerate(param.shape.dim):
        if size == 0 and begin + index >= rank:
            raise ModelError(f"the shape {list(param.shape.dim)} copies dimension {begin + index} of {rank}")
        middle.append(x.shape[begin + index] if size == 0 else size)
    return b.reshape(x, movement.resolve_shape(x.shape, (*x.shape[:begin], *middle, *x.shape[end:])))


def permute(b: GraphBuilder, layer: SourceLayer) -> Value:
    """The order given, then the axes that it leaves out."""
    x = layer.input()
    order = list(layer.param("permute_param").order)
    order += [axis for axis in range(len(x.shape)) if axis not in order]
    if sorted(order) != list(range(len(x.shape))):
        raise ModelError(f"the order {order} of an input of {len(x.shape)} dimensions")
    return b.transpose(x, order)


def crop(b: GraphBuilder, layer: SourceLayer) -> Value:
    """The first input, from an offset on, in the second one's sizes from an axis on."""
    param = layer.param("crop_param")
    x, like = layer.input(0), layer.input(1)
    axis = axis_of(param.axis, len(x.shape))
    count = len(x.shape) - axis
    offsets = list(param.offset) or [0]
    offsets = offsets * count if len(offsets) == 1 else offsets
    if len(like.shape) != len(x.shape) or len(offsets) != count:
        raise ModelError(f"{len(offsets)} offsets to crop {list(x.shape)} to {list(like.shape)} from axis {axis}")
    begin = [0] * axis + offsets
    end = [*x.shape[:axis], *(at + size for at, size in zip(offsets, like.shape[axis:], strict=True))]
    if any(last > size for last, size in zip(end, x.shape, strict=True)):
        raise ModelError(f"{list(like.shape)} at the offsets {offsets} is beyond the input {list(x.shape)}")
    return b.slices(x, begin, end, [1] * len(x.shape))


def tile(b: GraphBuilder, layer: SourceLayer) -> Value:
    param, x = layer.param("tile_param"), layer.input()
    return movement.tile_axis(b, x, axis_of(param.axis, len(x.shape)), param.tiles)


def shuffle_channel(b: GraphBuilder, layer: SourceLayer) -> Value:
    return movement.shuffle_channels(b, layer.input(), layer.param("shuffle_channel_param").group)


HANDLERS: dict[str, Handler] = {
    "Concat": concat,
    "Crop": crop,
    "Flatten": flatten,
    "Permute": permute,
    "Reshape": reshape,
    "ShuffleChannel": shuffle_channel,
    "Slice": slices,
    "Tile": tile,
}
