"""Global average pools become means, which have a range of their own in int8."""

from __future__ import annotations

from edgert.ir import Graph
from edgert.ops._enums import Activation, ReduceFunction


def pools_to_means(graph: Graph) -> None:
    """Turns every average_pool2d over a whole unpadded image into the reduce that computes the same.

    An int8 pool keeps its input's scale, and the mean of a sparse image uses few of the 256 steps of that; the scores
    of a classifier hang on it. A mean is requantised.
    """
    for node in graph.nodes:
        source = node.inputs[0] if node.inputs else None
        if node.op != "average_pool2d" or source is None:
            continue
        covers = (node.attrs.get("kernel_h", 1), node.attrs.get("kernel_w", 1)) == source.shape[1:3]
        padded = any(node.attrs.get(f"pad_{side}", 0) for side in ("top", "left", "bottom", "right"))
        plain = node.attrs.get("activation", Activation.NONE) == Activation.NONE
        if covers and plain and not padded:
            node.op = "reduce"
            node.attrs = {"function": ReduceFunction.MEAN, "axes": (1, 2), "keep_dims": True}
