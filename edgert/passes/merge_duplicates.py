"""Computes once what the graph computes twice.

Cases: two nodes with the same operator, inputs, attributes and output type (quantisation included). Constants are the
same when they are one Value, or when they are small (shapes, scalars, per-channel vectors) and hold the same bytes.
Kept apart: results that are graph outputs, and reads of variables, which may change in between.
"""

from __future__ import annotations

from collections.abc import Hashable

from edgert.ir import Graph, Node, Value
from edgert.passes._rewrite import Sweep

SMALL = 4096  # elements up to which constants are compared by content


def merge_duplicates(graph: Graph) -> bool:
    """Merges them; True when there were any."""
    first: dict[Hashable, Node] = {}
    outputs = set(graph.outputs)

    def visit(sweep: Sweep, node: Node) -> bool:
        if not node.outputs or any(value is not None and value.variable for value in node.inputs):
            return False
        key = _key(node)
        if key not in first:
            first[key] = node
            return False
        if any(value in outputs for value in node.outputs):
            return False
        return all(sweep.replace(old, new) for old, new in zip(node.outputs, first[key].outputs, strict=True))

    return Sweep(graph).run(visit)


def _key(node: Node) -> Hashable:
    return (
        node.op,
        tuple(_value_key(value) for value in node.inputs),
        tuple(sorted(node.attrs.items())),
        tuple((value.dtype, value.quant) for value in node.outputs),
    )


def _value_key(value: Value | None) -> Hashable:
    if value is None or not value.constant or value.data is None or value.data.size > SMALL:
        return value and id(value)
    return value.dtype, value.shape, value.quant, value.data.tobytes()
