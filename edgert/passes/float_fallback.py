"""Computes in float32 what has no integer form.

Cases, all between dequantize and quantize then:
- add and sub of int8 whose scales are too far apart for the integer formula;
- compare of two int8 or int16 tensors with different scales or zero points;
- unary of int16 for functions with steps or poles (edgert/ops/_unary_int16.py).
Operators that refuse int8 altogether (binary, prelu, log_softmax) never get it from importers or the quantiser.
"""

from __future__ import annotations

from edgert.dtypes import DType
from edgert.ir import Graph, Node, Value
from edgert.ops._unary_int16 import STEPS
from edgert.passes._rewrite import Sweep

# Ratio of the larger input scale to the output scale that the integer formula of add takes (ext/kernels/qadd/qadd.h).
LEAST_RATIO, RATIO_LIMIT = 2.0**-20, 2.0**16


def float_fallback(graph: Graph) -> bool:
    """Wraps them; True when there were any."""
    return Sweep(graph).run(_visit)


def needs_float(node: Node) -> bool:
    """Whether a node that reads int8 or int16 cannot be computed in integers."""
    quants = [value.quant for value in node.inputs if value is not None and value.quant is not None]
    if node.op == "compare":
        return len(set(quants)) > 1
    if node.op == "unary" and node.output.dtype == DType.INT16:
        return node.attrs["function"] in STEPS
    if node.op in ("add", "sub") and node.output.dtype == DType.INT8 and node.output.quant is not None:
        larger = max(quant.scale for quant in quants) / node.output.quant.scale
        return not LEAST_RATIO <= larger < RATIO_LIMIT
    return False


def _visit(sweep: Sweep, node: Node) -> bool:
    if not any(_quantized(value) for value in node.inputs) or not needs_float(node):
        return False
    inputs = [_real(sweep, value, node) if _quantized(value) else value for value in node.inputs]
    results = [value for value in node.outputs if _quantized(value)]
    if not results:
        sweep.emit(node.op, inputs, node.attrs, node, output=node.output)
        return True
    (result,) = results
    real = sweep.emit(node.op, inputs, node.attrs, node)
    sweep.emit("quantize", [real], {}, node, output=result)
    return True


def _quantized(value: Value | None) -> bool:
    return value is not None and value.dtype in (DType.INT8, DType.INT16) and value.quant is not None


def _real(sweep: Sweep, value: Value | None, node: Node) -> Value:
    assert value is not None
    return sweep.emit("dequantize", [value], {}, node)
