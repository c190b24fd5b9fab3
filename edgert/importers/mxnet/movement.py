"""MXNet handlers: operators that move elements about, and constants."""

from __future__ import annotations

import itertools
import math
from functools import partial

import numpy as np

from edgert.errors import ModelError
from edgert.importers.builder import GraphBuilder, RefusedError
from edgert.importers.layers import movement
from edgert.importers.mxnet.node import Handler, SourceNode
from edgert.ir import Value
from edgert.ops._enums import PadMode

MOST_ELEMENTS = 1 << 24  # of a constant that a node states


def concat(b: GraphBuilder, node: SourceNode) -> Value:
    return movement.concat(b, node.inputs, node.axis("dim", 1))


def split(b: GraphBuilder, node: SourceNode) -> list[Value]:
    x, axis = node.input(), node.axis("axis", 1)
    parts = movement.split(b, x, axis, movement.equal_parts(x.shape[axis], node.integer("num_outputs", 1)))
    return [_squeezed(b, part, (axis,)) for part in parts] if node.flag("squeeze_axis", False) else parts


def split_at(b: GraphBuilder, node: SourceNode) -> list[Value]:
    """_split_v2: `sections` equal parts, or parts that begin at `indices` (the first of which is 0)."""
    x, axis = node.input(), node.axis("axis", 0)
    sections = node.integer("sections", 0)
    if sections:
        sizes = movement.equal_parts(x.shape[axis], sections)
    else:
        points = [*node.integers("indices"), x.shape[axis]]
        sizes = tuple(end - begin for begin, end in itertools.pairwise(points))
    parts = movement.split(b, x, axis, sizes)
    return [_squeezed(b, part, (axis,)) for part in parts] if node.flag("squeeze_axis", False) else parts


def _span(begin: int | None, end: int | None, step: int, size: int) -> tuple[int, int]:
    """Bounds as operators want them: normalised, an end of -1 for what runs off the front."""
    start, stop, _ = slice(begin, end, step).indices(size)
    if len(range(start, stop, step)) < 1:
        raise ModelError(f"a slice from {begin} to {end} of {size} is empty")
    return start, stop


def slice_axis(b: GraphBuilder, node: SourceNode) -> Value:
    x, axis = node.input(), node.axis("axis", 0)
    end = node.integer("end", 0) if node.has("end") else None
    begin, stop = _span(node.integer("begin", 0), end, 1, x.shape[axis])
    return b.slice(x, axis, begin, stop)


def slices(b: GraphBuilder, node: SourceNode) -> Value:
    x = node.input()
    rank = len(x.shape)
    begins, ends, steps = (list(node.bounds(name)) for name in ("begin", "end", "step"))
    if max(len(begins), len(ends), len(steps)) > rank:
        raise ModelError(f"bounds of {max(len(begins), len(ends))} dimensions of an input {list(x.shape)}")
    begins, ends, steps = (items + [None] * (rank - len(items)) for items in (begins, ends, steps))
    strides = [1 if step is None else step for step in steps]
    if 0 in strides:
        raise ModelError("a step of 0")
    spans = [_span(*bounds) for bounds in zip(begins, ends, strides, x.shape, strict=True)]
    return b.slices(x, [begin for begin, _ in spans], [end for _, end in spans], strides)


def slice_like(b: GraphBuilder, node: SourceNode) -> Value:
    """The first input cut to the second one's sizes, along `axes` or all axes."""
    x, like = node.input(0), node.input(1)
    rank = len(x.shape)
    axes = [axis % rank for axis in node.integers("axes")] or range(min(rank, len(like.shape)))
    ends = list(x.shape)
    for axis in axes:
        if axis >= len(like.shape) or like.shape[axis] > ends[axis]:
            raise ModelError(f"{list(x.shape)} cannot be cut to {list(like.shape)}")
        ends[axis] = like.shape[axis]
    return b.slices(x, [0] * rank, ends, [1] * rank)


def crop(b: GraphBuilder, node: SourceNode) -> Value:
    """Height and width as h_w states them, or those of the second input."""
    x = node.input()
    if len(x.shape) != 4:
        raise ModelError(f"an input {list(x.shape)}, needed 4 dimensions")
    sizes = node.input(1).shape[2:] if node.integer("num_args", 1) > 1 else (node.integers("h_w") or (0, 0))
    begins = node.integers("offset") or (0, 0)
    if node.flag("center_crop", False):
        begins = tuple((size - wanted) // 2 for size, wanted in zip(x.shape[2:], sizes, strict=True))
    ends = tuple(begin + size for begin, size in zip(begins, sizes, strict=True))
    if min(*begins, *sizes) < 0 or 0 in sizes or any(end > size for end, size in zip(ends, x.shape[2:], strict=True)):
        raise ModelError(f"{list(sizes)} from {list(begins)} on is beyond the input {list(x.shape)}")
    return b.slices(x, (0, 0, *begins), (*x.shape[:2], *ends), (1, 1, 1, 1))


def reshape(b: GraphBuilder, node: SourceNode) -> Value:
    x = node.input()
    codes = list(node.integers("shape"))
    if not codes and node.has("target_shape"):  # before 0.9
        codes = list(node.integers("target_shape"))
        if node.flag("keep_highest", False):
            codes[:1] = [x.shape[0]]
        codes = [-1 if size == 0 else size for size in codes]
    old = list(x.shape)
    if node.flag("reverse", False):
        if -4 in codes:
            raise RefusedError("reverse with the code -4", "state the sizes")
        return b.reshape(x, movement.resolve_shape(old, _decoded(old[::-1], codes[::-1])[::-1]))
    return b.reshape(x, movement.resolve_shape(old, _decoded(old, codes)))


def _decoded(old: list[int], codes: list[int]) -> list[int]:
    """Sizes from Reshape's codes: 0 copies a dimension, -1 is inferred, -2 copies all the rest, -3 merges two,
    -4 splits one into the next two."""
    sizes: list[int] = []
    source, at = iter(old), 0
    try:
        while at < len(codes):
            code = codes[at]
            at += 1
            if code == 0:
                sizes.append(next(source))
            elif code == -2:
                sizes.extend(source)
            elif code == -3:
                sizes.append(next(source) * next(source))
            elif code == -4:
                sizes.extend(movement.resolve_shape((next(source),), codes[at : at + 2]))
                at += 2
            else:
                sizes.append(code)
                next(source, None)
    except StopIteration:
        raise ModelError(f"the shape {codes} asks for more dimensions than the input {old} has") from None
    return sizes


def reshape_like(b: GraphBuilder, node: SourceNode) -> Value:
    if any(node.has(name) for name in ("lhs_begin", "lhs_end", "rhs_begin", "rhs_end")):
        raise RefusedError("it reshapes some dimensions only", "reshape to a stated shape")
    x = node.input()
    return b.reshape(x, movement.resolve_shape(x.shape, node.input(1).shape))


def flatten(b: GraphBuilder, node: SourceNode) -> Value:
    return movement.flatten(b, node.input())


def transpose(b: GraphBuilder, node: SourceNode) -> Value:
    x = node.input()
    rank = len(x.shape)
    order = [axis % rank for axis in node.integers("axes")] or list(range(rank))[::-1]
    if sorted(order) != list(range(rank)):
        raise ModelError(f"the order {order} of an input of {rank} dimensions")
    return b.transpose(x, order)


def swap_axes(b: GraphBuilder, node: SourceNode) -> Value:
    x = node.input()
    order = list(range(len(x.shape)))
    first, second = node.axis("dim1", 0), node.axis("dim2", 0)
    order[first], order[second] = order[second], order[first]
    return b.transpose(x, order)


def expand_dims(b: GraphBuilder, node: SourceNode) -> Value:
    x = node.input()
    axis = node.axis("axis", 0, len(x.shape) + 1)
    return b.reshape(x, (*x.shape[:axis], 1, *x.shape[axis:]))


def squeeze(b: GraphBuilder, node: SourceNode) -> Value:
    x = node.input()
    axes = tuple(axis % len(x.shape) for axis in node.integers("axis"))
    return _squeezed(b, x, axes or tuple(axis for axis, size in enumerate(x.shape) if size == 1))


def _squeezed(b: GraphBuilder, x: Value, axes: tuple[int, ...]) -> Value:
    if any(x.shape[axis] != 1 for axis in axes):
        raise ModelError(f"it drops the axes {list(axes)} of {list(x.shape)}")
    left = tuple(size for axis, size in enumerate(x.shape) if axis not in axes)
    return b.reshape(x, left or (1,))  # MXNet has no scalars


def pad(b: GraphBuilder, node: SourceNode) -> Value:
    x, widths = node.input(), node.integers("pad_width")
    modes = {"constant": PadMode.CONSTANT, "edge": PadMode.EDGE, "reflect": PadMode.REFLECT}
    mode = node.text("mode", "constant")
    if mode not in modes or len(widths) != 2 * len(x.shape) or min(widths) < 0:
        raise ModelError(f"mode {mode!r} and pad_width {list(widths)} of an input {list(x.shape)}")
    attrs = {
        "before": widths[::2], "after": widths[1::2], "mode": modes[mode], "value": node.number("constant_value", 0),
    }  # fmt: skip
    return b.emit("pad", [x], attrs)


def tile(b: GraphBuilder, node: SourceNode) -> Value:
    x, counts = node.input(), node.integers("reps")
    rank = max(len(x.shape), len(counts))
    y = b.reshape(x, (1,) * (rank - len(x.shape)) + x.shape)
    return movement.tile(b, y, (1,) * (rank - len(counts)) + counts)


def repeat(b: GraphBuilder, node: SourceNode) -> Value:
    """Every element along an axis `repeats` times in a row; of all elements in a row without an axis."""
    x, count = node.input(), node.integer("repeats", 1)
    if not node.has("axis"):
        x = b.reshape(x, (math.prod(x.shape),))
    axis = node.axis("axis", 0, len(x.shape))
    apart = b.reshape(x, (*x.shape[: axis + 1], 1, *x.shape[axis + 1 :]))
    many = movement.tile_axis(b, apart, axis + 1, count)
    return b.reshape(many, (*x.shape[:axis], x.shape[axis] * count, *x.shape[axis + 1 :]))


def stack(b: GraphBuilder, node: SourceNode) -> Value:
    x = node.input()
    axis = node.axis("axis", 0, len(x.shape) + 1)
    shape = (*x.shape[:axis], 1, *x.shape[axis:])
    return movement.concat(b, [b.reshape(item, shape) for item in node.inputs], axis)


def reverse(b: GraphBuilder, node: SourceNode) -> Value:
    x = node.input()
    for axis in node.integers("axis"):
        axis %= len(x.shape)
        x = b.slice(x, axis, x.shape[axis] - 1, -1, -1)
    return x


def broadcast_to(b: GraphBuilder, node: SourceNode) -> Value:
    """A size of 0 copies the input's."""
    x, wanted = node.input(), node.integers("shape")
    if len(wanted) != len(x.shape):
        raise ModelError(f"the shape {list(wanted)} for an input {list(x.shape)}")
    return _broadcast(b, x, tuple(new or old for new, old in zip(wanted, x.shape, strict=True)))


def broadcast_like(b: GraphBuilder, node: SourceNode) -> Value:
    if node.has("lhs_axes") or node.has("rhs_axes"):
        raise RefusedError("it broadcasts some axes only", "use broadcast_axis")
    return _broadcast(b, node.input(), node.input(1).shape)


def broadcast_axis(b: GraphBuilder, node: SourceNode) -> Value:
    x = node.input()
    wanted = list(x.shape)
    for axis, size in zip(node.integers("axis"), node.integers("size"), strict=True):
        wanted[axis % len(wanted)] = size
    return _broadcast(b, x, tuple(wanted))


def _broadcast(b: GraphBuilder, x: Value, shape: tuple[int, ...]) -> Value:
    return x if shape == x.shape else b.emit("broadcast_to", [x], {"shape": shape})


def depth_space(op: str, b: GraphBuilder, node: SourceNode) -> Value:
    y = b.emit(op, [b.to_nhwc(node.input())], {"block": node.integer("block_size", 1)})
    return b.from_nhwc(y, 4)


# Sequences, whose steps are an axis: lengths of their own are not known.


def _without_lengths(node: SourceNode) -> Value:
    if node.flag("use_sequence_length", False):
        raise RefusedError("sequences of several lengths", "use use_sequence_length=False")
    return node.input()


def sequence_mask(b: GraphBuilder, node: SourceNode) -> Value:
    return _without_lengths(node)


def sequence_last(b: GraphBuilder, node: SourceNode) -> Value:
    x, axis = _without_lengths(node), node.axis("axis", 0)
    return _squeezed(b, b.slice(x, axis, x.shape[axis] - 1, x.shape[axis]), (axis,))


def sequence_reverse(b: GraphBuilder, node: SourceNode) -> Value:
    x = _without_lengths(node)
    return b.slice(x, 0, x.shape[0] - 1, -1, -1)


# Constants


def filled(number: float | None, b: GraphBuilder, node: SourceNode) -> Value:
    """A size of 0, which MXNet infers (the batch of a first state), is 1 here: it broadcasts."""
    shape = tuple(size or 1 for size in node.integers("shape"))
    return _full(b, shape, node, node.number("value", 0) if number is None else number)


def filled_like(number: float, b: GraphBuilder, node: SourceNode) -> Value:
    return _full(b, node.input().shape, node, number)


def _full(b: GraphBuilder, shape: tuple[int, ...], node: SourceNode, number: float) -> Value:
    if min(shape, default=1) < 0 or math.prod(shape) > MOST_ELEMENTS:
        raise ModelError(f"a constant of the shape {list(shape)}")
    kind = node.text("dtype", "float32")
    return b.const(np.full(shape, number, kind if kind in ("int32", "int64") else "float32"))


def arange(b: GraphBuilder, node: SourceNode) -> Value:
    start, step, times = node.number("start", 0), node.number("step", 1), node.integer("repeat", 1)
    stop = node.number("stop", 0) if node.has("stop") else None
    if stop is None:
        start, stop = 0.0, start
    if step == 0 or times < 1 or not 0 < math.ceil((stop - start) / step) * times <= MOST_ELEMENTS:
        raise ModelError(f"a range from {start:g} to {stop:g} by {step:g}")
    kind = node.text("dtype", "float32")
    numbers = np.arange(start, stop, step).repeat(times)
    return b.const(numbers.astype(kind if kind in ("int32", "int64") else "float32"))


def arange_like(b: GraphBuilder, node: SourceNode) -> Value:
    """As many numbers as an axis has places; without an axis, as all of the input, in its shape."""
    shape, times = node.input().shape, node.integer("repeat", 1)
    if node.has("axis"):
        shape = (shape[node.axis("axis", 0)],)
    count = math.prod(shape)
    if count > MOST_ELEMENTS or times < 1 or count % times:
        raise ModelError(f"{count} numbers, {times} times each")
    numbers = node.number("start", 0) + node.number("step", 1) * np.arange(count // times)
    return b.const(numbers.repeat(times).reshape(shape).astype(np.float32))


def shape_array(b: GraphBuilder, node: SourceNode) -> Value:
    return b.const(np.asarray(node.input().shape, np.int64))


HANDLERS: dict[str, Handler] = {
    "Concat": concat,
    "Crop": crop,
    "Flatten": flatten,
    "Pad": pad,
    "Reshape": reshape,
    "SequenceLast": sequence_last,
    "SequenceMask": sequence_mask,
    "SequenceReverse": sequence_reverse,
    "SliceChannel": split,
    "SwapAxis": swap_axes,
    "_arange": arange,
    "_contrib_arange_like": arange_like,
    "_full": partial(filled, None),
    "_ones": partial(filled, 1.0),
    "_rnn_param_concat": concat,
    "_split_v2": split_at,
    "_zeros": partial(filled, 0.0),
    "broadcast_axes": broadcast_axis,
    "broadcast_axis": broadcast_axis,
    "broadcast_like": broadcast_like,
    "broadcast_to": broadcast_to,
    "concat": concat,
    "crop": slices,
    "depth_to_space": partial(depth_space, "depth_to_space"),
    "expand_dims": expand_dims,
    "flatten": flatten,
    "flip": reverse,
    "ones_like": partial(filled_like, 1.0),
    "pad": pad,
    "repeat": repeat,
    "reshape": reshape,
    "reshape_like": reshape_like,
    "reverse": reverse,
    "shape_array": shape_array,
    "slice": slices,
    "slice_axis": slice_axis,
    "slice_like": slice_like,
    "space_to_depth": partial(depth_space, "space_to_depth"),
    "split": split,
    "squeeze": squeeze,
    "stack": stack,
    "swapaxes": swap_axes,
    "tile": tile,
    "transpose": transpose,
    "zeros_like": partial(filled_like, 0.0),
}
