"""The int8 lstm: TensorFlow Lite's 8x8_16 form, bit for bit.

Source: tensorflow/lite/kernels/lstm_eval.cc (LstmStepInteger). Every gate is the saturated int16 sum of products that
were each brought to 2^-12, which is why W x and R h are rounded apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgert.dtypes import QuantParams
from edgert.ops import _recurrent as recurrent
from edgert.ops._def import Array, Attrs
from edgert.ops._fixed_point import multiplier_of, rescale_32
from edgert.ops._gemmlowp import ONE, saturate16, shift_right, sigmoid16, tanh16
from edgert.ops._quantmath import given, integer_dot

GATE_SCALE = 2.0**-12


def _gate_scales(quant: QuantParams, gates: int) -> list[float]:
    """One scale a gate: weights have one for each row, the same for all rows of a gate, or one at all."""
    scales = quant.scales if quant.per_channel else quant.scales * gates
    each = len(scales) // gates
    return [scales[gate * each] for gate in range(gates)]


Multiplier = tuple[Array, Array]


def _ratio(a: float, b: float, c: float) -> Multiplier:
    """a * b / c in float32."""
    return multiplier_of(float(np.float32(a) * np.float32(b) / np.float32(c)))


def lstm_int8(
    items: Sequence[Array | None],
    attrs: Attrs,
    in_quants: Sequence[QuantParams | None],
    out_quants: Sequence[QuantParams | None],
) -> list[Array]:
    """items: the operator's inputs, all of them, None for absent ones."""
    x, weights, inner, bias, h0, c0, peephole, projection, projection_bias = items[:9]
    assert x is not None
    assert weights is not None
    assert inner is not None
    quants = [*in_quants, *[None] * len(items)]
    x_quant, h_quant = given(quants[0], "input"), given(out_quants[0], "output")
    c_quant = given(out_quants[2], "cell state")
    gates = 3 if attrs["coupled"] else 4
    units, out = weights.shape[0] // gates, inner.shape[1]
    batch = x.shape[0 if attrs["batch_major"] else 1]
    cell_bits = 15 + round(math.log2(c_quant.scale))

    products = []  # (weights turned, what is added to the sum, multiplier of each gate): of x, and of h
    for matrix, quant, source, added in ((weights, quants[1], x_quant, bias), (inner, quants[2], h_quant, None)):
        known = given(quant, "weights")
        wide = matrix.astype(np.int64)
        offset = -source.zero_point * wide.sum(axis=1) + (0 if added is None else added.astype(np.int64))
        scales = _gate_scales(known, gates)
        products.append((wide.T, offset, [_ratio(source.scale, scale, GATE_SCALE) for scale in scales]))
    peepholes: list[tuple[Array, Multiplier] | None] = [None] * 3
    if peephole is not None:
        scales = _gate_scales(given(quants[6], "peephole"), 3)
        factors = [multiplier_of(float(np.float32(c_quant.scale * s / GATE_SCALE))) for s in scales]
        peepholes = [(row.astype(np.int64), factor) for row, factor in zip(peephole, factors, strict=True)]

    def gate(part: int, now: Array, h: Array, c: Array, peep: tuple[Array, Multiplier] | None = None) -> Array:
        total: Array = np.zeros((now.shape[0], units), np.int64)
        columns = slice(part * units, (part + 1) * units)
        for operand, (matrix, offset, factors) in zip((now, h), products, strict=True):
            sums = integer_dot(operand, matrix[:, columns]) + offset[columns]
            total = saturate16(total + rescale_32(sums, *factors[part]))
        if peep is not None:
            total = saturate16(total + rescale_32(peep[0] * c, *peep[1]))
        return total

    hidden_scale = float(np.float32(attrs["hidden_scale"]))
    hidden = multiplier_of(float(np.float32(2.0**-15 / hidden_scale * 2.0**-15)))
    cell_limit = int(np.clip(np.float32(attrs["cell_clip"]) / np.float32(c_quant.scale), 0, 32767))
    out_limit = int(np.clip(np.float32(attrs["projection_clip"]) / np.float32(h_quant.scale), 0, 127))

    def step(now: Array, states: tuple[Array, ...]) -> tuple[Array, ...]:
        h, c = states
        f = sigmoid16(gate(gates - 3, now, h, c, peepholes[1]))
        g = tanh16(gate(gates - 2, now, h, c), 3)
        i = ONE - f if attrs["coupled"] else sigmoid16(gate(0, now, h, c, peepholes[0]))
        c = saturate16(shift_right(f * c, 15) + shift_right(i * g, 15 + cell_bits))
        c = np.clip(c, -cell_limit, cell_limit) if cell_limit > 0 else c
        o = sigmoid16(gate(gates - 1, now, h, c, peepholes[2]))
        made = rescale_32(o * tanh16(c, cell_bits), *hidden) + attrs["hidden_zero_point"]
        h = np.clip(made, -128, 127)
        if projection is not None:
            known = given(quants[7], "projection")
            wide = projection.astype(np.int64)
            sums = integer_dot(h, wide.T) - attrs["hidden_zero_point"] * wide.sum(axis=1)
            sums = sums + (0 if projection_bias is None else projection_bias)
            made = rescale_32(sums, *_ratio(known.scale, hidden_scale, h_quant.scale)) + h_quant.zero_point
            h = np.clip(made, -128, 127)
            h = np.clip(h, -out_limit, out_limit) if out_limit > 0 else h
        return h, c

    first_h = np.full((batch, out), h_quant.zero_point) if h0 is None else h0
    first_c = np.zeros((batch, units)) if c0 is None else c0
    states = [first_h.astype(np.int64), first_c.astype(np.int64)]
    y, (h, c) = recurrent.run_sequence(x.astype(np.int64), states, step, attrs, None)
    return [y.astype(np.int8), h.astype(np.int8), c.astype(np.int16)]
