"""Calibration samples that are kept for a second look."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from operator import length_hint
from typing import Any

import numpy as np
from numpy.typing import NDArray

Sample = Mapping[str, NDArray[Any]]


_GOLDEN = 0.6180339887498949
_HELD_SHARE = 0.25


class HashedSamples:
    """Samples that are counted and hashed as they go by. keep: how many of the first stay in `first`."""

    def __init__(self, samples: Iterable[Sample], keep: int = 0) -> None:
        self._samples = samples
        self._digest = hashlib.sha256()
        self._keep = keep
        self.first: list[Sample] = []
        self.count = 0  # gone by

    def __iter__(self) -> Iterator[Sample]:
        for sample in self._samples:
            self.count += 1
            if self.count <= self._keep:
                self.first.append({name: np.array(array) for name, array in sample.items()})
            for name in sorted(sample):
                self._digest.update(name.encode() + b"\0" + np.ascontiguousarray(sample[name]).tobytes())
            yield sample

    def __length_hint__(self) -> int:
        """How many there are in all, or 0 where that is not known before they are read."""
        return length_hint(self._samples)

    @property
    def digest(self) -> str:
        """SHA-256 of all that went by, in hexadecimal digits; "" when nothing did."""
        return self._digest.hexdigest() if self.count else ""


def held_back(index: int) -> bool:
    """Whether the sample of this index is one of every four or so that ranges are not chosen by, while it is measured
    how well they serve samples that they have not seen.

    Multiples of the golden ratio, so that the share is a quarter of any evenly spaced ones, too.
    """
    return (index + 1) * _GOLDEN % 1.0 < _HELD_SHARE


class KeptSamples:
    """Keeps samples while they pass by, evenly spread over all of them, within a number of bytes.

    When the budget is used up every other kept sample is dropped, and from then on every other one passes unkept, and
    so on: what is kept depends on the samples alone. At least one is kept.
    """

    def __init__(self, budget_bytes: int) -> None:
        self._budget = budget_bytes
        self._kept: list[tuple[int, dict[str, NDArray[Any]]]] = []  # with their indices
        self._bytes = 0
        self._every = 1
        self._seen = 0

    @property
    def passed(self) -> int:
        """How many went by."""
        return self._seen

    def passing(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        """The same samples, noted as they go by."""
        for sample in samples:
            if self._seen % self._every == 0:
                copied = {name: np.array(array) for name, array in sample.items()}
                self._kept.append((self._seen, copied))
                self._bytes += _size(copied)
                while len(self._kept) > 1 and self._bytes > self._budget:
                    self._kept = self._kept[::2]
                    self._bytes = sum(_size(kept) for _, kept in self._kept)
                    self._every *= 2
            self._seen += 1
            yield sample

    def some(self, count: int, held: bool | None = None) -> list[Sample]:
        """At most `count` of the kept ones, evenly spread; of those held back, or of the others, where that is asked
        for."""
        kept = [sample for index, sample in self._kept if held is None or held_back(index) == held]
        chosen = np.linspace(0, len(kept) - 1, min(count, len(kept))).round().astype(int)
        return [kept[i] for i in chosen]


def _size(sample: Sample) -> int:
    return sum(array.nbytes for array in sample.values())
