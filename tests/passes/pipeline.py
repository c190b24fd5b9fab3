"""The optimising passes as edgert.compile runs them, each followed by a check of the graph."""

from __future__ import annotations

from edgert.compile import MOST_ROUNDS, OPTIMISE
from edgert.ir import Graph


def optimize(graph: Graph) -> Graph:
    """Runs them until nothing changes; ModelError at the first that breaks the graph, AssertionError without an end."""
    graph.verify()
    for _ in range(MOST_ROUNDS):
        changed = False
        for run in OPTIMISE:
            changed |= run(graph)
            graph.verify()
        if not changed:
            return graph
    raise AssertionError("the passes change the graph for ever")
