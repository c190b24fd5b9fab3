"""Flattening an image in another order than it is stored: a matter of the columns of the weights that read it."""

from __future__ import annotations

import numpy as np

from edgert.ir import Node, Value
from edgert.passes._rewrite import Array, Sweep, first_input


def reorder_weights(sweep: Sweep, node: Node) -> bool:
    """A transpose that a reshape flattens for a fully connected layer: reorders the columns of its weights."""
    if node.op != "fully_connected" or node.inputs[0] is None:
        return False
    chain: list[Node] = []  # movement, from the layer upwards
    value = node.inputs[0]
    while (above := sweep.producer.get(value)) is not None and above.op in ("reshape", "transpose"):
        chain.append(above)
        value = first_input(above)
    if not any(link.op == "transpose" for link in chain):
        return False
    flat = first_input(node).shape
    order = _column_order(value, chain, flat)
    weights = None if order is None else _with_columns(sweep, node.inputs[1], order, node)
    if weights is None:
        return False
    moved = value if value.shape == flat else sweep.emit("reshape", [value], {"shape": flat}, node)
    sweep.emit("fully_connected", [moved, weights, *node.inputs[2:]], node.attrs, node, output=node.output)
    return True


def _column_order(source: Value, chain: list[Node], flat: tuple[int, ...]) -> Array | None:
    """Which element of a row of the source, taken as [rows, K], each column of the flattened input is."""
    index: Array = np.arange(int(np.prod(source.shape)), dtype=np.int64).reshape(source.shape)
    for link in reversed(chain):
        perm = link.attrs.get("perm")
        index = index.reshape(link.output.shape) if perm is None else index.transpose(perm)
    rows = index.reshape(-1, flat[-1])
    order: Array = rows[0]
    same = rows - np.arange(len(rows))[:, np.newaxis] * flat[-1]
    if not (same == order).all() or not (np.sort(order) == np.arange(flat[-1])).all():
        return None
    return order


def _with_columns(sweep: Sweep, weights: Value | None, order: Array, like: Node) -> Value | None:
    """Weights [N, K] with column order[k] from column k, constant or dequantised from a constant; None for others."""
    if weights is None:
        return None
    if weights.data is not None:
        data = np.empty_like(weights.data)
        data[:, order] = weights.data
        return sweep.constant(data, weights, weights.quant)
    above = sweep.producer.get(weights)
    stored = above.inputs[0] if above is not None and above.op == "dequantize" else None
    if above is None or stored is None or (stored.quant is not None and stored.quant.axis != 0):
        return None
    reordered = _with_columns(sweep, stored, order, like)
    return reordered and sweep.emit("dequantize", [reordered], {}, above)
