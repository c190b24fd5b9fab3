"""PyTorch handlers: LSTM, GRU and RNN, whole layers and single cells."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from edgert.errors import ModelError
from edgert.importers.layers import recurrent as layers
from edgert.importers.torch.builder import Builder, Call, Handler, RefusedError
from edgert.ir import Value
from edgert.ops._enums import UnaryFunction


def _parameters(
    b: Builder, call: Call, projected: bool
) -> list[list[tuple[Value, Value, Value | None, Value | None, Value | None]]]:
    """Layer by layer, directions inside: weights of the input and of the state, both biases, projection."""
    flat = b.values(call, "params")
    directions = 2 if call.flag("bidirectional") else 1
    each = (4 if call.flag("has_biases", True) else 2) + projected
    count = call.integer("num_layers", 1)
    if len(flat) != count * directions * each:
        raise ModelError(f"{len(flat)} weights for {count} layers of {directions} directions")
    cells = []
    for start in range(0, len(flat), each):
        w, r, *rest = flat[start : start + each]
        projection = rest.pop() if projected else None
        first, second = rest or (None, None)
        cells.append((w, r, first, second, projection))
    return [cells[at : at + directions] for at in range(0, len(cells), directions)]


def _added(b: Builder, first: Value | None, second: Value | None) -> Value | None:
    return first if second is None else second if first is None else b.add(first, second)


def _dense(call: Call) -> bool:
    """Whether all sequences have one length; packed ones come with their batch sizes."""
    if call.has("batch_sizes") or call.overload == "data":
        raise RefusedError("packed sequences", "give it a tensor of sequences of one length")
    return call.flag("batch_first")


def _with_batch(b: Builder, x: Value, states: Sequence[Value], batch_first: bool) -> tuple[Value, list[Value], bool]:
    """A single sequence [T, I] gets a batch of one."""
    if len(x.shape) == 3:
        return x, list(states), False
    if len(x.shape) != 2:
        raise ModelError(f"its input has the shape {list(x.shape)}, needed time, batch and features")
    x = b.reshape(x, (1, *x.shape) if batch_first else (x.shape[0], 1, x.shape[1]))
    return x, [b.reshape(h, (h.shape[0], 1, *h.shape[1:])) if len(h.shape) == 2 else h for h in states], True


def _without_batch(b: Builder, y: Value, axis: int) -> Value:
    return b.reshape(y, (*y.shape[:axis], *y.shape[axis + 1 :]))


def lstm(b: Builder, call: Call) -> list[Value]:
    """y, h, c."""
    batch_first = _dense(call)
    x, states, single = _with_batch(b, b.value(call, "input"), b.values(call, "hx"), batch_first)
    projected = states[0].shape[-1] != states[1].shape[-1]
    weights = [
        [layers.LstmWeights(w, r, _added(b, first, second), projection=p) for w, r, first, second, p in cells]
        for cells in _parameters(b, call, projected)
    ]
    made = layers.lstm(b, x, weights, _states(b, states[0]), _states(b, states[1]), batch_first=batch_first)
    results = [made.y, layers.stacked(b, made.h), layers.stacked(b, made.c)]
    axes = (0 if batch_first else 1, 1, 1)
    return [_without_batch(b, y, axis) for y, axis in zip(results, axes, strict=True)] if single else results


def _states(b: Builder, states: Value) -> Value | None:
    """Initial states; None for zeros, which need no input."""
    zero = states.constant and states.data is not None and not states.data.any()
    return None if zero else states


def _gru_cell(b: Builder, w: Value, r: Value, first: Value | None, second: Value | None) -> layers.GruWeights:
    order: Any = [None if item is None else layers.in_order(b, item, "rzn", "zrn") for item in (w, r, first, second)]
    return layers.GruWeights(*order)


def gru(b: Builder, call: Call) -> list[Value]:
    batch_first = _dense(call)
    x, (h,), single = _with_batch(b, b.value(call, "input"), [b.value(call, "hx")], batch_first)
    weights = [[_gru_cell(b, *cell[:4]) for cell in cells] for cells in _parameters(b, call, False)]
    made = layers.gru(b, x, weights, _states(b, h), batch_first=batch_first, reset_after=True)
    return _results(b, made, batch_first, single)


def rnn(function: UnaryFunction, b: Builder, call: Call) -> list[Value]:
    batch_first = _dense(call)
    x, (h,), single = _with_batch(b, b.value(call, "input"), [b.value(call, "hx")], batch_first)
    weights = [
        [layers.RnnWeights(w, r, _added(b, first, second)) for w, r, first, second, _ in cells]
        for cells in _parameters(b, call, False)
    ]
    activation = layers.RELU if function == UnaryFunction.RELU else layers.TANH
    made = layers.rnn(b, x, weights, _states(b, h), batch_first=batch_first, activation=activation)
    return _results(b, made, batch_first, single)


def _results(b: Builder, made: layers.Recurrent, batch_first: bool, single: bool) -> list[Value]:
    results = [made.y, layers.stacked(b, made.h)]
    axes = (0 if batch_first else 1, 1)
    return [_without_batch(b, y, axis) for y, axis in zip(results, axes, strict=True)] if single else results


# Single cells: a layer over one step


def _cell(b: Builder, call: Call) -> tuple[Value, list[Value | None]]:
    x = b.value(call, "input")
    biases = [b.optional(call, name) for name in ("b_ih", "b_hh")]
    return b.reshape(x, (1, *x.shape)), [b.value(call, "w_ih"), b.value(call, "w_hh"), *biases]


def lstm_cell(b: Builder, call: Call) -> list[Value]:
    x, (w, r, first, second) = _cell(b, call)
    h, c = b.values(call, "hx")
    assert w is not None
    assert r is not None
    made = layers.lstm(b, x, [[layers.LstmWeights(w, r, _added(b, first, second))]], [h], [c])
    return [made.h[0], made.c[0]]


def gru_cell(b: Builder, call: Call) -> Value:
    x, (w, r, first, second) = _cell(b, call)
    assert w is not None
    assert r is not None
    cells = [[_gru_cell(b, w, r, first, second)]]
    return layers.gru(b, x, cells, [b.value(call, "hx")], reset_after=True).h[0]


def rnn_cell(function: UnaryFunction, b: Builder, call: Call) -> Value:
    x, (w, r, first, second) = _cell(b, call)
    assert w is not None
    assert r is not None
    activation = layers.RELU if function == UnaryFunction.RELU else layers.TANH
    cells = [[layers.RnnWeights(w, r, _added(b, first, second))]]
    return layers.rnn(b, x, cells, [b.value(call, "hx")], activation=activation).h[0]


HANDLERS: dict[str, Handler] = {
    "aten.lstm": lstm,
    "aten.gru": gru,
    "aten.rnn_tanh": partial(rnn, UnaryFunction.TANH),
    "aten.rnn_relu": partial(rnn, UnaryFunction.RELU),
    "aten.lstm_cell": lstm_cell,
    "aten.gru_cell": gru_cell,
    "aten.rnn_tanh_cell": partial(rnn_cell, UnaryFunction.TANH),
    "aten.rnn_relu_cell": partial(rnn_cell, UnaryFunction.RELU),
}
