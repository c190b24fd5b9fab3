"""Keras handlers: attention."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.builder import GraphBuilder, RefusedError
from edgert.importers.keras.layer import Call, Handler, Layer, Result, leaves
from edgert.importers.layers import attention, elementwise
from edgert.ir import Value
from edgert.ops._enums import ReduceFunction, UnaryFunction

ORDER = ("query", "value", "key", "query_mask", "value_mask", "key_mask", "attention_mask")


def _named(call: Call, names: Sequence[str]) -> dict[str, Value]:
    """Tensors by the names of the parameters that they are given for."""
    found = {}
    for index, name in enumerate(names):
        given = call.kwargs.get(name, call.args[index] if index < len(call.args) else None)
        value = next(leaves(given, Value), None)
        if value is not None:
            found[name] = value
    return found


def _projected(b: GraphBuilder, layer: Layer, x: Value) -> Value:
    """x [B, T, I] by heads: kernel [I, heads, size] -> [B, heads, T, size]."""
    kernel, bias = layer.weight("kernel"), layer.optional("bias")
    if kernel.ndim != 3 or len(x.shape) != 3 or x.shape[2] != kernel.shape[0]:
        raise ModelError(f"its kernel {list(kernel.shape)} does not fit an input {list(x.shape)}")
    inputs, heads, size = kernel.shape
    weights = np.ascontiguousarray(kernel.reshape(inputs, heads * size).T)
    y = elementwise.linear(b, x, weights, None if bias is None else bias.reshape(-1))
    return b.transpose(b.reshape(y, (*x.shape[:2], heads, size)), (0, 2, 1, 3))


def _mask(b: GraphBuilder, mask: Value) -> Value:
    """[B, T, S] for all heads, as bool."""
    if mask.dtype != DType.BOOL:
        mask = b.emit("cast", [mask], dtype=DType.BOOL)
    if len(mask.shape) == 2:
        mask = b.reshape(mask, (1, *mask.shape))
    return b.reshape(mask, (mask.shape[0], 1, *mask.shape[1:])) if len(mask.shape) == 3 else mask


def multi_head(b: GraphBuilder, call: Call) -> Result:
    """Also grouped: fewer heads of key and value, each for a group of neighbouring heads of query."""
    layer, given = call.layer, _named(call, ORDER)
    if layer.get("use_gate") or layer.get("sliding_window") is not None:
        raise RefusedError("use_gate or sliding_window", "use plain attention, with an attention_mask")
    if "query" not in given or "value" not in given:
        raise ModelError("it is called without query or value")
    query, value = given["query"], given["value"]
    if any(len(item.shape) != 3 for item in (query, value)):
        raise RefusedError("attention over several axes", "reshape its inputs to samples, steps and features")
    key = given.get("key", value)
    heads = [_projected(b, layer.children[role], x) for role, x in (("query", query), ("key", key), ("value", value))]
    mask = _mask(b, given["attention_mask"]) if "attention_mask" in given else None
    causal, wants_scores = (bool(call.kwargs.get(name)) for name in ("use_causal_mask", "return_attention_scores"))
    scores, _ = attention.weighted(b, heads[0], heads[1], mask=mask, causal=causal)
    chances = b.emit("softmax", [scores], {"axis": 3})
    mixed = b.emit("matmul", [chances, attention.for_heads(b, heads[2], heads[0])])
    kernel, bias = layer.children["output"].weight("kernel"), layer.children["output"].optional("bias")
    if kernel.ndim != 3 or math.prod(kernel.shape[:2]) != mixed.shape[1] * mixed.shape[3]:
        raise ModelError(
            f"its output kernel has the shape {list(kernel.shape)}, which does not fit {mixed.shape[1]} heads"
        )
    flat = b.reshape(b.transpose(mixed, (0, 2, 1, 3)), (*query.shape[:2], math.prod(kernel.shape[:2])))
    weights = np.ascontiguousarray(kernel.reshape(-1, kernel.shape[2]).T)
    y = elementwise.linear(b, flat, weights, bias)
    return [y, chances] if wants_scores else y


def _inputs(call: Call) -> tuple[Value, Value, Value]:
    """Query, value and key of the layers that take them as a list."""
    items = list(leaves(call.args[0] if call.args else call.kwargs.get("inputs"), Value))
    if not 2 <= len(items) <= 3 or any(len(item.shape) != 3 for item in items):
        raise ModelError("it is called with no list of query, value and key, each of 3 dimensions")
    return items[0], items[1], items[2] if len(items) > 2 else items[1]


def _summed_over(b: GraphBuilder, query: Value, key: Value, scale: Value | None, factor: Value | None) -> Value:
    """Sum over the features of scale * tanh(factor * (query + key)), for every pair of steps."""
    (batch, rows, width), columns = query.shape, key.shape[1]
    both = b.add(b.reshape(query, (batch, rows, 1, width)), b.reshape(key, (batch, 1, columns, width)))
    both = b.unary(UnaryFunction.TANH, both if factor is None else b.mul(both, factor))
    both = both if scale is None else b.mul(both, scale)
    return b.reduce(ReduceFunction.SUM, both, [3], keep_dims=False)


def _finished(b: GraphBuilder, call: Call, scores: Value, value: Value) -> Result:
    if call.kwargs.get("use_causal_mask") or call.layer.get("causal"):
        scores = b.add(scores, attention.additive(np.tri(scores.shape[-2], scores.shape[-1], dtype=np.bool_)))
    chances = b.emit("softmax", [scores], {"axis": 2})
    y = b.emit("matmul", [chances, value])
    return [y, chances] if call.kwargs.get("return_attention_scores") else y


def dot_product(b: GraphBuilder, call: Call) -> Result:
    layer = call.layer
    query, value, key = _inputs(call)
    found = layer.optional("scale")
    scale = None if found is None else b.const(found.reshape(()))
    mode = layer.text("score_mode", "dot")
    if mode == "dot":
        scores = b.emit("matmul", [query, key], {"transpose_b": True})
        scores = scores if scale is None else b.mul(scores, scale)
    elif mode == "concat":
        scores = _summed_over(b, query, key, None, scale)
        scores = b.mul(scores, b.const(layer.weight("concat_score_weight").reshape(())))
    else:
        raise RefusedError(f"score_mode {mode!r}", "use dot or concat")
    return _finished(b, call, scores, value)


def additive(b: GraphBuilder, call: Call) -> Result:
    query, value, key = _inputs(call)
    scale = call.layer.optional("scale")
    scores = _summed_over(b, query, key, None if scale is None else b.const(scale.reshape(-1)), None)
    return _finished(b, call, scores, value)


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(("MultiHeadAttention", "GroupQueryAttention", "GroupedQueryAttention"), multi_head),
    "Attention": dot_product,
    "AdditiveAttention": additive,
}
