"""What operators that move elements about share: one input, an output of its dtype, any dtype."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from edgert.dtypes import QuantParams
from edgert.errors import ModelError
from edgert.ir import Value
from edgert.ops._def import Array, Attrs, OpDef, QuantRule, TensorSpec

MAX_RANK = 8  # ERT_MAX_RANK in ext/ops/op.h


def normal_axis(axis: int, rank: int) -> int:
    """An axis in [-rank, rank) made non-negative; ModelError outside."""
    if not -rank <= axis < rank:
        raise ModelError(f"axis is {axis}, needed one of {-rank} to {rank - 1}")
    return axis % rank


def check_length(attrs: Attrs, name: str, length: int) -> tuple[int, ...]:
    """The list attribute `name`, which must have one entry for each axis."""
    values: tuple[int, ...] = tuple(attrs[name])
    if len(values) != length:
        raise ModelError(f"{name} has {len(values)} values, needed {length}")
    return values


def check_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """A shape that a tensor of the file may have."""
    if len(shape) > MAX_RANK:
        raise ModelError(f"{list(shape)} has {len(shape)} dimensions, needed at most {MAX_RANK}")
    if math.prod(shape) >= 2**31:
        raise ModelError(f"{list(shape)} has {math.prod(shape)} elements, needed fewer than 2^31")
    return tuple(shape)


def mover(
    name: str, code: int, attrs: Attrs, shape: Callable[[tuple[int, ...], Attrs], Sequence[int]],
    move: Callable[[Array, Attrs], Array],
) -> OpDef:  # fmt: skip
    """An OpDef of one input, given the output's shape and what happens to the array, whatever its dtype."""

    def infer(inputs: Sequence[Value | None], attrs: Attrs) -> list[TensorSpec]:
        (x,) = inputs
        assert x is not None
        return [TensorSpec(check_shape(shape(x.shape, attrs)), x.dtype)]

    def reference(
        arrays: Sequence[Array | None],
        attrs: Attrs,
        in_quants: Sequence[QuantParams | None],
        out_quants: Sequence[QuantParams | None],
    ) -> list[Array]:
        (x,) = arrays
        assert x is not None
        return [move(x, attrs)]

    return OpDef(
        name=name, code=code, inputs=(1, 1), infer=infer, reference=reference, quant=QuantRule.SAME, attrs=attrs
    )
