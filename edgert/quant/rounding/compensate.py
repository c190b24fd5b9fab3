"""Rounding weights so that the errors make up for one another, for the inputs that a layer really sees.

Rounding column after column, the error of each is spread over the columns that are still to come, in the way that
changes the layer's outputs least: by the inverse of H = E[x x^T]. Means are taken off the inputs first, as what
rounding does to the mean of an output is taken out of its bias anyway (bias.py). int4 does so for several
scales of each channel and keeps the best; then each column in turn takes the step that is best given all the others,
and each channel the scale that is best given its steps.
Sources: Frantar et al. 2022, "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers"
(arXiv:2210.17323), algorithm 1; Behdin et al. 2023, "QuantEase: Optimization-based Quantization for Language Models"
(arXiv:2309.01885), section 3, for the steps in turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.ir import Node
from edgert.quant.rounding.int4 import LIMIT, RoundedWeights, int4_grid
from edgert.quant.rounding.scales import WEIGHT_LIMIT
from edgert.quant.rounding.weights import Rounder, nearest
from edgert.quant.schemes import Weights

Array = NDArray[np.float64]

_DAMPING = 0.01  # of the mean of H's diagonal: keeps what the samples do not show from being distorted without limit
_TOGETHER = 128  # columns whose errors reach the columns behind them in one product
_MOST_COLUMNS = 2048  # of one H; longer rows are cut into parts that do not make up for one another
_STRETCHES = (0.8, 0.87, 0.94, 1.0, 1.06, 1.12)  # of an int4 channel's scale
_INT8_STRETCHES = (1.0, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5)  # of an int8 channel's
_ROUNDS = 3  # of steps in turn and new scales, for int4


class CompensatingRounder(Rounder):
    """Rounds with compensation what `moments` knows the inputs of, and the rest to the nearest step.

    moments: by the name of a weighted float node's output, the covariance of what its weights are multiplied with,
    [groups, K, K], in the order of the weights' elements (edgert.quant.observe.moments).
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
            value = node.inputs[1]
            assert value is not None
            assert value.data is not None
            self._known[key] = compensated(value.data, axis, kind, least, self._moments[name])
        return self._known[key]


def compensated(
    weights: NDArray[Any], axis: int, kind: Weights, least: Array | None, covariance: NDArray[Any]
) -> RoundedWeights:
    """These weights, rounded with compensation; to the nearest step where that is no better.

    axis: of the output channels. least: what every channel's scale must be at the least. covariance: [groups, K, K].
    """
    plain = nearest(weights, axis, kind, least)
    by_channel = np.moveaxis(weights.astype(np.float64), axis, 0)
    layer = _Layer.of(by_channel.reshape(len(covariance), -1, covariance.shape[1]), covariance)
    channels = layer.rows.shape[0] * layer.rows.shape[1]
    flat = layer.rows.reshape(channels, -1)
    floor = np.zeros(channels) if least is None else least
    if kind in (Weights.INT4, Weights.INT4_BLOCK):
        importance = np.repeat(np.diagonal(layer.moments, axis1=1, axis2=2), layer.rows.shape[1], axis=0)
        grid = int4_grid(flat, kind == Weights.INT4_BLOCK, least, importance)
        q, factors = _searched(layer, grid.steps(flat.shape[1]), floor / grid.scales)
        grid = replace(grid, scales=(grid.scales * factors).astype(np.float32))
        made = grid.rounded(q, by_channel.shape)
    else:
        scales = _least_error(layer, flat, np.array(plain.params.scales), floor)
        steps = np.broadcast_to(scales[:, None], flat.shape).reshape(layer.rows.shape)
        q = round_in_turn(layer, steps, WEIGHT_LIMIT)
        q = descended(layer, q, steps, WEIGHT_LIMIT)
        data = np.moveaxis(q.reshape(by_channel.shape), 0, axis).astype(np.int8)
        made = RoundedWeights(data, replace(plain.params, scales=tuple(float(scale) for scale in scales)))
    return made if _noise(layer, made, axis) < _noise(layer, plain, axis) else plain


def _least_error(layer: _Layer, rows: Array, largest: Array, least: Array) -> Array:
    """int8: the scale of every channel in which rounding its weights loses least, each weighted with the mean square of
    what it is multiplied with. A channel with one large weight may be better off clipping it.

    rows: the weights of every channel. largest: scales that clip nothing. least: what they must be at the least.
    """
    importance = np.repeat(np.diagonal(layer.moments, axis1=1, axis2=2), layer.rows.shape[1], axis=0)
    best, lowest = largest, np.full(len(largest), np.inf)
    for stretch in _INT8_STRETCHES:
        scales = np.maximum((largest * stretch).astype(np.float32), least.astype(np.float32)).astype(np.float64)
        q = np.clip(np.rint(rows / scales[:, None]), -WEIGHT_LIMIT, WEIGHT_LIMIT)
        error = (importance * np.square(q * scales[:, None] - rows)).sum(axis=1)
        best, lowest = np.where(error < lowest, scales, best), np.minimum(error, lowest)
    return best


@dataclass(frozen=True)
class _Part:
    """Columns that are rounded one after another."""

    order: NDArray[np.intp]
    spread: Array  # how an error reaches the columns behind: [groups, columns, columns], in this order


@dataclass(frozen=True)
class _Layer:
    """rows: exact weights [groups, R, K]. moments: damped [groups, K, K]."""

    rows: Array
    moments: Array
    parts: tuple[_Part, ...]

    @staticmethod
    def of(rows: Array, covariance: NDArray[Any]) -> _Layer:
        moments = covariance.astype(np.float64)
        mean = np.diagonal(moments, axis1=1, axis2=2).mean(axis=1)
        damping = _DAMPING * np.where(mean > 0.0, mean, 1.0)
        moments = moments + damping[:, None, None] * np.eye(moments.shape[1])
        try:
            np.linalg.cholesky(moments)
        except np.linalg.LinAlgError:
            # Inputs that hardly vary leave nothing but rounding errors, some eigenvalues of which are negative.
            more = np.maximum(damping - 2.0 * np.linalg.eigvalsh(moments)[:, 0], 0.0)
            moments = moments + more[:, None, None] * np.eye(moments.shape[1])
        # The column whose errors weigh most goes first, while there are most columns left to make up for them.
        diagonal = np.diagonal(moments, axis1=1, axis2=2).sum(axis=0)
        parts = []
        for begin in range(0, len(diagonal), _MOST_COLUMNS):
            order = begin + np.argsort(-diagonal[begin : begin + _MOST_COLUMNS], kind="stable")
            parts.append(_Part(order, _spread(moments[:, order][:, :, order])))
        return _Layer(rows, moments, tuple(parts))


def _searched(layer: _Layer, steps: Array, least: Array) -> tuple[Array, Array]:
    """int4: q [channels, K], and the factor of each channel's scale; no less than `least`."""
    groups, count, columns = layer.rows.shape
    steps = steps.reshape(layer.rows.shape)
    low = least.reshape(groups, count)
    best, factors, lowest = np.zeros(layer.rows.shape), np.ones((groups, count)), np.full((groups, count), np.inf)
    for stretch in _STRETCHES:
        trial = np.maximum(stretch, low)
        q = round_in_turn(layer, steps * trial[:, :, None], LIMIT)
        error = _errors(layer, q * steps * trial[:, :, None])
        better = error < lowest
        best[better], factors[better], lowest[better] = q[better], trial[better], error[better]
    for _ in range(_ROUNDS):
        best = descended(layer, best, steps * factors[:, :, None], LIMIT)
        factors = np.maximum(_best_factors(layer, best * steps), low)
    best = descended(layer, best, steps * factors[:, :, None], LIMIT)
    return best.reshape(groups * count, columns), factors.reshape(-1)


def _best_factors(layer: _Layer, made: Array) -> Array:
    """What to multiply every row of these weights [G, R, K] with."""
    seen = made @ layer.moments
    wanted, own = (seen * layer.rows).sum(axis=2), (seen * made).sum(axis=2)
    known = (own > 0.0) & (wanted > 0.0)
    return np.asarray(np.where(known, wanted, 1.0) / np.where(known, own, 1.0))


def _errors(layer: _Layer, made: Array) -> Array:
    """The power that errors of the weights add to the outputs, of every row."""
    wrong = made - layer.rows
    return np.asarray(((wrong @ layer.moments) * wrong).sum(axis=2))


def _noise(layer: _Layer, made: RoundedWeights, axis: int) -> float:
    scales = np.array(made.params.scales).reshape(*layer.rows.shape[:2], 1)
    return float(_errors(layer, np.moveaxis(made.data, axis, 0).reshape(layer.rows.shape) * scales).sum())


def round_in_turn(layer: _Layer, steps: Array, limit: int) -> Array:
    """q in [-limit, limit] for weights [G, R, K] with the step of each."""
    q = np.empty(layer.rows.shape)
    for part in layer.parts:
        # Columns lead in memory: each is read and written on its own.
        left = np.ascontiguousarray(layer.rows[:, :, part.order].transpose(2, 0, 1))  # [columns, G, R]
        step = np.ascontiguousarray(steps[:, :, part.order].transpose(2, 0, 1))
        q[:, :, part.order] = _rounded_part(left, step, part.spread, limit).transpose(1, 2, 0)
    return q


def _rounded_part(left: Array, step: Array, spread: Array, limit: int) -> Array:
    q = np.empty(left.shape)
    columns = len(left)
    for begin in range(0, columns, _TOGETHER):
        end = min(begin + _TOGETHER, columns)
        errors = np.zeros((end - begin, *left.shape[1:]))
        for k in range(begin, end):
            q[k] = np.clip(np.rint(left[k] / step[k]), -limit, limit)
            error = (left[k] - q[k] * step[k]) / spread[:, k, k, None]
            left[k + 1 : end] -= error * spread[:, k, k + 1 : end].T[:, :, None]
            errors[k - begin] = error
        if end < columns:  # [G, rest, R]
            reached = spread[:, begin:end, end:].transpose(0, 2, 1) @ errors.transpose(1, 0, 2)
            left[end:] -= reached.transpose(1, 0, 2)
    return q


def _spread(moments: Array) -> Array:
    """The upper Cholesky factor of the inverse of each matrix [G, K, K]."""
    inverse = np.linalg.inv(moments)
    inverse = (inverse + inverse.transpose(0, 2, 1)) / 2.0
    return np.asarray(np.linalg.cholesky(inverse).transpose(0, 2, 1))


def descended(layer: _Layer, q: Array, steps: Array, limit: int) -> Array:
    """q after each column in turn took its best step, the others as they are."""
    own = np.diagonal(layer.moments, axis1=1, axis2=2)
    slopes = np.ascontiguousarray(((q * steps - layer.rows) @ layer.moments).transpose(2, 0, 1))  # [K, G, R]
    step = np.ascontiguousarray(steps.transpose(2, 0, 1))
    q = np.ascontiguousarray(q.transpose(2, 0, 1))
    columns = len(q)
    for begin in range(0, columns, _TOGETHER):
        end = min(begin + _TOGETHER, columns)
        moved = np.zeros((end - begin, *q.shape[1:]))
        for k in range(begin, end):
            new = np.clip(np.rint(q[k] - slopes[k] / own[:, k, None] / step[k]), -limit, limit)
            moved[k - begin] = (new - q[k]) * step[k]
            q[k] = new
            if moved[k - begin].any():
                slopes[k + 1 : end] += moved[k - begin] * layer.moments[:, k, k + 1 : end].T[:, :, None]
        if end < columns:  # what is behind has had its turn
            reached = layer.moments[:, begin:end, end:].transpose(0, 2, 1) @ moved.transpose(1, 0, 2)
            slopes[end:] += reached.transpose(1, 0, 2)
    return q.transpose(1, 2, 0)
