"""A metric of the user's own: module:function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgert.errors import InputError
from edgert.functions import failure, load_function
from edgert.metrics._def import Array, Evidence, Metric, Outputs, Score
from edgert.metrics.intervals import jackknife


@dataclass(frozen=True)
class Custom(Metric):
    """function(outputs, targets) of all samples -> one number, or a number for every sample, whose mean is the value.

    outputs: a list of {name: array}; targets: a list of what the data set gives, or of the float model's outputs where
    it has no labels. The function may carry the attributes `unit` ("%", "dB" or ""; default ""), `higher_is_better`
    (default True) and `needs_labels` (default False). It runs where the metric is measured, never on a worker.
    """

    source: str
    function: Callable[..., Any] | None = field(default=None, compare=False, repr=False)
    runs_here = True
    cacheable = False

    def __post_init__(self) -> None:
        function = self.function or load_function(self.source)
        object.__setattr__(self, "function", function)
        object.__setattr__(self, "unit", str(getattr(function, "unit", "")))
        object.__setattr__(self, "higher_is_better", bool(getattr(function, "higher_is_better", True)))
        object.__setattr__(self, "needs_labels", bool(getattr(function, "needs_labels", False)))

    def __reduce__(self) -> Any:
        return Custom, (self.source, self.function)

    @property
    def spec(self) -> str:
        return self.source

    def evidence(self, outputs: Outputs, target: Any) -> Evidence:
        """The outputs and the target themselves: only the function knows what it needs of them."""
        box = np.empty(2, object)
        box[0], box[1] = dict(outputs), target
        return (box,)

    def score(self, evidence: Sequence[Evidence]) -> Score:
        """Asks a function that gives one number again for every set of weights, which stand for repeated samples."""
        outputs, targets = [item[0][0] for item in evidence], [item[0][1] for item in evidence]
        everything = self._call(outputs, targets)
        if everything.size > 1:
            return lambda weights: float(weights @ everything / weights.sum())

        def value(weights: Array) -> float:
            if (weights == 1).all():
                return float(everything[0])
            chosen = np.repeat(np.arange(len(evidence)), weights.astype(np.int64))
            return float(self._call([outputs[i] for i in chosen], [targets[i] for i in chosen])[0])

        return value

    def _interval(self, evidence: Sequence[Evidence], score: Score) -> tuple[float, float]:
        return jackknife(score, len(evidence))  # 20 calls, where resampling would take a thousand

    def _drop_interval(
        self, before: Sequence[Evidence], after: Sequence[Evidence], lost: Score
    ) -> tuple[float, float, dict[str, Any]]:
        low, high = jackknife(lost, len(before))
        return low, high, {}

    def _call(self, outputs: list[Outputs], targets: list[Any]) -> Array:
        """One number, or as many as there are samples."""
        assert self.function is not None
        try:
            result = np.asarray(self.function(outputs, targets), np.float64).reshape(-1)
        except (Exception, SystemExit) as error:
            raise InputError(
                f"the metric {self.source} failed: {failure(error)}; it is called with a list of outputs "
                "({name: array}) and a list of targets, and returns a number, or one for every sample "
                "(--debug shows where it failed)"
            ) from error
        if result.size not in (1, len(outputs)):
            raise InputError(
                f"the metric {self.source} gave {result.size} numbers for {len(outputs)} samples; needed one "
                "number, or one for every sample"
            )
        return result
