"""Writes Caffe networks for tests: a description as text, and weights by the names of their layers."""

from __future__ import annotations

import functools

import numpy as np

from edgert.importers.caffe.schema import message_class

# What of caffe.proto a .caffemodel with weights needs, as edgert.importers.caffe.schema writes messages down.
WEIGHTS = """
BlobShape: dim 1 int64!
BlobProto: num 1 int32, channels 2 int32, height 3 int32, width 4 int32, data 5 float!, shape 7 BlobShape,
  double_data 8 double!, raw_data_type 10 int32, raw_data 12 bytes
LayerParameter: name 1 string, type 2 string, blobs 7 BlobProto*
V1LayerParameter: name 4 string, type 5 int32, blobs 6 BlobProto*
NetParameter: name 1 string, layers 2 V1LayerParameter*, layer 100 LayerParameter*
"""


@functools.cache
def weights_class():
    return message_class(WEIGHTS)


def inputs_text(shapes):
    """Input layers of these shapes."""
    layers = []
    for name, shape in shapes.items():
        dims = " ".join(f"dim: {size}" for size in shape)
        layers.append(f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{ {dims} }} }} }}')
    return "\n".join(layers)


def weights_bytes(blobs, types=None, old=False):
    """The .caffemodel of {layer: [array, ...]}. old: V1 layers, whose blobs have num, channels, height and width."""
    net = weights_class()()
    for name, arrays in blobs.items():
        layer = (net.layers if old else net.layer).add(name=name)
        if not old:
            layer.type = (types or {}).get(name, "")
        for array in arrays:
            blob = layer.blobs.add()
            blob.data.extend(np.asarray(array, np.float32).reshape(-1).tolist())
            if old:
                blob.num, blob.channels, blob.height, blob.width = (1,) * (4 - array.ndim) + array.shape
            else:
                blob.shape.dim.extend(array.shape)
    return net.SerializeToString()


def save(folder, text, blobs, old=False):
    """The path of net.prototxt, with net.caffemodel beside it."""
    path = folder / "net.prototxt"
    path.write_text(text)
    path.with_suffix(".caffemodel").write_bytes(weights_bytes(blobs or {"data": []}, old=old))
    return path
