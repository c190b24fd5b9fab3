"""ONNX handlers: attention, and the operators that onnxruntime fuses from a transformer's and a convolution's parts.

What the handler of Attention refuses (a mask shorter than the keys, the scores as an output, rows of different lengths)
is converted by ONNX's own function body.
"""

from __future__ import annotations

import math

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.layers import norm
from edgert.importers.layers.attention import attention as attended
from edgert.importers.layers.elementwise import clamp, leaky_relu
from edgert.importers.onnx.builder import Builder, Handler, Outputs, RefusedError, SourceNode
from edgert.importers.onnx.linear import gemm
from edgert.importers.onnx.spatial import conv
from edgert.ir import Value
from edgert.ops._enums import UnaryFunction

BY_FUNCTION = "its function body serves"
KNOWN = {"is_causal", "kv_num_heads", "q_num_heads", "scale", "softcap", "softmax_precision", "qk_matmul_output_mode"}


def attention(b: Builder, node: SourceNode) -> Outputs:
    """Query, key and value [N, heads, L, E], or [N, L, heads * E] with the numbers of heads as attributes."""
    unknown = set(node.attrs) - KNOWN
    if unknown:
        raise RefusedError(f"its attribute {min(unknown)!r}", BY_FUNCTION)
    unusual = any(node.has(index) for index in range(4, 7)) or any(node.outputs[1:])
    if unusual or node.integer("softmax_precision", 1) != 1:
        raise RefusedError("a cache of keys, or the scores as an output", BY_FUNCTION)
    query, key, value = (b.value(node, index) for index in range(3))
    flat = len(query.shape) == 3
    if flat:
        heads, others = node.integer("q_num_heads", 0), node.integer("kv_num_heads", 0)
        query, key, value = (
            _heads(b, x, count) for x, count in ((query, heads), (key, others), (value, others))
        )  # fmt: skip
    causal, mask = bool(node.integer("is_causal", 0)), b.optional(node, 3)
    rows, columns = query.shape[-2], key.shape[-2]
    if (causal and rows != columns) or (mask is not None and mask.shape[-1] != columns):
        raise RefusedError("a mask that does not reach as far as the keys", BY_FUNCTION)
    if mask is not None and mask.dtype == DType.BOOL and (mask.data is None or not mask.data.any(-1).all()):
        raise RefusedError("a mask that may leave a row nothing", BY_FUNCTION)  # whose result is 0
    if causal:
        b.room((rows, columns))
    scale = node.number("scale", 1 / math.sqrt(query.shape[-1]))
    softcap = node.number("softcap", 0.0)
    if softcap and mask is not None:
        raise RefusedError("a mask and a softcap", BY_FUNCTION)
    y = attended(b, query, key, value, mask=mask, causal=causal, scale=scale, softcap=softcap)
    if not flat:
        return y
    batch, heads, length, width = y.shape
    return b.reshape(b.transpose(y, (0, 2, 1, 3)), (batch, length, heads * width))


def _heads(b: Builder, x: Value, count: int) -> Value:
    """[N, L, heads * E] as [N, heads, L, E]."""
    batch, length, width = x.shape
    if count < 1 or width % count:
        raise ModelError(f"{width} features do not make {count} heads")
    return b.transpose(b.reshape(x, (batch, length, count, width // count)), (0, 2, 1, 3))


def _activated(b: Builder, node: SourceNode, y: Value) -> Value:
    """The activation that a fused operator names."""
    name = node.text("activation", "")
    parameters = [float(item) for item in node.attrs.get("activation_params", ())]
    if "activation_alpha" in node.attrs:
        parameters = [node.number(f"activation_{item}", 0.0) for item in ("alpha", "beta")]
    plain = {"Relu": UnaryFunction.RELU, "Sigmoid": UnaryFunction.SIGMOID, "Tanh": UnaryFunction.TANH}
    if not name:
        return y
    if name in plain:
        return b.unary(plain[name], y)
    if name == "LeakyRelu":
        return leaky_relu(b, y, parameters[0] if parameters else 0.01)
    if name == "Clip" and len(parameters) == 2:
        return clamp(b, y, *parameters)
    if name == "HardSigmoid" and len(parameters) == 2:
        return b.unary(UnaryFunction.HARD_SIGMOID, y, *parameters)
    raise RefusedError(f"the activation {name!r}", "give edgert the model as it was before the runtime optimised it")


def fused_conv(b: Builder, node: SourceNode) -> Value:
    """Conv, then a sum with input 3, then an activation."""
    y = conv(b, node)
    if node.has(3):
        y = b.add(y, b.value(node, 3))
    return _activated(b, node, y)


def fused_gemm(b: Builder, node: SourceNode) -> Value:
    return _activated(b, node, gemm(b, node))


def fused_matmul(b: Builder, node: SourceNode) -> Value:
    """alpha * a' b', with the last two dimensions of either turned."""
    if node.integer("transBatchA", 0) or node.integer("transBatchB", 0):
        raise RefusedError("a turned batch", "give edgert the model as it was before the runtime optimised it")
    operands = [b.value(node, index) for index in range(2)]
    if min(len(operand.shape) for operand in operands) < 2:
        raise RefusedError("a product with a vector", "give it as a matrix of one row or column")
    attrs = {"transpose_a": bool(node.integer("transA", 0)), "transpose_b": bool(node.integer("transB", 0))}
    y = b.emit("matmul", operands, attrs)
    alpha = node.number("alpha", 1.0)
    return y if alpha == 1.0 else b.mul(y, alpha)


def bias_gelu(b: Builder, node: SourceNode) -> Value:
    """gelu(x + bias), by erf; FastGelu by tanh, with a bias or without."""
    x = b.value(node, 0)
    if node.has(1):
        x = b.add(x, b.value(node, 1))
    fast = node.op.endswith("FastGelu")
    return b.unary(UnaryFunction.GELU_TANH if fast else UnaryFunction.GELU, x)


def skip_normalization(b: Builder, node: SourceNode) -> list[Value]:
    """The normalised sum of two inputs and a bias, and the sum itself as the fourth output."""
    total = b.add(b.value(node, 0), b.value(node, 1))
    simple = "Simplified" in node.op
    scale, shift = b.value(node, 2), None if simple else b.optional(node, 3)
    bias = b.optional(node, 3 if simple else 4)
    if bias is not None:
        total = b.add(total, bias)
    if any(node.outputs[1:3]):
        raise RefusedError("its mean or variance, which serve training, are used", "export the model for inference")
    over, epsilon = [len(total.shape) - 1], node.number("epsilon", 1e-12 if not simple else 1e-6)
    if simple:
        y = norm.rms_norm(b, total, over, scale, epsilon)
    else:
        y = norm.layer_norm(b, total, over, scale, shift, epsilon)
    return [y, total, total, total]


def simplified_normalization(b: Builder, node: SourceNode) -> Value:
    """RMSNormalization by the name that onnxruntime gave it before ONNX had it."""
    x = b.value(node, 0)
    rank = len(x.shape)
    over = range(node.integer("axis", -1) % rank, rank)
    return norm.rms_norm(b, x, over, b.value(node, 1), node.number("epsilon", 1e-5))


HANDLERS: dict[str, Handler] = {
    "Attention": attention,
    "SimplifiedLayerNormalization": simplified_normalization,
    "com.microsoft.FusedConv": fused_conv,
    "com.microsoft.FusedGemm": fused_gemm,
    "com.microsoft.FusedMatMul": fused_matmul,
    "com.microsoft.BiasGelu": bias_gelu,
    "com.microsoft.FastGelu": bias_gelu,
    "com.microsoft.SkipLayerNormalization": skip_normalization,
    "com.microsoft.SkipSimplifiedLayerNormalization": skip_normalization,
}
