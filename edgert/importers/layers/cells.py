"""The parts of a recurrent layer: weights of one direction, the functions of its gates, its options."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from edgert.importers.builder import GraphBuilder, Operand
from edgert.ir import Value
from edgert.ops._enums import UnaryFunction


@dataclass(frozen=True)
class Function:
    """A function of a gate or of a state: a member of UnaryFunction, or what `emit` makes of a value."""

    kind: UnaryFunction | None
    alpha: float = 0.0
    beta: float = 0.0
    emit: Callable[[GraphBuilder, Value], Value] | None = None

    def applied(self, b: GraphBuilder, x: Value) -> Value:
        """x through the function, as nodes of their own."""
        if self.emit is not None:
            return self.emit(b, x)
        assert self.kind is not None
        return b.unary(self.kind, x, self.alpha, self.beta)


PARAMETERS = frozenset({UnaryFunction.HARD_SIGMOID, UnaryFunction.CLIP})  # functions that alpha and beta belong to

SIGMOID = Function(UnaryFunction.SIGMOID)
TANH = Function(UnaryFunction.TANH)
RELU = Function(UnaryFunction.RELU)
LINEAR = Function(UnaryFunction.CLIP, -math.inf, math.inf)


def hard_sigmoid(alpha: float = 0.2, beta: float = 0.5) -> Function:
    """min(max(alpha x + beta, 0), 1); Keras 2 and ONNX have 0.2 and 0.5, Keras 3 and PyTorch 1/6 and 0.5."""
    return Function(UnaryFunction.HARD_SIGMOID, alpha, beta)


@dataclass(frozen=True)
class LstmWeights:
    """One direction of one layer, H units, P outputs (H without projection). Gates i, f, g, o; f, g, o if coupled."""

    input: Operand  # [4H, I]
    recurrent: Operand  # [4H, P]
    bias: Operand | None = None  # [4H], the sum of all biases
    peephole: Operand | None = None  # [3, H]: of i, f and o
    projection: Operand | None = None  # [P, H]
    projection_bias: Operand | None = None  # [P]
    norm: Operand | None = None  # [4, H]: every gate is normalised, times this, plus bias (TensorFlow Lite)


@dataclass(frozen=True)
class GruWeights:
    """One direction of one layer. Gates z, r, n."""

    input: Operand  # [3H, I]
    recurrent: Operand  # [3H, H]
    bias: Operand | None = None  # [3H]
    recurrent_bias: Operand | None = None  # [3H]


@dataclass(frozen=True)
class RnnWeights:
    """One direction of one layer."""

    input: Operand  # [H, I]
    recurrent: Operand  # [H, H]
    bias: Operand | None = None  # [H], the sum of all biases


Weights = LstmWeights | GruWeights | RnnWeights


@dataclass(frozen=True)
class Options:
    """What holds for all steps of a layer; recurrent.lstm and its siblings say what each means."""

    gate: Function = SIGMOID
    activation: Function = TANH
    output_activation: Function = TANH
    clip: float = 0.0
    cell_clip: float = 0.0
    projection_clip: float = 0.0
    coupled: bool = False
    reset_after: bool = False
