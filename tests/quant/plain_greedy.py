"""What a budget's search is compared with: layers are raised to float one after another until the budget holds."""

from __future__ import annotations

from collections.abc import Callable

from edgert.ir import Graph
from edgert.quant.budget.meter import Meter
from edgert.quant.budget.search import LOOKS, TIGHTER
from edgert.quant.budget.sensitivity import Sensitivity, measure_sensitivity
from edgert.quant.budget.units import Network, network_of
from edgert.quant.quantize import Quantizer
from edgert.quant.schemes import FLOAT, Plan

Pack = Callable[[Graph], bytes]


def network(quantizer: Quantizer) -> Network:
    return network_of(quantizer.graph, quantizer.quantized(), quantizer.plan, (quantizer.plan.default, FLOAT))


def sensitivity_of(quantizer: Quantizer, pack: Pack, classifies: bool) -> Sensitivity:
    rounded = [quantizer.quantized(), None]
    exact = quantizer.quantized(Plan(FLOAT))
    return measure_sensitivity(network(quantizer), exact, rounded, quantizer.kept.some, pack, classifies)


def by_execution(sensitivity: Sensitivity) -> list[int]:
    return list(range(len(sensitivity.network.units)))


def by_sensitivity(sensitivity: Sensitivity) -> list[int]:
    """First the unit that costs the results most when it alone is quantised."""
    count = len(sensitivity.network.units)
    alone = [sensitivity.loss([int(i != unit) for i in range(count)]) for unit in range(count)]
    return sorted(range(count), key=lambda unit: -alone[unit])


def greedy(meter: Meter, sensitivity: Sensitivity, order: list[int]) -> tuple[Plan, int]:
    """The shortest part of the order that holds by the search's rules, found by bisection, too, with the same looks at
    the data held back; and how many weighted layers it raises. Where nothing else holds, all layers are raised."""
    units, plans, losses, raised = sensitivity.network.units, [meter.quantizer.plan], [], [0]
    levels = [0] * len(units)
    losses.append(sensitivity.loss(levels))
    for unit in order:
        levels[unit] = 1
        plans.append(plans[-1].changed(units[unit].layers, FLOAT))
        losses.append(sensitivity.loss(levels))
        raised.append(raised[-1] + len(units[unit].weighted))
    low, looks = 0, 0
    while True:
        cautious = any(meter.holds(plan) for plan in (plans[low], plans[-2]))
        start, high = low, len(plans) - 1  # float throughout loses nothing
        while start < high:
            middle = (start + high) // 2 if looks or start else start  # all in int8 comes first
            if meter.holds(plans[middle], cautious):
                high = middle
            else:
                start = middle + 1
        looks += 1
        if high == len(plans) - 1 or meter.check(plans[high], looks).lost <= meter.limit:
            return plans[high], raised[high]
        if looks == LOOKS:
            return plans[-1], raised[-1]
        bound = losses[high] * TIGHTER[looks - 1]
        low = next(i for i, loss in enumerate(losses) if loss <= bound)


def raised_layers(quantizer: Quantizer, plan: Plan) -> int:
    """Weighted layers that a plan raises."""
    return sum(len(unit.weighted) for unit in network(quantizer).units if unit.name in plan.layers)
