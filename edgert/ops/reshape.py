"""reshape: the same elements in another shape."""

from __future__ import annotations

import math

from edgert.errors import ModelError
from edgert.ops._def import Array, Attrs
from edgert.ops._enums import OpCode
from edgert.ops._move import mover


def _shape(shape: tuple[int, ...], attrs: Attrs) -> list[int]:
    """At most one -1 is inferred; 0 copies the input's dimension."""
    wanted = list(attrs["shape"])
    if wanted.count(-1) > 1 or min(wanted, default=0) < -1:
        raise ModelError(f"shape {wanted} has more than one -1 or a smaller value")
    for axis, size in enumerate(wanted):
        if size == 0:
            if axis >= len(shape):
                raise ModelError(f"shape[{axis}] is 0, but the input has only {len(shape)} dimensions")
            wanted[axis] = shape[axis]
    elements, known = math.prod(shape), math.prod(size for size in wanted if size != -1)
    if -1 in wanted:
        if known == 0 or elements % known:
            raise ModelError(f"{elements} elements of {list(shape)} cannot be divided by the {known} of {wanted}")
        wanted[wanted.index(-1)] = elements // known
    elif known != elements:
        raise ModelError(f"shape {wanted} holds {known} elements, needed the {elements} of {list(shape)}")
    return wanted


def _move(x: Array, attrs: Attrs) -> Array:
    return x.reshape(_shape(x.shape, attrs))


RESHAPE = mover("reshape", OpCode.RESHAPE, {"shape": ...}, _shape, _move)
