"""Several metrics of one run of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgert.metrics._def import Evidence, Metric, Outputs, Sampler


@dataclass(frozen=True)
class References:
    """A target for each metric of a bundle, made of the float model's outputs."""

    items: tuple[Any, ...]


@dataclass(frozen=True)
class Bundle(Sampler):
    """Looks at a sample for all of its metrics, so that a model runs once:

    bundle = Bundle((metric("top1"), metric("auc")))
    top1, auc = bundle.parts(evidence(package, dataset, bundle))
    """

    metrics: tuple[Metric, ...]

    @property
    def spec(self) -> str:
        return " and ".join(metric.spec for metric in self.metrics)

    @property
    def needs_labels(self) -> bool:  # type: ignore[override]
        return any(metric.needs_labels for metric in self.metrics)

    @property
    def cacheable(self) -> bool:  # type: ignore[override]
        return all(metric.cacheable for metric in self.metrics)

    @property
    def runs_here(self) -> bool:  # type: ignore[override]
        return any(metric.runs_here for metric in self.metrics)

    def reference(self, outputs: Outputs) -> References:
        return References(tuple(metric.reference(outputs) for metric in self.metrics))

    def evidence(self, outputs: Outputs, target: Any) -> Evidence:
        """How many arrays each metric has, and these. target: one for all, or References."""
        targets = target.items if isinstance(target, References) else (target,) * len(self.metrics)
        parts = [metric.evidence(outputs, one) for metric, one in zip(self.metrics, targets, strict=True)]
        return np.array([len(part) for part in parts]), *(array for part in parts for array in part)

    def parts(self, evidence: Sequence[Evidence]) -> list[list[Evidence]]:
        """Every metric's evidence of all samples."""
        found: list[list[Evidence]] = [[] for _ in self.metrics]
        for item in evidence:
            at = 1
            for part, count in zip(found, item[0].tolist(), strict=True):
                part.append(item[at : at + count])
                at += count
        return found
