"""Calibration samples that are kept for a second look."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from operator import length_hint
from typing import Any

import numpy as np
from numpy.typing import NDArray

Sample = Mapping[str, NDArray[Any]]


class HashedSamples:
    """Samples that are counted and hashed as they go by."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._samples = samples
        self._digest = hashlib.sha256()
        self.count = 0  # gone by

    def __iter__(self) -> Iterator[Sample]:
        for sample in self._samples:
            self.count += 1
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


class KeptSamples:
    """Keeps samples while they pass by, evenly spread over all of them, within a number of bytes.

    When the budget is used up every other kept sample is dropped, and from then on every other one passes unkept, and
    so on: what is kept depends on the samples alone. At least one is kept.
    """

    def __init__(self, budget_bytes: int) -> None:
        self._budget = budget_bytes
        self._kept: list[dict[str, NDArray[Any]]] = []
        self._every = 1
        self._seen = 0

    def passing(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        """The same samples, noted as they go by."""
        for sample in samples:
            if self._seen % self._every == 0:
                self._kept.append({name: np.array(array) for name, array in sample.items()})
                while len(self._kept) > 1 and self._bytes() > self._budget:
                    self._kept = self._kept[::2]
                    self._every *= 2
            self._seen += 1
            yield sample

    def _bytes(self) -> int:
        return sum(array.nbytes for sample in self._kept for array in sample.values())

    def some(self, count: int) -> list[Sample]:
        """At most `count` of the kept ones, evenly spread."""
        if not self._kept:
            return []
        chosen = np.linspace(0, len(self._kept) - 1, min(count, len(self._kept))).round().astype(int)
        return [self._kept[i] for i in chosen]
