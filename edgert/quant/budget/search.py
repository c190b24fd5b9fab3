"""The cheapest plan whose measured loss of accuracy stays within a budget.

All layers in the plan's default first. Where that loses too much: the sensitivity of every unit of layers
(sensitivity.py), an order in which they rise, ranked by gain per cost (ladder.py), the shortest part of that order
which holds the budget, by bisection, and of that part whatever can be taken back.

The promise is about data that chose nothing. The samples are divided in two: one half chooses, and must hold the budget
with a margin for chance where any plan has one; the other half, held back, must hold it as measured. When it does not,
the search goes on for a smaller predicted loss, at most LOOKS times in all, and the interval that is reported is
widened for every look.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import cached_property
from typing import NoReturn

from edgert.cache import Cache
from edgert.errors import InputError
from edgert.evaluation import Dataset
from edgert.ir import Graph
from edgert.metrics import Metric
from edgert.metrics.agreement import Agreement
from edgert.metrics.classify import TopK
from edgert.progress import Progress, silent
from edgert.quant.budget.costs import Costs
from edgert.quant.budget.ladder import Ladder, Levels, steps
from edgert.quant.budget.meter import Budget, Meter
from edgert.quant.budget.sensitivity import measure_sensitivity
from edgert.quant.budget.units import network_of
from edgert.quant.budget.verdict import BudgetError, BudgetResult, Part, UnitVerdict
from edgert.quant.quantize import Quantizer
from edgert.quant.schemes import FLOAT, Plan, Weights

__all__ = ["LOOKS", "TIGHTER", "Budget", "BudgetError", "BudgetResult", "search"]

LOOKS = 8  # at the data held back, at most
# Of the predicted loss, after each look at these data that failed. Often a single sample tips the balance, which any
# other plan may decide the other way: little by little at first.
TIGHTER = (*(0.8,) * (LOOKS - 3), 0.5, 0.25)
_PRUNING = 24  # trials of taking units back, at most


def search(
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
) -> BudgetResult:
    """The plan for `quantizer.quantized(result.plan, io)`; its default and its exceptions so far are the quantizer's.

    pack: makes a package of a graph, which it may change. data: samples, with targets where the metric needs them;
    others are compared with the float model. cache: keeps what was measured, so that a search that was cut off resumes.
    progress: called for the stages "sensitivity", by experiments, and "budget", by plans tried.
    The result does not depend on executor, threads and cache.
    Raises BudgetError when no plan meets the budget; InputError for a budget that cannot be meant, for too few samples,
    and for metrics that need labels which the data have not.
    """
    budget.check(metric)
    if len(data) < 2:
        raise InputError(
            f"{data.source} has {len(data)} sample; a budget needs some to choose by and others to check on"
        )
    meter = Meter(quantizer, pack, data, metric, budget, io, executor, cache, progress, threads)
    return _Search(meter).run()


class _Search:
    """From the default plan to the cheapest that holds."""

    def __init__(self, meter: Meter) -> None:
        self.meter, self.plan = meter, meter.quantizer.plan
        self.looks = 0
        self.looked: tuple[Plan, Part] | None = None  # held back, the last look
        made = meter.quantizer.quantized(self.plan, meter.io)
        ladder = steps(self.plan.default, meter.budget.raise_to)
        self.network = network_of(meter.quantizer.graph, made, self.plan, ladder)
        self.costs = Costs(self.network)
        self.ladder: Ladder | None = None

    def run(self) -> BudgetResult:
        bottom = (0,) * len(self.network.units)
        if self.meter.holds(self.plan) and self._look(self.plan):
            return self._result(True, bottom)
        if not self.network.units:
            self._fail(bottom, "no layer computes on integers, so that none can be raised")
        return self._raised()

    def _look(self, plan: Plan) -> bool:
        """Whether the budget holds on the data held back."""
        self.looks += 1
        part = self.meter.check(plan, self.looks)
        self.looked = plan, part
        return part.lost <= self.meter.limit

    def _raised(self) -> BudgetResult:
        self.ladder = ladder = self._measured()
        bottom = (0,) * len(self.network.units)
        orders = ladder.orders(self._fits)
        if not all(orders):
            self._fail(bottom, "the default itself is beyond the caps")
        bound, looked = (ladder.loss(bottom) * TIGHTER[0], bottom) if self.looks else (math.inf, None)
        while True:
            found = self._found(orders, bound)
            if found is None:
                self._fail(orders[-1][-1], self._highest())
            if found != looked and self._look(self._plan(found)):
                return self._result(True, found)
            if self.looks >= LOOKS or found == looked:
                times = f"{self.looks} time{'s'[: self.looks != 1]}"
                self._fail(found, f"what held on the samples that chose it did not on those held back, {times}")
            bound, looked = ladder.loss(found) * TIGHTER[self.looks - 1], found

    def _found(self, orders: Sequence[Sequence[Levels]], bound: float) -> Levels | None:
        """The cheapest that holds on the samples that choose, and whose predicted loss is within the bound where there
        is such: of each order the shortest part, of these the one with the fewest layers raised or else the cheapest,
        and of that what cannot be taken back.

        Where none has the margin for chance, as with a strict budget on few samples, one that holds as measured.
        """
        assert self.ladder is not None
        for cautious in (True, False):
            found = []
            for order in orders:
                losses = [self.ladder.loss(levels) for levels in order]
                first = next((i for i, loss in enumerate(losses) if loss <= bound), len(order) - 1)
                if self.meter.holds(self._plan(order[-1]), cautious):
                    found.append(self._bisected(order, first, cautious))
                elif self.meter.holds(self._plan(order[0]), cautious):
                    found.append(order[0])  # by chance better than what is more exact
            if found:
                within = [levels for levels in found if self.ladder.loss(levels) <= bound] or found
                return self._pruned(min(within, key=self._expense), bound, cautious)
        return None

    def _expense(self, levels: Levels) -> tuple[int, float]:
        """Weighted layers that are raised, and cost."""
        assert self.ladder is not None
        units = zip(self.network.units, levels, strict=True)
        return sum(len(unit.weighted) for unit, level in units if level), self.ladder.cost(levels)

    def _measured(self) -> Ladder:
        meter, quantizer = self.meter, self.meter.quantizer
        layers = [name for unit in self.network.units for name in unit.layers]
        rounded: list[Graph | None] = [quantizer.quantized(self.plan)]
        for scheme in self.network.steps[1:]:
            # float16 rounds a thousandth of what int8 does
            exact = scheme.weights in (Weights.FLOAT16, Weights.FLOAT32)
            rounded.append(None if exact else quantizer.quantized(self.plan.changed(layers, scheme)))
        sensitivity = measure_sensitivity(
            self.network,
            quantizer.quantized(Plan(FLOAT)),
            rounded,
            quantizer.kept.some,
            meter.pack,
            isinstance(meter.metric, (TopK, Agreement)),
            meter.executor,
            meter.cache,
            meter.progress,
            meter.threads,
        )
        return Ladder(sensitivity, self.costs)

    def _plan(self, levels: Levels) -> Plan:
        plan = self.plan
        for unit, level in zip(self.network.units, levels, strict=True):
            if level:
                plan = plan.changed(unit.layers, self.network.steps[level])
        return plan

    def _fits(self, levels: Levels) -> bool:
        """Under the caps."""
        budget = self.meter.budget
        if budget.max_slowdown is not None and self.costs.slowdown(levels) > budget.max_slowdown:
            return False
        return budget.max_bytes is None or self._default_bytes + self.costs.more_bytes(levels) <= budget.max_bytes

    @cached_property
    def _default_bytes(self) -> int:
        return len(self.meter.package(self.plan))

    def _bisected(self, order: Sequence[Levels], first: int, cautious: bool) -> Levels:
        """The first of the order, from `first` on, that holds; the last is known to."""
        low, high = first, len(order) - 1
        while low < high:
            middle = (low + high) // 2
            if self.meter.holds(self._plan(order[middle]), cautious):
                high = middle
            else:
                low = middle + 1
        return order[high]

    def _pruned(self, levels: Levels, bound: float, cautious: bool) -> Levels:
        """Takes units back down, those that matter least first and many at a time, while the budget holds."""
        assert self.ladder is not None
        left, kept = _PRUNING, set[tuple[int, int]]()
        size = sum(map(bool, levels)) // 2
        while left > 0:
            then, moves = levels, list[tuple[int, int]]()
            while len(moves) < max(size, 1):
                ways = [way for way in self.ladder.lower(then) if (way[1], way[2]) not in kept]
                ways = [way for way in ways if self.ladder.loss(way[3]) <= bound]
                if not ways:
                    break
                _, unit, below, then = min(ways)
                moves.append((unit, below))
            if not moves:
                break
            left -= 1
            if self.meter.holds(self._plan(then), cautious):
                levels = then
            elif len(moves) > 1:
                size = len(moves) // 2
            else:
                kept.add(moves[0])
        return levels

    def _highest(self) -> str:
        budget = self.meter.budget
        names = ", ".join(scheme.name for scheme in budget.raise_to) or "nothing else"
        caps = [
            f"{budget.max_slowdown:g} times the time" if budget.max_slowdown is not None else "",
            f"{budget.max_bytes} bytes" if budget.max_bytes is not None else "",
        ]
        within = " and ".join(cap for cap in caps if cap)
        if within:
            return f"not even the best plan within {within} holds it"
        if FLOAT in budget.raise_to:
            return "only float throughout holds it, and then nothing is quantised"
        return f"not even all layers in what is allowed ({names}) hold it"

    def _fail(self, levels: Levels, reason: str) -> NoReturn:
        raise BudgetError(self._result(False, levels, reason))

    def _result(self, met: bool, levels: Levels, reason: str = "") -> BudgetResult:
        meter, budget = self.meter, self.meter.budget
        plan = self._plan(levels)
        limit = budget.max_drop if budget.max_drop is not None else budget.worst
        assert limit is not None
        return BudgetResult(
            met=met,
            plan=plan,
            metric=meter.metric.name,
            unit=meter.metric.unit,
            limit=limit,
            limits_drop=budget.max_drop is not None,
            rule=meter.rule,
            search=meter.searched(plan),
            held_back=self.looked[1] if self.looked is not None and self.looked[0] == plan else None,
            looks=self.looks,
            trials=meter.count,
            slowdown=self.costs.slowdown(levels),
            more_bytes=self.costs.more_bytes(levels),
            units=self._units(levels, met),
            sensitivity_samples=self.ladder.sensitivity.samples if self.ladder else 0,
            reason=reason,
        )

    def _units(self, levels: Levels, met: bool) -> tuple[UnitVerdict, ...]:
        """By gain per cost."""
        ladder = self.ladder
        if ladder is None:
            return ()
        bottom = (0,) * len(levels)
        total = ladder.loss(bottom) or 1.0
        verdicts = [
            UnitVerdict(
                unit.name,
                unit.source,
                unit.op,
                unit.layers,
                self.network.scheme(i, levels[i]).name,
                levels[i] > 0,
                ladder.sensitivity.share(i, bottom) / total,
                ladder.sensitivity.share(i, levels) / total,
                self.costs.of(i, ladder.top),
                "" if met else self._why(i, levels),
            )
            for i, unit in enumerate(self.network.units)
        ]
        return tuple(sorted(verdicts, key=lambda unit: -unit.gain_per_cost))

    def _why(self, unit: int, levels: Levels) -> str:
        """What keeps a unit from rising further."""
        assert self.ladder is not None
        steps, level = self.network.steps, levels[unit]
        if level == self.ladder.top:
            return "" if steps[-1] == FLOAT else f"{steps[-1].name} is the most that is allowed"
        for above in range(level + 1, len(steps)):
            then = (*levels[:unit], above, *levels[unit + 1 :])
            if self._fits(then):
                left = self.ladder.quantised(then)
                return "" if left else f"with it in {steps[above].name} nothing would be quantised any more"
        return f"in {steps[level + 1].name} the model would be beyond the caps"
