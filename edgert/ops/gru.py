"""gru: z, r = s(W x + b + R h); n from the reset state; h' = z h + (1 - z) n. One direction of one layer."""

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
    """x, weights [3H,I], recurrent [3H,H], bias [3H]?, recurrent bias [3H]?, h [B,H]?, lengths [B]? -> y, h."""
    items = [recurrent.optional_value(inputs, i) for i in range(7)]
    recurrent.check_operand(items[0], "input", getattr(items[0], "shape", ()), DType.FLOAT32)
    steps, batch, _, units = recurrent.sequence_sizes(items, 3, attrs["batch_major"])
    recurrent.check_operand(items[2], "recurrent weights", (3 * units, units), DType.FLOAT32)
    recurrent.check_operand(items[3], "bias", (3 * units,), DType.FLOAT32)
    recurrent.check_operand(items[4], "recurrent bias", (3 * units,), DType.FLOAT32)
    recurrent.check_operand(items[5], "initial state", (batch, units), DType.FLOAT32)
    recurrent.check_operand(items[6], "lengths", (batch,), DType.INT32)
    recurrent.check_functions(attrs, ["gate", "activation"])
    return recurrent.sequence_specs(steps, batch, attrs["batch_major"], [(units, DType.FLOAT32)])


def _reference(
    arrays: Sequence[Array | None],
    attrs: Attrs,
    in_quants: Sequence[QuantParams | None],
    out_quants: Sequence[QuantParams | None],
) -> list[Array]:
    x, weights, inner, bias, inner_bias, state, lengths = (recurrent.optional(arrays, i) for i in range(7))
    assert x is not None
    assert weights is not None
    assert inner is not None
    units = inner.shape[1]
    batch = x.shape[0 if attrs["batch_major"] else 1]
    w, r = recurrent.floats(weights, ()), recurrent.floats(inner, ())
    b, rb = recurrent.floats(bias, (3 * units,)), recurrent.floats(inner_bias, (3 * units,))
    gate = recurrent.function_of(attrs, "gate", "gate_alpha", "gate_beta")
    function = recurrent.function_of(attrs, "activation")

    def step(now: Array, states: tuple[Array, ...]) -> tuple[Array, ...]:
        (h,) = states
        made = now @ w.T + b
        both = made[:, : 2 * units] + h @ r[: 2 * units].T + rb[: 2 * units]
        z, reset = np.split(gate(recurrent.clipped(both, attrs["clip"])), 2, axis=1)
        if attrs["reset_after"]:
            rest = reset * (h @ r[2 * units :].T + rb[2 * units :])
        else:
            rest = (reset * h) @ r[2 * units :].T + rb[2 * units :]
        n = function(recurrent.clipped(made[:, 2 * units :] + rest, attrs["clip"]))
        return (z * h + (1.0 - z) * n,)

    y, (h,) = recurrent.run_sequence(
        x.astype(np.float64), [recurrent.floats(state, (batch, units))], step, attrs, lengths
    )
    return [y.astype(np.float32), h.astype(np.float32)]


def _macs(inputs: Sequence[Shape], outputs: Sequence[Shape]) -> int:
    """Both products of every step."""
    return math.prod(inputs[0][:2]) * (math.prod(inputs[1]) + math.prod(inputs[2]))


GRU = OpDef(
    name="gru",
    code=OpCode.GRU,
    inputs=(3, 7),
    infer=_infer,
    reference=_reference,
    quant=QuantRule.FLOAT,
    attrs={
        "reverse": False,
        "batch_major": False,
        "reset_after": False,
        "gate": UnaryFunction.SIGMOID,
        "gate_alpha": 0.0,
        "gate_beta": 0.0,
        "activation": UnaryFunction.TANH,
        "alpha": 0.0,
        "beta": 0.0,
        "clip": 0.0,
    },
    macs=_macs,
)
