"""Writes Caffe networks for tests: a description as text, and weights by the names of their layers."""

from __future__ import annotations

import functools

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

# What of caffe.proto a .caffemodel with weights needs: (field, number, type, repeated) of each message.
_DOUBLE, _FLOAT, _INT64, _INT32, _STRING, _BYTES = 1, 2, 3, 5, 9, 12  # of FieldDescriptorProto.Type
MESSAGES = {
    "BlobShape": [("dim", 1, _INT64, True)],
    "BlobProto": [
        ("num", 1, _INT32, False), ("channels", 2, _INT32, False), ("height", 3, _INT32, False),
        ("width", 4, _INT32, False), ("data", 5, _FLOAT, True), ("shape", 7, "BlobShape", False),
        ("double_data", 8, _DOUBLE, True), ("raw_data_type", 10, _INT32, False), ("raw_data", 12, _BYTES, False),
    ],
    "LayerParameter": [("name", 1, _STRING, False), ("type", 2, _STRING, False), ("blobs", 7, "BlobProto", True)],
    "V1LayerParameter": [("name", 4, _STRING, False), ("type", 5, _INT32, False), ("blobs", 6, "BlobProto", True)],
    "NetParameter": [
        ("name", 1, _STRING, False), ("layers", 2, "V1LayerParameter", True), ("layer", 100, "LayerParameter", True),
    ],
}  # fmt: skip


@functools.cache
def weights_class():
    """NetParameter of protobuf."""
    file = descriptor_pb2.FileDescriptorProto(name="caffe_weights.proto", package="test", syntax="proto2")
    for message, fields in MESSAGES.items():
        made = file.message_type.add(name=message)
        for name, number, kind, repeated in fields:
            entry = made.field.add(name=name, number=number, label=3 if repeated else 1)
            if isinstance(kind, str):
                entry.type, entry.type_name = 11, f".test.{kind}"
            else:
                entry.type, entry.options.packed = kind, repeated
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("test.NetParameter"))


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
