"""Activations that come as 8-bit numbers, and sources that say what those mean apart from them (ONNX, PyTorch)."""

from __future__ import annotations

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from edgert.importers.builder import GraphBuilder, RefusedError
from edgert.ir import Value
from edgert.ops import OPS_BY_NAME, QuantRule


def as_int8(b: GraphBuilder, x: Value, quant: QuantParams) -> Value:
    """The int8 form of a quantised activation, read with these parameters (of int8); a graph input learns here what its
    numbers mean.

    Raises ModelError for other types, RefusedError for numbers that are written with other parameters.
    """
    if x.dtype == DType.UINT8:
        x.quant = x.quant or QuantParams(quant.scales, tuple(zero + 128 for zero in quant.zero_points))
        return b.emit("quantize", [x], quant=quant, dtype=DType.INT8)
    if x.dtype != DType.INT8:
        raise ModelError(f"{x.name!r} is {x.dtype.name}, needed 8-bit numbers")
    if x.quant is None:
        state_quant(b, x, quant)
    elif x.quant != quant:
        raise RefusedError(
            f"{x.name!r} is written with scale {x.quant.scale:g} and zero point {x.quant.zero_point}, and read with "
            f"{quant.scale:g} and {quant.zero_point}",
            "quantise the model again, so that both ends agree",
        )
    return x


def state_quant(b: GraphBuilder, x: Value, quant: QuantParams) -> None:
    """Gives a value its quantisation, and those too that it was moved from."""
    x.quant = quant
    for node in reversed(b.graph.nodes):
        source = node.inputs[0] if node.inputs else None
        if x in node.outputs and OPS_BY_NAME[node.op].quant == QuantRule.SAME and source is not None:
            if source.quant is not None or source.dtype != DType.INT8:
                return
            source.quant, x = quant, source
