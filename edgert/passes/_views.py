"""Chains of operators that only move values, taken as one strided view.

reshape, transpose and slice (with positive steps) of a tensor that is stored in order give elements
offset + sum(index[i] * strides[i]), unless a reshape would have to copy. Whatever the chain, such a view can be had
by at most one slice, one reshape, one transpose and one reshape: `steps` finds them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Step = tuple[str, dict[str, Any]]

COST = {"reshape": 0, "slice": 2, "transpose": 3}  # for an element of the result, to compare chains; and 1 a node
MOVES = frozenset(COST)


class View(NamedTuple):
    """Strides and offset in elements of the source."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int


class _Atom(NamedTuple):
    """A stretch of one source axis that one dimension of the view runs over."""

    axis: int
    size: int
    position: int  # dimension of the view


def whole(shape: Sequence[int]) -> View:
    """The view of a tensor as it is stored."""
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    return View(tuple(shape), tuple(strides), 0)


def apply(view: View, op: str, attrs: Mapping[str, Any], out_shape: Sequence[int]) -> View | None:
    """The view after one more operator; None when that would copy."""
    if op == "transpose":
        perm = attrs["perm"]
        return View(tuple(view.shape[axis] for axis in perm), tuple(view.strides[axis] for axis in perm), view.offset)
    if op == "slice":
        offset = view.offset + sum(b * stride for b, stride in zip(attrs["begin"], view.strides, strict=True))
        strides = tuple(stride * step for stride, step in zip(view.strides, attrs["strides"], strict=True))
        return View(tuple(out_shape), strides, offset)
    return _reshaped(view, tuple(out_shape))


def _reshaped(view: View, shape: tuple[int, ...]) -> View | None:
    """Groups old and new dimensions of equal product; within a group the old ones must lie one in the other."""
    old = [(size, stride) for size, stride in zip(view.shape, view.strides, strict=True) if size != 1]
    strides = [0] * len(shape)
    new_end = 0
    old_end = 0
    while new_end < len(shape) and old_end < len(old):
        new_begin, old_begin = new_end, old_end
        new_size, old_size = shape[new_end], old[old_end][0]
        new_end, old_end = new_end + 1, old_end + 1
        while new_size != old_size:
            if new_size < old_size:
                new_size, new_end = new_size * shape[new_end], new_end + 1
            else:
                old_size, old_end = old_size * old[old_end][0], old_end + 1
        for outer, inner in zip(old[old_begin:old_end], old[old_begin + 1 : old_end], strict=False):
            if outer[1] != inner[0] * inner[1]:
                return None
        stride = old[old_end - 1][1]
        for axis in reversed(range(new_begin, new_end)):
            strides[axis] = stride
            stride *= shape[axis]
    return View(shape, tuple(strides), view.offset)


def groups(sizes: Sequence[int], shape: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Runs of dimensions of equal product, of `sizes` and of `shape`, by position; those of size 1 are left out."""
    old = [position for position, size in enumerate(sizes) if size != 1]
    new = [position for position, size in enumerate(shape) if size != 1]
    made = []
    while old and new:
        left, right = [old.pop(0)], [new.pop(0)]
        while (difference := math.prod(sizes[i] for i in left) - math.prod(shape[i] for i in right)) != 0:
            if difference < 0:
                left.append(old.pop(0))
            else:
                right.append(new.pop(0))
        made.append((left, right))
    return made


def reshape_first(
    source: Sequence[int], perm: Sequence[int], shape: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """A transpose and a reshape in the other order: shape and permutation. None when dimensions that the reshape joins
    do not follow each other in the source."""
    wide = [axis for axis, size in enumerate(source) if size != 1]
    made: list[tuple[int, list[int]]] = []  # first axis in the source, and dimensions of `shape`
    for old, new in groups([source[axis] for axis in perm], shape):
        axes = [wide.index(perm[position]) for position in old]
        if axes != list(range(axes[0], axes[0] + len(axes))):
            return None
        made.append((axes[0], new))
    first = {new[0]: axis for axis, new in made}
    owner, place = -1, {}  # a dimension of size 1 goes with the one before it
    for position in range(len(shape)):
        owner = first.get(position, owner)
        place[position] = (owner, position)
    order = sorted(place, key=lambda position: place[position])
    turned = tuple(order.index(position) for position in range(len(shape)))
    return None if turned == tuple(range(len(turned))) else (tuple(shape[position] for position in order), turned)


def cost(elements: int, chain: Sequence[Step]) -> int:
    """What a chain on a tensor of so many elements takes; slicing first makes the rest cheaper."""
    total = 0
    for op, attrs in chain:
        if op == "slice":
            bounds = zip(attrs["begin"], attrs["end"], attrs["strides"], strict=True)
            elements = math.prod(len(range(*item)) for item in bounds)
        total += COST[op] * elements + 1
    return total


def steps(source: Sequence[int], view: View) -> list[Step] | None:
    """Operators that make the view of a tensor of shape `source`; None when it is no slice of it in some order."""
    found = _atoms(source, view)
    if found is None:
        return None
    atoms, begin, count, stride = found
    made: list[Step] = []
    if tuple(count) != tuple(source):
        ends = [b + (n - 1) * s + 1 for b, n, s in zip(begin, count, stride, strict=True)]
        made.append(("slice", {"begin": tuple(begin), "end": tuple(ends), "strides": tuple(stride)}))
    shape = tuple(count)
    positions = [atom.position for atom in atoms]
    if positions != sorted(positions):
        axes = [atom.axis for atom in atoms]
        if len(set(axes)) == len(axes):
            perm = _permutation(count, axes, positions, view.shape)
        else:
            apart, perm = _taken_apart(atoms)
            made.append(("reshape", {"shape": apart}))
            shape = apart
        made.append(("transpose", {"perm": perm}))
        shape = tuple(shape[axis] for axis in perm)
    if shape != view.shape:
        made.append(("reshape", {"shape": view.shape}))
    return made


def _atoms(source: Sequence[int], view: View) -> tuple[list[_Atom], list[int], list[int], list[int]] | None:
    """Atoms in the source's order, and begin, count and step of the slice of every source axis."""
    rank = len(source)
    strides = whole(source).strides
    begin, rest = [], view.offset
    for size, stride in zip(source, strides, strict=True):
        begin.append(0 if size == 1 else rest // stride)
        rest -= begin[-1] * stride
    count, step = [1] * rank, [1] * rank
    atoms: list[_Atom] = []
    axis = rank - 1
    dims = sorted(
        (stride, size, position)
        for position, (size, stride) in enumerate(zip(view.shape, view.strides, strict=True))
        if size != 1
    )
    for first_stride, size, position in dims:
        stride = first_stride
        while size > 1:
            while axis >= 0 and (source[axis] == 1 or stride >= strides[axis] * source[axis]):
                axis -= 1
            if axis < 0 or stride < strides[axis]:
                return None
            if count[axis] == 1:
                step[axis], remainder = divmod(stride, strides[axis])
                if remainder:
                    return None
            elif stride != strides[axis] * step[axis] * count[axis]:
                return None
            room = (source[axis] - begin[axis] - 1) // step[axis] + 1  # positions of this axis in reach
            part = size
            if count[axis] * size > room:
                part, remainder = divmod(source[axis], step[axis] * count[axis])
                if remainder or begin[axis] or part < 2 or size % part:
                    return None
            count[axis] *= part
            atoms.append(_Atom(axis, part, position))
            size //= part
            stride = strides[axis] * source[axis]
    return atoms[::-1], begin, count, step


def _permutation(
    count: Sequence[int], axes: Sequence[int], positions: Sequence[int], shape: Sequence[int]
) -> tuple[int, ...]:
    """Order of the source's axes: those that have an atom by its position, the others (of size 1) where they fit."""
    rank = len(count)
    in_order = [axis for _, axis in sorted(zip(positions, axes, strict=True), key=lambda pair: pair[0])]
    ones = [axis for axis in range(rank) if axis not in axes]
    if len(shape) == rank and sum(size == 1 for size in shape) == len(ones) and len(set(positions)) == len(positions):
        slots = [position for position, size in enumerate(shape) if size == 1]
    else:
        slots = ones
    order: list[int] = []
    moved, unmoved = iter(in_order), iter(ones)
    for slot in range(rank):
        order.append(next(unmoved) if slot in slots else next(moved))
    return tuple(order)


def _taken_apart(atoms: Sequence[_Atom]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shape and order when an axis falls apart: atoms that stay neighbours are one dimension."""
    order = sorted(range(len(atoms)), key=lambda index: (atoms[index].position, index))
    runs: list[list[int]] = []
    for index in order:
        if runs and runs[-1][-1] == index - 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    by_source = sorted(range(len(runs)), key=lambda run: runs[run][0])
    shape = tuple(math.prod(atoms[index].size for index in runs[run]) for run in by_source)
    return shape, tuple(by_source.index(run) for run in range(len(runs)))
