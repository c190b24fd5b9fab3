"""Channel shuffles: a reshape that parts one axis, a transpose of the parts, and a reshape that joins them again.

Taken literally, in a channels-first source, they stand between the layout's transposes and keep those from meeting.
As a gather along the one axis they let transposes through, and what reads a part of the channels gathers only that.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from edgert.dtypes import QuantParams
from edgert.ir import Node, Value
from edgert.passes import _views
from edgert.passes._rewrite import Array, Sweep, first_input
from edgert.passes.merge_movement import chains_above


def shuffle_to_gather(sweep: Sweep, node: Node) -> bool:
    """Visitor: a reshape at the end of a chain that reorders one axis of a tensor becomes a gather of that axis."""
    if node.op != "reshape":
        return False
    for source, chain in chains_above(sweep, first_input(node)):
        view: _views.View | None = _views.whole(source.shape)
        for link in chain:
            view = view and _views.apply(view, link.op, link.attrs, link.output.shape)
        found = None if view is None else _shuffled_axis(source.shape, view, node.output.shape)
        if found is None:
            continue
        axis, order, moved = found
        index = sweep.constant(order.astype(np.int32), node)
        value = sweep.emit("gather", [source, index], {"axis": axis}, node)
        steps = _views.steps(value.shape, moved)
        if steps is None:
            return False
        for op, attrs in steps:
            value = sweep.emit(op, [value], attrs, node)
        return sweep.replace(node.output, value)
    return False


def _shuffled_axis(
    source: tuple[int, ...], view: _views.View, shape: tuple[int, ...]
) -> tuple[int, Array, _views.View] | None:
    """The axis that a reshape of the view to `shape` shuffles, its new order, and `shape` as a view of the gathered.

    None when no axis is shuffled, more than one, or more is done than to permute the axes.
    """
    sizes: list[tuple[int, int]] = []  # (stride in the source, dimension of `shape`)
    shuffled: tuple[int, Array] | None = None
    for positions, new in _views.groups(view.shape, shape):
        old = [(view.shape[position], view.strides[position]) for position in positions]
        if all(outer[1] == inner[0] * inner[1] for outer, inner in pairwise(old)):
            stride = old[-1][1]
            for dim in reversed(new):
                sizes.append((stride, dim))
                stride *= shape[dim]
        elif len(new) == 1 and shuffled is None:
            offsets: Array = np.zeros(1, np.int64)
            for size, stride in old:
                offsets = (offsets[:, np.newaxis] + np.arange(size) * stride).reshape(-1)
            shuffled = new[0], offsets
        else:
            return None
    if shuffled is None:
        return None
    dim, offsets = shuffled
    strides = _views.whole(source).strides
    axes = {(stride, size): axis for axis, (stride, size) in enumerate(zip(strides, source, strict=True)) if size > 1}
    places = {axes.get((stride, shape[position])): position for stride, position in sizes}
    rest = set(axes.values()) - places.keys()
    if None in places or len(places) != len(sizes) or len(rest) != 1:
        return None
    (axis,) = rest
    order, remainder = np.divmod(offsets + view.offset, strides[axis])
    if remainder.any() or order.max() >= source[axis]:
        return None
    gathered = _views.whole((*source[:axis], len(order), *source[axis + 1 :])).strides
    places[axis] = dim
    moved = [0] * len(shape)
    for place, position in places.items():
        assert place is not None
        moved[position] = gathered[place]
    return axis, order, _views.View(shape, tuple(moved), 0)


def merge_gather(sweep: Sweep, node: Node) -> bool:
    """Visitor: a slice or another gather of what a gather by constant indices took, along the same axis, takes it
    itself; a slice that is even in steps stays one."""
    if node.op not in ("slice", "gather") or node.inputs[0] is None:
        return False
    above = sweep.producer.get(first_input(node))
    found = None if above is None else _constant_order(above)
    if above is None or found is None:
        return False
    axis, order = found
    source = first_input(above)
    if node.op == "gather":
        own = _constant_order(node)
        if own is None or own[0] != axis:
            return False
        order = order[own[1]]
    else:
        bounds = list(zip(node.attrs["begin"], node.attrs["end"], node.attrs["strides"], strict=True))
        whole = [(0, size, 1) for size in first_input(node).shape]
        if any(bounds[other] != whole[other] for other in range(len(whole)) if other != axis):
            return False
        begin, end, stride = bounds[axis]
        order = order[begin : None if end < 0 else end : stride]
    step = int(order[1] - order[0]) if len(order) > 1 else 1
    if step > 0 and (np.diff(order) == step).all():
        begins, ends, strides = [0] * len(source.shape), list(source.shape), [1] * len(source.shape)
        begins[axis], ends[axis], strides[axis] = int(order[0]), int(order[-1]) + 1, step
        attrs = {"begin": tuple(begins), "end": tuple(ends), "strides": tuple(strides)}
        sweep.emit("slice", [source], attrs, node, output=node.output)
    else:
        index = sweep.constant(order.astype(np.int32), node)
        sweep.emit("gather", [source, index], {"axis": axis}, node, output=node.output)
    return True


def _constant_order(node: Node) -> tuple[int, Array] | None:
    """Axis and indices (none negative) of a gather by a constant vector; None for any other node."""
    index = node.inputs[1] if node.op == "gather" else None
    if index is None or index.data is None or index.data.ndim != 1 or not index.data.size:
        return None
    shape = first_input(node).shape
    axis = node.attrs["axis"] % len(shape)
    return axis, index.data.astype(np.int64) % shape[axis]


# How the weights' input channels lie: a layer that reads a shuffled tensor may shuffle its weights instead.
CHANNELS = {"conv2d": 3, "fully_connected": 1, "depthwise_conv2d": 2}


def gather_to_weights(sweep: Sweep, node: Node) -> bool:
    """Visitor: a layer below a gather that only reorders channels reorders its weights; depthwise ones pass it on."""
    if node.op not in CHANNELS or node.attrs.get("groups", 1) != 1 or node.attrs.get("multiplier", 1) != 1:
        return False
    above = sweep.producer.get(first_input(node))
    found = None if above is None else _constant_order(above)
    if above is None or found is None:
        return False
    axis, order = found
    source, back = first_input(above), np.argsort(order)
    if axis != len(source.shape) - 1 or not np.array_equal(order[back], np.arange(source.shape[axis])):
        return False
    depthwise = node.op == "depthwise_conv2d"
    if depthwise and (writer := sweep.producer.get(source)) is not None and writer.op == "dequantize":
        return False  # what stands between dequantize and quantize is to become int8 (fold_qdq)
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    weights = _reordered(sweep, node.inputs[1], back, CHANNELS[node.op])
    if depthwise and bias is not None:
        bias = _reordered(sweep, bias, back, 0)
    if weights is None or (depthwise and len(node.inputs) > 2 and node.inputs[2] is not None and bias is None):
        return False
    inputs: list[Value | None] = [source, weights, *([bias] if len(node.inputs) > 2 else [])]
    if not depthwise:
        sweep.emit(node.op, inputs, node.attrs, node, output=node.output)
        return True
    old = node.output
    value = Value(sweep.names.unique(f"{old.name}/{node.op}"), old.shape, old.dtype, old.quant)
    sweep.emit(node.op, inputs, node.attrs, node, output=value)
    sweep.emit("gather", [value, above.inputs[1]], {"axis": len(old.shape) - 1}, above, output=old)
    return True


def _reordered(sweep: Sweep, value: Value | None, order: Array, axis: int) -> Value | None:
    """A constant, float or quantised or dequantised from one, with its axis in another order; None for what is none."""
    above = None if value is None else sweep.producer.get(value)
    if above is not None and above.op == "dequantize":
        stored = _reordered(sweep, above.inputs[0], order, axis)
        return stored and sweep.emit("dequantize", [stored], {}, above)
    if value is None or value.data is None:
        return None
    quant = value.quant
    if quant is not None and quant.per_channel and quant.axis == axis:
        scales, zeros = (tuple(numbers[i] for i in order) for numbers in (quant.scales, quant.zero_points))
        quant = QuantParams(scales, zeros, axis)
    return sweep.constant(np.ascontiguousarray(value.data.take(order, axis)), value, quant)
