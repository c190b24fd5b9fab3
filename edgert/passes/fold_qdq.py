"""Turns dequantize, operator, quantize into the int8 operator, with the scales of the source.

Cases, by the operator's QuantRule, where the quantize is the only reader of its result:
- WEIGHTED (conv2d, depthwise_conv2d, fully_connected): input dequantised, weights dequantised from an int8 constant,
  bias absent, dequantised from an int32 constant, or a float constant (rounded to int32 here); a depthwise_conv2d of
  one tap (a batch norm of its own, see fuse_affine) may have float weights: one number a channel is one int8 number;
- FREE, TABLE: all float inputs dequantised; the output takes the scale of the quantize; an operand of add, sub or mul
  may be one float number, which int8 can hold;
- SHARED (concat): the same, and inputs at another scale than the output are requantised first;
- SAME (pools, reshape, pad ...): runs at the input's scale, and a quantize follows where the source changes the scale;
  but an average pool whose windows all count the same taps becomes a depthwise convolution with the weight 1/taps then,
  which rounds once, to the output's scale;
- FIXED (softmax): runs at its own scale 1/256 and zero point -128, and a quantize follows where the source has another;
- FOLLOW (arg_max) needs no quantize below it.
Besides: quantize right below dequantize is nothing, or one requantisation; a fused activation stays.
FLOAT operators, and those with inputs that are not dequantised, stay float between dequantize and quantize.
"""

from __future__ import annotations

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from edgert.ir import Graph, Node, Value
from edgert.ops import OPS_BY_NAME, QuantRule
from edgert.passes._rewrite import Sweep, scalar_of

FIXED_QUANT = {"softmax": QuantParams((1 / 256,), (-128,))}
LARGEST_INT32 = 2**31 - 1


def fold_qdq(graph: Graph) -> bool:
    """Folds them; True when there were any."""
    return Sweep(graph).run(_visit)


def _visit(sweep: Sweep, node: Node) -> bool:
    definition = OPS_BY_NAME[node.op]
    if definition.quant == QuantRule.FOLLOW and _stored(sweep, node.inputs[0]) is not None:
        inputs = [_stored(sweep, value) or value for value in node.inputs]
        sweep.emit(node.op, inputs, node.attrs, node, output=node.output)
        return True
    if node.op != "quantize" or node.inputs[0] is None:
        return False
    x = node.inputs[0]
    above = sweep.producer.get(x)
    if x.dtype != DType.FLOAT32 or node.output.dtype != DType.INT8 or above is None:
        return False
    stored = _stored(sweep, x)
    if stored is not None:
        return _settle(sweep, node, stored)
    if not sweep.single_use(x) or len(above.outputs) != 1:
        return False
    rule = OPS_BY_NAME[above.op].quant
    if rule == QuantRule.WEIGHTED:
        integers = _weighted_inputs(sweep, above)
    elif rule in (QuantRule.FREE, QuantRule.TABLE, QuantRule.SHARED, QuantRule.SAME, QuantRule.FIXED):
        integers = _inputs(sweep, above)
    else:
        return False
    if integers is None:
        return False
    own = node.output.quant
    if above.op == "average_pool2d" and integers[0] is not None and integers[0].quant != own:
        averaging = _averaging_weights(sweep, above)
        if averaging is not None:
            attrs = {
                name: value for name, value in above.attrs.items() if name in OPS_BY_NAME["depthwise_conv2d"].attrs
            }
            sweep.emit("depthwise_conv2d", [integers[0], averaging], attrs, above, output=node.output)
            return True
    if rule == QuantRule.SAME:
        own = integers[0].quant if integers[0] is not None else None
    elif rule == QuantRule.FIXED:
        own = FIXED_QUANT.get(above.op)
    try:
        specs = OPS_BY_NAME[above.op].infer(integers, OPS_BY_NAME[above.op].complete(above.attrs))
    except ModelError:  # this operator, or this variant of it, has no int8 form
        return False
    if own is None or specs[0].dtype != DType.INT8:
        return False
    if rule == QuantRule.SHARED:
        integers = [_requantized(sweep, node, value, own) for value in integers]
    if own == node.output.quant:
        sweep.emit(above.op, integers, above.attrs, above, output=node.output)
        return True
    return _settle(sweep, node, sweep.emit(above.op, integers, above.attrs, above, quant=own))


def _averaging_weights(sweep: Sweep, pool: Node) -> Value | None:
    """[KH, KW, C] int8 ones at the scale 1 / (KH * KW); None when padding makes some windows average fewer taps."""
    pads = (pool.attrs[name] for name in ("pad_top", "pad_left", "pad_bottom", "pad_right"))
    if any(pads) and not pool.attrs["count_include_pad"]:
        return None
    kernel = pool.attrs["kernel_h"], pool.attrs["kernel_w"]
    scale = float(np.float32(1 / (kernel[0] * kernel[1])))
    return sweep.constant(np.ones((*kernel, pool.output.shape[3]), np.int8), pool, QuantParams((scale,), (0,)))


def _settle(sweep: Sweep, node: Node, value: Value) -> bool:
    """Lets an int8 value stand for the result of a quantize, requantised where their scales differ."""
    if value.quant == node.output.quant and sweep.replace(node.output, value):
        return True
    if value is node.inputs[0]:
        return False
    sweep.emit("quantize", [value], node.attrs, node, output=node.output)
    return True


def _requantized(sweep: Sweep, node: Node, value: Value | None, quant: QuantParams) -> Value | None:
    """An int8 value at another scale."""
    if value is None or value.quant == quant:
        return value
    return sweep.emit("quantize", [value], node.attrs, node, quant=quant, dtype=DType.INT8)


def _stored(sweep: Sweep, value: Value | None) -> Value | None:
    """The int8 tensor of one scale that a value is dequantised from."""
    node = None if value is None else sweep.producer.get(value)
    if node is None or node.op != "dequantize" or node.inputs[0] is None:
        return None
    stored = node.inputs[0]
    usable = stored.dtype == DType.INT8 and stored.quant is not None and not stored.quant.per_channel
    return stored if usable else None


def _inputs(sweep: Sweep, node: Node) -> list[Value | None] | None:
    """int8 tensors in place of all float inputs; None when one is not dequantised."""
    integers: list[Value | None] = []
    for value in node.inputs:
        if value is not None and value.dtype == DType.FLOAT32:
            number = scalar_of(value) if node.op in ("add", "sub", "mul") else None
            value = _stored(sweep, value) if number is None else _one_number(sweep, value, number)
            if value is None:
                return None
        integers.append(value)
    return integers


def _one_number(sweep: Sweep, value: Value, number: float) -> Value:
    """A float constant of one element as +-127 at a scale of its own."""
    scale = float(np.float32(abs(number) / 127)) or 1.0
    data = np.full(value.shape, 127 * np.sign(number), np.int8)
    return sweep.constant(data, value, QuantParams((scale,), (0,)))


def _weighted_inputs(sweep: Sweep, node: Node) -> list[Value | None] | None:
    """Input, weights and bias as int8, int8 and int32."""
    x, weights = _stored(sweep, node.inputs[0]), _stored_constant(sweep, node.inputs[1], DType.INT8)
    if weights is None and x is not None and x.quant is not None:
        weights = _one_tap(sweep, node, x.quant.scale)
    if x is None or weights is None or x.quant is None or weights.quant is None:
        return None
    integers: list[Value | None] = [x, weights]
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if bias is None:
        return integers
    scales = np.asarray(weights.quant.scales, np.float64) * x.quant.scale
    quant = QuantParams(tuple(float(np.float32(scale)) for scale in scales), (0,) * len(scales))
    stored = _stored_constant(sweep, bias, DType.INT32)
    if stored is not None and stored.quant is not None and np.allclose(stored.quant.scales, scales, rtol=1e-5, atol=0):
        stored.quant = quant
        return [*integers, stored]
    real = bias.data
    if stored is not None and stored.data is not None and stored.quant is not None:
        real = stored.data * np.asarray(stored.quant.scales, np.float64)
    if real is None:
        return None
    rounded = np.clip(np.rint(real / scales), -LARGEST_INT32, LARGEST_INT32).astype(np.int32)
    return [*integers, sweep.constant(rounded, bias, quant)]


def _one_tap(sweep: Sweep, node: Node, input_scale: float) -> Value | None:
    """Float weights [1,1,C] of a depthwise convolution as +-127, each at its own scale.

    A channel whose bias is so much larger than its weight that it would not fit into int32 gets a larger scale.
    """
    weights, bias = node.inputs[1], node.inputs[2] if len(node.inputs) > 2 else None
    if node.op != "depthwise_conv2d" or weights is None or weights.data is None or weights.shape[:2] != (1, 1):
        return None
    if bias is not None and bias.data is None:
        return None
    factors = weights.data.reshape(-1).astype(np.float64)
    offsets = np.zeros_like(factors) if bias is None or bias.data is None else bias.data.astype(np.float64)
    smallest = np.maximum(np.abs(offsets) / (input_scale * 2**30), np.finfo(np.float32).tiny)
    scales = np.maximum(np.abs(factors) / 127, smallest).astype(np.float32)
    data = np.clip(np.rint(factors / scales), -127, 127).astype(np.int8).reshape(weights.shape)
    return sweep.constant(data, weights, QuantParams(tuple(map(float, scales)), (0,) * len(scales), 2))


def _stored_constant(sweep: Sweep, value: Value | None, dtype: DType) -> Value | None:
    """The integer constant that a value is dequantised from."""
    node = None if value is None else sweep.producer.get(value)
    stored = node.inputs[0] if node is not None and node.op == "dequantize" else None
    return stored if stored is not None and stored.constant and stored.dtype == dtype else None
