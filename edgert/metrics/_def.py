"""What every metric has: how one sample counts, how samples become a value, and how sure that value is.

A metric works in two steps, so that neither a detector's boxes nor a segmenter's maps need to be kept or sent about:
`evidence` boils one sample's outputs down to a few numbers, wherever the model ran, and `measurement` makes a value
with its 95 % confidence interval of the evidence of all samples. `drop` compares two models on the same samples.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.errors import InputError
from edgert.metrics.intervals import DRAWS, bootstrap

Array = NDArray[Any]
# One sample's outputs by name, in the model's order, as real numbers: what is quantised is dequantised.
Outputs = Mapping[str, Array]
# What one sample contributes to a metric: small arrays, which can be pickled, cached and added up.
Evidence = tuple[Array, ...]
# The metric's value when sample i counts weights[i] times (float64, [samples]): resampling draws such weights.
Score = Callable[[Array], float]


@dataclass(frozen=True)
class Estimate:
    """A number that `count` samples gave, and between which bounds it lies with 95 % confidence.

    unit: "%" (points from 0 to 100), "dB", or "" for plain numbers; value, low and high are in it. details: what else
    was found, ready for JSON.
    """

    metric: str
    unit: str
    value: float
    low: float
    high: float
    count: int
    details: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Infinities stay what they are: edgert.cli prints them as null."""
        return asdict(self)


@dataclass(frozen=True)
class Measurement(Estimate):
    """A metric's value."""

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        interval = f"95 % confidence {number_text(self.low, self.unit)} to {number_text(self.high, self.unit)}"
        return f"{number_text(self.value, self.unit)}{unit} ({interval}, {self.count} samples)"


@dataclass(frozen=True)
class Drop(Estimate):
    """By how much a model is worse than another on the same samples, in the metric's unit: negative where it is better.

    low, high: the 95 % confidence interval of the paired difference, which is far narrower than what the intervals of
    both values suggest. details: for shares, how often only one of the two was right, and McNemar's exact p-value.
    """


class Sampler(ABC):
    """What looks at one sample at a time: all that running a model on a data set needs to know of metrics.

    needs_labels: whether targets must come from labelled data; where not, the float model's own outputs can serve, as
    `reference` gives them. cacheable: False where it depends on a function of the user's own, whose code is not known.
    runs_here: evidence is made where the metric is measured, never on a worker.
    """

    needs_labels: bool = True
    cacheable: bool = True
    runs_here: bool = False

    @property
    @abstractmethod
    def spec(self) -> str:
        """What tells this one from others."""

    @property
    def name(self) -> str:
        """For tables and reports: the spec."""
        return self.spec

    def reference(self, outputs: Outputs) -> Any:
        """The float model's outputs as a target, where there are no labels. InputError where labels are needed."""
        if self.needs_labels:
            raise InputError(f"the metric {self.name} needs labelled data; without labels there are {UNLABELLED}")
        return dict(outputs)

    @abstractmethod
    def evidence(self, outputs: Outputs, target: Any) -> Evidence:
        """What one sample contributes. Raises InputError when the outputs or the target do not fit the metric."""


class Metric(Sampler):
    """How well a model does on samples. Metrics are frozen dataclasses: equal ones have equal `spec`s, and they pickle.

    spec: what metric() takes to make this one. unit: of values and drops. draws: resamples that make an interval.
    """

    unit: str = "%"
    higher_is_better: bool = True
    draws: int = DRAWS

    @abstractmethod
    def score(self, evidence: Sequence[Evidence]) -> Score:
        """The value as a function of how often every sample counts; NaN where these samples have none."""

    def details(self, evidence: Sequence[Evidence]) -> dict[str, Any]:
        """What else the evidence shows, ready for JSON."""
        return {}

    def measure(self, outputs: Sequence[Outputs], targets: Sequence[Any]) -> Measurement:
        """The value for these outputs, a target for each."""
        if len(outputs) != len(targets):
            raise InputError(f"there are {len(outputs)} outputs and {len(targets)} targets; needed one for each")
        return self.measurement([self.evidence(*pair) for pair in zip(outputs, targets, strict=True)])

    def measurement(self, evidence: Sequence[Evidence]) -> Measurement:
        """The value for samples with this evidence. Raises InputError when there is none."""
        count = self._count(evidence)
        score = self.score(evidence)
        value = score(np.ones(count))
        low, high = self._interval(evidence, score)
        return Measurement(self.name, self.unit, value, low, high, count, self.details(evidence))

    def value(self, evidence: Sequence[Evidence]) -> float:
        """The value alone: an interval may take a thousand times as long."""
        return self.score(evidence)(np.ones(self._count(evidence)))

    def drop(self, before: Sequence[Evidence], after: Sequence[Evidence]) -> Drop:
        """By how much `after` is worse than `before`: evidence of two models on the same samples, in the same order.

        Raises InputError when the numbers of samples differ or one of the values is not finite (a float model's SQNR
        against itself).
        """
        count = self._count(before)
        if len(after) != count:
            raise InputError(f"one model was measured on {count} samples and the other on {len(after)}")
        first, second = self.score(before), self.score(after)
        sign = 1.0 if self.higher_is_better else -1.0

        def lost(weights: Array) -> float:
            return sign * (first(weights) - second(weights))

        ones = np.ones(count)
        for value in (first(ones), second(ones)):
            if not math.isfinite(value):
                raise InputError(
                    f"{self.name} is {value} for one of the two models, so that no drop can be measured; "
                    "use another metric, such as mse or agreement"
                )
        low, high, details = self._drop_interval(before, after, lost)
        return Drop(self.name, self.unit, lost(ones), low, high, count, details)

    def _interval(self, evidence: Sequence[Evidence], score: Score) -> tuple[float, float]:
        return bootstrap(score, len(evidence), self.draws)

    def _drop_interval(
        self, before: Sequence[Evidence], after: Sequence[Evidence], lost: Score
    ) -> tuple[float, float, dict[str, Any]]:
        low, high = bootstrap(lost, len(before), self.draws)
        return low, high, {}

    def _count(self, evidence: Sequence[Evidence]) -> int:
        if not evidence:
            raise InputError(f"there is no sample to measure {self.name} on")
        return len(evidence)


UNLABELLED = "agreement, decisions:THRESHOLD, mse and sqnr"  # what needs none


def number_text(value: float, unit: str) -> str:
    """With as many digits as are worth reading."""
    return f"{value:.2f}" if unit else f"{value:.6g}"
