"""A histogram whose range grows with its data: what calibration remembers of a tensor."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 2048
KINDS = ("counts", "ends", "channels", "numbers")  # of arrays that hold all of a histogram
_COUNTED = 1 << 16  # elements of one array, about, that are sorted into bins; ends and means are of all


class Histogram:
    """Counts of float values in BINS equal bins over [-limit, limit].

    limit is a power of two that doubles when a value lies outside, merging bins in pairs: the counts do not depend on
    the order of the data, and memory stays constant. Exact zeros are not counted: quantisation keeps them exact. Of a
    large array the counts are those of evenly spread positions, all channels of each.
    """

    def __init__(self) -> None:
        self.counts: NDArray[np.float64] = np.zeros(BINS)
        self.limit = 0.0
        self.least = 0.0  # of all values and zero
        self.greatest = 0.0
        self.ends: list[tuple[float, float]] = []  # the same of every array that was added, in order
        self._sums: NDArray[np.float64] | None = None  # for every index of the last axis
        self._ends: NDArray[np.float64] | None = None  # least and greatest for every index of the last axis
        self._squares: NDArray[np.float64] | None = None  # of what was counted, summed likewise
        self._rows = 0
        self._square_rows = 0

    def add(self, values: NDArray[Any]) -> bool:
        """Counts the elements of a float array, whose last axis has the same size each time.

        Returns False, and counts nothing, when an element is not finite.
        """
        channels = values.shape[-1] if values.ndim else 1
        # Long rows are reduced much faster than many short ones: first whole rows of an image, then its columns.
        columns = values.shape[-2] if values.ndim > 1 else 1
        rows = values.reshape(-1, columns * channels)
        lowest = rows.min(axis=0).reshape(columns, channels).min(axis=0)
        highest = rows.max(axis=0).reshape(columns, channels).max(axis=0)
        least, greatest = float(lowest.min()), float(highest.max())
        if not np.isfinite(greatest - least):
            return False
        sums = rows.sum(axis=0, dtype=np.float64).reshape(columns, channels).sum(axis=0)
        ends = np.stack([lowest, highest]).astype(np.float64)
        positions = values.reshape(-1, channels)
        counted = positions[:: _stride(positions.shape, columns)]
        with np.errstate(under="ignore"):
            squares = np.square(counted, dtype=np.float64).sum(axis=0)
        self._sums = sums if self._sums is None else self._sums + sums
        self._squares = squares if self._squares is None else self._squares + squares
        self._ends = ends if self._ends is None else _wider(self._ends, ends)
        self._rows += len(positions)
        self._square_rows += len(counted)
        self._widen(min(least, 0.0), max(greatest, 0.0))
        largest = max(-least, greatest)
        if largest > 0.0:
            self._grow_to(largest)
            self._count(counted.ravel())
        return True

    def merge(self, later: Histogram) -> None:
        """As if all that `later` has counted had been added here."""
        if later._sums is None:
            return
        assert later._ends is not None
        assert later._squares is not None
        self._sums = later._sums if self._sums is None else self._sums + later._sums
        self._squares = later._squares if self._squares is None else self._squares + later._squares
        self._ends = later._ends if self._ends is None else _wider(self._ends, later._ends)
        self._rows += later._rows
        self._square_rows += later._square_rows
        for ends in later.ends:
            self._widen(*ends)
        if later.limit > 0.0:
            self._grow_to(later.limit)
            self.counts = self.counts + _widened(later.counts, later.limit, self.limit)

    def _widen(self, least: float, greatest: float) -> None:
        self.ends.append((least, greatest))
        self.least = min(self.least, least)
        self.greatest = max(self.greatest, greatest)

    def _count(self, values: NDArray[Any]) -> None:
        with np.errstate(under="ignore"):
            scaled = values * np.float32(BINS / 2 / self.limit)
        zeros = scaled.size - np.count_nonzero(scaled)
        scaled += np.float32(BINS / 2)  # positive, so that cutting the fraction off rounds down
        counts = np.bincount(scaled.astype(np.intp), minlength=BINS + 1).astype(np.float64)
        counts[BINS - 1] += counts[BINS]  # the limit itself belongs to the last bin
        counts[BINS // 2] -= zeros
        self.counts = self.counts + counts[:BINS]

    def _grow_to(self, largest: float) -> None:
        limit = self.limit or float(2.0 ** np.ceil(np.log2(largest)))
        while limit < largest:
            limit *= 2.0
        if self.limit > 0.0:
            self.counts = _widened(self.counts, self.limit, limit)
        self.limit = limit

    def mean(self) -> NDArray[Any]:
        """The mean for every index of the last axis (channels of an image, features of a vector)."""
        assert self._sums is not None, "nothing was added"
        return self._sums / self._rows

    def mean_square(self) -> NDArray[np.float64]:
        """The mean of the squares for every index of the last axis."""
        assert self._squares is not None, "nothing was added"
        return self._squares / self._square_rows

    def channel_reach(self) -> NDArray[np.float64]:
        """The largest magnitude for every index of the last axis."""
        assert self._ends is not None, "nothing was added"
        return np.asarray(np.abs(self._ends).max(axis=0))

    def channel_ends(self) -> NDArray[np.float64]:
        """[2, channels]: the least and the greatest value for every index of the last axis."""
        assert self._ends is not None, "nothing was added"
        return self._ends

    def widened(self, ends: NDArray[np.float64]) -> Histogram:
        """The same with channels that are known to reach at least these ends, [2, channels]."""
        assert self._ends is not None, "nothing was added"
        made = copy.copy(self)
        made._ends = _wider(self._ends, ends)
        made.least, made.greatest = min(self.least, float(ends[0].min())), max(self.greatest, float(ends[1].max()))
        return made

    def centres(self) -> NDArray[Any]:
        """The middle of every bin."""
        width = 2.0 * self.limit / BINS
        return (np.arange(BINS) - BINS / 2 + 0.5) * width

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """All that it holds, for keeping it in a file; of_arrays makes the same histogram again."""
        assert self._sums is not None, "nothing was added"
        assert self._ends is not None
        assert self._squares is not None
        return {
            "counts": self.counts,
            "ends": np.array(self.ends, np.float64).reshape(-1, 2),
            "channels": np.stack([self._sums, self._squares, *self._ends]),
            "numbers": np.array([self.limit, self._rows, self._square_rows], np.float64),
        }

    @staticmethod
    def of_arrays(arrays: dict[str, NDArray[np.float64]]) -> Histogram:
        made = Histogram()
        made.counts = np.array(arrays["counts"])
        for least, greatest in arrays["ends"]:
            made._widen(float(least), float(greatest))
        made._sums, made._squares = np.array(arrays["channels"][:2])
        made._ends = np.array(arrays["channels"][2:])
        limit, rows, square_rows = arrays["numbers"]
        made.limit, made._rows, made._square_rows = float(limit), int(rows), int(square_rows)
        return made


def _stride(shape: tuple[int, ...], columns: int) -> int:
    """Of the positions that are counted: without a factor in common with the image's width, so that no column is
    preferred."""
    positions, channels = shape
    stride = max(1, positions * channels // _COUNTED)
    while math.gcd(stride, columns) > 1:
        stride += 1
    return stride


def _wider(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of two [least, greatest]."""
    return np.stack([np.minimum(a[0], b[0]), np.maximum(a[1], b[1])])


def _widened(counts: NDArray[np.float64], limit: float, wanted: float) -> NDArray[np.float64]:
    """Counts over [-limit, limit] as counts over [-wanted, wanted]; both are powers of two."""
    while limit < wanted:
        inner = counts.reshape(-1, 2).sum(axis=1)
        counts = np.zeros(BINS)
        counts[BINS // 4 : BINS // 4 * 3] = inner
        limit *= 2.0
    return counts
