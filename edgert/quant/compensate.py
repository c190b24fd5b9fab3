"""Rounding weights so that the errors make up for one another, for the inputs that a layer really sees.

Rounding column after column, the error of each is spread over the columns that are still to come, in the way that
changes the layer's outputs least: by the inverse of H = E[x x^T]. Means are taken off the inputs first, as what
rounding does to the mean of an output is taken out of its bias anyway (edgert.quant.bias).
Source: Frantar et al. 2022, "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers"
(arXiv:2210.17323), algorithm 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.ir import Node
from edgert.quant.int4 import RoundedWeights, int4_grid
from edgert.quant.scales import WEIGHT_LIMIT
from edgert.quant.schemes import Weights
from edgert.quant.weights import Rounder, nearest

Array = NDArray[np.float64]

_DAMPING = 0.01  # of the mean of H's diagonal: keeps what the samples do not show from being distorted without limit
_TOGETHER = 128  # columns whose errors reach the columns behind them in one product
_MOST_COLUMNS = 2048  # of one H; longer rows are cut into parts that do not make up for one another
_SHARES = np.linspace(0.6, 1.0, 17)  # of a channel's largest magnitude: where its range may end


class CompensatingRounder(Rounder):
    """Rounds with compensation what `moments` knows the inputs of, and the rest to the nearest step.

    moments: by the name of a weighted float node's output, the covariance of what its weights are multiplied with,
    [groups, K, K], in the order of the weights' elements (edgert.quant.moments).
    """

    def __init__(self, moments: Mapping[str, NDArray[Any]]) -> None:
        self._moments = moments
        self._known: dict[tuple[str, Weights, bytes], RoundedWeights] = {}

    def rounded(
        self, node: Node, index: int, axis: int, kind: Weights, least: Array | None = None
    ) -> RoundedWeights | None:
        name = node.outputs[0].name
        if index != 1 or name not in self._moments:
            return super().rounded(node, index, axis, kind, least)
        key = (name, kind, b"" if least is None else least.tobytes())
        if key not in self._known:
            self._known[key] = self._compensated(node, axis, kind, least, np.asarray(self._moments[name], np.float64))
        return self._known[key]

    def _compensated(self, node: Node, axis: int, kind: Weights, least: Array | None, moments: Array) -> RoundedWeights:
        value = node.inputs[1]
        assert value is not None
        assert value.data is not None
        plain = nearest(value.data, axis, kind, least)
        rows = np.moveaxis(value.data.astype(np.float64), axis, 0)
        shape = rows.shape
        rows = rows.reshape(len(moments), -1, moments.shape[1])  # [groups, rows, K]
        if kind in (Weights.INT4, Weights.INT4_BLOCK):
            flat = rows.reshape(-1, rows.shape[2])
            weight = np.repeat(np.diagonal(moments, axis1=1, axis2=2), rows.shape[1], axis=0)
            grid = int4_grid(flat, kind == Weights.INT4_BLOCK, least, weight)
            steps = grid.steps(rows.shape[2]).reshape(rows.shape)
            q = round_in_turn(rows, steps, moments, 7)
            made = grid.rounded(q.reshape(flat.shape), shape)
        else:
            scales = np.array(plain.params.scales)
            steps = np.broadcast_to(scales.reshape(rows.shape[0], -1, 1), rows.shape)
            q = round_in_turn(rows, steps, moments, WEIGHT_LIMIT)
            data = np.moveaxis(q.reshape(shape), 0, axis).astype(np.int8)
            made = RoundedWeights(data, plain.params)
        return made if noise(rows, made, axis, moments) < noise(rows, plain, axis, moments) else plain


def noise(rows: Array, made: RoundedWeights, axis: int, moments: Array) -> float:
    """The power that rounding adds to a layer's outputs, summed over them. rows: exact weights [groups, rows, K]."""
    scales = np.array(made.params.scales).reshape(rows.shape[0], -1, 1)
    wrong = np.moveaxis(made.data, axis, 0).reshape(rows.shape) * scales - rows
    return float(np.einsum("grk,gkl,grl->", wrong, moments, wrong, optimize=True))


def round_in_turn(rows: Array, steps: Array, moments: Array, limit: int) -> Array:
    """q in [-limit, limit] for weights [G, R, K] with the step of each, given E[x x^T] of what they meet [G, K, K]."""
    columns = rows.shape[2]
    parts = [slice(begin, begin + _MOST_COLUMNS) for begin in range(0, columns, _MOST_COLUMNS)]
    return np.concatenate(
        [_round_part(rows[:, :, part], steps[:, :, part], moments[:, part, part], limit) for part in parts], axis=2
    )


def _round_part(rows: Array, steps: Array, moments: Array, limit: int) -> Array:
    # The column whose errors weigh most goes first, while there are most columns left to make up for them.
    order = np.argsort(-np.diagonal(moments, axis1=1, axis2=2).sum(axis=0), kind="stable")
    spread = _spread(moments[:, order][:, :, order])
    left, steps = rows[:, :, order].copy(), steps[:, :, order]
    q = np.zeros(left.shape)
    columns = left.shape[2]
    for begin in range(0, columns, _TOGETHER):
        end = min(begin + _TOGETHER, columns)
        errors = np.zeros((*left.shape[:2], end - begin))
        for k in range(begin, end):
            q[:, :, k] = np.clip(np.rint(left[:, :, k] / steps[:, :, k]), -limit, limit)
            error = (left[:, :, k] - q[:, :, k] * steps[:, :, k]) / spread[:, k, k, None]
            left[:, :, k + 1 : end] -= error[:, :, None] * spread[:, k, None, k + 1 : end]
            errors[:, :, k - begin] = error
        left[:, :, end:] -= errors @ spread[:, begin:end, end:]
    result = np.empty(q.shape)
    result[:, :, order] = q
    return result


def _spread(moments: Array) -> Array:
    """The upper Cholesky factor of the inverse of each damped matrix [G, K, K]."""
    size = moments.shape[1]
    diagonal = np.diagonal(moments, axis1=1, axis2=2)
    mean = diagonal.mean(axis=1)
    mean = np.where(mean > 0.0, mean, 1.0)
    damped = moments + (_DAMPING * mean)[:, None, None] * np.eye(size)
    inverse = np.linalg.inv(damped)
    inverse = (inverse + inverse.transpose(0, 2, 1)) / 2.0
    return np.asarray(np.linalg.cholesky(inverse).transpose(0, 2, 1))
