"""TFLite custom operators that the program has brought (edgert.custom)."""

from __future__ import annotations

from typing import Any

from edgert.custom import custom_op_of_source, encode_options
from edgert.errors import ModelError
from edgert.importers.tflite.builder import Builder, Handler
from edgert.importers.tflite.read import OPTIONAL, SourceOp
from edgert.ir import Value

LARGEST_OPTIONS = 1 << 16


def from_outside(kind: str) -> Handler | None:
    """The handler of an operator, by its custom code ("Magic") or its kind ("CUSTOM Magic", "CONV_2D").

    Quantised inputs keep their integers (uint8 ones become int8, 128 less); outputs have the model's scales.
    """
    op = custom_op_of_source(kind) or custom_op_of_source(kind.removeprefix("CUSTOM "))
    if op is None:
        return None

    def handler(b: Builder, source: SourceOp) -> list[Value]:
        inputs = [b.value(source, index) for index, tensor in enumerate(source.inputs) if tensor != OPTIONAL]
        attrs = {"name": op.name, "options": encode_options(attributes(source.custom))}
        quants = [b.quant(b.source.tensors[tensor]) for tensor in source.outputs]
        return b.emit_all("custom", inputs, attrs, quants)

    return handler


def attributes(packed: bytes) -> dict[str, Any]:
    """Options as a FlexBuffers map, which most are; others as they are, in hexadecimal, under "custom_options"."""
    from flatbuffers import flexbuffers

    if not packed:
        return {}
    if len(packed) > LARGEST_OPTIONS:
        raise ModelError(f"its options are {len(packed)} bytes, needed at most {LARGEST_OPTIONS}")
    try:
        found = flexbuffers.Loads(bytearray(packed))
    except Exception:  # whatever else the bytes may be
        found = None
    return dict(found) if isinstance(found, dict) else {"custom_options": packed.hex()}
