"""Cells of recurrent layers, recognised by what they compute.

The matrices that a round of a loop multiplies suggest an LSTM, a GRU or a plain recurrence. The orders of gates and the
functions are then tried until the layer's formula gives what the round gives, on random numbers.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgert.importers.builder import Array
from edgert.importers.layers.recurrent import (
    RELU,
    SIGMOID,
    TANH,
    Function,
    GruWeights,
    LstmWeights,
    Recurrent,
    RnnWeights,
    gru,
    hard_sigmoid,
    lstm,
    rnn,
)
from edgert.importers.tensorflow.builder import Builder
from edgert.ir import Node, Value
from edgert.ops import OPS_BY_NAME

SAMPLES, TOLERANCE = 4, 1e-4

Gate = tuple[Function, Callable[[Array], Array]]
Emit = Callable[[Builder, Value, Sequence[Value]], Recurrent]
Formula = Callable[[Array, list[Array]], tuple[Array, ...]]  # (x, states, h first) -> the states after it


def _sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


GATES: tuple[Gate, ...] = (
    (SIGMOID, _sigmoid),
    (hard_sigmoid(), lambda x: np.clip(0.2 * x + 0.5, 0, 1)),
    (hard_sigmoid(1 / 6), lambda x: np.clip(x / 6 + 0.5, 0, 1)),
)
ACTIVATIONS: tuple[Gate, ...] = ((TANH, np.tanh), (RELU, lambda x: np.maximum(x, 0)), (SIGMOID, _sigmoid))


@dataclass(frozen=True)
class Probe:
    """One round, converted by itself.

    x: the item that it reads. states, after: tensors that it carries, and what becomes of them, by position in the
    loop's state. read, written: positions of the list that gives x and of the one that takes `result` (None: there is
    none); in_turn: at the place of the round, and not always at the first.
    """

    x: Value
    states: dict[int, Value]
    after: dict[int, Value]
    nodes: list[Node]
    read: int
    written: int | None
    result: Value | None
    in_turn: bool


@dataclass(frozen=True)
class Cell:
    """order: positions of h, and of c if there is one. emit: (builder, x [T,B,I], initial states in that order)."""

    order: tuple[int, ...]
    emit: Emit


def recognised(probe: Probe) -> Cell | None:
    """The cell that a round computes; None when it is none of those known."""
    order = _order(probe)
    h = probe.states[order[0]]
    of_x: list[Array] = []
    of_h: list[Array] = []
    of_rest: list[Array] = []
    for parts in _products(probe):
        for value, columns in parts:
            (of_x if value is probe.x else of_h if value is h else of_rest).append(columns)
    if not of_x or not of_h or len(probe.x.shape) != 2 or len(h.shape) != 2:
        return None
    w, r = np.concatenate(of_x), np.concatenate(of_h + of_rest)
    units = h.shape[1]
    kind = (w.shape[0] / units, r.shape[0] / units, len(order))
    samples = _samples(probe, order)
    if kind == (4, 4, 2) and not of_rest:
        return _as_lstm(probe, order, units, w, r, samples)
    if kind == (3, 3, 1):
        return _as_gru(probe, order, units, w, r, not of_rest, samples)
    if kind == (1, 1, 1) and not of_rest:
        return _as_rnn(probe, order, units, w, r, samples)
    return None


def _order(probe: Probe) -> tuple[int, ...]:
    """h is what the matrices multiply; c stands behind it."""
    multiplied = {value for parts in _products(probe) for value, _ in parts}
    return tuple(sorted(probe.states, key=lambda at: probe.states[at] not in multiplied))


def _products(probe: Probe) -> Iterator[list[tuple[Value, Array]]]:
    """Every product with a constant matrix [O, K], as (operand, its columns of the matrix): operands that are joined
    before it are told apart."""
    makers = {node.output: node for node in probe.nodes if len(node.outputs) == 1}
    for node in probe.nodes:
        weights = node.inputs[1] if node.op == "fully_connected" else None
        operand = node.inputs[0] if node.inputs else None
        if weights is None or weights.data is None or operand is None or weights.quant is not None:
            continue
        maker = makers.get(operand)
        parts = [operand]
        if maker is not None and maker.op == "concat" and maker.attrs["axis"] == len(operand.shape) - 1:
            parts = [part for part in maker.inputs if part is not None]
        ends = np.cumsum([part.shape[-1] for part in parts])
        yield list(zip(parts, np.split(weights.data, ends[:-1], 1), strict=True))


def _vectors(probe: Probe) -> list[Array]:
    """Constants that are added: biases, and one number that is added to a gate."""
    found: dict[Value, Array] = {}
    for node in probe.nodes:
        first = {"add": 0, "fully_connected": 2}.get(node.op, len(node.inputs))
        for value in node.inputs[first:]:
            if value is not None and value.data is not None and value.data.size == max(value.shape, default=1):
                found[value] = value.data.reshape(-1).astype(np.float32)
    return list(found.values())


def _summed(vectors: Sequence[Array], size: int) -> Array:
    total = np.zeros(size, np.float32)
    for vector in vectors:
        if vector.size == size:
            total = total + vector
    return total


# Trying formulas

Sample = tuple[Array, list[Array], list[Array]]  # x, states, and what the round makes of them (h once more: `result`)


def _samples(probe: Probe, order: Sequence[int]) -> list[Sample]:
    rng = np.random.default_rng(0)
    wanted = [probe.after[at] for at in order] + ([probe.result] if probe.result is not None else [])
    samples = []
    for _ in range(SAMPLES):
        x = rng.normal(size=probe.x.shape).astype(np.float32)
        states = [rng.normal(size=probe.states[at].shape).astype(np.float32) for at in order]
        given = {probe.x: x, **{probe.states[at]: state for at, state in zip(order, states, strict=True)}}
        samples.append((x, states, _run(probe.nodes, given, wanted)))
    return samples


def _run(nodes: Sequence[Node], given: Mapping[Value, Array], wanted: Sequence[Value]) -> list[Array]:
    values = dict(given)

    def look(value: Value) -> Array:
        return value.data if value.data is not None else values[value]

    with np.errstate(all="ignore"):
        for node in nodes:
            arrays = [None if value is None else look(value) for value in node.inputs]
            values.update(zip(node.outputs, OPS_BY_NAME[node.op].run(node, arrays), strict=True))
    return [look(value) for value in wanted]


def _agrees(samples: Sequence[Sample], formula: Formula) -> bool:
    for x, states, made in samples:
        theirs = formula(x.astype(np.float64), [state.astype(np.float64) for state in states])
        for our, their in zip(made, (*theirs, theirs[0]), strict=False):
            if our.shape != their.shape or np.abs(our - their).max() > TOLERANCE * max(1.0, float(np.abs(their).max())):
                return False
    return True


def _in_order(matrix: Array, order: Sequence[int]) -> Array:
    """The gates' rows in another order."""
    parts = np.split(matrix, len(order))
    return np.ascontiguousarray(np.concatenate([parts[at] for at in order]))


def _lstm_formula(w: Array, r: Array, bias: Array, gate: Gate, act: Gate) -> Formula:
    def formula(x: Array, states: list[Array]) -> tuple[Array, ...]:
        h, c = states
        i, f, g, o = np.split(x @ w.T + h @ r.T + bias, 4, 1)
        c = gate[1](f) * c + gate[1](i) * act[1](g)
        return gate[1](o) * act[1](c), c

    return formula


def _as_lstm(
    probe: Probe, order: tuple[int, ...], units: int, w: Array, r: Array, samples: Sequence[Sample]
) -> Cell | None:
    vectors = _vectors(probe)
    bias = _summed(vectors, 4 * units)
    added = sorted({0.0, *(float(vector[0]) for vector in vectors if vector.size == 1)})  # to the forget gate alone
    for rows, more, gate, act in itertools.product(itertools.permutations(range(4)), added, GATES, ACTIVATIONS):
        weights = [_in_order(item, rows) for item in (w, r, bias)]
        weights[2][units : 2 * units] += np.float32(more)
        if _agrees(samples, _lstm_formula(weights[0], weights[1], weights[2], gate, act)):
            return Cell(order, _lstm_layer(LstmWeights(*weights), gate[0], act[0]))
    return None


def _lstm_layer(cell: LstmWeights, gate: Function, act: Function) -> Emit:
    return lambda b, x, states: lstm(b, x, [[cell]], [states[0]], [states[1]], gate=gate, activation=act)


def _gru_formula(w: Array, r: Array, bias: Array, inner: Array, after: bool, gate: Gate, act: Gate) -> Formula:
    def formula(x: Array, states: list[Array]) -> tuple[Array, ...]:
        (h,) = states
        xz, xr, xn = np.split(x @ w.T + bias, 3, 1)
        rz, rr, rn = np.split(r, 3)
        bz, br, bn = np.split(inner, 3)
        z, reset = gate[1](xz + h @ rz.T + bz), gate[1](xr + h @ rr.T + br)
        rest = reset * (h @ rn.T + bn) if after else (reset * h) @ rn.T + bn
        return (z * h + (1 - z) * act[1](xn + rest),)

    return formula


def _as_gru(
    probe: Probe, order: tuple[int, ...], units: int, w: Array, r: Array, after: bool, samples: Sequence[Sample]
) -> Cell | None:
    """after: the reset gate multiplies what the matrix made, so that there are two biases."""
    vectors = _vectors(probe)
    whole = [vector for vector in vectors if vector.size == 3 * units]
    parts = [vector for vector in vectors if vector.size in (units, 2 * units)]
    if not whole and sum(part.size for part in parts) == 3 * units:
        whole = [np.concatenate(parts)]
    whole += [np.zeros(3 * units, np.float32)] * (2 - len(whole))
    pairs = list(itertools.permutations(whole, 2))
    for rows, pair, gate, act in itertools.product(itertools.permutations(range(3)), pairs, GATES, ACTIVATIONS):
        weights = [_in_order(item, rows) for item in (w, r, *pair)]
        if _agrees(samples, _gru_formula(weights[0], weights[1], weights[2], weights[3], after, gate, act)):
            return Cell(order, _gru_layer(GruWeights(*weights), after, gate[0], act[0]))
    return None


def _gru_layer(cell: GruWeights, after: bool, gate: Function, act: Function) -> Emit:
    return lambda b, x, states: gru(b, x, [[cell]], [states[0]], reset_after=after, gate=gate, activation=act)


def _rnn_formula(w: Array, r: Array, bias: Array, act: Gate) -> Formula:
    return lambda x, states: (act[1](x @ w.T + states[0] @ r.T + bias),)


def _as_rnn(
    probe: Probe, order: tuple[int, ...], units: int, w: Array, r: Array, samples: Sequence[Sample]
) -> Cell | None:
    bias = _summed(_vectors(probe), units)
    for act in ACTIVATIONS:
        if _agrees(samples, _rnn_formula(w, r, bias, act)):
            return Cell(order, _rnn_layer(RnnWeights(w, r, bias), act[0]))
    return None


def _rnn_layer(cell: RnnWeights, act: Function) -> Emit:
    return lambda b, x, states: rnn(b, x, [[cell]], [states[0]], activation=act)
