"""The names that a TFLite model's signature gives its inputs and outputs: those of the Keras layers or of the function
that was converted, by which programs call it; the tensors are named otherwise. A model may have several signatures,
each for a graph of its own."""

from __future__ import annotations

import json

from edgert.errors import InputError
from edgert.importers.tflite.read import SourceModel, SourceSignature


def chosen(model: SourceModel, key: str | None) -> SourceSignature | None:
    """The signature of this key; without one the first that is of the first graph. None when there is none.

    Raises InputError for a key that no signature has.
    """
    if key is None:
        return next((signature for signature in model.signatures if signature.graph == 0), None)
    found = next((signature for signature in model.signatures if signature.key == key), None)
    if found is None:
        known = ", ".join(repr(signature.key) for signature in model.signatures) or "none"
        raise InputError(f"there is no signature {key!r}; the model has {known}")
    return found


def entries(model: SourceModel, signature: SourceSignature | None) -> dict[str, str]:
    """Metadata entries "signature_inputs" and "signature_outputs", JSON lists in the order of the inputs and outputs;
    none when the signature does not name them all."""
    if signature is None:
        return {}
    graph = model.graphs[signature.graph]
    inputs = [signature.inputs.get(tensor) for tensor in graph.inputs]
    outputs = [signature.outputs.get(tensor) for tensor in graph.outputs]
    if not inputs or not outputs or None in inputs or None in outputs:
        return {}
    return {"signature_inputs": json.dumps(inputs), "signature_outputs": json.dumps(outputs)}
