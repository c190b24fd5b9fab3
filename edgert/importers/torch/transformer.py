"""PyTorch handlers: the fused operators that nn.TransformerEncoderLayer and nn.MultiheadAttention take when in use."""

from __future__ import annotations

from edgert.dtypes import DType
from edgert.importers.layers import norm
from edgert.importers.layers.attention import MASKED, additive, attention
from edgert.importers.torch.builder import Builder, Call, Handler, RefusedError
from edgert.importers.torch.linear import product
from edgert.ir import Value
from edgert.ops._enums import UnaryFunction


def _mask(b: Builder, call: Call) -> Value | None:
    """True marks what does not count: [L, L] of a source mask (type 0), [N, S] of padding (type 1)."""
    if not call.has("mask"):
        return None
    mask = b.value(call, "mask")
    if mask.dtype != DType.BOOL:
        return mask
    if mask.constant and mask.data is not None:
        mask = b.const(additive(~mask.data))
    else:
        mask = b.emit("select", [mask, b.const(MASKED), b.const(0.0)])
    padding = call.integer("mask_type", 2) == 1
    return b.reshape(mask, (mask.shape[0], 1, 1, mask.shape[1])) if padding else mask


def _attended(b: Builder, call: Call, query: Value, key: Value, value: Value) -> Value:
    """Multi-head attention over [N, L, E] with weights of query, key and value one below the other."""
    width, heads = call.integer("embed_dim"), call.integer(call.any_of("num_heads", "num_head"))
    weights, biases = b.array(call, "qkv_weight"), b.array(call, "qkv_bias")

    def projected(x: Value, part: int) -> Value:
        rows = slice(part * width, (part + 1) * width)
        y = product(b, x, weights[rows], b.const(biases[rows]))
        return b.transpose(b.reshape(y, (*x.shape[:2], heads, width // heads)), (0, 2, 1, 3))

    q, k, v = (projected(x, part) for part, x in enumerate((query, key, value)))
    y = attention(b, q, k, v, mask=_mask(b, call))
    y = b.reshape(b.transpose(y, (0, 2, 1, 3)), query.shape)
    return product(b, y, b.weights(call, "proj_weight"), b.value(call, "proj_bias"))


def multi_head_attention(b: Builder, call: Call) -> list[Value]:
    if call.flag("need_weights", True):
        raise RefusedError("its attention weights are asked for", "call it with need_weights=False")
    y = _attended(b, call, *(b.value(call, name) for name in ("query", "key", "value")))
    return [y, y]


def encoder_layer(b: Builder, call: Call) -> Value:
    """Attention and two linear layers, each with a residual and a normalisation, before (norm_first) or after."""
    x, epsilon, first = b.value(call, "src"), call.number("eps", 1e-5), call.flag("norm_first")

    def normalised(y: Value, number: int) -> Value:
        scale, bias = (b.value(call, f"norm_{part}_{number}") for part in ("weight", "bias"))
        return norm.layer_norm(b, y, (len(y.shape) - 1,), scale, bias, epsilon)

    def fed_forward(y: Value) -> Value:
        function = UnaryFunction.GELU if call.flag("use_gelu") else UnaryFunction.RELU
        inner = product(b, y, b.weights(call, "ffn_weight_1"), b.value(call, "ffn_bias_1"))
        return product(b, b.unary(function, inner), b.weights(call, "ffn_weight_2"), b.value(call, "ffn_bias_2"))

    if first:
        y = normalised(x, 1)
        x = b.add(x, _attended(b, call, y, y, y))
        return b.add(x, fed_forward(normalised(x, 2)))
    x = normalised(b.add(x, _attended(b, call, x, x, x)), 1)
    return normalised(b.add(x, fed_forward(x)), 2)


HANDLERS: dict[str, Handler] = {
    "aten._native_multi_head_attention": multi_head_attention,
    "aten._transformer_encoder_layer_fwd": encoder_layer,
}
