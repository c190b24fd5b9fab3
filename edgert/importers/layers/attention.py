"""Scaled dot-product attention, from products, additions and a softmax."""

from __future__ import annotations

import math

import numpy as np

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.builder import Array, GraphBuilder
from edgert.ir import Value
from edgert.ops._enums import UnaryFunction

# Added to scores that do not count: far below any score, and far from where float32 overflows.
MASKED = -1e30


def attention(
    b: GraphBuilder,
    query: Value,
    key: Value,
    value: Value,
    *,
    mask: Value | None = None,
    causal: bool = False,
    scale: float | None = None,
    softcap: float = 0.0,
) -> Value:
    """softmax(scale * query key' + mask) value: query [..., L, E], key [..., S, E], value [..., S, D] -> [..., L, D].

    mask: broadcast to [..., L, S]; bool (True: counts) or float (is added). causal: row l sees the columns up to l.
    scale: 1 / sqrt(E) by default. softcap: scores s become softcap * tanh(s / softcap) before the mask (0: not at all).
    Where query has more heads (axis -3) than key and value, each of theirs serves a group of neighbouring heads.

    Raises ModelError for shapes that do not fit.
    """
    scores, _ = weighted(b, query, key, mask=mask, causal=causal, scale=scale, softcap=softcap)
    chances = b.emit("softmax", [scores], {"axis": len(scores.shape) - 1})
    return b.emit("matmul", [chances, for_heads(b, value, query)])


def weighted(
    b: GraphBuilder,
    query: Value,
    key: Value,
    *,
    mask: Value | None = None,
    causal: bool = False,
    scale: float | None = None,
    softcap: float = 0.0,
) -> tuple[Value, Value]:
    """What attention takes the softmax of, and the products alone: scale * query key' [..., L, S]."""
    rank = len(query.shape)
    if rank < 2 or len(key.shape) != rank or query.shape[-1] != key.shape[-1]:
        raise ModelError(f"query {list(query.shape)} and key {list(key.shape)} do not fit")
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scaled = query if factor == 1.0 else b.mul(query, float(factor))
    products = b.emit("matmul", [scaled, for_heads(b, key, query)], {"transpose_b": True})
    scores = products
    if softcap:
        scores = b.mul(b.unary(UnaryFunction.TANH, b.mul(scores, 1 / softcap)), float(softcap))
    if causal:
        scores = b.add(scores, additive(np.tri(scores.shape[-2], scores.shape[-1], dtype=np.bool_)))
    if mask is not None:
        if mask.dtype == DType.BOOL:
            mask = b.operand(_bias_of(b, mask))
        scores = b.add(scores, mask)
    return scores, products


def additive(counts: Array) -> Array:
    """0 where it counts, and far below any score where it does not."""
    return np.where(counts, np.float32(0), np.float32(MASKED)).astype(np.float32)


def _bias_of(b: GraphBuilder, mask: Value) -> Value | Array:
    if mask.constant and mask.data is not None:
        return additive(mask.data)
    return b.emit("select", [mask, b.const(0.0), b.const(MASKED)])


def for_heads(b: GraphBuilder, x: Value, query: Value) -> Value:
    """x [..., heads, S, E] with each head as often as query has heads for it."""
    if len(x.shape) < 3 or x.shape[-3] in (1, query.shape[-3]):
        return x
    heads, wanted = x.shape[-3], query.shape[-3]
    if wanted % heads:
        raise ModelError(f"{wanted} heads of query, and {heads} of key or value")
    front, (rows, columns) = x.shape[:-3], x.shape[-2:]
    apart = b.reshape(x, (*front, heads, 1, rows, columns))
    wide = b.emit("broadcast_to", [apart], {"shape": (*front, heads, wanted // heads, rows, columns)})
    return b.reshape(wide, (*front, wanted, rows, columns))
