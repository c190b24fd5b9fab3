"""reduce: mean, sum, maximum, minimum or product over any axes.

int8: mean and sum follow XNNPACK (its qs8 reductions as LiteRT runs them; found by comparing every order of the float32
operations on inputs full of ties): with N the number of elements summed,

    m = (scale_x / scale_y) * (1 / N)         (sum: no 1 / N)
    q = clamp(rne(f32(sum of q_x) * m + (f32(zero_y) - f32(N * zero_x) * m)))

every operation in float32 and rounded on its own. Maximum and minimum are exact; where input and output have different
parameters the result goes through the common rounding rule with scale_x / scale_y. int16: TFLite's fixed-point form,
see _fixed_point.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from edgert.ir import Value
from edgert.ops import _fixed_point
from edgert.ops._def import Array, Attrs, OpDef, QuantRule, TensorSpec
from edgert.ops._enums import OpCode, ReduceFunction
from edgert.ops._quantmath import given, requantize

# Elements of a sum, by type: it stays within int32, and N * zero_x too.
_MOST_ELEMENTS = {DType.INT8: 1 << 23, DType.INT16: (1 << 16) - 1}


def _normalised_axes(rank: int, axes: Sequence[int]) -> tuple[int, ...]:
    for axis in axes:
        if not -rank <= axis < rank:
            raise ModelError(f"axis is {axis}, needed one of {-rank} to {rank - 1}")
    normalised = tuple(sorted(axis % rank for axis in axes))
    if len(set(normalised)) != len(normalised):
        raise ModelError(f"axes are {list(axes)}, needed each axis at most once")
    return normalised


def _infer(inputs: Sequence[Value | None], attrs: Attrs) -> list[TensorSpec]:
    x = inputs[0]
    assert x is not None
    function = ReduceFunction(attrs["function"])
    allowed = {
        ReduceFunction.MEAN: (DType.FLOAT32, DType.INT8, DType.INT16),
        ReduceFunction.PROD: (DType.FLOAT32, DType.INT32, DType.INT64),
    }.get(function, (DType.FLOAT32, DType.INT8, DType.INT16, DType.INT32, DType.INT64))
    if x.dtype not in allowed:
        raise ModelError(
            f"{function.name.lower()} of {x.dtype.name}, needed one of {', '.join(dtype.name for dtype in allowed)}"
        )
    axes = _normalised_axes(len(x.shape), attrs["axes"])
    most = _MOST_ELEMENTS.get(x.dtype)
    if most is not None and int(np.prod([x.shape[axis] for axis in axes], dtype=np.int64)) > most:
        raise ModelError(f"reduces more than {most} {x.dtype.name.lower()} elements to one")
    if x.dtype == DType.INT16:
        _fixed_point.check_symmetric(x, "input")
    if attrs["keep_dims"]:
        shape = tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))
    else:
        shape = tuple(size for axis, size in enumerate(x.shape) if axis not in axes)
    return [TensorSpec(shape, x.dtype)]


def _sum_int8(
    x: Array, axes: tuple[int, ...], keep: bool, mean: bool, quants: tuple[QuantParams, QuantParams]
) -> Array:
    x_quant, y_quant = quants
    count = int(np.prod([x.shape[axis] for axis in axes], dtype=np.int64))
    multiplier = np.float32(x_quant.scale) / np.float32(y_quant.scale)
    if mean:
        multiplier = multiplier * (np.float32(1) / np.float32(count))
    offset = np.float32(y_quant.zero_point) - np.float32(count * x_quant.zero_point) * multiplier
    sums = x.sum(axes, dtype=np.int32, keepdims=keep).astype(np.float32)
    return np.asarray(np.rint(np.clip(sums * multiplier + offset, -128, 127)), np.int8)


def _reference(
    arrays: Sequence[Array | None],
    attrs: Attrs,
    in_quants: Sequence[QuantParams | None],
    out_quants: Sequence[QuantParams | None],
) -> list[Array]:
    x = arrays[0]
    assert x is not None
    function, keep = ReduceFunction(attrs["function"]), bool(attrs["keep_dims"])
    axes = _normalised_axes(x.ndim, attrs["axes"])
    if function in (ReduceFunction.MAX, ReduceFunction.MIN):
        extreme = np.asarray((np.max if function == ReduceFunction.MAX else np.min)(x, axis=axes, keepdims=keep))
        if x.dtype not in (np.int8, np.int16) or in_quants[0] == out_quants[0]:
            return [extreme]
        x_quant, y_quant = given(in_quants[0], "input"), given(out_quants[0], "output")
        if x.dtype == np.int16:
            return [_fixed_point.rescaled(extreme, x_quant, y_quant, x.dtype)]
        ratio = np.float32(x_quant.scale) / np.float32(y_quant.scale)
        return [requantize(extreme.astype(np.int32) - x_quant.zero_point, ratio, y_quant.zero_point, (-128, 127))]
    if x.dtype == np.int8:
        quants = (given(in_quants[0], "input"), given(out_quants[0], "output"))
        return [np.asarray(_sum_int8(x, axes, keep, function == ReduceFunction.MEAN, quants))]
    if x.dtype == np.int16:
        quants = (given(in_quants[0], "input"), given(out_quants[0], "output"))
        total = np.asarray(x.sum(axes, dtype=np.int64, keepdims=keep))
        count = x.size // total.size if function == ReduceFunction.MEAN else None
        return [_fixed_point.reduced(total, count, *quants)]
    wide = np.float64 if x.dtype == np.float32 else np.int64
    if function == ReduceFunction.PROD:
        return [np.asarray(x.prod(axes, dtype=wide, keepdims=keep)).astype(x.dtype)]
    total = np.asarray(x.sum(axes, dtype=wide, keepdims=keep))
    if function == ReduceFunction.MEAN:
        total = total / (x.size // total.size)
    return [total.astype(x.dtype)]


REDUCE = OpDef(
    name="reduce",
    code=OpCode.REDUCE,
    inputs=(1, 1),
    infer=_infer,
    reference=_reference,
    quant=QuantRule.FREE,
    attrs={"function": ..., "axes": (), "keep_dims": False},
)
