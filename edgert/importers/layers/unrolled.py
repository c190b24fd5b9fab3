"""Recurrent layers as plain operators, a step after the other: for functions that the recurrent operators lack."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edgert.importers.builder import GraphBuilder, Operand, RefusedError
from edgert.importers.layers.cells import GruWeights, LstmWeights, Options, RnnWeights, Weights
from edgert.ir import Value
from edgert.ops._enums import CompareFunction, UnaryFunction

MOST_STEPS = 1000

Step = Callable[[Value, list[Value]], list[Value]]


def unroll(
    b: GraphBuilder,
    x: Value,
    weights: Weights,
    states: Sequence[Value | None],
    lengths: Value | None,
    batch_major: bool,
    reverse: bool,
    options: Options,
) -> list[Value]:
    """y and the final states of one direction of one layer. The products with x are one for all steps."""
    time = 1 if batch_major else 0
    steps, batch = x.shape[time], x.shape[1 - time]
    if steps > MOST_STEPS:
        raise RefusedError(
            f"a function of it is computed by plain operators, step by step, and it has {steps} steps",
            f"use sigmoid, tanh, relu or hard sigmoid in it, or give it sequences of at most {MOST_STEPS} steps",
        )
    sums = _product(b, x, weights.input, None if _normalised(weights) else weights.bias)
    now = [_initial(b, state, (batch, width)) for state, width in zip(states, _widths(b, weights), strict=True)]
    step = _step(b, weights, options)
    outputs: list[Value] = []
    for t in reversed(range(steps)) if reverse else range(steps):
        piece = b.reshape(b.slice(sums, time, t, t + 1), (batch, sums.shape[2]))
        made = step(piece, now)
        y = made[0]
        if lengths is not None:
            active = _longer(b, lengths, t)
            y = _where(b, active, y)
            made = [b.emit("select", [active, new, old]) for new, old in zip(made, now, strict=True)]
        outputs.append(b.reshape(y, (*y.shape[:time], 1, *y.shape[time:])))
        now = made
    if lengths is not None:
        now = [_where(b, _longer(b, lengths, 0), state) for state in now]
    outputs = outputs[::-1] if reverse else outputs
    return [b.emit("concat", outputs, {"axis": time}) if steps > 1 else outputs[0], *now]


def _longer(b: GraphBuilder, lengths: Value, t: int) -> Value:
    """Which sequences have a step t, [B, 1]."""
    counts = b.reshape(lengths, (lengths.shape[0], 1))
    return b.emit("compare", [counts, b.const(np.array(t, np.int32))], {"function": CompareFunction.GREATER})


def _where(b: GraphBuilder, active: Value, x: Value) -> Value:
    """x, or zeros."""
    return b.emit("select", [active, x, b.const(np.zeros(x.shape, np.float32))])


def _normalised(weights: Weights) -> bool:
    return isinstance(weights, LstmWeights) and weights.norm is not None


def _widths(b: GraphBuilder, weights: Weights) -> list[int]:
    """Of the states: h, and c of an LSTM."""
    recurrent = b.operand(weights.recurrent)
    if not isinstance(weights, LstmWeights):
        return [recurrent.shape[1]]
    units = recurrent.shape[1] if weights.projection is None else b.operand(weights.projection).shape[1]
    return [recurrent.shape[1], units]


def _initial(b: GraphBuilder, state: Value | None, shape: tuple[int, ...]) -> Value:
    return b.const(np.zeros(shape, np.float32)) if state is None else state


def _product(b: GraphBuilder, x: Value, weights: Operand, bias: Operand | None) -> Value:
    """x times the transposed weights, plus bias."""
    matrix = b.operand(weights)
    if matrix.constant and (bias is None or b.operand(bias).constant):
        return b.emit("fully_connected", [x, matrix, bias])
    y = b.emit("matmul", [x, matrix], {"transpose_b": True})
    return y if bias is None else b.add(y, bias)


def _clipped(b: GraphBuilder, x: Value, limit: float) -> Value:
    return b.unary(UnaryFunction.CLIP, x, -limit, limit) if limit > 0 else x


def _parts(b: GraphBuilder, x: Value, count: int) -> list[Value]:
    size = x.shape[1] // count
    return [b.slice(x, 1, i * size, (i + 1) * size) for i in range(count)]


def _step(b: GraphBuilder, weights: Weights, options: Options) -> Step:
    if isinstance(weights, LstmWeights):
        return _lstm_step(b, weights, options)
    if isinstance(weights, GruWeights):
        return _gru_step(b, weights, options)
    return _rnn_step(b, weights, options)


def _rnn_step(b: GraphBuilder, weights: RnnWeights, options: Options) -> Step:
    def step(sums: Value, states: list[Value]) -> list[Value]:
        total = b.add(sums, _product(b, states[0], weights.recurrent, None))
        return [options.activation.applied(b, _clipped(b, total, options.clip))]

    return step


def _gru_step(b: GraphBuilder, weights: GruWeights, options: Options) -> Step:
    recurrent = b.operand(weights.recurrent)
    units = recurrent.shape[1]
    bias = b.const(np.zeros(3 * units, np.float32)) if weights.recurrent_bias is None else weights.recurrent_bias
    bias = b.operand(bias)
    inner = (b.slice(recurrent, 0, 2 * units, 3 * units), b.slice(bias, 0, 2 * units, 3 * units))
    outer = (b.slice(recurrent, 0, 0, 2 * units), b.slice(bias, 0, 0, 2 * units))

    def finished(x: Value) -> Value:
        return _clipped(b, x, options.clip)

    def step(sums: Value, states: list[Value]) -> list[Value]:
        (h,) = states
        z, r, n = _parts(b, sums, 3)
        rest_z, rest_r = _parts(b, _product(b, h, *outer), 2)
        z = options.gate.applied(b, finished(b.add(z, rest_z)))
        r = options.gate.applied(b, finished(b.add(r, rest_r)))
        rest = b.mul(r, _product(b, h, *inner)) if options.reset_after else _product(b, b.mul(r, h), *inner)
        n = options.activation.applied(b, finished(b.add(n, rest)))
        return [b.add(n, b.mul(z, b.sub(h, n)))]

    return step


def _lstm_step(b: GraphBuilder, weights: LstmWeights, options: Options) -> Step:
    if weights.norm is not None:
        raise RefusedError(
            "it has layer normalisation, and a function that is computed by plain operators",
            "use sigmoid, tanh, relu or hard sigmoid in it",
        )
    gates = 3 if options.coupled else 4
    peepholes: list[Value | None] = [None] * 3
    if weights.peephole is not None:
        peephole = b.operand(weights.peephole)
        peepholes = [b.slice(peephole, 0, i, i + 1) for i in range(3)]

    def gate(x: Value, c: Value, peephole: Value | None) -> Value:
        total = x if peephole is None else b.add(x, b.mul(c, peephole))
        return options.gate.applied(b, _clipped(b, total, options.clip))

    def step(sums: Value, states: list[Value]) -> list[Value]:
        h, c = states
        parts = _parts(b, b.add(sums, _product(b, h, weights.recurrent, None)), gates)
        f = gate(parts[-3], c, peepholes[1])
        i = b.sub(b.const(1.0), f) if options.coupled else gate(parts[0], c, peepholes[0])
        g = options.activation.applied(b, _clipped(b, parts[-2], options.clip))
        c = _clipped(b, b.add(b.mul(f, c), b.mul(i, g)), options.cell_clip)
        h = b.mul(gate(parts[-1], c, peepholes[2]), options.output_activation.applied(b, c))
        if weights.projection is not None:
            h = _product(b, h, weights.projection, weights.projection_bias)
            h = _clipped(b, h, options.projection_clip)
        return [h, c]

    return step
