"""Area under the ROC curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgert.errors import InputError
from edgert.metrics._def import Array, Evidence, Metric, Outputs, Score
from edgert.metrics.classify import class_index
from edgert.metrics.outputs import pick


@dataclass(frozen=True)
class Auc(Metric):
    """Percent of pairs of a positive and a negative sample in which the positive one has the higher score; equal
    scores count half. Of several classes, each one against the rest, the mean over those that have both kinds.

    Outputs: one number, the score of class 1; or a row of scores, of which two are taken as their difference. Targets:
    class indices. A score that is NaN is on the wrong side of all others.
    """

    output: str | None = None

    @property
    def spec(self) -> str:
        return f"auc@{self.output}" if self.output else "auc"

    def evidence(self, outputs: Outputs, target: Any) -> Evidence:
        """[class, score] or, of more than two classes, [class, scores...]."""
        needed = "one score, [1], or one row of scores, [1, classes]"
        found = pick(outputs, self.output, self.spec, _is_row, needed).reshape(-1).astype(np.float64)
        label = class_index(target, max(2, found.size))
        with np.errstate(invalid="ignore"):
            scores = found[1:] - found[:1] if found.size == 2 else found
        positive = np.array([label == 1]) if scores.size == 1 else np.arange(scores.size) == label
        scores = np.where(np.isnan(scores), np.where(positive, -np.inf, np.inf), scores)
        return (np.concatenate([[label], scores]),)

    def score(self, evidence: Sequence[Evidence]) -> Score:
        if len({item[0].size for item in evidence}) > 1:
            raise InputError(f"{self.spec}: the samples have different numbers of scores")
        table = np.stack([item[0] for item in evidence])
        classes = [1] if table.shape[1] == 2 else range(table.shape[1] - 1)
        each = [_Roc(table[:, 1 + i], table[:, 0] == label) for i, label in enumerate(classes)]

        def value(weights: Array) -> float:
            areas = np.array([roc.area(weights) for roc in each])
            areas = areas[~np.isnan(areas)]
            return 100 * float(areas.mean()) if areas.size else float("nan")

        return value


class _Roc:
    """Samples in the order of their scores."""

    def __init__(self, scores: Array, positive: Array) -> None:
        self._order = np.argsort(scores, kind="stable")
        ordered = scores[self._order]
        self._positive = positive[self._order]
        self._group = np.concatenate([[0], np.cumsum(ordered[1:] != ordered[:-1])])  # of equal scores

    def area(self, weights: Array) -> float:
        ordered = weights[self._order]
        positive = np.bincount(self._group, np.where(self._positive, ordered, 0.0))
        negative = np.bincount(self._group, np.where(self._positive, 0.0, ordered))
        pairs = positive.sum() * negative.sum()
        below = np.cumsum(negative) - negative / 2
        return float(positive @ below / pairs) if pairs else float("nan")


def _is_row(array: Array) -> bool:
    return array.ndim > 0 and array.size == array.shape[-1] and array.dtype.kind in "fiu"
