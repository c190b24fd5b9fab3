"""What a root or a logarithm reads stays float32, back to the weighted operators that it comes from.

They tell small numbers apart that a scale for the large ones has rounded to the same few integers: the quiet bins of a
spectrum, of which the logarithm is as large as that of the loud ones. What lies between, a magnitude out of real and
imaginary part, is elementwise and cheap; and joined spectra keep a scale each.
"""

from __future__ import annotations

from edgert.ir import Graph, Node
from edgert.ops import QuantRule
from edgert.ops._enums import UnaryFunction
from edgert.quant.forms import rule_of

_ROOTS = (UnaryFunction.SQRT, UnaryFunction.RSQRT, UnaryFunction.LOG)


def float_roots(graph: Graph) -> set[Node]:
    """Roots, logarithms, and the weightless nodes of which nothing else reads the results."""
    consumers = graph.consumers()
    outputs = set(graph.outputs)
    found: set[Node] = set()
    for node in reversed(graph.nodes):
        if node.op == "unary" and node.attrs["function"] in _ROOTS:
            found.add(node)
            continue
        readers = [reader for value in node.outputs for reader in consumers.get(value, [])]
        inner = bool(readers) and all(reader in found for reader in readers) and not outputs.intersection(node.outputs)
        if inner and rule_of(node) not in (QuantRule.WEIGHTED, QuantRule.FLOAT) and node.op != "matmul":
            found.add(node)
    return found
