"""rnn: h' = f(W x + b + R h), one direction of one layer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.ir import Value
from edgert.ops import _recurrent as recurrent
from edgert.ops._def import Array, Attrs, OpDef, QuantRule, Shape, TensorSpec
from edgert.ops._enums import OpCode, UnaryFunction


def _infer(inputs: Sequence[Value | None], attrs: Attrs) -> list[TensorSpec]:
    """x, weights [H,I], recurrent [H,H], bias [H]?, h [B,H]?, lengths [B]? -> y, h."""
    items = [recurrent.optional_value(inputs, i) for i in range(6)]
    recurrent.check_operand(items[0], "input", getattr(items[0], "shape", ()), DType.FLOAT32)
    steps, batch, _, units = recurrent.sequence_sizes(items, 1, attrs["batch_major"])
    recurrent.check_operand(items[2], "recurrent weights", (units, units), DType.FLOAT32)
    recurrent.check_operand(items[3], "bias", (units,), DType.FLOAT32)
    recurrent.check_operand(items[4], "initial state", (batch, units), DType.FLOAT32)
    recurrent.check_operand(items[5], "lengths", (batch,), DType.INT32)
    recurrent.check_functions(attrs, ["activation"])
    return recurrent.sequence_specs(steps, batch, attrs["batch_major"], [(units, DType.FLOAT32)])


def _reference(
    arrays: Sequence[Array | None],
    attrs: Attrs,
    in_quants: Sequence[QuantParams | None],
    out_quants: Sequence[QuantParams | None],
) -> list[Array]:
    x, weights, inner, bias, state, lengths = (recurrent.optional(arrays, i) for i in range(6))
    assert x is not None
    assert weights is not None
    assert inner is not None
    units = weights.shape[0]
    batch = x.shape[0 if attrs["batch_major"] else 1]
    w, r = recurrent.floats(weights, ()), recurrent.floats(inner, ())
    b = recurrent.floats(bias, (units,))
    function = recurrent.function_of(attrs, "activation")

    def step(now: Array, states: tuple[Array, ...]) -> tuple[Array, ...]:
        return (function(recurrent.clipped(now @ w.T + b + states[0] @ r.T, attrs["clip"])),)

    y, (h,) = recurrent.run_sequence(
        x.astype(np.float64), [recurrent.floats(state, (batch, units))], step, attrs, lengths
    )
    return [y.astype(np.float32), h.astype(np.float32)]


def _macs(inputs: Sequence[Shape], outputs: Sequence[Shape]) -> int:
    """Both products of every step."""
    return math.prod(inputs[0][:2]) * (math.prod(inputs[1]) + math.prod(inputs[2]))


RNN = OpDef(
    name="rnn",
    code=OpCode.RNN,
    inputs=(3, 6),
    infer=_infer,
    reference=_reference,
    quant=QuantRule.FLOAT,
    attrs={
        "reverse": False,
        "batch_major": False,
        "activation": UnaryFunction.TANH,
        "alpha": 0.0,
        "beta": 0.0,
        "clip": 0.0,
    },
    macs=_macs,
)
