"""ONNX handlers: quantisation whose scale only the run knows, or that varies within a tensor; integer products.

They compute on plain integers and floats: exact, and no faster than float32. A model that is quantised statically has
its fast integer operators from onnx/quant.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.layers import conv as conv_layers
from edgert.importers.onnx.builder import Builder, Handler, Outputs, RefusedError, SourceNode
from edgert.importers.onnx.quant import HANDLERS as STATIC
from edgert.importers.onnx.spatial import placed
from edgert.ir import Value
from edgert.ops._enums import BinaryFunction, UnaryFunction

LIMITS = {DType.UINT8: (0.0, 255.0), DType.INT8: (-128.0, 127.0)}
EXACT = 1 << 24  # float32 holds every integer up to it


def quantize_linear(b: Builder, node: SourceNode) -> Outputs:
    """By the quantiser's own operator where the scale is one constant; else round(x / scale) + zero, saturated."""
    if not _varies(b, node):
        return STATIC["QuantizeLinear"](b, node)
    x = b.value(node, 0)
    scale, zero, target = _operands(b, node, x, DType.UINT8)
    steps = b.unary(UnaryFunction.ROUND, b.emit("binary", [x, scale], {"function": BinaryFunction.DIV}))
    if zero is not None:
        steps = b.add(steps, b.emit("cast", [zero], dtype=DType.FLOAT32))
    return b.emit("cast", [b.unary(UnaryFunction.CLIP, steps, *LIMITS[target])], dtype=target)


def dequantize_linear(b: Builder, node: SourceNode) -> Outputs:
    blocked = bool(node.integer("block_size", 0))
    constant = b.constant(node, 0) is not None and b.constant(node, 1) is not None and not blocked
    if constant or not _varies(b, node):
        return STATIC["DequantizeLinear"](b, node)
    x = b.value(node, 0)
    if x.quant is not None or x in b.unsigned:
        raise RefusedError("an activation is quantised per channel", "quantise activations per tensor")
    scale, zero, _ = _operands(b, node, x, x.dtype)
    wide = b.emit("cast", [x], dtype=DType.INT32)
    if zero is not None:
        wide = b.sub(wide, b.emit("cast", [zero], dtype=DType.INT32))
    return b.mul(b.emit("cast", [wide], dtype=DType.FLOAT32), scale)


def _varies(b: Builder, node: SourceNode) -> bool:
    """Whether the scale is computed, or there are several."""
    scale = b.constant(node, 1)
    zero = b.constant(node, 2) if node.has(2) else np.zeros(1)
    return scale is None or zero is None or scale.size != 1 or bool(node.integer("block_size", 0))


def _operands(b: Builder, node: SourceNode, x: Value, default: DType) -> tuple[Value, Value | None, DType]:
    """Scale and zero point, shaped to broadcast against x, and the type of the quantised numbers."""
    scale = b.value(node, 1)
    zero = b.value(node, 2) if node.has(2) else None
    target = default if zero is None else zero.dtype
    if zero is None and node.op.endswith("QuantizeLinear") and node.integer("output_dtype", 0):
        from onnx import helper

        target = DType.of(np.dtype(helper.tensor_dtype_to_np_dtype(node.integer("output_dtype", 0))))
    if target not in LIMITS and not (node.op.startswith("De") and target == DType.INT32):
        raise RefusedError(f"it is quantised to {target.name.lower()}", "quantise to int8 or uint8")
    return _spread(b, node, x, scale), None if zero is None else _spread(b, node, x, zero), target


def _spread(b: Builder, node: SourceNode, x: Value, given: Value) -> Value:
    """One for all, one for each index of the axis, or one for each block along it."""
    axis, block = node.integer("axis", 1), node.integer("block_size", 0)
    if math.prod(given.shape) == 1:
        return given
    axis %= len(x.shape)
    if not block:
        if given.shape != (x.shape[axis],):
            raise ModelError(f"scales {list(given.shape)} do not fit axis {axis} of {list(x.shape)}")
        return b.reshape(given, (x.shape[axis], *[1] * (len(x.shape) - axis - 1)))
    blocks = given.shape[axis]
    if blocks != -(-x.shape[axis] // block):
        raise ModelError(f"{blocks} blocks of {block} do not cover axis {axis} of {list(x.shape)}")
    apart = b.reshape(given, (*given.shape[: axis + 1], 1, *given.shape[axis + 1 :]))
    shape = (*given.shape[: axis + 1], block, *given.shape[axis + 1 :])
    repeated = b.emit("broadcast_to", [apart], {"shape": shape})
    whole = b.reshape(repeated, (*given.shape[:axis], blocks * block, *given.shape[axis + 1 :]))
    return b.slice(whole, axis, 0, x.shape[axis])


def _centred(b: Builder, node: SourceNode, index: int, zero: int, along: int) -> Value:
    """The integers of an input less their zero point, as float32; along: the axis of several zero points."""
    data = b.constant(node, index)
    point = b.constant(node, zero) if node.has(zero) else np.zeros((), np.int32)
    shape = b.value(node, index).shape if data is None else data.shape
    spread = [shape[along] if at == along else 1 for at in range(len(shape))]
    if data is not None and point is not None:
        point = point.reshape(spread if point.size > 1 else ())
        return b.const((data.astype(np.int32) - point.astype(np.int32)).astype(np.float32))
    x = b.value(node, index)
    if x.quant is not None or x in b.unsigned:
        raise RefusedError("it multiplies integers of a quantised activation", "use QLinearMatMul or QLinearConv")
    wide = b.emit("cast", [x], dtype=DType.INT32)
    if node.has(zero):
        less = b.emit("cast", [b.value(node, zero)], dtype=DType.INT32)
        wide = b.sub(wide, b.reshape(less, spread if math.prod(less.shape) > 1 else ()))
    return b.emit("cast", [wide], dtype=DType.FLOAT32)


def _exact(b: Builder, x: Value, depth: int, product: Callable[[Value], Value]) -> Value:
    """An int32 sum of `depth` products of integers below 256, computed in float32: at once where every sum stays exact,
    else as 16 times the product of the upper bits and that of the lower four."""
    if depth * 255 * 255 < EXACT:
        return b.emit("cast", [product(x)], dtype=DType.INT32)
    if depth * 16 * 255 >= EXACT:
        raise RefusedError(f"a sum of {depth} products of integers", f"at most {EXACT // (16 * 255)} stay exact")
    upper = b.unary(UnaryFunction.FLOOR, b.mul(x, 1.0 / 16.0))
    lower = b.sub(x, b.mul(upper, 16.0))
    high, low = (b.emit("cast", [product(part)], dtype=DType.INT32) for part in (upper, lower))
    return b.add(b.mul(high, np.asarray(16, np.int32)), low)


def matmul_integer(b: Builder, node: SourceNode) -> Value:
    """int32 [M, N] of (a - zero_a) [M, K] and (b - zero_b) [K, N]."""
    x = _centred(b, node, 0, 2, len(b.value(node, 0).shape) - 2)
    other = _centred(b, node, 1, 3, len(b.value(node, 1).shape) - 1)
    if min(len(x.shape), len(other.shape)) < 2:
        raise RefusedError("a product with a vector", "give it as a matrix of one row or column")
    return _exact(b, x, x.shape[-1], lambda part: b.emit("matmul", [part, other]))


def conv_integer(b: Builder, node: SourceNode) -> Value:
    """int32 convolution of (x - zero_x) with (w - zero_w); padding is the zero point."""
    x = _centred(b, node, 0, 2, 1)
    weights = _centred(b, node, 1, 3, 0)
    place = placed(node, x.shape[2:], node.integers("kernel_shape") or weights.shape[2:])
    groups = node.integer("group", 1)

    def product(part: Value) -> Value:
        return conv_layers.convolution(b, part, weights, None, place, groups)

    return _exact(b, x, math.prod(weights.shape[1:]), product)


HANDLERS: dict[str, Handler] = {
    "QuantizeLinear": quantize_linear,
    "DequantizeLinear": dequantize_linear,
    "com.microsoft.QuantizeLinear": quantize_linear,
    "com.microsoft.DequantizeLinear": dequantize_linear,
    "MatMulInteger": matmul_integer,
    "ConvInteger": conv_integer,
}
