"""broadcast_to: repeats axes of size 1, as numpy.broadcast_to does."""

from __future__ import annotations

import numpy as np

from edgert.errors import ModelError
from edgert.ops._def import Array, Attrs
from edgert.ops._enums import OpCode
from edgert.ops._move import mover


def _shape(shape: tuple[int, ...], attrs: Attrs) -> list[int]:
    wanted = list(attrs["shape"])
    wide = (1,) * (len(wanted) - len(shape)) + shape
    if len(wanted) < len(shape) or any(size not in (1, new) or new < 0 for size, new in zip(wide, wanted, strict=True)):
        raise ModelError(f"{list(shape)} cannot be repeated to {wanted}")
    return wanted


def _move(x: Array, attrs: Attrs) -> Array:
    return np.broadcast_to(x, attrs["shape"])


BROADCAST_TO = mover("broadcast_to", OpCode.BROADCAST_TO, {"shape": ...}, _shape, _move)
