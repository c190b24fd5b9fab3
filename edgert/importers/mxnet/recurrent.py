"""MXNet's fused RNN: LSTM, GRU or a plain RNN of any number of layers, in one direction or both.

All weights lie in one vector: of every layer and direction the input's [G*H, I] and the state's [G*H, H], and after all
of these, in the same order, the two biases [G*H].
"""

from __future__ import annotations

import numpy as np

from edgert.errors import ModelError
from edgert.importers.builder import Array, GraphBuilder, RefusedError
from edgert.importers.layers import recurrent
from edgert.importers.layers.recurrent import GruWeights, LstmWeights, Recurrent, RnnWeights
from edgert.importers.mxnet.node import Handler, SourceNode
from edgert.ir import Value

GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}

Vectors = tuple[Array, Array, Array, Array]  # input weights, state weights, input bias, state bias


def rnn(b: GraphBuilder, node: SourceNode) -> list[Value]:
    """x [T, B, I], parameters, h [layers * directions, B, H] and, of an LSTM, c."""
    mode = node.text("mode", "")
    if mode not in GATES:
        raise ModelError(f"mode {mode!r}, needed one of {', '.join(GATES)}")
    if node.has("projection_size") or node.flag("use_sequence_length", False) or node.has("lstm_state_clip_max"):
        raise RefusedError("projections, sequence lengths or clipped states", "export it without them")
    x = node.input()
    if len(x.shape) != 3:
        raise ModelError(f"an input {list(x.shape)}, needed [time, batch, features]")
    cells = _cells(node, GATES[mode], x.shape[2])
    h = _state(node, 2)
    if mode == "lstm":
        made = _lstm(b, x, cells, h, _state(node, 3) if len(node.inputs) > 3 else None)
    elif mode == "gru":
        made = _gru(b, x, cells, h)
    else:
        plain = [[RnnWeights(w, r, bw + br) for w, r, bw, br in layer] for layer in cells]
        function = recurrent.RELU if mode == "rnn_relu" else recurrent.TANH
        made = recurrent.rnn(b, x, plain, h, activation=function)
    if not node.flag("state_outputs", False):
        return [made.y]
    states = [recurrent.stacked(b, made.h)]
    return [made.y, *states, recurrent.stacked(b, made.c)] if mode == "lstm" else [made.y, *states]


def _lstm(b: GraphBuilder, x: Value, cells: list[list[Vectors]], h: Value | None, c: Value | None) -> Recurrent:
    weights = [[LstmWeights(w, r, bw + br) for w, r, bw, br in layer] for layer in cells]
    return recurrent.lstm(b, x, weights, h, c)


def _gru(b: GraphBuilder, x: Value, cells: list[list[Vectors]], h: Value | None) -> Recurrent:
    def turned(item: Array) -> Array:
        order = recurrent.in_order(b, item, "rzn", "zrn")
        assert isinstance(order, np.ndarray)
        return order

    weights = [[GruWeights(*(turned(item) for item in vectors)) for vectors in layer] for layer in cells]
    return recurrent.gru(b, x, weights, h, reset_after=True)


def _state(node: SourceNode, index: int) -> Value | None:
    """None for zeros, whose batch MXNet may leave open."""
    state = node.input(index)
    return None if state.constant and state.data is not None and not state.data.any() else state


def _cells(node: SourceNode, gates: int, features: int) -> list[list[Vectors]]:
    """Weights of every direction of every layer."""
    units, count = node.integer("state_size", 0), node.integer("num_layers", 1)
    directions = 2 if node.flag("bidirectional", False) else 1
    if units < 1 or not 1 <= count <= 64:
        raise ModelError(f"{count} layers of {units} units")
    vector = np.asarray(node.array(1, "parameters"), np.float32).reshape(-1)
    rows = gates * units
    widths = [features if layer == 0 else units * directions for layer in range(count)]
    needed = sum(directions * rows * (width + units + 2) for width in widths)
    if vector.size != needed:
        raise ModelError(f"{vector.size} parameters, needed {needed}")
    at = 0

    def taken(*shape: int) -> Array:
        nonlocal at
        begin, at = at, at + int(np.prod(shape))
        return vector[begin:at].reshape(shape)

    weights = [[(taken(rows, width), taken(rows, units)) for _ in range(directions)] for width in widths]
    biases = [[(taken(rows), taken(rows)) for _ in range(directions)] for _ in widths]
    return [
        [(*matrices, *vectors) for matrices, vectors in zip(layer, both, strict=True)]
        for layer, both in zip(weights, biases, strict=True)
    ]


HANDLERS: dict[str, Handler] = {"RNN": rnn}
