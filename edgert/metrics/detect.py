"""Detectors: mean average precision, as COCO defines it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgert.errors import InputError
from edgert.metrics._def import Array, Evidence, Metric, Outputs, Score
from edgert.metrics.boxes import Boxes, iou
from edgert.metrics.detections import detections

COCO_THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).tolist())
MOST_DETECTIONS = 100  # of a class in an image, the best ones
_RECALLS = np.linspace(0, 1, 101)
_MISS, _HIT, _IGNORED = 0, 1, 2


@dataclass(frozen=True)
class MeanAveragePrecision(Metric):
    """COCO's mean average precision in percent: the mean over classes and over thresholds of IoU of the precision at
    101 recalls, for boxes of all sizes (T.-Y. Lin et al., Microsoft COCO, 2014, and its detection evaluation).

    A detection hits the box of its class with which it overlaps most, of those that no better detection has hit; in a
    crowd's region it counts nowhere. decoder: module:function for outputs of other forms than edgert.metrics.detections
    knows. Targets: Boxes.
    """

    thresholds: tuple[float, ...] = COCO_THRESHOLDS
    decoder: str | None = None
    output: str | None = None
    draws = 300  # a resample costs some milliseconds for every ten classes

    @property
    def cacheable(self) -> bool:  # type: ignore[override]
        return self.decoder is None

    @property
    def spec(self) -> str:
        name = "map" if self.thresholds == COCO_THRESHOLDS else f"map{round(100 * self.thresholds[0])}"
        name = name if self.decoder is None else f"{name}:{self.decoder}"
        return f"{name}@{self.output}" if self.output else name

    def evidence(self, outputs: Outputs, target: Any) -> Evidence:
        """Detections [D, 2 + thresholds]: class, score, and whether each is a hit (1), a miss (0) or ignored (2); and
        the classes of the objects that there are to find [G]."""
        if not isinstance(target, Boxes):
            raise InputError(
                f"{self.spec}: the target is a {type(target).__name__}, needed the labelled boxes of an image"
            )
        found = detections(outputs, self.decoder, self.output, target.size, self.spec)
        if not np.isfinite(found).all():
            found = found[np.isfinite(found).all(1)]  # no box, or no score: nothing was found
        rows = [np.zeros((0, 2 + len(self.thresholds)))]
        for label in np.unique(found[:, 5]):
            best = found[found[:, 5] == label]
            best = best[np.argsort(-best[:, 4], kind="stable")][:MOST_DETECTIONS]
            same = target.classes == label
            overlap = iou(best[:, :4], target.boxes[same], target.crowd[same])
            states = _matched(overlap, target.crowd[same], self.thresholds)
            rows.append(np.concatenate([np.full((len(best), 1), label), best[:, 4:5], states], 1))
        return np.concatenate(rows), target.classes[~target.crowd]

    def score(self, evidence: Sequence[Evidence]) -> Score:
        curves = self._curves(evidence)

        def value(weights: Array) -> float:
            each = np.array([curve.precision(weights) for curve in curves.values()]).reshape(-1, len(self.thresholds))
            each = each[~np.isnan(each).any(1)]
            return 100 * float(each.mean()) if each.size else float("nan")

        return value

    def details(self, evidence: Sequence[Evidence]) -> dict[str, Any]:
        """Percent of every class that there is to find ("per_class") and at every IoU ("per_threshold"); how many
        "objects" there are to find, and "detections"."""
        ones = np.ones(len(evidence))
        each = {label: curve.precision(ones) for label, curve in self._curves(evidence).items()}
        known = {label: precisions for label, precisions in each.items() if not np.isnan(precisions).any()}
        means = np.mean(list(known.values()), 0) if known else np.full(len(self.thresholds), np.nan)
        return {
            "per_class": {str(label): 100 * float(precisions.mean()) for label, precisions in known.items()},
            "per_threshold": {f"{at:.2f}": 100 * float(mean) for at, mean in zip(self.thresholds, means, strict=True)},
            "objects": sum(len(item[1]) for item in evidence),
            "detections": sum(len(item[0]) for item in evidence),
        }

    def _curves(self, evidence: Sequence[Evidence]) -> dict[int, _Curve]:
        """By class, in order."""
        found = np.concatenate([item[0] for item in evidence])
        wanted = np.concatenate([item[1] for item in evidence])
        found_in = np.repeat(np.arange(len(evidence)), [len(item[0]) for item in evidence])
        wanted_in = np.repeat(np.arange(len(evidence)), [len(item[1]) for item in evidence])
        curves = {}
        for label in np.unique(wanted).astype(int).tolist():
            mine = found[:, 0] == label
            order = np.argsort(-found[mine, 1], kind="stable")
            curves[label] = _Curve(found[mine][order, 2:], found_in[mine][order], wanted_in[wanted == label])
        return curves


@dataclass(frozen=True, eq=False)
class _Curve:
    """A class's detections by falling score: states [D, thresholds], and the samples of these and of the objects."""

    states: Array
    found_in: Array
    wanted_in: Array

    def precision(self, weights: Array) -> Array:
        """Average precision at every threshold; NaN without an object. A sample that counts twice is as good as two."""
        objects = weights[self.wanted_in].sum()
        if objects == 0:
            return np.full(self.states.shape[1], np.nan)
        counts = weights[self.found_in][:, None]
        hits = np.cumsum(counts * (self.states == _HIT), 0)
        misses = np.cumsum(counts * (self.states == _MISS), 0)
        recall, precision = hits / objects, hits / (hits + misses + np.spacing(1))
        best = np.maximum.accumulate(precision[::-1], 0)[::-1]  # at this recall or a higher one
        padded = np.concatenate([best, np.zeros((1, best.shape[1]))])
        means = [padded[np.searchsorted(recall[:, t], _RECALLS), t].mean() for t in range(best.shape[1])]
        return np.array(means)


def _matched(overlap: Array, crowd: Array, thresholds: Sequence[float]) -> Array:
    """The state of every detection [D, thresholds], best first, from its IoU with every object of its class [D, G]."""
    states = np.full((len(overlap), len(thresholds)), float(_MISS))
    if overlap.shape[1] == 0:
        return states
    lowest = np.minimum(np.asarray(thresholds), 1 - 1e-10)
    free = np.tile(~crowd, (len(thresholds), 1))
    for i, shares in enumerate(overlap):
        enough = shares[None, :] >= lowest[:, None]
        candidates = np.where(free & enough, shares[None, :], -1.0)
        # Of equal overlaps the last object, as COCO's own evaluation takes it.
        chosen = candidates.shape[1] - 1 - candidates[:, ::-1].argmax(1)
        hit = candidates.max(1) >= 0
        free[hit, chosen[hit]] = False
        states[i, hit] = _HIT
        states[i, ~hit & (enough & crowd).any(1)] = _IGNORED
    return states
