"""Inputs of the operators with weights, in every form that a file may give them."""

from __future__ import annotations

import numpy as np

from edgert.dtypes import DType, QuantParams
from ops.runner import Input

FORMS = ("float32", "per_channel", "per_tensor", "zero_point")  # zero_point: legacy weights with one of their own
INPUT_QUANT = QuantParams((float(np.float32(0.03)),), (-11,))
OUTPUT_QUANT = QuantParams((float(np.float32(0.11)),), (5,))


def output_quant(form: str) -> QuantParams | None:
    return None if form == "float32" else OUTPUT_QUANT


def inputs(form: str, x: tuple[int, ...], w: tuple[int, ...], axis: int, bias: bool = True) -> list[Input | None]:
    """Input, constant weights whose output channels lie along `axis`, and bias."""
    channels = w[axis]
    if form == "float32":
        b = Input((channels,), DType.FLOAT32, constant=True)
        return [Input(x), Input(w, constant=True, low=-1, high=1), b if bias else None]
    scales = np.linspace(0.002, 0.006, channels if form == "per_channel" else 1, dtype=np.float32)
    zero_points = (17,) if form == "zero_point" else (0,) * len(scales)
    quant = QuantParams(tuple(float(scale) for scale in scales), zero_points, axis)
    b = Input((channels,), DType.INT32, constant=True, low=-9000, high=9000)
    return [
        Input(x, DType.INT8, INPUT_QUANT, low=-128, high=127),
        Input(w, DType.INT8, quant, constant=True, low=-127, high=127),
        b if bias else None,
    ]
