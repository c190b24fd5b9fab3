"""Classifiers: top-k accuracy with its confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgert.errors import InputError
from edgert.metrics._def import Array, Evidence, Outputs
from edgert.metrics.outputs import scores_of
from edgert.metrics.shares import Share

MOST_CLASSES = 100  # of which the whole confusion matrix is given; of more, the commonest mistakes
MOST_MISTAKES = 20


@dataclass(frozen=True)
class TopK(Share):
    """Percent of samples whose class is among the k with the highest scores; among equal scores the lower class comes
    first. Targets: class indices. Scores that hold NaN hit nothing."""

    k: int = 1
    output: str | None = None

    @property
    def spec(self) -> str:
        name = f"top{self.k}" if self.k in (1, 5) else f"topk:{self.k}"
        return f"{name}@{self.output}" if self.output else name

    def evidence(self, outputs: Outputs, target: Any) -> Evidence:
        """[hit, 1, class, best class (-1 for none), number of classes]."""
        scores = scores_of(outputs, self.output, self.spec)
        label = class_index(target, scores.size)
        if np.isnan(scores).any():
            return (np.array([0, 1, label, -1, scores.size]),)
        best = np.argsort(-scores, kind="stable")[: self.k]
        return (np.array([int(label in best), 1, label, best[0], scores.size]),)

    def details(self, evidence: Sequence[Evidence]) -> dict[str, Any]:
        """How many "classes" there are and how many samples are "without_answer", whose scores hold NaN. Of at most 100
        classes, "confusion", with a row for each class and a column for each prediction, and "per_class": samples,
        recall and precision in percent, None where nothing is to be divided by. Of more, the commonest "mistakes"
        [class, prediction, count]."""
        table = np.array([item[0] for item in evidence], np.int64)
        classes = int(table[:, 4].max())
        answered = table[table[:, 3] >= 0]
        found: dict[str, Any] = {"classes": classes, "without_answer": len(table) - len(answered)}
        if classes > MOST_CLASSES:
            return found | {"mistakes": _mistakes(answered[:, 2], answered[:, 3])}
        matrix = np.zeros((classes, classes), np.int64)
        np.add.at(matrix, (answered[:, 2], answered[:, 3]), 1)
        samples = np.bincount(table[:, 2], minlength=classes)
        found["confusion"] = matrix.tolist()
        found["per_class"] = [
            {"samples": int(n), "recall": _percent(hits, n), "precision": _percent(hits, given)}
            for hits, n, given in zip(matrix.diagonal(), samples, matrix.sum(0), strict=True)
        ]
        return found


def class_index(target: Any, classes: int) -> int:
    """The target as an index of a class. Raises InputError when it is none of these classes."""
    array = np.asarray(target)
    if array.size != 1 or array.dtype.kind not in "iub":
        raise InputError(f"the target is {_shown(target)}, needed the index of a class")
    label = int(array.reshape(-1)[0])
    if not 0 <= label < classes:
        raise InputError(f"the target is class {label}, but the model has {classes} classes (0 to {classes - 1})")
    return label


def _mistakes(labels: Array, predicted: Array) -> list[list[int]]:
    pairs = np.stack([labels, predicted], 1)[labels != predicted]
    kinds, counts = np.unique(pairs, axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:MOST_MISTAKES]
    return [[*kinds[i].tolist(), int(counts[i])] for i in order]


def _percent(part: Any, whole: Any) -> float | None:
    return 100 * float(part) / float(whole) if whole else None


def _shown(target: Any) -> str:
    if isinstance(target, np.ndarray):
        return f"{target.dtype}{list(target.shape)}"
    return repr(target) if isinstance(target, (str, int, float, bool, type(None))) else f"a {type(target).__name__}"
