"""Shapes and dtypes of elementwise operators on two operands."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.ir import Value
from edgert.ops._def import TensorSpec


def broadcast_shape(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    """NumPy's rule; ModelError names both shapes when they do not fit."""
    rank = max(len(a), len(b))
    wide_a, wide_b = (1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b
    if any(m != n and 1 not in (m, n) for m, n in zip(wide_a, wide_b, strict=True)):
        raise ModelError(f"the shapes {list(a)} and {list(b)} do not broadcast")
    return tuple(n if m == 1 else m for m, n in zip(wide_a, wide_b, strict=True))


def infer_binary(inputs: Sequence[Value | None], dtypes: Collection[DType]) -> TensorSpec:
    """Spec of an operator whose two operands have the same dtype, one of `dtypes`, and broadcast."""
    a, b = inputs[0], inputs[1]
    assert a is not None
    assert b is not None
    if a.dtype not in dtypes:
        raise ModelError(f"input is {a.dtype.name}, needed one of {', '.join(dtype.name for dtype in dtypes)}")
    if b.dtype != a.dtype:
        raise ModelError(f"second input is {b.dtype.name}, needed {a.dtype.name} as the first")
    return TensorSpec(broadcast_shape(a.shape, b.shape), a.dtype)
