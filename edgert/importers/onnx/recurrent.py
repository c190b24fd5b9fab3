"""LSTM, GRU and RNN: both directions, either layout, with the functions that ONNX lets a node choose.

Gates lie in the order i, o, f, c and z, r, h. Where onnxruntime and the specification leave room (sequences of no
steps, what input_forget couples), onnxruntime is followed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edgert.errors import ModelError
from edgert.importers.builder import GraphBuilder, Operand
from edgert.importers.layers import recurrent
from edgert.importers.layers.recurrent import Function, GruWeights, LstmWeights, Recurrent, RnnWeights
from edgert.importers.onnx.builder import Builder, Handler, RefusedError, SourceNode
from edgert.ir import Value
from edgert.ops._enums import CompareFunction, UnaryFunction


def _affine(alpha: float, beta: float) -> Function:
    return Function(None, emit=lambda b, x: b.add(b.mul(x, alpha), beta))


def _scaled_tanh(alpha: float, beta: float) -> Function:
    return Function(None, emit=lambda b, x: b.mul(b.unary(UnaryFunction.TANH, b.mul(x, beta)), alpha))


def _thresholded_relu(alpha: float, beta: float) -> Function:
    def emit(b: GraphBuilder, x: Value) -> Value:
        above = b.emit("compare", [x, alpha], {"function": CompareFunction.GREATER_EQUAL})
        return b.emit("select", [above, x, b.const(np.zeros(x.shape, np.float32))])

    return Function(None, emit=emit)


def _unary(kind: UnaryFunction) -> Callable[[float, float], Function]:
    return lambda alpha, beta: Function(kind, alpha, beta)


@dataclass(frozen=True)
class Choice:
    """A function by ONNX's name: whether it takes alpha and beta from the node's lists, and what they are otherwise."""

    make: Callable[[float, float], Function]
    alpha: float | None = None
    beta: float | None = None


FUNCTIONS = {
    "relu": Choice(_unary(UnaryFunction.RELU)),
    "tanh": Choice(_unary(UnaryFunction.TANH)),
    "sigmoid": Choice(_unary(UnaryFunction.SIGMOID)),
    "softsign": Choice(_unary(UnaryFunction.SOFTSIGN)),
    "softplus": Choice(_unary(UnaryFunction.SOFTPLUS)),
    "hardsigmoid": Choice(_unary(UnaryFunction.HARD_SIGMOID), 0.2, 0.5),
    "leakyrelu": Choice(_unary(UnaryFunction.LEAKY_RELU), 0.01),
    "elu": Choice(_unary(UnaryFunction.ELU), 1.0),
    "affine": Choice(_affine, 1.0, 0.0),
    "scaledtanh": Choice(_scaled_tanh, 1.0, 1.0),
    "thresholdedrelu": Choice(_thresholded_relu, 1.0),
}


class Layer:
    """One node: its sizes and attributes, its operands direction by direction."""

    def __init__(self, b: Builder, node: SourceNode, gates: int, defaults: Sequence[str]) -> None:
        self.b, self.node, self.gates = b, node, gates
        direction = node.text("direction", "forward").lower()
        if direction not in ("forward", "reverse", "bidirectional"):
            raise ModelError(f"its direction is {direction!r}, needed forward, reverse or bidirectional")
        self.reverse = direction == "reverse"
        self.directions = 2 if direction == "bidirectional" else 1
        self.batch_first = node.integer("layout", 0) == 1
        self.clip = node.number("clip", 0.0)
        if not self.clip >= 0.0:
            raise ModelError(f"it clips to {self.clip}, needed 0 or a positive number")
        self.x = b.value(node, 0)
        if len(self.x.shape) != 3:
            raise ModelError(f"its input has {len(self.x.shape)} dimensions, needed 3 (time, batch and features)")
        self.steps, self.batch = self.x.shape[:2][:: -1 if self.batch_first else 1]
        self.units = b.value(node, 2).shape[-1]
        self.functions = self._functions(defaults)

    def _functions(self, defaults: Sequence[str]) -> list[Function]:
        """Of all directions; alphas and betas go to those that take one, in their order."""
        names = self.node.attrs.get("activations") or list(defaults) * self.directions
        given = [self.node.attrs.get(f"activation_{what}") or () for what in ("alpha", "beta")]
        alphas, betas = ([float(item) for item in items] for items in given)
        functions = []
        for name in names:
            text = name.decode() if isinstance(name, bytes) else str(name)
            choice = FUNCTIONS.get(text.lower())
            if choice is None:
                raise RefusedError(f"its activation is {text!r}", f"use one of {', '.join(FUNCTIONS)}")
            alpha = 0.0 if choice.alpha is None else alphas.pop(0) if alphas else choice.alpha
            beta = 0.0 if choice.beta is None else betas.pop(0) if betas else choice.beta
            functions.append(choice.make(alpha, beta))
        count = len(defaults)
        if len(functions) != count * self.directions:
            raise ModelError(f"it has {len(functions)} activations, needed {count * self.directions}")
        return functions

    def operand(self, index: int, what: str, width: int | None = None) -> list[Operand | None]:
        """An input [directions, ...] direction by direction; arrays of a constant. width: of the last dimension."""
        if not self.node.has(index):
            return [None] * self.directions
        b = self.b
        constant = b.is_constant(self.node, index)
        known = b.need_constant(self.node, index, what) if constant else b.value(self.node, index)
        shape = known.shape
        if not shape or shape[0] != self.directions or (width is not None and shape[-1] != width):
            raise ModelError(f"its {what} have the shape {list(shape)}, needed {self.directions} first, {width} last")
        if isinstance(known, np.ndarray):
            return [np.ascontiguousarray(known[i]) for i in range(self.directions)]
        return [b.reshape(b.slice(known, 0, i, i + 1), shape[1:]) for i in range(self.directions)]

    def biases(self, index: int) -> tuple[list[Operand | None], list[Operand | None]]:
        """The input biases and the recurrent ones, which lie behind them."""
        size = self.gates * self.units
        halves: tuple[list[Operand | None], list[Operand | None]] = ([], [])
        for both in self.operand(index, "biases", 2 * size):
            for place, half in enumerate(halves):
                at = slice(place * size, (place + 1) * size)
                half.append(self.b.slice(both, 0, at.start, at.stop) if isinstance(both, Value) else
                            None if both is None else np.asarray(both)[at])  # fmt: skip
        return halves

    def state(self, index: int) -> list[Value | None] | None:
        """The initial states [B, H] of all directions."""
        if not self.node.has(index):
            return None
        value = self.b.value(self.node, index)
        axis = 1 if self.batch_first else 0
        if len(value.shape) != 3 or value.shape[axis] != self.directions:
            raise ModelError(
                f"its initial state has the shape {list(value.shape)}, needed {self.directions} directions"
            )
        shape = (self.batch, self.units)
        return [self.b.reshape(self.b.slice(value, axis, i, i + 1), shape) for i in range(self.directions)]

    def lengths(self) -> Value | None:
        """None when all sequences have all steps."""
        known = self.b.constant(self.node, 4)
        if known is not None and known.size and int(known.min()) >= self.steps:
            return None
        return self.b.optional(self.node, 4)

    def outputs(self, made: Recurrent) -> list[Value]:
        """Y, Y_h and Y_c, with a dimension for directions."""
        states = [recurrent.stacked(self.b, items, 1 if self.batch_first else 0) for items in (made.h, made.c) if items]
        return [recurrent.stacked(self.b, made.directions, 2 if self.batch_first else 1), *states]

    def run(self, layer: Callable[[Sequence[Function], int | None], Recurrent]) -> list[Value]:
        """The outputs of `layer`, called for both directions at once (None), or for each if their functions differ."""
        count = len(self.functions) // self.directions
        first, second = self.functions[:count], self.functions[count:]
        if self.directions == 1 or first == second:
            return self.outputs(layer(first, None))
        parts = [layer(functions, direction) for direction, functions in enumerate((first, second))]
        joined = Recurrent(
            parts[0].y,
            [part.directions[0] for part in parts],
            [part.h[0] for part in parts],
            [part.c[0] for part in parts if part.c],
        )
        return self.outputs(joined)


def _pick(items: Sequence[Value | None] | None, direction: int | None) -> Sequence[Value | None] | None:
    return items if items is None or direction is None else items[direction : direction + 1]


def _added(b: Builder, first: Operand | None, second: Operand | None) -> Operand | None:
    if first is None or second is None:
        return first if second is None else second
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        return np.asarray(first + second, np.float32)
    return b.add(first, second)


def _negated(b: Builder, item: Operand) -> Operand:
    return np.asarray(-item, np.float32) if isinstance(item, np.ndarray) else b.mul(item, -1.0)


def _gate_rows(b: Builder, item: Operand, letters: str) -> Operand:
    """Of gates i, o, f, c, one after the other along the first axis; a capital I is i negated."""
    value = b.operand(item) if not isinstance(item, np.ndarray) else item
    size = value.shape[0] // 4
    parts = []
    for letter in letters:
        at = "iofc".index(letter.lower()) * size
        part: Operand = value[at : at + size] if isinstance(value, np.ndarray) else b.slice(value, 0, at, at + size)
        parts.append(_negated(b, part) if letter.isupper() else part)
    if all(isinstance(part, np.ndarray) for part in parts):
        return np.asarray(np.concatenate([np.asarray(part) for part in parts]), np.float32)
    return b.emit("concat", parts, {"axis": 0})


def lstm(b: Builder, node: SourceNode) -> list[Value]:
    """X, W [D,4H,I], R [D,4H,H], B [D,8H], sequence_lens, initial_h, initial_c, P [D,3H] (i, o, f).

    input_forget makes f = 1 - i; with s(-a) = 1 - s(a) that is a coupled gate i = 1 - f from i's weights, negated.
    """
    layer = Layer(b, node, 4, ("Sigmoid", "Tanh", "Tanh"))
    coupled = bool(node.integer("input_forget", 0))
    weights, inner = layer.operand(1, "weights", layer.x.shape[2]), layer.operand(2, "recurrent weights", layer.units)
    halves = layer.biases(3)
    peepholes = layer.operand(7, "peepholes", 3 * layer.units)
    h, c, lengths = layer.state(5), layer.state(6), layer.lengths()
    letters = "Ico" if coupled else "ifco"
    cells = []
    for i in range(layer.directions):
        bias, peephole = _added(b, halves[0][i], halves[1][i]), peepholes[i]
        first, second = weights[i], inner[i]
        assert first is not None
        assert second is not None
        cells.append(
            LstmWeights(
                _gate_rows(b, first, letters), _gate_rows(b, second, letters),
                None if bias is None else _gate_rows(b, bias, letters),
                None if peephole is None else _peephole(b, peephole, layer.units, coupled),
            )
        )  # fmt: skip

    def run(functions: Sequence[Function], direction: int | None) -> Recurrent:
        gate, activation, output = functions
        odd = gate.kind == UnaryFunction.SIGMOID or (gate.kind == UnaryFunction.HARD_SIGMOID and gate.beta == 0.5)
        if coupled and not odd:
            raise RefusedError("input_forget with another gate than Sigmoid", "export it without input_forget")
        return recurrent.lstm(
            b, layer.x, [cells if direction is None else [cells[direction]]], _pick(h, direction), _pick(c, direction),
            lengths=lengths, batch_first=layer.batch_first, reverse=layer.reverse or direction == 1, gate=gate,
            activation=activation, output_activation=output, clip=layer.clip, coupled=coupled,
        )  # fmt: skip

    return layer.run(run)


def _peephole(b: Builder, item: Operand, units: int, coupled: bool) -> Operand:
    """[3H] of i, o, f as [3, H] of i, f, o; of a coupled gate, f is i negated."""
    if isinstance(item, np.ndarray):
        i, o, f = np.asarray(item, np.float32).reshape(3, units)
        return np.asarray([i, -i if coupled else f, o], np.float32)
    rows = b.reshape(b.operand(item), (3, units))
    i_row, o_row, f_row = (b.slice(rows, 0, at, at + 1) for at in range(3))
    return b.emit("concat", [i_row, b.mul(i_row, -1.0) if coupled else f_row, o_row], {"axis": 0})


def gru(b: Builder, node: SourceNode) -> list[Value]:
    """X, W [D,3H,I], R [D,3H,H], B [D,6H], sequence_lens, initial_h."""
    layer = Layer(b, node, 3, ("Sigmoid", "Tanh"))
    weights, inner = layer.operand(1, "weights", layer.x.shape[2]), layer.operand(2, "recurrent weights", layer.units)
    halves, h, lengths = layer.biases(3), layer.state(5), layer.lengths()
    cells = []
    for first, second, bias, inner_bias in zip(weights, inner, *halves, strict=True):
        assert first is not None
        assert second is not None
        cells.append(GruWeights(first, second, bias, inner_bias))

    def run(functions: Sequence[Function], direction: int | None) -> Recurrent:
        gate, activation = functions
        return recurrent.gru(
            b, layer.x, [cells if direction is None else [cells[direction]]], _pick(h, direction), lengths=lengths,
            batch_first=layer.batch_first, reverse=layer.reverse or direction == 1, gate=gate, activation=activation,
            reset_after=bool(node.integer("linear_before_reset", 0)), clip=layer.clip,
        )  # fmt: skip

    return layer.run(run)


def rnn(b: Builder, node: SourceNode) -> list[Value]:
    """X, W [D,H,I], R [D,H,H], B [D,2H], sequence_lens, initial_h."""
    layer = Layer(b, node, 1, ("Tanh",))
    weights, inner = layer.operand(1, "weights", layer.x.shape[2]), layer.operand(2, "recurrent weights", layer.units)
    halves, h, lengths = layer.biases(3), layer.state(5), layer.lengths()
    cells = []
    for first, second, bias, inner_bias in zip(weights, inner, *halves, strict=True):
        assert first is not None
        assert second is not None
        cells.append(RnnWeights(first, second, _added(b, bias, inner_bias)))

    def run(functions: Sequence[Function], direction: int | None) -> Recurrent:
        return recurrent.rnn(
            b, layer.x, [cells if direction is None else [cells[direction]]], _pick(h, direction), lengths=lengths,
            batch_first=layer.batch_first, reverse=layer.reverse or direction == 1, activation=functions[0],
            clip=layer.clip,
        )  # fmt: skip

    return layer.run(run)


HANDLERS: dict[str, Handler] = {"LSTM": lstm, "GRU": gru, "RNN": rnn}
