"""ONNX handlers: quantised models, both ways in which they are written.

QDQ: QuantizeLinear and DequantizeLinear around float operators become quantize and dequantize nodes; the pass
edgert.passes.fold_qdq makes int8 operators of them. QOperator: QLinearConv and its family become int8 operators here.
Scales are the source's own. uint8 numbers become int8, less 128, zero points too; weights and activations alike.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from edgert.importers.layers.quantised import as_int8
from edgert.importers.onnx import spatial
from edgert.importers.onnx.builder import Array, Builder, Handler, Outputs, QuantizedConstant, RefusedError, SourceNode
from edgert.ir import Value
from edgert.ops._enums import ReduceFunction, UnaryFunction

EIGHT_BITS = "quantise to int8 or uint8"
SOFTMAX_QUANT = QuantParams((1 / 256,), (-128,))


class Parameters(NamedTuple):
    """Scale and zero point of a tensor, as int8 numbers have them; unsigned: the source has uint8 there."""

    quant: QuantParams
    unsigned: bool


def parameters(b: Builder, node: SourceNode, scale: int, zero: int, axis: int = 0) -> Parameters:
    """The quantisation that two inputs of a node state; without a zero point it is 0 of uint8 (or of output_dtype)."""
    if node.integer("block_size", 0):
        raise RefusedError("it is quantised in blocks", "quantise per tensor, or weights per channel")
    scales = b.need_constant(node, scale, "scale").astype(np.float32).reshape(-1)
    if not np.isfinite(scales).all() or (scales <= 0).any():
        raise ModelError("a scale is not a positive number")
    if node.has(zero):
        zeros = b.need_constant(node, zero, "zero point").reshape(-1)
    else:
        from onnx import helper

        stated = node.integer("output_dtype", 0)
        zeros = np.zeros(len(scales), helper.tensor_dtype_to_np_dtype(stated) if stated else np.uint8)
    if zeros.dtype not in (np.uint8, np.int8, np.int32):
        raise RefusedError(f"it is quantised to {zeros.dtype.name}", EIGHT_BITS)
    unsigned = zeros.dtype == np.uint8
    shifted = np.broadcast_to(zeros.astype(np.int64) - (128 if unsigned else 0), scales.shape)
    quant = QuantParams(tuple(float(item) for item in scales), tuple(int(item) for item in shifted), axis)
    return Parameters(quant, bool(unsigned))


def activation_parameters(b: Builder, node: SourceNode, scale: int, zero: int) -> Parameters:
    """As parameters, of an activation, which has one scale for the whole tensor."""
    found = parameters(b, node, scale, zero)
    if found.quant.per_channel:
        raise RefusedError("an activation is quantised per channel", "quantise activations per tensor")
    return found


def constant_parameters(
    b: Builder, node: SourceNode, data: Array, scale: int, zero: int, axis: int
) -> QuantizedConstant:
    """A constant with what two inputs state. Without a zero point its own type tells whether it is unsigned."""
    if data.dtype not in (np.uint8, np.int8, np.int32):
        raise RefusedError(f"it is quantised to {data.dtype.name}", EIGHT_BITS)
    found = parameters(b, node, scale, zero, axis % max(data.ndim, 1)).quant
    unsigned = data.dtype == np.uint8
    if not node.has(zero):
        zeros = (-128 if unsigned else 0,) * len(found.scales)
        found = QuantParams(found.scales, zeros, found.axis)
    if found.per_channel and data.dtype != np.int32 and any(found.zero_points):
        raise RefusedError("per-channel weights have zero points other than 0", "quantise them symmetrically (int8)")
    shifted = (data.astype(np.int16) - 128).astype(np.int8) if unsigned else data
    return QuantizedConstant(shifted, found)


def quantized_input(b: Builder, node: SourceNode, index: int, scale: int, zero: int) -> Value:
    """An activation of a QLinear operator; it may be a constant."""
    found = activation_parameters(b, node, scale, zero)
    data = b.constant(node, index)
    if data is not None:
        constant = constant_parameters(b, node, data, scale, zero, 0)
        return b.const(constant.data, quant=constant.quant)
    return as_int8(b, b.value(node, index), found.quant)


def result(b: Builder, y: Value, found: Parameters) -> Value:
    """y, requantised to what the source states if it differs, and noted as uint8 if it is that there."""
    if y.quant != found.quant:
        y = b.emit("quantize", [y], quant=found.quant, dtype=DType.INT8)
    if found.unsigned:
        b.unsigned.add(y)
    return y


def quantize_linear(b: Builder, node: SourceNode) -> Value:
    x = b.value(node, 0)
    found = activation_parameters(b, node, 1, 2)
    y = b.emit("quantize", [x], quant=found.quant, dtype=DType.INT8)
    return result(b, y, found)


def dequantize_linear(b: Builder, node: SourceNode) -> Outputs:
    data = b.constant(node, 0)
    if data is not None:
        return constant_parameters(b, node, data, 1, 2, node.integer("axis", 1))
    return b.emit("dequantize", [as_int8(b, b.value(node, 0), activation_parameters(b, node, 1, 2).quant)])


def qlinear_conv(b: Builder, node: SourceNode) -> Value:
    x = quantized_input(b, node, 0, 1, 2)
    weights = constant_parameters(b, node, b.need_constant(node, 3, "weights"), 4, 5, 0)
    found = activation_parameters(b, node, 6, 7)
    bias = b.value(node, 8) if node.has(8) else None
    return result(b, spatial.convolution(b, node, x, weights, bias, found.quant), found)


def _matrix(b: Builder, node: SourceNode, index: int, transposed: bool) -> Value:
    """A constant matrix [K, N] (or [N, K] if transposed) with scales per column as the weights [N, K]."""
    data = b.need_constant(node, index, "matrix B")
    columns = 0 if transposed else 1
    weights = constant_parameters(b, node, data, index + 1, index + 2, columns)
    if not transposed:
        weights = weights.transposed((1, 0))
    return b.const(weights.data, quant=weights.quant)


def qlinear_matmul(b: Builder, node: SourceNode) -> Value:
    x = quantized_input(b, node, 0, 1, 2)
    found = activation_parameters(b, node, 6, 7)
    matrix = b.constant(node, 3)
    if matrix is not None and matrix.ndim == 2:
        return result(b, b.emit("fully_connected", [x, _matrix(b, node, 3, False)], quant=found.quant), found)
    other = quantized_input(b, node, 3, 4, 5)
    return result(b, b.emit("matmul", [x, other], quant=found.quant), found)


def qgemm(b: Builder, node: SourceNode) -> Value:
    """Without an output scale the result is float32, and so is the computation here."""
    if node.number("alpha", 1.0) != 1.0:
        raise RefusedError("alpha other than 1", "multiply the weights' scale by it")
    x = quantized_input(b, node, 0, 1, 2)
    if node.integer("transA", 0):
        x = b.transpose(x, (1, 0))
    weights = _matrix(b, node, 3, bool(node.integer("transB", 0)))
    bias = b.need_constant(node, 6, "bias").reshape(-1) if node.has(6) else None
    if bias is not None and len(bias) != weights.shape[0]:
        raise RefusedError(f"a bias of {len(bias)} numbers for {weights.shape[0]} columns", "give one for each column")
    if not node.has(7):
        dense: list[Value | Array] = [b.emit("dequantize", [x]), b.emit("dequantize", [weights])]
        if bias is not None and weights.quant is not None and x.quant is not None:
            scales = np.asarray(weights.quant.scales, np.float32) * np.float32(x.quant.scale)
            dense.append((bias * scales).astype(np.float32))
        return b.emit("fully_connected", dense)
    found = activation_parameters(b, node, 7, 8)
    inputs: list[Value | Array] = [x, weights] if bias is None else [x, weights, bias]
    return result(b, b.emit("fully_connected", inputs, quant=found.quant), found)


def qlinear_binary(op: str, b: Builder, node: SourceNode) -> Value:
    found = activation_parameters(b, node, 6, 7)
    operands = [quantized_input(b, node, 0, 1, 2), quantized_input(b, node, 3, 4, 5)]
    return result(b, b.emit(op, operands, quant=found.quant), found)


def qlinear_unary(function: UnaryFunction, b: Builder, node: SourceNode) -> Value:
    found = activation_parameters(b, node, 3, 4)
    alpha = node.number("alpha", 0.01) if function == UnaryFunction.LEAKY_RELU else 0.0
    attrs = {"function": function, "alpha": alpha}
    return result(b, b.emit("unary", [quantized_input(b, node, 0, 1, 2)], attrs, quant=found.quant), found)


def qlinear_softmax(b: Builder, node: SourceNode) -> Value:
    """`opset` says whose rules hold: before 13, everything from the axis on is one dimension."""
    x = quantized_input(b, node, 0, 1, 2)
    rank = len(x.shape)
    axis = node.integer("axis", -1) % rank
    if node.integer("opset", 13) < 13 and any(size != 1 for size in x.shape[axis + 1 :]):
        raise RefusedError("softmax over several axes", "export with operator set 13 or later")
    y = b.emit("softmax", [x], {"axis": axis}, quant=SOFTMAX_QUANT)
    return result(b, y, activation_parameters(b, node, 3, 4))


def _channels_first(node: SourceNode) -> None:
    if node.integer("channels_last", 0):
        raise RefusedError("channels_last=1", "give edgert the model as it was before the runtime's own layout change")


def qlinear_global_average_pool(b: Builder, node: SourceNode) -> Value:
    _channels_first(node)
    x = quantized_input(b, node, 0, 1, 2)
    found = activation_parameters(b, node, 3, 4)
    attrs = {"function": ReduceFunction.MEAN, "axes": tuple(range(2, len(x.shape))), "keep_dims": True}
    return result(b, b.emit("reduce", [x], attrs, quant=found.quant), found)


def qlinear_average_pool(b: Builder, node: SourceNode) -> Value:
    """As QDQ has it, so that fold_qdq chooses how to round to the output's scale."""
    _channels_first(node)
    x = b.emit("dequantize", [quantized_input(b, node, 0, 1, 2)])
    found = activation_parameters(b, node, 3, 4)
    mean = spatial.average_pooled(b, node, x)
    return result(b, b.emit("quantize", [mean], quant=found.quant, dtype=DType.INT8), found)


def qlinear_concat(b: Builder, node: SourceNode) -> Value:
    """Inputs: y scale, y zero point, then (x, scale, zero point) of each part."""
    found = activation_parameters(b, node, 0, 1)
    parts = []
    for index in range(2, len(node.inputs), 3):
        part = quantized_input(b, node, index, index + 1, index + 2)
        if part.quant != found.quant:
            part = b.emit("quantize", [part], quant=found.quant, dtype=DType.INT8)
        parts.append(part)
    axis = node.integer("axis", 1) % len(parts[0].shape)
    return result(b, b.emit("concat", parts, {"axis": axis}, quant=found.quant), found)


HANDLERS: dict[str, Handler] = {
    "QuantizeLinear": quantize_linear,
    "DequantizeLinear": dequantize_linear,
    "com.microsoft.QuantizeLinear": quantize_linear,
    "com.microsoft.DequantizeLinear": dequantize_linear,
    "QLinearConv": qlinear_conv,
    "QLinearMatMul": qlinear_matmul,
    "com.microsoft.QGemm": qgemm,
    "com.microsoft.QLinearAdd": partial(qlinear_binary, "add"),
    "com.microsoft.QLinearMul": partial(qlinear_binary, "mul"),
    "com.microsoft.QLinearSigmoid": partial(qlinear_unary, UnaryFunction.SIGMOID),
    "com.microsoft.QLinearLeakyRelu": partial(qlinear_unary, UnaryFunction.LEAKY_RELU),
    "com.microsoft.QLinearSoftmax": qlinear_softmax,
    "com.microsoft.QLinearGlobalAveragePool": qlinear_global_average_pool,
    "com.microsoft.QLinearAveragePool": qlinear_average_pool,
    "com.microsoft.QLinearConcat": qlinear_concat,
}
