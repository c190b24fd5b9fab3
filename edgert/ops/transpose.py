"""transpose: output axis i is input axis perm[i]."""

from __future__ import annotations

from edgert.errors import ModelError
from edgert.ops._def import Array, Attrs
from edgert.ops._enums import OpCode
from edgert.ops._move import mover


def _shape(shape: tuple[int, ...], attrs: Attrs) -> list[int]:
    perm = attrs["perm"]
    if sorted(perm) != list(range(len(shape))):
        raise ModelError(f"perm is {list(perm)}, needed every axis from 0 to {len(shape) - 1} once")
    return [shape[axis] for axis in perm]


def _move(x: Array, attrs: Attrs) -> Array:
    return x.transpose(attrs["perm"])


TRANSPOSE = mover("transpose", OpCode.TRANSPOSE, {"perm": ...}, _shape, _move)
