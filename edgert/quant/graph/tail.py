"""What follows the last weighted operators stays float32."""

from __future__ import annotations

from edgert.ir import Graph, Node, Value
from edgert.ops import QuantRule
from edgert.quant.graph.groups import rule_of


def float_tail(graph: Graph) -> set[Node]:
    """Nodes that stay float32 because they work on results: no weighted operator follows, and they do more than move
    one int8 tensor's values about.

    A detector's box arithmetic or a last softmax costs next to nothing, and in int8 it would throw away the
    resolution of what the network found. The concatenation of a detector's heads belongs to it: each head keeps a
    scale of its own. What is assigned to a variable is no result: the next run works on it.
    """
    consumers = graph.consumers()
    before_weights: set[Node] = set()
    for node in reversed(graph.nodes):
        followers = [reader for value in node.outputs for reader in consumers.get(value, [])]
        if any(f in before_weights or rule_of(f) == QuantRule.WEIGHTED or f.op == "assign" for f in followers):
            before_weights.add(node)
    tail: set[Node] = set()
    computed: set[Value] = set()  # by the tail
    for node in graph.nodes:
        if node in before_weights or rule_of(node) == QuantRule.WEIGHTED or node.op == "assign":
            continue
        if rule_of(node) != QuantRule.SAME or any(value in computed for value in node.inputs):
            tail.add(node)
            computed.update(node.outputs)
    return tail
