"""What scatter_nd and scatter_elements share: how an update joins what is there."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.ir import Value
from edgert.ops._def import Array
from edgert.ops._enums import ScatterReduction

_JOIN: dict[ScatterReduction, np.ufunc] = {
    ScatterReduction.ADD: np.add,
    ScatterReduction.MUL: np.multiply,
    ScatterReduction.MIN: np.minimum,
    ScatterReduction.MAX: np.maximum,
}


def check_updates(x: Value, updates: Value, reduction: ScatterReduction) -> None:
    """Sums and products are for plain numbers, any reduction for float32, integers and bool."""
    if updates.dtype != x.dtype:
        raise ModelError(f"updates are {updates.dtype.name.lower()}, needed {x.dtype.name.lower()} as the input")
    if updates.quant != x.quant:
        raise ModelError("input and updates differ in quantisation, needed the same")
    if reduction in (ScatterReduction.ADD, ScatterReduction.MUL) and x.quant is not None:
        raise ModelError("a sum or product of quantised numbers, needed plain ones")
    if reduction != ScatterReduction.NONE and x.dtype == DType.FLOAT16:
        raise ModelError("a reduction of float16, needed float32 or integers")


def join(y: Array, where: tuple[Any, ...], updates: Array, reduction: ScatterReduction) -> None:
    """Writes updates into y, or joins them, in their order; where may name an element many times."""
    if reduction == ScatterReduction.NONE:
        y[where] = updates
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            _JOIN[ScatterReduction(reduction)].at(y, where, updates)
