"""TensorFlow operators that the program has brought (edgert.custom)."""

from __future__ import annotations

from typing import Any

from edgert.custom import custom_op_of_source
from edgert.importers.tensorflow.builder import Builder, Handler, SourceNode
from edgert.ir import Value

# Kinds of AttrValue that an operator's attributes are taken from; types and shapes are the graph's own.
KINDS = {"i": int, "f": float, "b": bool, "s": bytes}


def from_outside(kind: str) -> Handler | None:
    """The handler of an operator: its tensors, and those attributes that are numbers, texts, or lists of them."""
    op = custom_op_of_source(kind)
    if op is None:
        return None

    def handler(b: Builder, node: SourceNode) -> list[Value]:
        attrs = {name: plain(node.attr(name)) for name in node.attr_names() if not name.startswith("_")}
        inputs = [b.value(node, index) for index in range(len(node.inputs))]
        return b.custom(op, inputs, {name: value for name, value in attrs.items() if value is not None})

    return handler


def plain(attr: Any) -> Any:
    """An AttrValue as Python has it; None for types, shapes and functions."""
    for field, value in attr.ListFields():
        if field.name in KINDS:
            return KINDS[field.name](value)
        if field.name == "list":
            return next((list(items) for part, items in value.ListFields() if part.name in KINDS), None)
    return None
