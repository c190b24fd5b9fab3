"""Lets reshapes follow a batch that is resized at run time.

Cases: a reshape to a shape of known positive dimensions; the first of them becomes -1, what remains of the elements.
The result is the same, and grows with the batch when an interpreter resizes the input. Runs last: other passes want
the numbers.
"""

from __future__ import annotations

from edgert.ir import Graph


def free_batch(graph: Graph) -> bool:
    """Frees them; True when there were any."""
    changed = False
    for node in graph.nodes:
        if node.op != "reshape" or not node.output.shape or min(node.output.shape) < 1:
            continue
        wanted = (-1, *node.output.shape[1:])
        if node.attrs["shape"] != wanted:
            node.attrs = {**node.attrs, "shape": wanted}
            changed = True
    return changed
