"""svdf: filters over time, a rank of them summed for each unit.

The state holds the last M features of every filter, the newest last.

Source: Nakkiran et al. 2015, "Compressing deep neural networks using a rank-constrained topology".

int8 is TensorFlow Lite's (reference/svdf.h; for int8 states, tflite-micro's svdf_common.cc).
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
from edgert.ops._enums import Activation, OpCode
from edgert.ops._fixed_point import multiplier_of, rescale_32
from edgert.ops._quantmath import activation_bounds_i8, activation_clip, given, integer_dot


def _infer(inputs: Sequence[Value | None], attrs: Attrs) -> list[TensorSpec]:
    """x [B,I], feature weights [F,I], time weights [F,M], state [B,F,M], bias [F/rank]? -> y [B,F/rank], next state."""
    x, features, times, state = inputs[:4]
    bias = recurrent.optional_value(inputs, 4)
    assert x is not None
    assert features is not None
    assert times is not None
    assert state is not None
    if x.dtype not in (DType.FLOAT32, DType.INT8):
        raise ModelError(f"input is {x.dtype.name}, needed FLOAT32 or INT8")
    if len(x.shape) != 2 or len(features.shape) != 2 or len(times.shape) != 2:
        ranks = f"{len(x.shape)}, {len(features.shape)} and {len(times.shape)}"
        raise ModelError(f"input and weights have {ranks} dimensions, needed 2 each")
    (batch, width), (filters, memory), rank = x.shape, times.shape, attrs["rank"]
    if rank < 1 or filters % rank:
        raise ModelError(f"{filters} filters of rank {rank}: needed a multiple")
    real = x.dtype == DType.FLOAT32
    kept = DType.FLOAT32 if real else state.dtype
    if not real and kept not in (DType.INT8, DType.INT16):
        raise ModelError(f"state is {kept.name}, needed INT8 or INT16")
    recurrent.check_operand(features, "feature weights", (filters, width), x.dtype)
    recurrent.check_operand(times, "time weights", (filters, memory), kept)
    recurrent.check_operand(bias, "bias", (filters // rank,), DType.FLOAT32 if real else DType.INT32)
    recurrent.check_operand(state, "state", (batch, filters, memory), kept)
    return [TensorSpec((batch, filters // rank), x.dtype), TensorSpec(state.shape, kept)]


def _reference(
    arrays: Sequence[Array | None],
    attrs: Attrs,
    in_quants: Sequence[QuantParams | None],
    out_quants: Sequence[QuantParams | None],
) -> list[Array]:
    x, features, times, state = arrays[:4]
    bias = recurrent.optional(arrays, 4)
    assert x is not None
    assert features is not None
    assert times is not None
    assert state is not None
    if x.dtype == np.int8:
        return _integer(arrays, attrs, in_quants, out_quants)
    made = x.astype(np.float64) @ features.T.astype(np.float64)
    state = np.concatenate([state[:, :, 1:], made[:, :, None].astype(np.float32)], axis=2)
    y = (state.astype(np.float64) * times).sum(axis=2).reshape(x.shape[0], -1, attrs["rank"]).sum(axis=2)
    y = y + (0.0 if bias is None else bias)
    return [activation_clip(attrs["activation"], y.astype(np.float32)), state]


def _integer(
    arrays: Sequence[Array | None],
    attrs: Attrs,
    in_quants: Sequence[QuantParams | None],
    out_quants: Sequence[QuantParams | None],
) -> list[Array]:
    """Features are rescaled to the state's type, sums of a unit's filters to int8."""
    x, features, times, state = arrays[:4]
    bias = recurrent.optional(arrays, 4)
    assert x is not None
    assert features is not None
    assert times is not None
    assert state is not None
    names = ("input", "feature weights", "time weights", "state")
    x_quant, f_quant, t_quant, state_quant = (given(quant, name) for quant, name in zip(in_quants, names, strict=False))
    y_quant = given(out_quants[0], "output")
    limits = np.iinfo(state.dtype)
    sums = integer_dot(x.astype(np.int64) - x_quant.zero_point, features.T.astype(np.int64))
    made = rescale_32(sums, *_ratio(x_quant, f_quant, state_quant)) + state_quant.zero_point
    made = np.clip(made, limits.min, limits.max).astype(state.dtype)
    state = np.concatenate([state[:, :, 1:], made[:, :, None]], axis=2)
    products = (state.astype(np.int64) - state_quant.zero_point) * times
    y = products.sum(axis=2).reshape(x.shape[0], -1, attrs["rank"]).sum(axis=2) + (0 if bias is None else bias)
    y = rescale_32(y, *_ratio(state_quant, t_quant, y_quant)) + y_quant.zero_point
    return [np.clip(y, *activation_bounds_i8(attrs["activation"], y_quant)).astype(np.int8), state]


def _ratio(a: QuantParams, b: QuantParams, c: QuantParams) -> tuple[Array, Array]:
    return multiplier_of(float(np.float32(a.scale) * np.float32(b.scale) / np.float32(c.scale)))


def _macs(inputs: Sequence[Shape], outputs: Sequence[Shape]) -> int:
    """A feature for every filter, and its sum over time."""
    return inputs[0][0] * (math.prod(inputs[1]) + math.prod(inputs[2]))


SVDF = OpDef(
    name="svdf",
    code=OpCode.SVDF,
    inputs=(4, 5),
    infer=_infer,
    reference=_reference,
    quant=QuantRule.FLOAT,
    attrs={"rank": 1, "activation": Activation.NONE},
    macs=_macs,
)
