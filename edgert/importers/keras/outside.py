"""Keras layers that the program has brought (edgert.custom).

Inputs: the tensors that the layer is called with, then its weights in the order of the file. Attributes: its
configuration, but for what Keras adds of its own (name, dtype ...).
"""

from __future__ import annotations

from typing import Any

from edgert.importers.builder import GraphBuilder
from edgert.importers.keras.layer import Call, Handler, Layer, brought, leaves
from edgert.ir import Value

OWN = {"name", "dtype", "trainable", "batch_input_shape", "build_config"}


def from_outside(layer: Layer) -> Handler | None:
    """The handler of a layer, by its class, with its module or without ("layers.Magic", "Magic")."""
    op = brought(layer)
    if op is None:
        return None

    def handler(b: GraphBuilder, call: Call) -> Any:
        inputs = [*leaves([call.args, call.kwargs], Value), *(b.const(layer.weight(name)) for name in layer.weights)]
        attrs = {name: value for name, value in layer.config.items() if name not in OWN}
        made = b.custom(op, inputs, attrs)
        return made[0] if len(made) == 1 else made

    return handler
