"""TensorFlow handlers: fake quantisation (quantisation-aware training), whose scales the int8 model keeps.

Of weights it makes a quantised constant, of an activation quantize and dequantize nodes, which the pass
edgert.passes.fold_qdq folds into int8 operators. Formulas: tensorflow/core/kernels/fake_quant_ops_functor.h.
"""

from __future__ import annotations

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from edgert.importers.builder import Array, QuantizedConstant, RefusedError
from edgert.importers.layers.elementwise import clamp
from edgert.importers.tensorflow.builder import Builder, Handler, Outputs, SourceNode
from edgert.ir import Value
from edgert.ops._enums import UnaryFunction

MOST_BITS, ALL_LEVELS = 8, (0, 255)


def fake_quant(b: Builder, node: SourceNode) -> Outputs:
    """FakeQuantWithMinMaxVars, ...VarsPerChannel (along the last axis) and ...Args (the range in attributes)."""
    bits, narrow = node.integer("num_bits", 8), node.flag("narrow_range")
    if not 2 <= bits <= 16:
        raise ModelError(f"it quantises to {bits} bits")
    if node.op == "FakeQuantWithMinMaxArgs":
        low: Array = np.array([node.number("min", -6.0)], np.float32)
        high: Array = np.array([node.number("max", 6.0)], np.float32)
    else:
        low, high = (b.need_constant(node, index, "range").astype(np.float32).reshape(-1) for index in (1, 2))
    if low.shape != high.shape or not (np.isfinite(low).all() and np.isfinite(high).all()) or (low > high).any():
        raise ModelError("its range does not run from a finite number to a larger one")
    levels = (1 if narrow else 0, (1 << bits) - 1)
    scale, zero = _nudged(low, high, levels)
    return _quantized(b, node, scale, zero, levels, bits)


def _nudged(low: Array, high: Array, levels: tuple[int, int]) -> tuple[Array, Array]:
    """Scale and zero point, among the levels, of a range that is moved so that 0 is exact. A range of 0 stands for
    zeros alone: any scale serves."""
    least, most = np.float32(levels[0]), np.float32(levels[1])
    scale = (high - low) / (most - least)
    scale = np.where(scale > 0, scale, np.float32(1))
    zero = np.clip(np.floor(least - low / scale + np.float32(0.5)), least, most)
    return scale.astype(np.float32), np.where(low == high, least, zero).astype(np.int64)


def _quantized(
    b: Builder, node: SourceNode, scale: Array, zero: Array, levels: tuple[int, int], bits: int
) -> QuantizedConstant | Value:
    """levels: the least and the largest number; they are moved by half of 2^bits where the runtime's are signed."""
    constant = b.constant(node, 0)
    low = (levels[0] - zero).astype(np.float32) * scale
    high = (levels[1] - zero).astype(np.float32) * scale
    if bits > MOST_BITS:  # finer than int8: what it cuts off stays cut off
        if constant is not None or scale.size > 1:
            return b.value(node, 0)
        return clamp(b, b.value(node, 0), float(low[0]), float(high[0]))
    shift = 1 << (bits - 1)
    axis = constant.ndim - 1 if constant is not None and scale.size > 1 else 0  # the last one
    quant = QuantParams(tuple(float(item) for item in scale), tuple(int(item) - shift for item in zero), axis)
    if constant is not None:
        if scale.size not in (1, constant.shape[-1] if constant.ndim else 1):
            raise ModelError(f"{scale.size} ranges for {list(constant.shape)}")
        limited = np.clip(constant, low, high)
        numbers = np.floor((limited - low) / scale + np.float32(0.5)).astype(np.int64) + levels[0] - shift
        return QuantizedConstant(numbers.astype(np.int8), quant)
    if scale.size > 1:
        raise RefusedError("an activation is quantised per channel", "quantise activations per tensor")
    x = _stepped(b, b.value(node, 0), quant)
    if levels != ALL_LEVELS:  # the limits of fewer levels, on integers again: a table
        attrs = {"function": UnaryFunction.CLIP, "alpha": float(low[0]), "beta": float(high[0])}
        x = _stepped(b, b.emit("unary", [x], attrs), quant)
    return x


def _stepped(b: Builder, x: Value, quant: QuantParams) -> Value:
    return b.emit("dequantize", [b.emit("quantize", [x], quant=quant, dtype=DType.INT8)])


def quantize_and_dequantize(b: Builder, node: SourceNode) -> Outputs:
    """QuantizeAndDequantizeV2 to V4 with a stated range: symmetric (signed), or from 0 up."""
    bits = (
        int(b.scalar(node, 3, "number of bits"))
        if node.op == "QuantizeAndDequantizeV3"
        else node.integer("num_bits", 8)
    )
    signed, narrow = node.flag("signed_input", True), node.flag("narrow_range")
    if not node.flag("range_given"):
        if b.constant(node, 0) is None:
            raise RefusedError("its range depends on the data", "give its range (range_given=True)")
        data = b.need_constant(node, 0, "input")
        low, high = np.array([data.min()], np.float32), np.array([data.max()], np.float32)
    else:
        low, high = (b.need_constant(node, index, "range").astype(np.float32).reshape(-1) for index in (1, 2))
    if not 2 <= bits <= 16 or low.shape != high.shape or low.size != 1:
        raise RefusedError(f"it quantises to {bits} bits with {low.size} ranges", "quantise to 8 bits per tensor")
    least = (-(1 << (bits - 1)) + (1 if narrow else 0)) if signed else 0
    most = (1 << (bits - 1)) - 1 if signed else (1 << bits) - 1
    reach = max(float(low[0]) / least if least * float(low[0]) > 0 else 0.0, float(high[0]) / most, 0.0)
    scale = np.array([reach or 1.0], np.float32)
    shift = 1 << (bits - 1) if signed else 0
    return _quantized(b, node, scale, np.array([shift]), (least + shift, most + shift), bits)


HANDLERS: dict[str, Handler] = {
    "FakeQuantWithMinMaxVars": fake_quant,
    "FakeQuantWithMinMaxVarsPerChannel": fake_quant,
    "FakeQuantWithMinMaxArgs": fake_quant,
    "QuantizeAndDequantizeV2": quantize_and_dequantize,
    "QuantizeAndDequantizeV3": quantize_and_dequantize,
    "QuantizeAndDequantizeV4": quantize_and_dequantize,
}
