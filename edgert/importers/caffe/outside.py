"""Caffe layers that the program has brought (edgert.custom): bottoms and blobs are their inputs."""

from __future__ import annotations

from edgert.custom import custom_op_of_source
from edgert.importers.builder import GraphBuilder
from edgert.importers.caffe.layer import Handler, SourceLayer
from edgert.ir import Value

PYTHON = ("module", "layer", "param_str")


def from_outside(kind: str) -> Handler | None:
    """The handler of a layer's type; its attributes are those of python_param, where it has one."""
    op = custom_op_of_source(kind)
    if op is None:
        return None

    def handler(b: GraphBuilder, layer: SourceLayer) -> list[Value]:
        stated = getattr(layer.proto, "python_param", None)
        attrs = {name: getattr(stated, name) for name in PYTHON if getattr(stated, name, "")}
        return b.custom(op, [*layer.inputs, *(b.const(blob) for blob in layer.blobs)], attrs)

    return handler
