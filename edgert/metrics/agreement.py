"""Agreement of decisions: with the float model's, or with labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgert.errors import InputError
from edgert.metrics._def import Array, Evidence, Outputs
from edgert.metrics.outputs import pick
from edgert.metrics.shares import Share


@dataclass(frozen=True)
class Agreement(Share):
    """Percent of rows of scores whose highest one is where the float model has it: one row for a classifier, one a
    pixel or a moment for others. Targets: the float model's outputs, or its choices (an array of indices)."""

    output: str | None = None
    needs_labels = False

    @property
    def spec(self) -> str:
        return f"agreement@{self.output}" if self.output else "agreement"

    def reference(self, outputs: Outputs) -> Array:
        """The index of the highest score of every row, -1 where a row holds NaN."""
        scores = pick(outputs, self.output, self.spec, _has_rows, "scores in rows, [..., classes]")
        chosen: Array = scores.argmax(-1)
        if scores.dtype.kind == "f":
            chosen = np.where(np.isnan(scores).any(-1), -1, chosen)
        return chosen.astype(np.int32)

    def evidence(self, outputs: Outputs, target: Any) -> Evidence:
        """[rows that agree, rows]."""
        wanted = self.reference(target) if isinstance(target, Mapping) else np.asarray(target)
        chosen = self.reference(outputs)
        return (_agreeing(chosen.reshape(-1), wanted.reshape(-1), (chosen >= 0).reshape(-1), self.spec),)


@dataclass(frozen=True)
class Decisions(Share):
    """Percent of numbers that lie on the same side of a threshold (at or above it, or below) as the target's.

    Targets: the float model's outputs, its decisions (bool), or labels: numbers such as 0 and 1.
    """

    threshold: float = 0.5
    output: str | None = None
    needs_labels = False

    @property
    def spec(self) -> str:
        name = f"decisions:{self.threshold:g}"
        return f"{name}@{self.output}" if self.output else name

    def reference(self, outputs: Outputs) -> Array:
        return self._numbers(outputs) >= self.threshold

    def evidence(self, outputs: Outputs, target: Any) -> Evidence:
        """[decisions that agree, decisions]."""
        wanted = self._numbers(target) if isinstance(target, Mapping) else np.asarray(target)
        if wanted.dtype.kind not in "bfiu":
            raise InputError(f"{self.spec}: the target holds {wanted.dtype}, needed numbers or truth values")
        decided = wanted if wanted.dtype.kind == "b" else wanted >= self.threshold
        numbers = self._numbers(outputs).reshape(-1)
        return (_agreeing(numbers >= self.threshold, decided.reshape(-1), ~np.isnan(numbers), self.spec),)

    def _numbers(self, outputs: Outputs) -> Array:
        found = pick(outputs, self.output, self.spec, lambda array: array.dtype.kind in "fiu", "numbers")
        return found.astype(np.float64)


def _agreeing(found: Array, wanted: Array, valid: Array, metric: str) -> Array:
    """NaN agrees with nothing, another NaN included."""
    if found.shape != wanted.shape:
        raise InputError(f"{metric}: the model decides {found.size} times a sample, and the target {wanted.size} times")
    return np.array([int(((found == wanted) & valid).sum()), found.size])


def _has_rows(array: Array) -> bool:
    return array.ndim > 0 and array.shape[-1] > 1 and array.dtype.kind in "fiu"
