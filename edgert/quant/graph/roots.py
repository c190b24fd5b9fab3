"""What a root or a logarithm reads stays float32, back to the weighted operators that it comes from.

They tell small numbers apart that a scale for the large ones has rounded to the same few integers: the quiet bins of a
spectrum, of which the logarithm is as large as that of the loud ones. What lies between, a magnitude out of real and
imaginary part, is elementwise and cheap; and joined spectra keep a scale each.
"""

from __future__ import annotations

from edgert.ir import Graph, Node
from edgert.ops import QuantRule
from edgert.ops._enums import Activation, UnaryFunction
from edgert.quant.graph.forms import rule_of

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


def float_front(graph: Graph) -> set[Node]:
    """What stands between the graph's inputs and roots or logarithms with nothing but linear operators on the way: a
    filter bank, the weighted operators of which float_roots leaves out.

    Its int8 form adds as much noise to quiet bins as to loud ones. A network's own layers have non-linear operators
    between them and are not meant.
    """
    producers = graph.producers()
    roots = float_roots(graph)
    found: set[Node] = set()
    wanted = [value for node in roots for value in node.inputs if value is not None]
    while wanted:
        node = producers.get(wanted.pop())
        if node is None or node in found:
            continue
        if node not in roots and not _is_linear(node):
            return set()
        found.add(node)
        wanted += [value for value in node.inputs if value is not None]
    weighted = [node for node in found - roots if rule_of(node) == QuantRule.WEIGHTED]
    return found - roots if weighted else set()


def _is_linear(node: Node) -> bool:
    plain = node.attrs.get("activation", Activation.NONE) == Activation.NONE
    moves = rule_of(node) in (QuantRule.SAME, QuantRule.SHARED) and node.op != "max_pool2d"
    return plain and (moves or rule_of(node) == QuantRule.WEIGHTED or node.op in ("add", "sub"))
