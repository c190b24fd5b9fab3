"""Computes nodes that read only constants, by their operators' references.

Cases: any operator with one output whose inputs are all constants, when the result is no larger than LARGEST_GROWTH
times its inputs (a broadcast constant is better broadcast at run time). Dequantised weights are folded to float32
here; run edgert.passes.fold_qdq first where the integers are wanted. A result that is a graph output stays computed.
"""

from __future__ import annotations

import numpy as np

from edgert.ir import Graph, Node, Value
from edgert.ops import OPS_BY_NAME
from edgert.passes._rewrite import Sweep

LARGEST_GROWTH = 4
ALWAYS_SMALL = 4096  # bytes up to which growth does not matter


def fold_constants(graph: Graph) -> bool:
    """Folds them; True when there were any."""
    return Sweep(graph).run(_visit)


def _visit(sweep: Sweep, node: Node) -> bool:
    inputs = [value for value in node.inputs if value is not None]
    if not inputs or len(node.outputs) != 1 or not all(value.constant for value in inputs):
        return False
    output = node.output
    size = int(np.prod(output.shape)) * output.dtype.itemsize
    given = sum(value.data.nbytes for value in inputs if value.data is not None)
    if output in sweep.graph.outputs or size > max(LARGEST_GROWTH * given, ALWAYS_SMALL):
        return False
    arrays = [None if value is None else value.data for value in node.inputs]
    (data,) = OPS_BY_NAME[node.op].run(node, arrays)
    array = np.ascontiguousarray(data, np.dtype(output.dtype.numpy_name)).reshape(output.shape)
    folded = Value(sweep.names.unique(f"{output.name}/folded"), output.shape, output.dtype, output.quant, array)
    return sweep.replace(output, folded)
