"""Loops that are recurrent layers: recognised by what one round computes, not by how it is written.

A round of the loop is converted on its own, with an item of the list that it reads as x, and the tensors that it
carries as states. If that is a cell that is known (cells.py), and the loop goes once through the whole list, the layer
takes its place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from edgert.dtypes import DType
from edgert.errors import EdgertError
from edgert.importers.builder import RefusedError
from edgert.importers.layers.recurrent import Recurrent
from edgert.importers.tensorflow.builder import Bound, Builder, TensorList
from edgert.importers.tensorflow.cells import Probe, recognised
from edgert.importers.tensorflow.lists import of_tensor
from edgert.ir import Value

# A round of a loop: (builder, state) -> the state after it, and whether there is one after (builder, state).
Round = Callable[[Builder, Sequence[Bound]], Sequence[Bound]]
Going = Callable[[Builder, Sequence[Bound]], bool]

LEAST_ROUNDS = 3  # fewer are cheaper unrolled


def recurrent_layer(b: Builder, initial: Sequence[Bound], turn: Round, going: Going) -> list[Bound] | None:
    """The state after the last round, when a recurrent layer computes it; None when none is recognised."""
    try:
        return _recognised(b, initial, turn, going)
    except (EdgertError, RefusedError, LookupError, ValueError, TypeError):
        return None  # converting the loop round by round tells what is wrong with it


def _recognised(b: Builder, initial: Sequence[Bound], turn: Round, going: Going) -> list[Bound] | None:
    lists = [at for at, item in enumerate(initial) if isinstance(item, TensorList) and item.source is not None]
    if not any(len(item) >= LEAST_ROUNDS for item in initial if isinstance(item, TensorList)) or not lists:
        return None
    first = _round(b, initial, turn, {})
    carried = [
        at for at, (old, new) in enumerate(zip(initial, first, strict=True))
        if isinstance(old, Value) and isinstance(new, Value) and new is not old and not new.constant
    ]  # fmt: skip
    if not 1 <= len(carried) <= 2:
        return None
    probe = _probed(b, initial, turn, carried)
    if probe is None:
        return None
    source = initial[probe.read]
    assert isinstance(source, TensorList)
    assert source.source is not None
    counters = _counters(b, initial, turn, carried, len(source))
    if (
        counters is None
        or going(_scratch(b), counters)
        or not going(_scratch(b), _before(initial, counters, len(source)))
    ):
        return None
    cell = recognised(probe)
    if cell is None:
        return None
    made = cell.emit(b, source.source, [b.as_value(initial[at]) for at in cell.order])
    return _after(initial, counters, probe, cell.order, made)


def _scratch(b: Builder) -> Builder:
    return Builder("round", set(), b.variables)


def _round(b: Builder, state: Sequence[Bound], turn: Round, symbols: Mapping[int, Value]) -> list[Bound]:
    return list(turn(_scratch(b), [symbols.get(at, item) for at, item in enumerate(state)]))


def _symbol(name: str, like: Value) -> Value:
    return Value(name, like.shape, like.dtype)


def _probed(b: Builder, initial: Sequence[Bound], turn: Round, carried: Sequence[int]) -> Probe | None:
    """The first round with symbols for all that changes; lists are taken apart into symbols too."""
    states = {at: _symbol(f"state{at}", b.as_value(initial[at])) for at in carried}
    opened: list[Bound] = [states.get(at, item) for at, item in enumerate(initial)]
    items: dict[Value, tuple[int, int]] = {}
    for at, item in enumerate(initial):
        if isinstance(item, TensorList) and item.source is not None:
            parts = tuple(Value(f"item{at}_{n}", item.source.shape[1:], item.dtype) for n in range(len(item)))
            items |= {part: (at, n) for n, part in enumerate(parts)}
            opened[at] = TensorList(parts, item.shape, item.dtype)
    found: list[tuple[Value, int, int | None, int, Value | None]] = []
    for count in range(2):
        scratch = _scratch(b)
        made = list(turn(scratch, opened))
        used = {v for node in scratch.graph.nodes for v in node.inputs if v in items}
        writes = _writes(opened, made)
        if len(used) != 1 or writes is None or items[next(iter(used))][1] != count:
            return None
        (x,) = used
        after = {at: made[at] for at in carried}
        if not all(isinstance(value, Value) and value.shape == states[at].shape for at, value in after.items()):
            return None
        found.append((x, items[x][0], *writes))
        if count == 0:
            kept = (scratch.graph.nodes, {at: b.as_value(value) for at, value in after.items()})
        opened = [item if at in states or isinstance(item, TensorList) else made[at] for at, item in enumerate(opened)]
    (x, read, written, place, result), (_, other, again, next_place, _) = found
    in_turn = (place, next_place) == (0, 1)
    if read != other or written != again or (written is not None and not in_turn and (place, next_place) != (0, 0)):
        return None
    return Probe(x, states, kept[1], kept[0], read, written, result, in_turn)


def _writes(old: Sequence[Bound], new: Sequence[Bound]) -> tuple[int | None, int, Value | None] | None:
    """The list that was written to, where, and what; None when there are several."""
    found = []
    for at, (before, after) in enumerate(zip(old, new, strict=True)):
        if isinstance(before, TensorList) and isinstance(after, TensorList):
            if len(before) != len(after):
                return None
            pairs = enumerate(zip(before.items, after.items, strict=True))
            found += [(at, place, item) for place, (was, item) in pairs if was is not item]
    return (None, 0, None) if not found else found[0] if len(found) == 1 else None


def _counters(
    b: Builder, initial: Sequence[Bound], turn: Round, carried: Sequence[int], rounds: int
) -> list[Bound] | None:
    """The state after all rounds, as far as it is constant: what counts goes on in equal steps."""
    after = _round(b, initial, turn, {})
    then = _round(b, [old if at in carried else new for at, (old, new) in enumerate(zip(initial, after, strict=True))],
                  turn, {})  # fmt: skip
    last: list[Bound] = []
    for at, (zero, one, two) in enumerate(zip(initial, after, then, strict=True)):
        if at in carried or isinstance(zero, TensorList) or zero is one:
            last.append(zero)
            continue
        data = [item.data if isinstance(item, Value) and item.constant else None for item in (zero, one, two)]
        if data[0] is None or data[1] is None or data[2] is None or data[0].dtype.kind != "i":
            return None
        step = data[1] - data[0]
        if not np.array_equal(data[2] - data[1], step):
            return None
        last.append(b.number(data[0] + step * rounds, DType.of(data[0].dtype)))
    return last


def _before(initial: Sequence[Bound], last: Sequence[Bound], rounds: int) -> list[Bound]:
    """The counters a round earlier."""
    state: list[Bound] = []
    for zero, end in zip(initial, last, strict=True):
        if isinstance(zero, Value) and isinstance(end, Value) and zero is not end:
            assert zero.data is not None
            assert end.data is not None
            data = end.data - (end.data - zero.data) // rounds
            state.append(Value(f"{end.name}/before", zero.shape, zero.dtype, data=np.asarray(data, zero.data.dtype)))
        else:
            state.append(zero)
    return state


def _after(
    initial: Sequence[Bound], counters: Sequence[Bound], probe: Probe, order: Sequence[int], made: Recurrent
) -> list[Bound]:
    """order: positions of h, and of c if there is one."""
    state = list(counters)
    for at, value in zip(order, (*made.h, *made.c), strict=True):
        state[at] = value
    if probe.written is not None:
        old = initial[probe.written]
        assert isinstance(old, TensorList)
        held = TensorList((made.h[0], *old.items[1:]), old.shape, old.dtype)
        state[probe.written] = of_tensor(made.y) if probe.in_turn else held
    return state
