"""The names that a TFLite model's signature gives its inputs and outputs: those of the Keras layers or of the function
that was converted, by which programs call it; the tensors are named otherwise."""

from __future__ import annotations

import json

from edgert.importers.tflite.read import read_model


def signature_entries(data: bytes) -> tuple[tuple[str, str], ...]:
    """Metadata entries "signature_inputs" and "signature_outputs", JSON lists in the order of the inputs and outputs;
    none when the first signature does not name them all. Raises as edgert.importers.tflite.load does."""
    model = read_model(data)
    graph = model.graphs[0]
    inputs = [model.signature_inputs.get(tensor) for tensor in graph.inputs]
    outputs = [model.signature_outputs.get(tensor) for tensor in graph.outputs]
    if not inputs or not outputs or None in inputs or None in outputs:
        return ()
    return (("signature_inputs", json.dumps(inputs)), ("signature_outputs", json.dumps(outputs)))
