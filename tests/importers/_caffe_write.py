"""Writes Caffe networks for tests: a description as text, and weights by the names of their layers."""

from __future__ import annotations

import numpy as np

from edgert.importers.caffe.schema import weights_class


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
            blob.data.append(np.asarray(array, "<f4").tobytes())
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
