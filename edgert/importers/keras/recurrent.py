"""Keras handlers: recurrent layers, in one direction and two, with state that lives between invokes where it is asked
for (stateful=True).

Masks are not carried on: where a layer is called with one, or after Masking, every step counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edgert.errors import ModelError
from edgert.importers.builder import Array, GraphBuilder, RefusedError
from edgert.importers.keras.convlstm import run_convolutional
from edgert.importers.keras.elementwise import for_gate
from edgert.importers.keras.layer import Call, Handler, Layer, leaves
from edgert.importers.layers.recurrent import GruWeights, LstmWeights, Recurrent, RnnWeights, gru, lstm, rnn
from edgert.ir import Value
from edgert.ops._enums import BinaryFunction


@dataclass(frozen=True)
class Run:
    """What a layer of one direction makes. y: every step, at the place where the input has it; states: the final ones,
    of which the first is the last output."""

    y: Value
    states: list[Value]
    last: Value


def _rows(layer: Layer, name: str) -> Array:
    """A kernel [in, gates * units] as rows [gates * units, in]."""
    kernel = layer.weight(name)
    if kernel.ndim != 2:
        raise ModelError(f"its {name} has the shape {list(kernel.shape)}, needed 2 dimensions")
    return np.ascontiguousarray(kernel.T)


def run_cell(
    b: GraphBuilder, cell: Layer, x: Value, states: Sequence[Value | None], reverse: bool, batch_first: bool
) -> Recurrent:
    """One cell over all steps of x [B, T, I]."""
    version = cell.origin.version
    weights, recurrent, bias = _rows(cell, "kernel"), _rows(cell, "recurrent_kernel"), cell.optional("bias")
    cudnn = bool(cell.config.get("cudnn"))
    function = for_gate(cell.get("activation", "tanh"), version)
    gate = for_gate(cell.get("recurrent_activation", "sigmoid" if cudnn or version > 2 else "hard_sigmoid"), version)
    if cell.kind == "LSTMCell":
        cells = [[LstmWeights(weights, recurrent, bias)]]
        h, c = (states[0], states[1]) if states else (None, None)
        return lstm(b, x, cells, _one(h), _one(c), batch_first=batch_first, reverse=reverse, gate=gate,
                    activation=function)  # fmt: skip
    h = states[0] if states else None
    if cell.kind == "GRUCell":
        after = cudnn or cell.flag("reset_after", False)
        if bias is not None and bias.ndim == 2:
            gru_cell = GruWeights(weights, recurrent, bias[0], bias[1])
        else:
            gru_cell = GruWeights(weights, recurrent, bias)
        return gru(b, x, [[gru_cell]], _one(h), batch_first=batch_first, reverse=reverse, reset_after=after, gate=gate,
                   activation=function)  # fmt: skip
    if cell.kind == "SimpleRNNCell":
        return rnn(b, x, [[RnnWeights(weights, recurrent, bias)]], _one(h), batch_first=batch_first, reverse=reverse,
                   activation=function)  # fmt: skip
    raise RefusedError(f"its cell is a {cell.kind}", "use LSTMCell, GRUCell or SimpleRNNCell")


def _one(state: Value | None) -> list[Value | None]:
    return [state]


def _states_of(cell: Layer) -> int:
    return 2 if cell.kind in ("LSTMCell", "ConvLSTMCell") else 1


def _cells(layer: Layer) -> list[Layer]:
    cell = layer.children.get("cell")
    if cell is None:
        raise RefusedError("it has no cell that is known", "use LSTMCell, GRUCell or SimpleRNNCell")
    return list(cell.children.values()) if cell.kind == "StackedRNNCells" else [cell]


def run(b: GraphBuilder, layer: Layer, x: Value, initial: Sequence[Value]) -> Run:
    """A recurrent layer over x [B, T, ...], with its state from the last invoke when it is stateful."""
    if layer.kind.startswith("ConvLSTM"):
        return _kept(b, layer, initial, lambda states: _convolutional(b, layer, x, states))
    if len(x.shape) != 3:
        raise ModelError(f"its input has {len(x.shape)} dimensions, needed 3 (samples, steps, features)")
    reverse, batch_first = layer.flag("go_backwards", False), not layer.flag("time_major", False)

    def stacked(states: Sequence[Value | None]) -> Run:
        y, final, left = x, [], list(states)
        for cell in _cells(layer):
            count = _states_of(cell)
            made = run_cell(b, cell, y, left[:count], reverse, batch_first)
            y, left = made.y, left[count:]
            final += [*made.h, *made.c]
        last = final[-_states_of(_cells(layer)[-1])]
        return Run(y, final, last)

    return _kept(b, layer, initial, stacked)


def _convolutional(b: GraphBuilder, layer: Layer, x: Value, states: Sequence[Value | None]) -> Run:
    y, h, c = run_convolutional(b, layer, x, states)
    return Run(y, [h, c], h)


def _kept(
    b: GraphBuilder, layer: Layer, initial: Sequence[Value], function: Callable[[Sequence[Value | None]], Run]
) -> Run:
    """Runs a layer from given states, from zeros, or from those of the last invoke."""
    count = sum(map(_states_of, _cells(layer)))
    if initial and len(initial) != count:
        raise ModelError(f"it is given {len(initial)} initial states, needed {count}")
    if initial or not layer.flag("stateful", False):
        return function(initial or [None] * count)
    before = len(b.graph.nodes)
    shapes = [state.shape for state in function([None] * count).states]
    del b.graph.nodes[before:]  # that was to know the shapes
    variables = [
        b.variable(f"{layer.path}/state_{index}", np.zeros(shape, np.float32)) for index, shape in enumerate(shapes)
    ]
    made = function(variables)
    for variable, state in zip(variables, made.states, strict=True):
        b.emit_all("assign", [variable, state])
    return made


def reversed_steps(b: GraphBuilder, y: Value, axis: int = 1) -> Value:
    return b.slice(y, axis, y.shape[axis] - 1, -1, -1) if y.shape[axis] > 1 else y


def _arguments(call: Call) -> tuple[Value, list[Value]]:
    """The sequence, and the initial states."""
    kwargs = dict(call.kwargs)
    if next(leaves(kwargs.get("constants"), Value), None) is not None:
        raise RefusedError("it is called with constants", "concatenate them to its input")
    found = list(leaves([call.args, kwargs], Value))
    if not found:
        raise ModelError("it is called without a tensor")
    return found[0], found[1:]


def recurrent(b: GraphBuilder, call: Call) -> list[Value] | Value:
    layer = call.layer
    x, initial = _arguments(call)
    made = run(b, layer, x, initial)
    if layer.flag("return_sequences", False):
        axis = 0 if layer.flag("time_major", False) else 1
        y = reversed_steps(b, made.y, axis) if layer.flag("go_backwards", False) else made.y
    else:
        y = made.last
    return [y, *made.states] if layer.flag("return_state", False) else y


MERGES = {"sum": "add", "ave": "add", "mul": "mul"}


def bidirectional(b: GraphBuilder, call: Call) -> list[Value] | Value:
    """A layer forwards and another backwards; every step's results together."""
    layer = call.layer
    forward, backward = layer.children["forward_layer"], layer.children["backward_layer"]
    for inner in (forward, backward):
        if inner.kind not in KINDS:
            raise RefusedError(f"the layer in it is a {inner.kind}", "use LSTM, GRU, SimpleRNN, RNN or ConvLSTM")
    x, initial = _arguments(call)
    half = len(initial) // 2
    runs = [run(b, forward, x, initial[:half]), run(b, backward, x, initial[half:])]
    sequences = forward.flag("return_sequences", False)
    results = [made.y if sequences else made.last for made in runs]
    made_of = _together(b, results, layer.config.get("merge_mode", "concat"))
    if forward.flag("return_state", False):
        return [*made_of, *runs[0].states, *runs[1].states]
    return made_of if len(made_of) > 1 else made_of[0]


def _together(b: GraphBuilder, results: list[Value], mode: object) -> list[Value]:
    if mode is None:
        return results
    if mode == "concat":
        return [b.emit("concat", results, {"axis": len(results[0].shape) - 1})]
    if mode in MERGES:
        made = b.emit(MERGES[str(mode)], results)
        return [b.mul(made, 0.5) if mode == "ave" else made]
    if mode in ("max", "min"):
        function = BinaryFunction.MAXIMUM if mode == "max" else BinaryFunction.MINIMUM
        return [b.emit("binary", results, {"function": function})]
    raise RefusedError(f"merge_mode {mode!r}", "use concat, sum, ave or mul")


def cell_layer(b: GraphBuilder, call: Call) -> list[Value] | Value:
    """A cell on its own: one step."""
    x, states = _arguments(call)
    one = b.reshape(x, (x.shape[0], 1, *x.shape[1:]))
    made = run_cell(b, call.layer, one, states, False, True)
    return [made.h[0], *made.h, *made.c]


KINDS = (
    "LSTM", "GRU", "SimpleRNN", "RNN", "CuDNNLSTM", "CuDNNGRU", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D",
)  # fmt: skip

HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(KINDS, recurrent),
    "Bidirectional": bidirectional,
    **dict.fromkeys(("LSTMCell", "GRUCell", "SimpleRNNCell"), cell_layer),
}
