"""PyTorch handlers: programs quantised by PT2E, with quantized_decomposed operators (QDQ).

quantize and dequantize nodes stand around float operators; the pass edgert.passes.fold_qdq makes int8 operators of
them. Scales are the source's own. uint8 numbers become int8, less 128, zero points too. Narrower ranges than 8 bits
have (quant_min, quant_max) are kept by clipping the real numbers first.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from edgert.importers.layers.quantised import as_int8
from edgert.importers.torch.builder import Array, Builder, Call, Content, Handler, QuantizedConstant, RefusedError
from edgert.importers.torch.types import type_name
from edgert.ops._enums import UnaryFunction

UINT8, INT8, INT32 = 0, 1, 3
LIMITS = {UINT8: (0, 255), INT8: (-128, 127), INT32: (-(2**31), 2**31 - 1)}


class Numbers(NamedTuple):
    """Scale and zero point as int8 numbers have them, the source's limits of the integers, and its type of them."""

    quant: QuantParams
    low: int
    high: int
    code: int

    @property
    def shift(self) -> int:
        return 128 if self.code == UINT8 else 0


def _numbers(b: Builder, call: Call, axis: int) -> Numbers:
    """Arguments scale(s), zero_point(s), quant_min, quant_max, dtype: numbers, or constant tensors."""
    code = call.integer("dtype", INT8)
    if code not in LIMITS:
        raise RefusedError(f"it is quantised to {type_name(code)}", "quantise to int8 or uint8")
    low, high = call.integer("quant_min", LIMITS[code][0]), call.integer("quant_max", LIMITS[code][1])
    scales = _array(b, call, call.any_of("scale", "scales")).astype(np.float32).reshape(-1)
    zeros = _array(b, call, call.any_of("zero_point", "zero_points")).astype(np.int64).reshape(-1)
    if not scales.size or not np.isfinite(scales).all() or (scales <= 0).any():
        raise ModelError("a scale is not a positive number")
    if not LIMITS[code][0] <= low <= high <= LIMITS[code][1]:
        raise ModelError(f"quantised numbers from {low} to {high} as {type_name(code)}")
    shifted = np.broadcast_to(zeros - (128 if code == UINT8 else 0), scales.shape)
    quant = QuantParams(tuple(float(item) for item in scales), tuple(int(item) for item in shifted), axis)
    return Numbers(quant, low, high, code)


def _array(b: Builder, call: Call, name: str) -> Array:
    if call.tensor(name):
        return b.array(call, name)
    if not call.has(name):
        return np.zeros(1)
    return np.asarray([call.number(name)], np.float64)


def quantize(b: Builder, call: Call) -> Content:
    """quantize_per_tensor and quantize_per_channel; of constants, the integers."""
    content = call.args["input"]
    x = b.value(call, "input")
    axis = call.integer("axis") % max(len(x.shape), 1)
    found = _numbers(b, call, axis)
    if x.constant and x.data is not None and not isinstance(content, QuantizedConstant):
        shape = [1] * x.data.ndim
        if found.quant.per_channel:
            shape[axis] = -1
        scales = np.asarray(found.quant.scales, np.float32).reshape(shape)
        zeros = np.asarray(found.quant.zero_points, np.int64).reshape(shape)
        numbers = np.rint(x.data * (np.float32(1) / scales)) + zeros
        clipped = np.clip(numbers, found.low - found.shift, found.high - found.shift)
        return QuantizedConstant(clipped.astype(np.int32 if found.code == INT32 else np.int8), found.quant)
    if found.quant.per_channel or found.code == INT32:
        raise RefusedError("an activation is quantised per channel or to int32", "quantise activations per tensor")
    if (found.low, found.high) != LIMITS[found.code]:
        zero, scale = found.quant.zero_point + found.shift, found.quant.scale
        x = b.unary(UnaryFunction.CLIP, x, scale * (found.low - zero), scale * (found.high - zero))
    return b.emit("quantize", [x], quant=found.quant, dtype=DType.INT8)


def dequantize(b: Builder, call: Call) -> Content:
    content = call.args["input"]
    if isinstance(content, QuantizedConstant):
        return content
    x = b.value(call, "input")
    found = _numbers(b, call, call.integer("axis") % max(len(x.shape), 1))
    if x.constant and x.data is not None:
        if x.quant is not None:
            return QuantizedConstant(x.data, x.quant)
        if found.quant.per_channel and found.code != INT32 and any(found.quant.zero_points):
            raise RefusedError("per-channel weights have zero points other than 0", "quantise them symmetrically")
        data = (x.data.astype(np.int16) - 128).astype(np.int8) if found.code == UINT8 else x.data
        return QuantizedConstant(data, found.quant)
    return b.emit("dequantize", [as_int8(b, x, found.quant)])


HANDLERS: dict[str, Handler] = {
    "quantized_decomposed.quantize_per_tensor": quantize,
    "quantized_decomposed.quantize_per_channel": quantize,
    "quantized_decomposed.dequantize_per_tensor": dequantize,
    "quantized_decomposed.dequantize_per_channel": dequantize,
}
