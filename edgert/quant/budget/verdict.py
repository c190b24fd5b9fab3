"""What a search for a plan within a budget found: in words, in tables and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edgert.errors import EdgertError
from edgert.metrics import Drop
from edgert.metrics._def import number_text
from edgert.quant.schemes import Plan

_NAMED = 3  # units in an error's line; the report has all


@dataclass(frozen=True)
class UnitVerdict:
    """A group of layers that rise together. share: of all that quantisation costs the results, with everything in the
    plan's default. left: what it still costs under the plan, as a share of the same. cost: of raising it to the highest
    step: its share of time and size, times by how much they grow, and its share of the layers. why: what keeps it from
    rising further, where it costs something still."""

    name: str
    source: str
    op: str
    layers: tuple[str, ...]
    scheme: str
    raised: bool
    share: float
    left: float
    cost: float
    why: str = ""

    @property
    def title(self) -> str:
        """For people: what the source model calls it; TFLite strings together the names of all that it fused."""
        return (self.source or self.name).split(";")[0]

    @property
    def gain_per_cost(self) -> float:
        return self.share / self.cost if self.cost else 0.0


@dataclass(frozen=True)
class Part:
    """What was measured on one part of the data. drop: None where float has no finite value to drop from."""

    samples: int
    float_value: float
    value: float
    interval: tuple[float, float]  # of the value, 95 %
    lost: float  # what the budget limits
    drop: Drop | None = None


@dataclass(frozen=True)
class BudgetResult:
    """A plan and what is promised of it; or, when not met, the nearest that could be had.

    held_back: measured on data that chose nothing; None where no plan held on the data that choose. looks: how often
    plans were tried on it, the interval being widened so that all of them hold together with 95 %.
    """

    met: bool
    plan: Plan
    metric: str
    unit: str
    limit: float
    limits_drop: bool  # or the value itself
    rule: str
    search: Part
    held_back: Part | None
    looks: int
    trials: int
    slowdown: float
    more_bytes: int
    units: tuple[UnitVerdict, ...] = ()  # by gain per cost; none where the default held at once
    sensitivity_samples: int = 0
    reason: str = ""

    @property
    def raised(self) -> tuple[UnitVerdict, ...]:
        return tuple(unit for unit in self.units if unit.raised)

    @property
    def in_the_way(self) -> tuple[UnitVerdict, ...]:
        """Those that still cost something, the costliest first."""
        return tuple(sorted((unit for unit in self.units if unit.left > 0.0), key=lambda unit: -unit.left))

    @property
    def goal(self) -> str:
        kind = f"at most {_number(self.limit, self.unit)}"
        return (
            f"{kind} of {self.metric} lost"
            if self.limits_drop
            else f"{self.metric} no worse than {_number(self.limit, self.unit)}"
        )

    @property
    def promise(self) -> str:
        """The result in one sentence, with metric, number of samples and interval."""
        part = self.held_back or self.search
        where = "held-back samples, which chose nothing" if self.held_back else "samples of the search"
        value = f"{self.metric} {_number(part.value, self.unit)}, float {_number(part.float_value, self.unit)}"
        if part.drop is None:
            low, high = (number_text(bound, self.unit) for bound in part.interval)
            return f"{value} (95 % confidence {low} to {high}) on {part.samples} {where}"
        low, high = (number_text(bound, self.unit) for bound in (part.drop.low, part.drop.high))
        lost = number_text(part.drop.value, self.unit)
        return f"{value}: {lost} lost (95 % confidence {low} to {high}) on {part.samples} {where}"

    def facts(self) -> list[tuple[str, object]]:
        """For a person, as edgert.report.console.print_facts takes them."""
        default = self.plan.default.name
        counts: dict[str, int] = {}
        for unit in self.raised:
            counts[unit.scheme] = counts.get(unit.scheme, 0) + 1
        raised = ", ".join(f"{count} in {scheme}" for scheme, count in counts.items())
        groups = f"{len(self.units)} groups of layers" if self.units else "all layers"
        looked = f"{self.looks} time{'s'[: self.looks != 1]}"
        return [
            ("budget", f"{self.goal}: {'met' if self.met else 'not met'}"),
            ("promise" if self.met else "measured", self.promise),
            ("data", f"{self.rule}; the held-back part was looked at {looked}"),
            ("plan", f"{groups} in {default}" + (f" but {raised}" if raised else "")),
            ("modelled", f"{self.slowdown:.2f} times the time of {default} throughout, {self.more_bytes} bytes more"),
            ("reason", self.reason or None),
            ("note", self._resolution()),
        ]

    def _resolution(self) -> str | None:
        """Where a budget is finer than the data can tell."""
        count = (self.held_back or self.search).samples
        if self.unit != "%" or not self.limits_drop or 100.0 / count <= self.limit:
            return None
        lost = "as many samples must be gained as are lost"
        return f"one of {count} samples is {100.0 / count:.2f} points, more than the budget: {lost}"

    COLUMNS = (
        "layer",
        "layers",
        "computes in",
        "share of loss %",
        "left %",
        "cost",
        "gain per cost",
        "kept from rising by",
    )

    def rows(self, units: Sequence[UnitVerdict] | None = None) -> list[tuple[object, ...]]:
        """A row for each unit, or for these, under COLUMNS."""
        return [
            (
                unit.title, len(unit.layers), unit.scheme,
                f"{100 * unit.share:.1f}", f"{100 * unit.left:.1f}",
                f"{unit.cost:.3f}", f"{unit.gain_per_cost:.2f}", unit.why,
            )
            for unit in (self.units if units is None else units)
        ]  # fmt: skip

    def as_json(self) -> dict[str, Any]:
        return {
            "met": self.met,
            "goal": self.goal,
            "metric": self.metric,
            "unit": self.unit,
            "max_drop" if self.limits_drop else "worst": self.limit,
            "data": self.rule,
            "looks": self.looks,
            "trials": self.trials,
            "search": asdict(self.search),
            "held_back": None if self.held_back is None else asdict(self.held_back),
            "default": self.plan.default.name,
            "slowdown": self.slowdown,
            "more_bytes": self.more_bytes,
            "sensitivity_samples": self.sensitivity_samples,
            "layers": [{**asdict(unit), "gain_per_cost": unit.gain_per_cost} for unit in self.units],
            "reason": self.reason,
        }

    def entry(self) -> dict[str, Any]:
        """For the package's metadata entry "accuracy": what was promised, and on what."""
        part = self.held_back or self.search
        drop = part.drop
        return {
            "metric": self.metric,
            "unit": self.unit,
            "float": part.float_value,
            "value": part.value,
            "samples": part.samples,
            "data": self.rule,
            "looks": self.looks,
            "max_drop" if self.limits_drop else "worst": self.limit,
            **({} if drop is None else {"drop": drop.value, "confidence_95": [drop.low, drop.high]}),
        }


class BudgetError(EdgertError):
    """No plan within what is allowed meets the budget. result: the nearest, with what stands in the way."""

    def __init__(self, result: BudgetResult) -> None:
        self.result = result
        ways = result.in_the_way
        total = sum(unit.left for unit in ways)
        named = []
        for unit in ways[:_NAMED]:
            why = f", as {unit.why}" if unit.why else ""
            named.append(f"{unit.title} ({100 * unit.left / total:.0f} % of the remaining loss{why})")
        more = f" and {len(ways) - _NAMED} more" if len(ways) > _NAMED else ""
        text = f"the budget cannot be met ({result.goal}): {result.reason}; {result.promise}"
        super().__init__(f"{text}; in the way: {', '.join(named)}{more}" if named else text)


def _number(value: float, unit: str) -> str:
    return f"{number_text(value, unit)} {unit}".rstrip()
