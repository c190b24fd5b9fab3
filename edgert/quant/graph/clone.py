"""A second graph to try things on."""

from __future__ import annotations

from dataclasses import replace

from edgert.ir import Graph, Node, Value


def clone(graph: Graph) -> Graph:
    """Its own Graph, Nodes and Values with the same names; constants' elements are shared, not copied."""
    twins = {value: replace(value) for value in graph.values()}

    def twin(value: Value | None) -> Value | None:
        return None if value is None else twins[value]

    nodes = [
        Node(n.op, [twin(v) for v in n.inputs], [twins[v] for v in n.outputs], dict(n.attrs), n.name, n.source)
        for n in graph.nodes
    ]
    return Graph(
        graph.name, [twins[v] for v in graph.inputs], [twins[v] for v in graph.outputs], nodes, list(graph.notes)
    )
