"""What plans lose: on the samples that choose among them, and on those held back."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.cache import Cache
from edgert.errors import InputError
from edgert.evaluation import Dataset, evidence, labelled, split
from edgert.ir import Graph
from edgert.metrics import Drop, Evidence, Metric
from edgert.progress import Progress, silent
from edgert.quant.budget.verdict import Part
from edgert.quant.graph.clone import clone
from edgert.quant.quantize import Quantizer
from edgert.quant.schemes import FLOAT, INT8, INT16, Plan, Scheme

_CAUTION = 1.0  # standard errors of the difference between both parts that the choosing part must have to spare
_SURELY = 3.0  # standard errors beyond which a plan fails before all samples have been run
_BLOCK = 64  # samples between two such looks
_GROUPS = 20  # of samples, for standard errors


@dataclass(frozen=True)
class Budget:
    """What may be lost, and what may be spent.

    max_drop: by which the metric may become worse than the float model's, in its unit (points). worst: or the value
    itself that must be reached, for metrics that float has no finite value of (SQNR). One of the two is given.
    raise_to: schemes that layers may be raised to, of which those count that are more exact than the plan's default.
    max_slowdown: how many times the modelled time of the plan's default the plan may take. max_bytes: how large the
    package may be.
    """

    max_drop: float | None = None
    worst: float | None = None
    raise_to: tuple[Scheme, ...] = (INT8, INT16, FLOAT)
    max_slowdown: float | None = None
    max_bytes: int | None = None

    def check(self, metric: Metric) -> None:
        """InputError for what cannot be meant."""
        if (self.max_drop is None) == (self.worst is None):
            raise InputError("a budget is a largest drop or a worst value, one of them")
        limit = self.max_drop if self.max_drop is not None else self.worst
        assert limit is not None
        if not math.isfinite(limit):
            raise InputError(f"the budget is {limit}, needed a finite number")
        if self.max_drop is not None and self.max_drop < 0.0:
            raise InputError(
                f"the budget is a drop of {limit:g}: the model would have to be better than float; needed 0 or more"
            )
        if metric.unit == "%" and not 0.0 <= limit <= 100.0:
            raise InputError(f"the budget is {limit:g} and {metric.name} has 100 points; needed 0 to 100")
        if self.max_slowdown is not None and not (math.isfinite(self.max_slowdown) and self.max_slowdown >= 1.0):
            raise InputError(f"the largest slowdown is {self.max_slowdown:g}, needed 1 or more")


@dataclass(frozen=True)
class Estimate:
    """What a plan loses on the samples that choose. error: the standard error of `lost` there."""

    lost: float
    error: float
    sure: bool  # False: it was given up before all samples had run


class Meter:
    """Measures plans."""

    def __init__(
        self,
        quantizer: Quantizer,
        pack: Callable[[Graph], bytes],
        data: Dataset,
        metric: Metric,
        budget: Budget,
        io: str = "float",
        executor: Executor | None = None,
        cache: Cache | None = None,
        progress: Progress = silent,
        threads: int = 1,
    ) -> None:
        self.quantizer, self.pack, self.metric, self.budget, self.io = quantizer, pack, metric, budget, io
        self.executor, self.cache, self.progress, self.threads = executor, cache, progress, threads
        self.float_package = pack(clone(quantizer.graph))
        parts = split(labelled(self.float_package, data, metric, executor, threads=threads), 0.5)
        self.chooses, self.held_back = parts.calibration, parts.measurement
        self.rule = (
            f"of {len(data)} samples of {data.title}, the {len(self.chooses)} with the lowest SHA-256 choose the plan "
            f"and the other {len(self.held_back)} are held back"
        )
        self.before = self._evidence(self.float_package, self.chooses)
        self.limit = budget.max_drop if budget.max_drop is not None else 0.0
        # The held-back part has a chance error of its own.
        self.margin = _CAUTION * math.sqrt(1 + len(self.chooses) / len(self.held_back))
        self.count = 0
        self._known: dict[bytes, Estimate] = {}

    def package(self, plan: Plan) -> bytes:
        return self.pack(self.quantizer.quantized(plan, self.io))

    def holds(self, plan: Plan, cautious: bool = True) -> bool:
        """On the samples that choose; cautious: with a margin for chance."""
        found = self.estimate(plan)
        return found.sure and found.lost + (self.margin * found.error if cautious else 0.0) <= self.limit

    def estimate(self, plan: Plan) -> Estimate:
        package = self.package(plan)
        if package not in self._known:
            self._known[package] = self._estimated(package)
            self.count += 1
            self.progress("budget", self.count, None)
        return self._known[package]

    def _estimated(self, package: bytes) -> Estimate:
        after: list[Evidence] = []
        for block in self._blocks():
            after += self._evidence(package, self.chooses.subset(block))
            lost, error = self._lost(self.before[: len(after)], after)
            if (
                len(after) < len(self.before)
                and lost - _SURELY * max(error, self._least_error(len(after))) > self.limit
            ):
                return Estimate(lost, error, False)
        return Estimate(lost, error, True)

    def _least_error(self, count: int) -> float:
        """Of a share seen on few samples, whose spread may look smaller than it is."""
        return 100.0 / count if self.metric.unit == "%" else 0.0

    def _blocks(self) -> list[list[int]]:
        """Of samples; recordings stay together."""
        blocks: list[list[int]] = [[]]
        for i, begins in enumerate(self.chooses.begins):
            if begins and len(blocks[-1]) >= _BLOCK:
                blocks.append([])
            blocks[-1].append(i)
        return blocks

    def _lost(self, before: Sequence[Evidence], after: Sequence[Evidence]) -> tuple[float, float]:
        """What the budget limits, and its standard error by the jackknife over groups of samples."""
        lost = self._loss_function(before, after)
        count = len(after)
        value = lost(np.ones(count))
        groups = min(_GROUPS, count)
        if groups < 2 or not math.isfinite(value):
            return value, 0.0
        place = np.arange(count) % groups
        without = np.array([lost((place != i).astype(np.float64)) for i in range(groups)])
        without = without[np.isfinite(without)]
        spread = float(np.square(without - without.mean()).sum()) if without.size else 0.0
        return value, math.sqrt((groups - 1) / groups * spread)

    def _loss_function(self, before: Sequence[Evidence], after: Sequence[Evidence]) -> Callable[[NDArray[Any]], float]:
        sign = 1.0 if self.metric.higher_is_better else -1.0
        second = self.metric.score(after)
        worst = self.budget.worst
        if worst is not None:
            return lambda weights: sign * (worst - second(weights))
        first = self.metric.score(before)
        return lambda weights: sign * (first(weights) - second(weights))

    def part(self, plan: Plan, data: Dataset, before: Sequence[Evidence], looks: int = 1) -> Part:
        after = self._evidence(self.package(plan), data)
        ones = np.ones(len(after))
        float_value, value = self.metric.score(before)(ones), self.metric.score(after)(ones)
        drop = None
        if math.isfinite(float_value) and math.isfinite(value):
            drop = _widened(self.metric.drop(before, after), looks)
        lost = self._loss_function(before, after)(ones)
        measured = self.metric.measurement(after)
        return Part(len(after), float_value, value, (measured.low, measured.high), lost, drop)

    def searched(self, plan: Plan) -> Part:
        return self.part(plan, self.chooses, self.before)

    def check(self, plan: Plan, looks: int) -> Part:
        """On the data held back."""
        return self.part(plan, self.held_back, self._evidence(self.float_package, self.held_back), looks)

    def _evidence(self, package: bytes, data: Dataset) -> list[Evidence]:
        return evidence(package, data, self.metric, self.executor, threads=self.threads, cache=self.cache)


def _widened(drop: Drop, looks: int) -> Drop:
    """The interval within which all of so many looks lie together with 95 % (Bonferroni)."""
    if looks < 2:
        return drop
    normal = NormalDist()
    wider = normal.inv_cdf(1 - 0.025 / looks) / normal.inv_cdf(1 - 0.025)
    low, high = (drop.value + wider * (bound - drop.value) for bound in (drop.low, drop.high))
    return replace(drop, low=low, high=high)
