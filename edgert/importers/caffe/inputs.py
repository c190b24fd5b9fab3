"""What a Caffe network reads: declared inputs, Input layers, and data layers, whose blobs become inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgert.errors import ModelError
from edgert.importers.caffe.read import Layer, Network
from edgert.importers.interface import settle_shapes

# Layers that read files: their blobs become inputs of the graph.
DATA_LAYERS = {
    "AnnotatedData", "Data", "DenseImageData", "HDF5Data", "ImageData", "ImageSegData", "Input", "MemoryData",
    "VideoData", "WindowData",
}  # fmt: skip


def input_shapes(
    network: Network, read: set[str], given: Mapping[str, Sequence[int]] | None, notes: list[str]
) -> dict[str, tuple[int, ...]]:
    """Shapes of the inputs that the kept layers read, by name.

    read: names of blobs that they read before any of them writes it. Sizes that the file states are what the network
    begins with, and Caffe's callers change them: images come one by one here unless input_shapes says otherwise.
    """
    stated = dict(network.declared)
    for layer in network.layers:
        if layer.type in DATA_LAYERS:
            stated.update(_stated(layer, notes if read & set(layer.tops) else []))
    for layer in network.excluded:  # a network that is described for training alone
        if layer.type in DATA_LAYERS:
            stated.update({top: shape for top, shape in _stated(layer, []).items() if top not in stated})
    unread = [name for name in stated if name not in read]
    if unread and network.declared.keys() & set(unread):
        notes.append(f"Inputs that nothing reads are left out: {', '.join(unread)}.")
    wanted = {name: shape for name, shape in stated.items() if name in read}
    if not wanted and not read - stated.keys():  # else a layer reads what nothing writes
        raise ModelError("the network has no inputs")
    for name, shape in wanted.items():
        if shape is not None and len(shape) == 4 and shape[0] > 1 and name not in (given or {}):
            notes.append(f"Input {name!r}: a batch of {shape[0]} in the source, 1 here.")
            wanted[name] = (1, *shape[1:])
    return settle_shapes(wanted, given, notes, fixed=False)


def _stated(layer: Layer, notes: list[str]) -> dict[str, tuple[int, ...] | None]:
    """The shapes that a data layer's blobs have, as far as it says."""
    proto = layer.proto
    if layer.type == "Input":
        shapes: list[tuple[int, ...] | None] = [tuple(shape.dim) for shape in proto.input_param.shape]
        if len(shapes) not in (0, 1, len(layer.tops)):
            raise ModelError(f"Input {layer.name!r}: {len(shapes)} shapes for {len(layer.tops)} blobs")
        every = shapes or [None]
        return {top: every[index if len(every) > 1 else 0] for index, top in enumerate(layer.tops)}
    _describe_transform(layer.name, proto.transform_param, notes)
    images, *others = layer.tops or [layer.name]
    return {images: _image_shape(layer.type, proto), **dict.fromkeys(others)}


def _image_shape(kind: str, proto: Any) -> tuple[int, ...] | None:
    """[batch, channels, height, width], with 0 for what is open; None when nothing is known."""
    crop = proto.transform_param.crop_size
    if kind == "MemoryData":
        param = proto.memory_data_param
        return (1, param.channels, crop or param.height, crop or param.width)
    if kind == "ImageData":
        param = proto.image_data_param
        crop = crop or param.crop_size
        return (1, 3 if param.is_color else 1, crop or param.new_height, crop or param.new_width)
    crop = crop or (proto.data_param.crop_size if kind == "Data" else 0)
    return (1, 0, crop, crop) if crop else None


def _describe_transform(name: str, transform: Any, notes: list[str]) -> None:
    done = []
    if transform.mean_value:
        done.append(f"subtracts {', '.join(f'{mean:g}' for mean in transform.mean_value)}")
    if transform.mean_file:
        done.append(f"subtracts the mean image {transform.mean_file}")
    if transform.scale != 1:
        done.append(f"multiplies by {transform.scale:g}")
    if done:
        notes.append(f"The data layer {name!r} {' and '.join(done)}: the graph takes what it gives.")
