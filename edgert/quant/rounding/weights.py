"""Which operands of an operator are weights, and their rounding to the nearest step."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.dtypes import DType, QuantParams
from edgert.ir import Node, Value
from edgert.quant.rounding.int4 import RoundedWeights, int4_grid
from edgert.quant.rounding.scales import quantize_weights, weight_scales
from edgert.quant.schemes import Weights

SMALL = 256  # elements up to which a constant is not worth two bytes instead of four
_FLOAT16_LARGEST = 65504.0
_FLOAT16_NOISE = 1e-5  # of the power: 50 dB, a hundred times what rounding to 11 bits does to ordinary numbers

# Operand and axis of the output channels, of the operators whose weights are always matrices or kernels.
_OPERANDS = {
    "conv2d": {1: 0},
    "depthwise_conv2d": {1: 2},
    "fully_connected": {1: 0},
    "lstm": {1: 0, 2: 0, 7: 0},
    "gru": {1: 0, 2: 0},
    "rnn": {1: 0, 2: 0},
    "svdf": {1: 0, 2: 0},
}


def weight_operands(node: Node) -> dict[int, int]:
    """Indices of the constant float32 operands that are weights, and the axis of the output channels in each."""
    operands = _OPERANDS.get(node.op, {})
    if node.op == "matmul":
        rank = [0 if value is None else len(value.shape) for value in node.inputs]
        operands = {
            0: rank[0] - (1 if node.attrs.get("transpose_a", False) else 2),
            1: rank[1] - (2 if node.attrs.get("transpose_b", False) else 1),
        }
    return {index: axis for index, axis in operands.items() if _is_constant(node, index)}


def _is_constant(node: Node, index: int) -> bool:
    value = node.inputs[index] if index < len(node.inputs) else None
    return value is not None and value.constant and value.dtype == DType.FLOAT32


class Rounder:
    """Rounds every weight to the nearest step."""

    def rounded(
        self, node: Node, index: int, axis: int, kind: Weights, least: NDArray[np.float64] | None = None
    ) -> RoundedWeights | None:
        """The weights that are input `index` of a float node, rounded to int8 or int4.

        axis: of the output channels. least: what every channel's scale must be at the least. None for weights that
        lose too much, and are better kept as they are.
        """
        value = node.inputs[index]
        assert value is not None
        assert value.data is not None
        return nearest(value.data, axis, kind, least)


def nearest(weights: NDArray[Any], axis: int, kind: Weights, least: NDArray[np.float64] | None) -> RoundedWeights:
    """To the nearest step, of scales that lose least."""
    if kind in (Weights.INT4, Weights.INT4_BLOCK):
        rows = weights.astype(np.float64).reshape(len(weights), -1)
        grid = int4_grid(rows, kind == Weights.INT4_BLOCK, least)
        return grid.rounded(grid.nearest(rows), weights.shape)
    scales = weight_scales(weights, axis, 1.0, None)
    if least is not None:
        scales = np.maximum(scales, least.astype(np.float32))
    params = QuantParams(tuple(float(s) for s in scales), (0,) * len(scales), axis)
    return RoundedWeights(quantize_weights(weights, scales, axis), params)


def dequantized(rounded: RoundedWeights) -> NDArray[np.float32]:
    """What the runtime makes of them: float32(q) * scale, in float32."""
    shape = [1] * rounded.data.ndim
    shape[rounded.params.axis] = -1
    scales = np.array(rounded.params.scales, np.float32).reshape(shape)
    return np.asarray(rounded.data.astype(np.float32) * scales, np.float32)


def round_to_float16(value: Value) -> NDArray[np.float16] | None:
    """A float32 constant in float16; None for one that is small, beyond float16's range, or too fine for it."""
    if not value.constant or value.dtype != DType.FLOAT32 or value.data is None or value.data.size <= SMALL:
        return None
    exact = value.data.astype(np.float64)
    if not np.isfinite(exact).all() or np.abs(exact).max() > _FLOAT16_LARGEST:
        return None
    rounded = value.data.astype(np.float16)
    noise = float(np.square(rounded.astype(np.float64) - exact).sum())
    return rounded if noise <= _FLOAT16_NOISE * float(np.square(exact).sum()) else None
