"""Histograms of a tensor in the float model and in the quantised one, over the same bins."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.report.quantisation.facts import Distribution
from edgert.report.quantisation.twins import Pair, Twins
from edgert.runtime.tensors import TensorInfo

INNER_BINS = 64  # over the range that an integer tensor covers, or that a float one reached at first
_MARGIN = 16  # bins on either side of that range
_LEVELS = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767)}


def chosen_range(info: TensorInfo) -> tuple[float, float] | None:
    """The least and the greatest number that a quantised tensor can hold; None for others."""
    levels = _LEVELS.get(info.dtype.numpy_name)
    if levels is None or info.quant is None or info.quant.per_channel:
        return None
    low, high = ((level - info.quant.zero_point) * info.quant.scale for level in levels)
    return low, high


class Distributions:
    """Counts the values of pairs of tensors while twins run: first look() at some samples, then count() all."""

    def __init__(self, twins: Twins) -> None:
        self._twins = twins
        self._seen: dict[Pair, _Seen] = {}

    def look(self, pair: Pair) -> None:
        """Learns the range of a tensor's values, before any are counted: a float tensor's bins span it."""
        seen = self._seen.setdefault(pair, _Seen())
        seen.extend(self._before(pair))

    def count(self, pair: Pair) -> None:
        """Counts what both tensors hold now."""
        seen = self._seen.setdefault(pair, _Seen())
        before, after = self._before(pair), self._after(pair)
        if not seen.counted:
            seen.begin(pair.rounded, before)
        seen.extend(before)
        seen.add(before, after)

    def of(self, pair: Pair) -> tuple[Distribution | None, float | None, float | None, float | None]:
        """(distribution, least and greatest value seen in the float model, share of its values that were clipped)."""
        seen = self._seen.get(pair)
        if seen is None or not seen.counted:
            return None, None, None, None
        shown = None
        if seen.width > 0.0:
            before, after = (tuple(int(n) for n in counts) for counts in (seen.before, seen.after))
            shown = Distribution(float(seen.low), float(seen.width), before, after)
        clipped = seen.beyond / seen.total if chosen_range(pair.rounded) and seen.total else None
        return shown, seen.least, seen.greatest, clipped

    def _before(self, pair: Pair) -> NDArray[Any]:
        values = self._twins.exact_values(pair)
        factors = self._twins.factors(pair)
        return _finite(values if factors is None else values / factors)

    def _after(self, pair: Pair) -> NDArray[Any]:
        values = self._twins.rounded_values(pair)
        factors = self._twins.factors(pair)
        return _finite(values if factors is None else values / factors)


def _finite(values: NDArray[Any]) -> NDArray[np.float32]:
    flat = values.astype(np.float32, copy=False).ravel()
    if np.isfinite(flat.sum(dtype=np.float64)):
        return flat
    finite: NDArray[np.float32] = flat[np.isfinite(flat)]
    return finite


class _Seen:
    """The bins of one pair, and what fell into them."""

    def __init__(self) -> None:
        self.least = self.greatest = 0.0
        self.any = self.counted = False
        self.low = self.width = 0.0
        self.range: tuple[float, float] | None = None
        self.before = self.after = np.zeros(0, np.int64)
        self.beyond = self.total = 0

    def extend(self, values: NDArray[np.float32]) -> None:
        if values.size:
            least, greatest = float(values.min()), float(values.max())
            self.least = min(self.least, least) if self.any else least
            self.greatest = max(self.greatest, greatest) if self.any else greatest
            self.any = True

    def begin(self, info: TensorInfo, values: NDArray[np.float32]) -> None:
        """Sets the bins: every one of an integer tensor holds as many of its steps as another."""
        self.counted = True
        covered = chosen_range(info)
        bins = INNER_BINS
        if covered is not None:
            assert info.quant is not None
            step, (low, high) = info.quant.scale, _LEVELS[info.dtype.numpy_name]
            self.width = step * ((high - low + 1) // INNER_BINS)
            self.low = covered[0] - step / 2 - _MARGIN * self.width
            self.range = (covered[0] - step / 2, covered[1] + step / 2)
            bins += 2 * _MARGIN
        else:
            self.extend(values)
            self.low, self.width = self.least, (self.greatest - self.least) / INNER_BINS
        self.before, self.after = np.zeros(bins, np.int64), np.zeros(bins, np.int64)

    def add(self, before: NDArray[np.float32], after: NDArray[np.float32]) -> None:
        self.total += before.size
        if self.range is not None:
            low, high = (np.float32(end) for end in self.range)
            if self.least < low or self.greatest > high:
                self.beyond += int(np.count_nonzero((before < low) | (before > high)))
        if self.width > 0.0:
            self.before += self._bins(before)
            self.after += self._bins(after)

    def _bins(self, values: NDArray[np.float32]) -> NDArray[np.int64]:
        last = len(self.before) - 1
        with np.errstate(over="ignore", under="ignore"):
            places = (values - np.float32(self.low)) * np.float32(1.0 / self.width)
        numbers = np.clip(places, 0, last).astype(np.int32)
        return np.bincount(numbers, minlength=last + 1)
