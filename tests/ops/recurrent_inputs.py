"""Operands of recurrent operators: weights small enough that the gates do not saturate."""

from __future__ import annotations

import numpy as np

from edgert.dtypes import DType
from ops.runner import Input, f32

# steps, batch, width of x, units
SIZES = [(1, 1, 1, 1), (1, 1, 40, 33), (5, 1, 3, 17), (7, 3, 9, 5), (70, 2, 4, 8), (3, 70, 5, 4)]
LARGE = (20, 1, 130, 96)  # worth several threads


def sequence(steps: int, batch: int, width: int, batch_major: bool) -> Input:
    return f32(batch, steps, width, low=-2, high=2) if batch_major else f32(steps, batch, width, low=-2, high=2)


def weights(*shape: int, constant: bool = True) -> Input:
    bound = 1.5 / np.sqrt(shape[-1])
    return f32(*shape, constant=constant, low=-bound, high=bound)


def lengths(batch: int, steps: int, constant: bool = False) -> Input:
    """From none of the steps to more than there are, as a hostile caller might say."""
    return Input((batch,), DType.INT32, low=-1, high=steps + 1, constant=constant)
