"""The passes on an imported ONNX graph, each followed by a check of the graph."""

from __future__ import annotations

from edgert.ir import Graph
from edgert.passes.dead_code import remove_dead_code
from edgert.passes.fold_batch_norm import fold_batch_norm
from edgert.passes.fold_constants import fold_constants
from edgert.passes.fold_qdq import fold_qdq
from edgert.passes.fuse_activations import fuse_activations
from edgert.passes.fuse_pad import fuse_pad
from edgert.passes.layout import layout
from edgert.passes.merge_duplicates import merge_duplicates
from edgert.passes.merge_movement import merge_movement
from edgert.passes.simplify import simplify

ORDER = (
    simplify, layout, fold_batch_norm, fuse_activations, fold_qdq, fold_constants, remove_dead_code,
    fold_batch_norm, fuse_activations, fuse_pad, merge_movement, merge_duplicates, remove_dead_code,
)  # fmt: skip


def optimize(graph: Graph) -> Graph:
    """Runs them all; ModelError at the first that breaks the graph."""
    graph.verify()
    for step in ORDER:
        step(graph)
        graph.verify()
    return graph
