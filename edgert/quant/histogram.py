"""A histogram whose range grows with its data: what calibration remembers of a tensor."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 2048


class Histogram:
    """Counts of float values in BINS equal bins over [-limit, limit].

    limit is a power of two that doubles when a value lies outside, merging bins in pairs: the counts do not depend on
    the order of the data, and memory stays constant. Exact zeros are not counted: quantisation keeps them exact.
    """

    def __init__(self) -> None:
        self.counts: NDArray[np.float64] = np.zeros(BINS)
        self.limit = 0.0
        self.least = 0.0  # of all values and zero
        self.greatest = 0.0
        self._sums: NDArray[np.float64] | None = None  # for every index of the last axis
        self._reach: NDArray[np.float64] | None = None  # largest magnitude for every index of the last axis
        self._rows = 0

    def add(self, values: NDArray[Any]) -> bool:
        """Counts every element of a float array, whose last axis has the same size each time.

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
        reach = np.maximum(highest, -lowest).astype(np.float64)
        self._sums = sums if self._sums is None else self._sums + sums
        self._reach = reach if self._reach is None else np.maximum(self._reach, reach)
        self._rows += values.size // channels
        self.least = min(self.least, least)
        self.greatest = max(self.greatest, greatest)
        largest = max(-least, greatest)
        if largest > 0.0:
            self._count(values.ravel(), largest)
        return True

    def _count(self, values: NDArray[Any], largest: float) -> None:
        self._grow_to(largest)
        with np.errstate(under="ignore"):
            scaled = values * np.float32(BINS / 2 / self.limit)
        zeros = scaled.size - np.count_nonzero(scaled)
        np.floor(scaled, out=scaled)
        bins = scaled.astype(np.int32)
        bins += BINS // 2
        np.minimum(bins, BINS - 1, out=bins)  # the limit itself belongs to the last bin
        counts = np.bincount(bins, minlength=BINS).astype(np.float64)
        counts[BINS // 2] -= zeros
        self.counts += counts

    def _grow_to(self, largest: float) -> None:
        if self.limit == 0.0:
            self.limit = float(2.0 ** np.ceil(np.log2(largest)))
        while self.limit < largest:
            inner = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts = np.zeros(BINS)
            self.counts[BINS // 4 : BINS // 4 * 3] = inner
            self.limit *= 2.0

    def mean(self) -> NDArray[Any]:
        """The mean for every index of the last axis (channels of an image, features of a vector)."""
        assert self._sums is not None, "nothing was added"
        return self._sums / self._rows

    def channel_reach(self) -> NDArray[np.float64]:
        """The largest magnitude for every index of the last axis."""
        assert self._reach is not None, "nothing was added"
        return self._reach

    def centres(self) -> NDArray[Any]:
        """The middle of every bin."""
        width = 2.0 * self.limit / BINS
        return (np.arange(BINS) - BINS / 2 + 0.5) * width
