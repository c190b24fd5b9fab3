"""256-byte tables: what any elementwise function of one int8 tensor becomes (DESIGN.md section 4)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgert.dtypes import QuantParams
from edgert.ops._def import Array


def build_table(function: Callable[[Array], Array], x: QuantParams, y: QuantParams) -> Array:
    """int8[256], indexed by q + 128: clamp(rne(f(scale_x * (q - zero_x)) / scale_y) + zero_y), in float64.

    Where f has no value (NaN) the entry is zero_y; infinities saturate.
    """
    q = np.arange(-128, 128, dtype=np.float64)
    with np.errstate(all="ignore"):
        steps = np.asarray(function(x.scale * (q - x.zero_point)), np.float64) / y.scale
    steps = np.clip(np.where(np.isnan(steps), 0.0, steps), -128 - y.zero_point, 127 - y.zero_point)
    return np.asarray(np.rint(steps) + y.zero_point).astype(np.int8)


def look_up(table: Array, x: Array) -> Array:
    """table[x + 128] of an int8 array."""
    return np.asarray(table.reshape(256)[x.astype(np.int32) + 128])
