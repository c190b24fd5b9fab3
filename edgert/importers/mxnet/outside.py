"""MXNet operators that the program has brought (edgert.custom): attributes are texts, as symbols have them."""

from __future__ import annotations

from edgert.custom import custom_op_of_source
from edgert.importers.mxnet.node import Handler


def from_outside(kind: str) -> Handler | None:
    """The handler of an operator."""
    op = custom_op_of_source(kind)
    return None if op is None else lambda b, node: b.custom(op, node.inputs, node.attrs)
