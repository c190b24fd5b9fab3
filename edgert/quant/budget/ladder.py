"""Orders in which units of layers are raised: from all in the network's own scheme to all as exact as may be.

The best order is found from above. All units stand on the top step of the ladder, and one at a time the unit goes down
whose going costs the least accuracy for what it saves. Going up instead would not see that two neighbours which gain
nothing alone gain much together, as the tensor between them is rounded until both are raised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from edgert.quant.budget.costs import Costs
from edgert.quant.budget.sensitivity import Sensitivity
from edgert.quant.budget.units import Network
from edgert.quant.schemes import FLOAT, SCHEMES, Activations, Scheme, Weights

Levels = tuple[int, ...]  # of every unit, a step of the ladder

_EXACTNESS_ACTIVATIONS = (Activations.INT8, Activations.INT16, Activations.FLOAT)
_EXACTNESS_WEIGHTS = (Weights.INT4, Weights.INT4_BLOCK, Weights.INT8, Weights.FLOAT16, Weights.FLOAT32)


def steps(base: Scheme, allowed: Sequence[Scheme]) -> tuple[Scheme, ...]:
    """The base and what may stand above it, each step more exact than the one below."""

    def exactness(scheme: Scheme) -> tuple[int, int]:
        return _EXACTNESS_ACTIVATIONS.index(scheme.activations), _EXACTNESS_WEIGHTS.index(scheme.weights)

    ladder = [base]
    names = list(SCHEMES)
    for scheme in sorted(dict.fromkeys(allowed), key=lambda scheme: (exactness(scheme), names.index(scheme.name))):
        below, this = exactness(ladder[-1]), exactness(scheme)
        if scheme != ladder[-1] and this[0] >= below[0] and this[1] >= below[1]:
            ladder.append(scheme)
    return tuple(ladder)


@dataclass(frozen=True)
class Ladder:
    """What is known of the steps that units can stand on."""

    sensitivity: Sensitivity
    costs: Costs

    @property
    def network(self) -> Network:
        return self.sensitivity.network

    @property
    def top(self) -> int:
        return len(self.network.steps) - 1

    def loss(self, levels: Levels) -> float:
        return self.sensitivity.loss(levels)

    def cost(self, levels: Levels) -> float:
        return sum(self.costs.of(unit, level) for unit, level in enumerate(levels))

    def quantised(self, levels: Levels) -> bool:
        """Whether anything is left that is not plain float."""
        return any(self.network.scheme(unit, level) != FLOAT for unit, level in enumerate(levels))

    def lower(self, levels: Levels, by_cost: bool = True) -> Iterator[tuple[float, int, int, Levels]]:
        """Every way to bring one unit down: loss (per cost saved), the unit, its new step, and all steps then."""
        for unit, level in enumerate(levels):
            for below in range(level):
                saved = self.costs.of(unit, level) - self.costs.of(unit, below)
                if saved > 0.0:
                    more = max(self.sensitivity.change(levels, unit, below), 0.0)
                    then = (*levels[:unit], below, *levels[unit + 1 :])
                    yield more / saved if by_cost else more, unit, below, then

    def orders(self, fits: Callable[[Levels], bool]) -> list[list[Levels]]:
        """Orders worth trying. From all on the bottom step upwards, each has in every place one unit raised further
        than in the one before, as far as they fit under the caps, and something left that is not plain float.

        Ranked by gain per cost; by gain alone, as what gains little by its cost may gain most in all; and by what a
        unit costs the results when it alone is on the bottom step, which does not trust errors to add up.
        """
        found = []
        for order in (self._from_above(True), self._from_above(False), self._from_below()):
            fitting = self._filled([levels for levels in order if fits(levels)], order[-1], fits)
            while fitting and not self.quantised(fitting[-1]):
                fitting.pop()
            if fitting not in found:
                found.append(fitting)
        return found

    def _from_above(self, by_cost: bool) -> list[Levels]:
        levels = (self.top,) * len(self.network.units)
        found = [levels]
        while any(levels):
            *_, levels = min(self.lower(levels, by_cost))
            found.append(levels)
        return found[::-1]

    def _from_below(self) -> list[Levels]:
        count, top = len(self.network.units), self.top
        alone = [self.loss(tuple(0 if i == unit else top for i in range(count))) for unit in range(count)]
        levels = (0,) * count
        found = [levels]
        for unit in sorted(range(count), key=lambda unit: -alone[unit]):
            levels = (*levels[:unit], top, *levels[unit + 1 :])
            found.append(levels)
        return found

    def _filled(self, order: list[Levels], top: Levels, fits: Callable[[Levels], bool]) -> list[Levels]:
        """Where caps end an order early, single units may still fit, though not the next one."""
        if not order or order[-1] == top:
            return order
        levels = order[-1]
        tried: set[tuple[int, int]] = set()
        while True:
            ways = []
            for unit, level in enumerate(levels):
                for above in range(level + 1, self.top + 1):
                    gain = -self.sensitivity.change(levels, unit, above)
                    if gain > 0.0 and (unit, above) not in tried:
                        cost = self.costs.of(unit, above) - self.costs.of(unit, level)
                        then = (*levels[:unit], above, *levels[unit + 1 :])
                        ways.append((-gain / max(cost, 1e-9), unit, above, then))
            if not ways:
                return order
            *_, unit, above, then = min(ways)
            tried.add((unit, above))
            if fits(then):
                levels = then
                order.append(levels)
