"""Shares of answers that are right: how often something held, of how many times it was asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgert.metrics._def import Array, Evidence, Metric, Score
from edgert.metrics.intervals import mcnemar, paired_shares, wilson


class Share(Metric):
    """Percent of right answers. The first array of a sample's evidence begins with [right, asked].

    Where every sample is asked once, the interval is Wilson's; several answers of one sample (the pixels of an image)
    are not independent, and samples are resampled then.
    """

    def score(self, evidence: Sequence[Evidence]) -> Score:
        right, asked = _counts(evidence)

        def value(weights: Array) -> float:
            total = float(weights @ asked)
            return 100 * float(weights @ right) / total if total else float("nan")

        return value

    def _interval(self, evidence: Sequence[Evidence], score: Score) -> tuple[float, float]:
        right, asked = _counts(evidence)
        if (asked != 1).any():
            return super()._interval(evidence, score)
        low, high = wilson(right.sum(), len(evidence))
        return 100 * low, 100 * high

    def _drop_interval(
        self, before: Sequence[Evidence], after: Sequence[Evidence], lost: Score
    ) -> tuple[float, float, dict[str, Any]]:
        first, asked_first = _counts(before)
        second, asked_second = _counts(after)
        if (asked_first != 1).any() or (asked_second != 1).any():
            return super()._drop_interval(before, after, lost)
        count = len(before)
        only_first, only_second = int((first > second).sum()), int((second > first).sum())
        found = {"only_before_right": only_first, "only_after_right": only_second}
        if not self.needs_labels and first.all():
            # What is compared with itself is right by definition: only `after` has anything to estimate.
            low, high = wilson(only_first, count)
        else:
            low, high = paired_shares(only_first, only_second, count)
            found["p_value"] = mcnemar(only_first, only_second)  # type: ignore[assignment]
        return 100 * low, 100 * high, dict(found)


def _counts(evidence: Sequence[Evidence]) -> tuple[Array, Array]:
    counts = np.array([item[0][:2] for item in evidence], np.float64)
    return counts[:, 0], counts[:, 1]
