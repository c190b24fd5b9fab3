"""Recurrent layers: stacked, bidirectional, either layout, from weights in one neutral order of gates.

    cells = [[LstmWeights(w, r, bias)]]                  one layer, one direction
    made = lstm(b, x, cells, batch_first=True)           made.y, made.h[0], made.c[0]

Gates are rows of [G*H, I] matrices, in the order i, f, g, o (LSTM: input, forget, cell, output) or z, r, n (GRU:
update, reset, new); `in_order` brings them there. Where frameworks have them:

    PyTorch   LSTM i f g o, GRU r z n (reset_after=True, two biases); weight_ih [G*H, I]
    Keras     LSTM i f g o, GRU z r n (its argument reset_after; if so, two biases); kernels are [I, G*H]: transpose
    ONNX      LSTM i o f g, GRU z r n (reset_after is linear_before_reset); B is input and recurrent bias in a row
    MXNet     LSTM i f g o, GRU r z n (reset_after=True); all weights, then all biases, layer by layer

Two biases of an LSTM or a plain RNN add up to one. A GRU's stay apart for the sake of reset_after.

One operator is emitted for each layer and direction. What it does not have (another function, a step that is not one of
the source's) is unrolled into plain operators instead, step by step, with the same results.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgert.errors import ModelError
from edgert.importers.builder import GraphBuilder, Operand
from edgert.importers.layers import unrolled
from edgert.importers.layers.cells import (
    LINEAR,
    PARAMETERS,
    RELU,
    SIGMOID,
    TANH,
    Function,
    GruWeights,
    LstmWeights,
    Options,
    RnnWeights,
    Weights,
    hard_sigmoid,
)
from edgert.ir import Value
from edgert.ops._recurrent import FUNCTIONS

__all__ = [
    "LINEAR", "RELU", "SIGMOID", "TANH", "Function", "GruWeights", "LstmWeights", "Recurrent", "RnnWeights", "gru",
    "hard_sigmoid", "in_order", "lstm", "rnn", "split_states", "stacked",
]  # fmt: skip

States = Value | Sequence[Value | None] | None


@dataclass(frozen=True)
class Recurrent:
    """What a recurrent layer computes.

    y: of the last layer, both directions side by side, in the layout of x; directions: the same one by one, each at the
    step of x to which it belongs (Keras's go_backwards returns them in the order of processing: reverse them then).
    h, c: final states [B, P] and [B, H], layer by layer, directions inside; c is empty but for an LSTM.
    """

    y: Value
    directions: list[Value]
    h: list[Value]
    c: list[Value]


def lstm(
    b: GraphBuilder,
    x: Value,
    layers: Sequence[Sequence[LstmWeights]],
    h: States = None,
    c: States = None,
    *,
    lengths: Value | None = None,
    batch_first: bool = False,
    reverse: bool = False,
    gate: Function = SIGMOID,
    activation: Function = TANH,
    output_activation: Function | None = None,
    clip: float = 0.0,
    cell_clip: float = 0.0,
    projection_clip: float = 0.0,
    coupled: bool = False,
) -> Recurrent:
    """x [T,B,I], or [B,T,I] if batch_first, through layers of one direction or two (forward, backward).

    h, c: initial states, [layers * directions, B, P] and [.., B, H], or one [B, .] for each; zeros where None.
    lengths: int32 [B], steps that count. reverse: a layer of one direction runs backwards. gate: of i, f and o;
    activation: of g; output_activation: of c, by default the same. clip: what goes into them is clipped to
    [-clip, clip]; cell_clip, projection_clip: the state, and the projected output (0: not at all). coupled:
    i = 1 - f, and weights have three gates (f, g, o).
    """
    options = Options(
        gate=gate, activation=activation, output_activation=output_activation or activation, clip=clip,
        cell_clip=cell_clip, projection_clip=projection_clip, coupled=coupled,
    )  # fmt: skip
    return _layers(b, x, layers, [h, c], lengths, batch_first, reverse, options)


def gru(
    b: GraphBuilder,
    x: Value,
    layers: Sequence[Sequence[GruWeights]],
    h: States = None,
    *,
    lengths: Value | None = None,
    batch_first: bool = False,
    reverse: bool = False,
    reset_after: bool = False,
    gate: Function = SIGMOID,
    activation: Function = TANH,
    clip: float = 0.0,
) -> Recurrent:
    """As lstm. reset_after: r multiplies R h + recurrent bias (PyTorch, cuDNN, Keras's default), not h before R."""
    options = Options(gate=gate, activation=activation, clip=clip, reset_after=reset_after)
    return _layers(b, x, layers, [h], lengths, batch_first, reverse, options)


def rnn(
    b: GraphBuilder,
    x: Value,
    layers: Sequence[Sequence[RnnWeights]],
    h: States = None,
    *,
    lengths: Value | None = None,
    batch_first: bool = False,
    reverse: bool = False,
    activation: Function = TANH,
    clip: float = 0.0,
) -> Recurrent:
    """As lstm, with h' = activation(W x + bias + R h)."""
    return _layers(b, x, layers, [h], lengths, batch_first, reverse, Options(activation=activation, clip=clip))


def in_order(b: GraphBuilder, weights: Operand, have: str, want: str) -> Operand:
    """Gates that lie one after the other along the first axis, put into another order, one letter each:
    in_order(b, w, "iofg", "ifgo"). A constant stays one."""
    if sorted(have) != sorted(want):
        raise ValueError(f"{have!r} and {want!r} are not the same gates")
    if isinstance(weights, Value) and weights.constant and weights.data is not None:
        weights = weights.data
    value = b.operand(weights)
    if not value.shape or value.shape[0] % len(have):
        raise ModelError(f"weights of {len(have)} gates have the shape {list(value.shape)}")
    size = value.shape[0] // len(have)
    if have == want:
        return weights
    if isinstance(weights, np.ndarray):
        parts = weights.reshape(len(have), size, *weights.shape[1:])
        return np.ascontiguousarray(parts[[have.index(letter) for letter in want]].reshape(weights.shape))
    starts = [have.index(letter) * size for letter in want]
    return b.emit("concat", [b.slice(value, 0, start, start + size) for start in starts], {"axis": 0})


def split_states(b: GraphBuilder, states: Value) -> list[Value]:
    """[N, B, H] -> N states [B, H]."""
    _, batch, width = states.shape
    parts = [b.slice(states, 0, i, i + 1) for i in range(states.shape[0])]
    return [b.reshape(part, (batch, width)) for part in parts]


def stacked(b: GraphBuilder, states: Sequence[Value], axis: int = 0) -> Value:
    """States or outputs side by side along a new axis: [B, H] each -> [N, B, H]."""
    shape = states[0].shape
    wide = [b.reshape(state, (*shape[:axis], 1, *shape[axis:])) for state in states]
    return wide[0] if len(wide) == 1 else b.emit("concat", wide, {"axis": axis})


def _listed(b: GraphBuilder, states: States, count: int, what: str) -> list[Value | None]:
    if states is None:
        return [None] * count
    if isinstance(states, Value):
        if len(states.shape) != 3 or states.shape[0] != count:
            raise ModelError(f"initial {what} has the shape {list(states.shape)}, needed [{count}, batch, units]")
        return list(split_states(b, states))
    if len(states) != count:
        raise ModelError(f"there are {len(states)} initial states {what}, needed {count}")
    return list(states)


def _layers(
    b: GraphBuilder,
    x: Value,
    layers: Sequence[Sequence[Weights]],
    initial: Sequence[States],
    lengths: Value | None,
    batch_first: bool,
    reverse: bool,
    options: Options,
) -> Recurrent:
    if len(x.shape) != 3:
        raise ModelError(f"input has {len(x.shape)} dimensions, needed 3 (time, batch and features)")
    count = sum(len(directions) for directions in layers)
    given = [_listed(b, states, count, what) for states, what in zip(initial, "hc", strict=False)]
    final: list[list[Value]] = [[] for _ in initial]
    directions: list[Value] = []
    for cells in layers:
        directions = []
        for direction, weights in enumerate(cells):
            place = len(final[0])
            backwards = reverse if len(cells) == 1 else direction == 1
            states = [items[place] for items in given]
            made = _direction(b, x, weights, states, lengths, batch_first, backwards, options)
            directions.append(made[0])
            for items, state in zip(final, made[1:], strict=True):
                items.append(state)
        x = directions[0] if len(directions) == 1 else b.emit("concat", directions, {"axis": 2})
    return Recurrent(x, directions, final[0], final[1] if len(final) > 1 else [])


def _direction(
    b: GraphBuilder,
    x: Value,
    weights: Weights,
    states: Sequence[Value | None],
    lengths: Value | None,
    batch_major: bool,
    reverse: bool,
    options: Options,
) -> list[Value]:
    """y and the final states of one direction of one layer."""
    if not _has_operator(weights, options):
        return unrolled.unroll(b, x, weights, states, lengths, batch_major, reverse, options)
    attrs: dict[str, Any] = {"reverse": reverse, "batch_major": batch_major, "clip": options.clip}
    attrs |= _named("", options.activation)
    if isinstance(weights, RnnWeights):
        return b.emit_all("rnn", [x, weights.input, weights.recurrent, weights.bias, *states, lengths], attrs)
    attrs |= _named("gate", options.gate)
    if isinstance(weights, GruWeights):
        attrs["reset_after"] = options.reset_after
        inputs = [x, weights.input, weights.recurrent, weights.bias, weights.recurrent_bias, *states, lengths]
        return b.emit_all("gru", inputs, attrs)
    attrs |= {
        "output_activation": options.output_activation.kind, "coupled": options.coupled,
        "cell_clip": options.cell_clip, "projection_clip": options.projection_clip,
    }  # fmt: skip
    inputs = [
        x, weights.input, weights.recurrent, weights.bias, *states, weights.peephole, weights.projection,
        weights.projection_bias, lengths, weights.norm,
    ]  # fmt: skip
    return b.emit_all("lstm", inputs, attrs)


def _named(prefix: str, function: Function) -> dict[str, Any]:
    """The attributes that name a function: activation, alpha and beta, or gate, gate_alpha and gate_beta."""
    start = f"{prefix}_" if prefix else ""
    return {prefix or "activation": function.kind, f"{start}alpha": function.alpha, f"{start}beta": function.beta}


def _has_operator(weights: Weights, options: Options) -> bool:
    """Whether the operator has these functions; alpha and beta are those of activation and output_activation alike."""
    states = [options.activation]
    if isinstance(weights, LstmWeights):
        states.append(options.output_activation)
    used = states if isinstance(weights, RnnWeights) else [*states, options.gate]
    if len({(function.alpha, function.beta) for function in states if function.kind in PARAMETERS}) > 1:
        return False
    return all(function.kind in FUNCTIONS for function in used)
