"""Removes nodes whose results nobody reads.

Cases: a node none of whose outputs reaches a graph output. Kept: nodes without outputs (they write variables), and
graph inputs, which belong to the interface even when nothing reads them.
"""

from __future__ import annotations

from edgert.ir import Graph, Node, Value


def remove_dead_code(graph: Graph) -> bool:
    """Removes them; True when there were any."""
    needed: set[Value] = set(graph.outputs)
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if not node.outputs or any(value in needed for value in node.outputs):
            kept.append(node)
            needed.update(value for value in node.inputs if value is not None)
    changed = len(kept) < len(graph.nodes)
    graph.nodes = kept[::-1]
    return changed
