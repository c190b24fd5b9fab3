"""Normalisations over what a tensor itself holds stay float32: layer, group, instance and RMS norms, L2 norms.

The reciprocal deviation is one number a row, and rows differ widely: a vision transformer's class token has a
deviation a hundredth of the patches'. One int8 scale for all rows leaves the others a handful of steps, and every
layer behind inherits that noise. The arithmetic around it is elementwise and cheap; matrix products stay int8.
"""

from __future__ import annotations

from edgert.ir import Graph, Node, Value
from edgert.ops._enums import BinaryFunction, ReduceFunction, UnaryFunction

_ROOTS = (UnaryFunction.RSQRT, UnaryFunction.SQRT)
_AVERAGES = (ReduceFunction.MEAN, ReduceFunction.SUM)


def float_norms(graph: Graph) -> set[Node]:
    """Nodes of x * rsqrt(mean(square(x - mean(x))) + epsilon), and what scales and shifts it by constants.

    The mean need not be taken off, the mean may be a sum, epsilon may be absent, and the root may be a square root
    that divides.
    """
    producers = graph.producers()
    found: set[Node] = set()
    for node in graph.nodes:
        if node.op == "unary" and node.attrs["function"] in _ROOTS:
            above = _above(node, producers)
            if above is not None:
                statistics, sources = above
                found |= statistics | _below(graph, node, sources)
    return found


def _above(root: Node, producers: dict[Value, Node]) -> tuple[set[Node], set[Value]] | None:
    """The nodes from the normalised tensor down to the root, and the tensor with and without its mean."""
    nodes = {root}
    node = _producer(producers, root.inputs[0])
    if node is not None and node.op == "add" and any(value is not None and value.constant for value in node.inputs):
        nodes.add(node)
        node = next((producers[value] for value in node.inputs if value in producers), None)
    square = _producer(producers, node.inputs[0]) if node is not None and _averages(node) else None
    if node is None or square is None or not _squares(square):
        return None
    nodes |= {node, square}
    centred = square.inputs[0]
    sources = {centred} if centred is not None else set()
    difference = _producer(producers, centred)
    if difference is not None and difference.op == "sub":
        mean = _producer(producers, difference.inputs[1])
        if mean is not None and _averages(mean):
            nodes |= {difference, mean}
            sources |= {value for value in difference.inputs if value is not None}
    return nodes, sources


def _below(graph: Graph, root: Node, sources: set[Value]) -> set[Node]:
    """Elementwise nodes that the root reaches through nothing but the normalised tensor and constants."""
    reached, nodes = {root.output}, set()
    for node in graph.nodes:
        inputs = [value for value in node.inputs if value is not None and not value.constant]
        own = [value in reached for value in inputs]
        others = all(value in reached or value in sources for value in inputs)
        if node is not root and any(own) and others and _scales(node):
            nodes.add(node)
            reached.add(node.output)
    return nodes


def _producer(producers: dict[Value, Node], value: Value | None) -> Node | None:
    return None if value is None else producers.get(value)


def _averages(node: Node) -> bool:
    return node.op == "reduce" and node.attrs["function"] in _AVERAGES


def _squares(node: Node) -> bool:
    if node.op == "mul":
        return node.inputs[0] is node.inputs[1]
    return node.op == "unary" and node.attrs["function"] == UnaryFunction.SQUARE


def _scales(node: Node) -> bool:
    if node.op == "unary":
        return bool(node.attrs["function"] == UnaryFunction.RECIPROCAL)
    return node.op in ("add", "sub", "mul") or (
        node.op == "binary" and bool(node.attrs["function"] == BinaryFunction.DIV)
    )
