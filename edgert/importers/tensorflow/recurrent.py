"""TensorFlow handlers: recurrent cells and layers that are one operator (tensorflow/core/ops/rnn_ops.cc)."""

from __future__ import annotations

import numpy as np

from edgert.errors import ModelError
from edgert.importers.builder import Array, RefusedError
from edgert.importers.layers.movement import split
from edgert.importers.layers.recurrent import LstmWeights, lstm
from edgert.importers.tensorflow.builder import Builder, Handler, SourceNode
from edgert.importers.tensorflow.lists import stacked
from edgert.ir import Value
from edgert.ops._enums import UnaryFunction

MOST_STEPS = 1000
# Gates in the rows of the matrix, as positions of i, f, g (the new input) and o.
ICFO, IFCO = (0, 2, 1, 3), (0, 1, 2, 3)


class Cell:
    """The weights of an LSTM cell: one matrix [I+H, 4H] for x and h side by side, and peepholes where they are used."""

    def __init__(self, b: Builder, node: SourceNode, first: int) -> None:
        """first: index of the input w, which wci, wcf, wco and b follow."""
        w, *peepholes, bias = (b.need_constant(node, first + at, "weights") for at in range(5))
        units = bias.size // 4
        if w.ndim != 2 or units < 1 or w.shape[1] != 4 * units or w.shape[0] <= units:
            raise ModelError(f"its weights {list(w.shape)} do not fit a bias of {bias.size}")
        order = IFCO if node.op == "BlockLSTMV2" else ICFO
        columns = np.split(w, 4, 1)
        biases = np.split(bias.reshape(-1).astype(np.float32), 4)
        forget = 0.0 if node.op == "BlockLSTMV2" else node.number("forget_bias", 1.0)
        self.units = units
        self.matrix: Array = np.ascontiguousarray(np.concatenate([columns[at] for at in order], 1).T)  # [4H, I+H]
        ordered = [biases[at] for at in order]
        self.bias = np.concatenate([ordered[0], ordered[1] + np.float32(forget), *ordered[2:]])
        self.clip = max(node.number("cell_clip", 0.0 if node.op == "BlockLSTMV2" else 3.0), 0.0)
        self.peepholes = [peephole.reshape(-1) for peephole in peepholes] if node.flag("use_peephole") else None

    def step(self, b: Builder, x: Value, c: Value, h: Value) -> list[Value]:
        """i, c, f, o, the new input, tanh(c) and h, in the operators' order."""
        sums = b.emit("fully_connected", [b.emit("concat", [x, h], {"axis": 1}), self.matrix, self.bias])
        i, f, g, o = split(b, sums, 1, (self.units,) * 4)
        if self.peepholes is not None:
            i, f = (b.add(gate, b.mul(c, weights)) for gate, weights in zip((i, f), self.peepholes, strict=False))
        i, f = (b.unary(UnaryFunction.SIGMOID, gate) for gate in (i, f))
        g = b.unary(UnaryFunction.TANH, g)
        c = b.add(b.mul(g, i), b.mul(c, f))
        if self.clip:
            c = b.unary(UnaryFunction.CLIP, c, -self.clip, self.clip)
        o = o if self.peepholes is None else b.add(o, b.mul(c, self.peepholes[2]))
        o, limited = b.unary(UnaryFunction.SIGMOID, o), b.unary(UnaryFunction.TANH, c)
        return [i, c, f, o, g, limited, b.mul(limited, o)]


def lstm_cell(b: Builder, node: SourceNode) -> list[Value]:
    """LSTMBlockCell: x, c, h, then the weights."""
    return Cell(b, node, 3).step(b, *(b.value(node, index) for index in range(3)))


def block_lstm(b: Builder, node: SourceNode) -> list[Value]:
    """BlockLSTM: the number of steps that count, x [T, B, I], c, h, then the weights. The last output, h of all steps,
    is a recurrent layer; where others are read too, step by step (else nothing of those steps stays)."""
    cell = Cell(b, node, 4)
    x, c, h = (b.value(node, index) for index in (1, 2, 3))
    length = int(b.scalar(node, 0, "number of steps"))
    if len(x.shape) != 3 or length != x.shape[0]:
        raise RefusedError(f"{length} of its {x.shape[0]} steps count", "give it sequences of full length")
    if length > MOST_STEPS:
        raise RefusedError(f"it has {length} steps", f"give it sequences of at most {MOST_STEPS} steps")
    inputs = x.shape[2]
    weights = LstmWeights(
        np.ascontiguousarray(cell.matrix[:, :inputs]), np.ascontiguousarray(cell.matrix[:, inputs:]), cell.bias,
        peephole=None if cell.peepholes is None else np.stack(cell.peepholes),
    )  # fmt: skip
    layer = lstm(b, x, [[weights]], [h], [c], cell_clip=cell.clip)
    steps = []
    for at in range(length):
        steps.append(cell.step(b, b.reshape(b.slice(x, 0, at, at + 1), x.shape[1:]), c, h))
        _, c, *_, h = steps[-1]
    return [*(stacked(b, list(values)) for values in list(zip(*steps, strict=True))[:-1]), layer.y]


def gru_cell(b: Builder, node: SourceNode) -> list[Value]:
    """GRUBlockCell: x, h, weights of r and u side by side and of c, and their biases -> r, u, c, h."""
    x, h = b.value(node, 0), b.value(node, 1)
    gates, new, gate_bias, bias = (b.need_constant(node, 2 + at, "weights") for at in range(4))
    joined = b.emit("concat", [x, h], {"axis": 1})
    sums = b.emit("fully_connected", [joined, np.ascontiguousarray(gates.T), gate_bias.reshape(-1)])
    r, u = (b.unary(UnaryFunction.SIGMOID, part) for part in split(b, sums, 1, (h.shape[1],) * 2))
    rest = b.emit("concat", [x, b.mul(r, h)], {"axis": 1})
    c = b.emit("fully_connected", [rest, np.ascontiguousarray(new.T), bias.reshape(-1)])
    c = b.unary(UnaryFunction.TANH, c)
    return [r, u, c, b.add(c, b.mul(u, b.sub(h, c)))]


HANDLERS: dict[str, Handler] = {
    "LSTMBlockCell": lstm_cell,
    "BlockLSTM": block_lstm,
    "BlockLSTMV2": block_lstm,
    "GRUBlockCell": gru_cell,
}
