"""lstm: one direction of one layer, with peepholes, projection, layer normalisation and coupled gates.

    i, f, g, o = W x + b + R h, of which i, f and o get peepholes: p_i c, p_f c, p_o c'
    c' = s(f) c + s(i) a(g);  h' = projection of s(o) a_out(c')

int8 is TensorFlow Lite's 8x8_16 form (_lstm_int8.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from edgert.ir import Value
from edgert.ops import _recurrent as recurrent
from edgert.ops._def import Array, Attrs, OpDef, QuantRule, Shape, TensorSpec
from edgert.ops._enums import OpCode, UnaryFunction
from edgert.ops._lstm_int8 import lstm_int8

INPUTS = 11
NORM_EPSILON = 1e-8  # what TensorFlow Lite adds to the variance in a layer normalisation


def _infer(inputs: Sequence[Value | None], attrs: Attrs) -> list[TensorSpec]:
    """x, weights [GH,I], recurrent [GH,P], bias [GH]?, h [B,P]?, c [B,H]?, peephole [3,H]?, projection [P,H]?,
    projection bias [P]?, lengths [B]?, norm [G,H]? -> y, h, c. G: 4, or 3 if coupled."""
    items = [recurrent.optional_value(inputs, i) for i in range(INPUTS)]
    x, projection = items[0], items[7]
    assert x is not None
    if x.dtype not in (DType.FLOAT32, DType.INT8):
        raise ModelError(f"input is {x.dtype.name}, needed FLOAT32 or INT8")
    real = x.dtype == DType.FLOAT32
    gates = 3 if attrs["coupled"] else 4
    steps, batch, _, units = recurrent.sequence_sizes(items, gates, attrs["batch_major"])
    out = units
    if projection is not None:
        if len(projection.shape) != 2:
            raise ModelError(f"projection has {len(projection.shape)} dimensions, needed 2")
        out = projection.shape[0]
    sums, cells = (DType.FLOAT32, DType.FLOAT32) if real else (DType.INT32, DType.INT16)
    needed: list[tuple[str, int, tuple[int, ...], DType]] = [
        ("recurrent weights", 2, (gates * units, out), x.dtype),
        ("bias", 3, (gates * units,), sums),
        ("initial h", 4, (batch, out), x.dtype),
        ("initial c", 5, (batch, units), cells),
        ("peephole", 6, (3, units), cells),
        ("projection", 7, (out, units), x.dtype),
        ("projection bias", 8, (out,), sums),
        ("lengths", 9, (batch,), DType.INT32),
        ("norm", 10, (gates, units), DType.FLOAT32),
    ]
    for what, index, shape, dtype in needed:
        recurrent.check_operand(items[index], what, shape, dtype)
    if projection is None and items[8] is not None:
        raise ModelError("there is a projection bias and no projection")
    recurrent.check_functions(attrs, ["gate", "activation", "output_activation"])
    if not real:
        _check_int8(items, attrs)
    widths = [(out, x.dtype), (units, cells)]
    return recurrent.sequence_specs(steps, batch, attrs["batch_major"], widths)


def _check_int8(items: Sequence[Value | None], attrs: Attrs) -> None:
    if items[9] is not None or items[10] is not None:
        raise ModelError("int8 with lengths or layer normalisation, needed float32")
    if attrs["gate"] != UnaryFunction.SIGMOID or attrs["clip"] != 0.0:
        raise ModelError("int8 with another gate than SIGMOID or with its input clipped, needed float32")
    if (attrs["activation"], attrs["output_activation"]) != (UnaryFunction.TANH, UnaryFunction.TANH):
        raise ModelError("int8 with other activations than TANH, needed float32")


def _normalised(x: Array) -> Array:
    """Every row of a gate's sums [B, H] less its mean, by its standard deviation."""
    spread = np.sqrt(x.var(axis=1, keepdims=True) + NORM_EPSILON)
    return np.asarray((x - x.mean(axis=1, keepdims=True)) / spread)


def _reference(
    arrays: Sequence[Array | None],
    attrs: Attrs,
    in_quants: Sequence[QuantParams | None],
    out_quants: Sequence[QuantParams | None],
) -> list[Array]:
    items = [recurrent.optional(arrays, i) for i in range(INPUTS)]
    x, weights, inner, bias, h0, c0, peephole, projection, projection_bias, lengths, norm = items
    assert x is not None
    assert weights is not None
    assert inner is not None
    if x.dtype == np.int8:
        return lstm_int8(items, attrs, in_quants, out_quants)
    gates = 3 if attrs["coupled"] else 4
    units, out = weights.shape[0] // gates, inner.shape[1]
    batch = x.shape[0 if attrs["batch_major"] else 1]
    w, r = recurrent.floats(weights, ()), recurrent.floats(inner, ())
    b = recurrent.floats(bias, (gates * units,))
    p_i, p_f, p_o = recurrent.floats(peephole, (3, units))
    gate = recurrent.function_of(attrs, "gate", "gate_alpha", "gate_beta")
    activation = recurrent.function_of(attrs, "activation")
    output_activation = recurrent.function_of(attrs, "output_activation")

    def finished(x: Array, part: int) -> Array:
        """A gate's sum with its normalisation, ready for its function."""
        columns = slice(part * units, (part + 1) * units)
        if norm is not None:
            x = _normalised(x) * norm[part] + b[columns]
        return recurrent.clipped(x, attrs["clip"])

    def step(now: Array, states: tuple[Array, ...]) -> tuple[Array, ...]:
        h, c = states
        sums = now @ w.T + h @ r.T + (b if norm is None else 0.0)
        parts = np.split(sums, gates, axis=1)
        f = gate(finished(parts[-3] + p_f * c, gates - 3))
        i = 1.0 - f if attrs["coupled"] else gate(finished(parts[0] + p_i * c, 0))
        c = f * c + i * activation(finished(parts[-2], gates - 2))
        c = recurrent.clipped(c, attrs["cell_clip"])
        h = gate(finished(parts[-1] + p_o * c, gates - 1)) * output_activation(c)
        if projection is not None:
            h = h @ recurrent.floats(projection, ()).T + recurrent.floats(projection_bias, (out,))
            h = recurrent.clipped(h, attrs["projection_clip"])
        return h, c

    states = [recurrent.floats(h0, (batch, out)), recurrent.floats(c0, (batch, units))]
    y, (h, c) = recurrent.run_sequence(x.astype(np.float64), states, step, attrs, lengths)
    return [y.astype(np.float32), h.astype(np.float32), c.astype(np.float32)]


def _macs(inputs: Sequence[Shape], outputs: Sequence[Shape]) -> int:
    """The products of every step. Width tells of a projection: packed models have no trace of absent operands."""
    (out,), (units,) = outputs[1][1:], outputs[2][1:]
    projection = out * units if out != units else 0
    return math.prod(inputs[0][:2]) * (math.prod(inputs[1]) + math.prod(inputs[2]) + projection)


LSTM = OpDef(
    name="lstm",
    code=OpCode.LSTM,
    inputs=(3, INPUTS),
    infer=_infer,
    reference=_reference,
    quant=QuantRule.FLOAT,
    attrs={
        "reverse": False,
        "batch_major": False,
        "coupled": False,
        "gate": UnaryFunction.SIGMOID,
        "gate_alpha": 0.0,
        "gate_beta": 0.0,
        "activation": UnaryFunction.TANH,
        "output_activation": UnaryFunction.TANH,
        "alpha": 0.0,
        "beta": 0.0,
        "clip": 0.0,
        "cell_clip": 0.0,
        "projection_clip": 0.0,
        "hidden_scale": 0.0,
        "hidden_zero_point": 0,
    },
    macs=_macs,
)
