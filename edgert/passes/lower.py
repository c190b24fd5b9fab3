"""Lowers int8 and int16 operators to what the runtime executes.

Cases:
- unary on int8 -> lut: table[q + 128] = clamp(rne(f(scale_x * (q - zero_x)) / scale_y) + zero_y), in float64;
- quantize from int8 to int8 (a change of scale) -> lut, with f the identity; none is left where nothing changes;
- unary on int16 -> lut of 513 entries, but for lines and for sigmoid and tanh, which the runtime knows;
- softmax gets its table of exponentials, on int16 its two tables;
- operators that move values, pools and resizing (QuantRule.SAME), concat (SHARED) and select work at one scale: where
  input and output differ, a lut stands on the side with fewer elements; concat and select have theirs on the inputs.
  On int16 that is a quantize.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.dtypes import DType, QuantParams
from edgert.ir import Graph, Node, Value
from edgert.ops import OPS_BY_NAME, QuantRule, _softmax_int16, _unary_int16
from edgert.ops._enums import Activation
from edgert.ops._functions import unary_function
from edgert.ops._table import build_table
from edgert.ops.softmax import exp_table
from edgert.passes._rewrite import Sweep


def lower(graph: Graph) -> bool:
    """Lowers them; True when there were any."""
    return Sweep(graph).run(_visit)


def requantize_table(x: QuantParams, y: QuantParams) -> NDArray[Any]:
    """The lut that brings numbers from one scale to another."""
    return build_table(lambda real: real, x, y)


def unary_table(node: Node, x: QuantParams, y: QuantParams) -> NDArray[Any]:
    """The lut of a unary operator on int8."""
    attrs = OPS_BY_NAME["unary"].complete(node.attrs)
    alpha, beta = (float(np.float32(attrs[name])) for name in ("alpha", "beta"))  # as the file holds them
    return build_table(unary_function(attrs["function"], alpha, beta), x, y)


def _scaled(value: Value | None) -> bool:
    known = value is not None and value.dtype in (DType.INT8, DType.INT16)
    return known and value is not None and value.quant is not None and not value.quant.per_channel


def _visit(sweep: Sweep, node: Node) -> bool:
    if not node.inputs or not node.outputs or not _scaled(node.outputs[0]):
        return False
    output = node.outputs[0]
    x = node.inputs[0]
    assert output.quant is not None
    if node.op == "select":
        return _several(sweep, node, first=1)
    if x is None or not _scaled(x):
        return False
    assert x.quant is not None
    wide = DType.INT16 in (x.dtype, output.dtype)
    if node.op == "unary" and wide:
        return _interpolate(sweep, node, x.quant, output.quant)
    if node.op == "unary":
        sweep.emit("lut", [x, sweep.constant(unary_table(node, x.quant, output.quant), node)], {}, node, output=output)
        return True
    if node.op == "quantize":
        if x.quant == output.quant and x.dtype == output.dtype and sweep.replace(output, x):
            return True
        if wide:
            return False
        table = requantize_table(x.quant, output.quant)
        sweep.emit("lut", [x, sweep.constant(table, node)], {}, node, output=output)
        return True
    if node.op == "softmax":
        if node.attrs.get("exp_table"):
            return False
        table_attr = (
            _softmax_int16.tables()
            if wide
            else exp_table(x.quant.scale, OPS_BY_NAME["softmax"].complete(node.attrs)["beta"])
        )
        sweep.emit("softmax", [x], {**node.attrs, "exp_table": table_attr}, node, output=output)
        return True
    if OPS_BY_NAME[node.op].quant is QuantRule.SHARED:
        return _several(sweep, node, first=0)
    if OPS_BY_NAME[node.op].quant is QuantRule.SAME and x.quant != output.quant and len(node.outputs) == 1:
        return _one(sweep, node, x, output)
    return False


def _interpolate(sweep: Sweep, node: Node, x: QuantParams, y: QuantParams) -> bool:
    """The lut of a unary operator on int16."""
    attrs = OPS_BY_NAME["unary"].complete(node.attrs)
    if not _unary_int16.interpolated(attrs["function"], y):
        return False
    real = unary_function(attrs["function"], *(float(np.float32(attrs[name])) for name in ("alpha", "beta")))
    table = sweep.constant(_unary_int16.table_of(real, x, y), node)
    sweep.emit("lut", [node.inputs[0], table], {}, node, output=node.output)
    return True


def _several(sweep: Sweep, node: Node, first: int) -> bool:
    """Brings all inputs from `first` on to the output's scale."""
    output = node.outputs[0]
    if not all(_scaled(value) for value in node.inputs[first:]):
        return False
    if all(value is None or value.quant == output.quant for value in node.inputs[first:]):
        return False
    inputs = [*node.inputs[:first], *(_requantized(sweep, value, node) for value in node.inputs[first:])]
    sweep.emit(node.op, inputs, node.attrs, node, output=output)
    return True


def _one(sweep: Sweep, node: Node, x: Value, output: Value) -> bool:
    """A fused activation clamps at the output's scale, and so does what pad fills in: then the lut comes first."""
    assert x.quant is not None
    assert output.quant is not None
    activation = node.attrs.get("activation", Activation.NONE)
    rest = node.inputs[1:]
    if activation == Activation.NONE and node.op != "pad" and math.prod(output.shape) <= math.prod(x.shape):
        moved = sweep.emit(node.op, [x, *rest], node.attrs, node, quant=x.quant)
        if x.dtype == DType.INT16:
            sweep.emit("quantize", [moved], {}, node, output=output)
            return True
        table = sweep.constant(requantize_table(x.quant, output.quant), node)
        sweep.emit("lut", [moved, table], {}, node, output=output)
    else:
        sweep.emit(node.op, [_requantized(sweep, x, node), *rest], node.attrs, node, output=output)
    return True


def _requantized(sweep: Sweep, value: Value | None, node: Node) -> Value:
    quant = node.outputs[0].quant
    assert value is not None
    assert value.quant is not None
    assert quant is not None
    if value.quant == quant:
        return value
    if value.dtype == DType.INT16:
        return sweep.emit("quantize", [value], {}, node, quant=quant, dtype=DType.INT16)
    table = requantize_table(value.quant, quant)
    if value.constant and value.data is not None:
        return sweep.constant(table[value.data.astype(np.int64) + 128], value, quant)
    return sweep.emit("lut", [value, sweep.constant(table, node)], {}, node, quant=quant)
