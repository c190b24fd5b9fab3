"""The steps that int4 weights may take: a scale a channel, and a multiplier for every 32 of its inputs.

A weight is q * m * s: q in [-7, 7], m in 1 to 18 for each block of 32 inputs (1 throughout without blocks), s the
channel's scale. q * m is an int8, so that kernels compute with such weights as with any others, and exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgert.dtypes import QuantParams
from edgert.ops.unpack_int4 import BLOCK

LIMIT = 7
LARGEST_MULTIPLIER = 18  # 7 * 18 = 126 is still an int8
_SMALLEST_SCALE = 2.0**-60
_SHARES = np.linspace(0.4, 1.0, 25)  # of a row's largest magnitude: where the search for its range looks
_STRETCHES = np.linspace(0.7, 1.0, 7)  # of a channel's scale, in blocks


@dataclass(frozen=True)
class RoundedWeights:
    """int8 weights in the shape of the float ones.

    params: one scale for every output channel. multipliers: of int4 in blocks, uint8 [channels, blocks]: an element
    is a number in [-7, 7] times that of its block.
    """

    data: NDArray[np.int8]
    params: QuantParams
    multipliers: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Int4Grid:
    """scales: float32 [O]. multipliers: uint8 [O, ceil(K / 32)], or None for 1 throughout."""

    scales: NDArray[np.float32]
    multipliers: NDArray[np.uint8] | None

    def steps(self, columns: int) -> NDArray[np.float64]:
        """What a unit of q stands for, for every weight: [O, columns]."""
        steps = np.repeat(self.scales.astype(np.float64)[:, None], columns, axis=1)
        if self.multipliers is not None:
            steps = steps * np.repeat(self.multipliers, BLOCK, axis=1)[:, :columns]
        return np.asarray(steps)

    def nearest(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """The q nearest to these weights [O, K]."""
        return np.asarray(np.clip(np.rint(rows / self.steps(rows.shape[1])), -LIMIT, LIMIT))

    def rounded(self, q: NDArray[np.float64], shape: tuple[int, ...]) -> RoundedWeights:
        """Weights of these q [O, K]."""
        if self.multipliers is not None:
            q = q * np.repeat(self.multipliers, BLOCK, axis=1)[:, : q.shape[1]]
        params = QuantParams(tuple(float(s) for s in self.scales), (0,) * len(self.scales), 0)
        return RoundedWeights(q.astype(np.int8).reshape(shape), params, self.multipliers)


def int4_grid(
    rows: NDArray[np.float64],
    blocks: bool,
    least: NDArray[np.float64] | None = None,
    importance: NDArray[np.float64] | None = None,
) -> Int4Grid:
    """The scales, and with `blocks` the multipliers, that lose least when every weight goes to its nearest step.

    rows: weights [O, K]. least: what every channel's scale must be at the least. importance: of an error in every
    weight, [O, K] or [K]: the mean square of what it is multiplied with.
    """
    weight = np.ones(rows.shape[1]) if importance is None else importance
    lower = np.full(len(rows), _SMALLEST_SCALE) if least is None else np.maximum(least, _SMALLEST_SCALE)
    if not blocks:
        best = _best_scales(rows[:, None, :], np.broadcast_to(weight, rows.shape)[:, None, :])[:, 0]
        return Int4Grid(np.maximum(best, lower).astype(np.float32), None)
    parts, weights = _in_blocks(rows), _in_blocks(np.broadcast_to(weight, rows.shape))
    wanted = _best_scales(parts, weights)  # of each block for itself
    largest = np.maximum(wanted.max(axis=1) / LARGEST_MULTIPLIER, lower)
    best_error = np.full(len(rows), np.inf)
    scales, multipliers = largest.copy(), np.ones(wanted.shape, np.int64)
    for stretch in _STRETCHES:
        trial = np.maximum((largest * stretch).astype(np.float32).astype(np.float64), lower)
        factors = np.arange(1.0, LARGEST_MULTIPLIER + 1.0)
        errors = np.stack([_error(parts, weights, np.repeat(trial[:, None] * m, parts.shape[1], 1)) for m in factors])
        chosen = errors.argmin(axis=0)  # [O, blocks]
        error = errors.min(axis=0).sum(axis=1)
        better = error < best_error
        best_error[better], scales[better], multipliers[better] = error[better], trial[better], chosen[better] + 1
    return Int4Grid(scales.astype(np.float32), multipliers.astype(np.uint8))


def _in_blocks(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """[O, K] -> [O, blocks, 32], filled up with zeros."""
    short = -rows.shape[1] % BLOCK
    return np.asarray(np.pad(rows, ((0, 0), (0, short))).reshape(len(rows), -1, BLOCK))


def _best_scales(parts: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """[O, B, N] -> the scale of every part that loses least, [O, B]."""
    widest = np.maximum(np.abs(parts).max(axis=2) / LIMIT, _SMALLEST_SCALE)
    best, best_error = widest, np.full(widest.shape, np.inf)
    for share in _SHARES:
        error = _error(parts, weights, widest * share)
        better = error <= best_error
        best, best_error = np.where(better, widest * share, best), np.where(better, error, best_error)
    return np.asarray(best)


def _error(
    parts: NDArray[np.float64], weights: NDArray[np.float64], scales: NDArray[np.float64]
) -> NDArray[np.float64]:
    steps = scales[:, :, None]
    wrong = np.clip(np.rint(parts / steps), -LIMIT, LIMIT) * steps - parts
    return np.asarray((weights * wrong * wrong).sum(axis=2))
