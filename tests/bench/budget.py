"""Searches plans for budgets of accuracy and prints how many layers are not int8, beside what plain orders need.

usage: python tests/bench/budget.py [NETWORK ...] [--data ../shared/data] [--budgets 2,0.5,0.1] [--raise-to int16,float]

Calibration samples are none of those that are measured; of these one half chooses the plan, and what is printed as lost
was measured on the other. Plain orders raise groups of layers to float one by one, those first that cost the results
most when quantised alone, or in order of execution, until the budget holds by the same rules.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "bench" / "quantisation")]

import models  # noqa: E402
from quant.networks import mobile_network, pack, trained  # noqa: E402
from quant.plain_greedy import by_execution, by_sensitivity, greedy, network, raised_layers, sensitivity_of  # noqa: E402

from edgert.compile import optimise  # noqa: E402
from edgert.evaluation import Dataset  # noqa: E402
from edgert.importers import formats  # noqa: E402
from edgert.ir import Graph  # noqa: E402
from edgert.metrics import metric  # noqa: E402
from edgert.quant.budget.meter import Meter  # noqa: E402
from edgert.quant.budget.search import Budget, BudgetError, search  # noqa: E402
from edgert.quant.quantize import Quantizer  # noqa: E402
from edgert.quant.schemes import scheme_of  # noqa: E402


@dataclass(frozen=True)
class Case:
    """A float network, samples that calibrate it, and samples that it is measured on. metric: of edgert.metrics."""

    graph: Graph
    calibration: Dataset
    measured: Dataset
    metric: str


def shared(name: str, what: str) -> Callable[[Path], Case]:
    """A network of the table of peers."""

    def load(data: Path) -> Case:
        network = next(network for network in models.NETWORKS if network.name == name)
        with tempfile.TemporaryDirectory() as folder:
            _, graph = formats.load(network.edgert_form(lambda part: data / part, Path(folder)), None, {})
        optimise(graph)
        given = network.data(lambda part: data / part)
        (value,) = graph.inputs
        calibration, measured = ([{value.name: x} for x in arrays[0]] for arrays in (given.calibration, given.measured))
        targets = None if given.targets is None else [int(target) for target in given.targets]
        print(f"{name}: {given.split}", file=sys.stderr)
        return Case(graph, Dataset.of(calibration), Dataset.of(measured, targets, name), what)

    return load


def uneven(data: Path) -> Case:
    """Like MobileNetV3, made for the tests, with channels of deliberately unequal ranges."""
    graph, (samples, labels) = trained(mobile_network(uneven=100.0), 500, 2100)
    measured = Dataset.of(samples[100:], labels[100:], "made images")
    return Case(graph, Dataset.of(samples[:100]), measured, "top1")


CASES: dict[str, Callable[[Path], Case]] = {
    "uneven_mobile": uneven,
    "ic_resnet8_float": shared("ic_resnet8_float", "top1"),
    "cifar_resnet20": shared("cifar_resnet20", "top1"),
    "mobilenet_v1_0.25_224_float": shared("mobilenet_v1_0.25_224_float", "agreement"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", choices=[[], *CASES], metavar="NETWORK")
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[3] / "shared" / "data")
    parser.add_argument("--budgets", default="2,0.5,0.1")
    parser.add_argument("--raise-to", default="int16,float")
    options = parser.parse_args()
    allowed = tuple(scheme_of(name) for name in options.raise_to.split(","))
    print(
        "| network | metric, samples held back | budget | lost there (95 %) | layers not int8 | of | by sensitivity "
        "| in order of execution | modelled time | seconds |\n|---|---|---|---|---|---|---|---|---|---|"
    )
    for name in options.networks or CASES:
        case = CASES[name](options.data)
        quantizer = Quantizer(case.graph, [sample.inputs for sample in case.calibration], pack)
        quantizer.choose()
        measure = metric(case.metric)
        sensitivity = sensitivity_of(quantizer, pack, classifies=True)
        total = sum(len(unit.weighted) for unit in network(quantizer).units)
        for limit in map(float, options.budgets.split(",")):
            begun = time.perf_counter()
            try:
                result = search(quantizer, pack, case.measured, measure, Budget(limit, raise_to=allowed))
            except BudgetError as error:
                result = error.result
            seconds = time.perf_counter() - begun
            part = result.held_back or result.search
            lost = "" if part.drop is None else f" ({part.drop.low:.2f} to {part.drop.high:.2f})"
            meter = Meter(quantizer, pack, case.measured, measure, Budget(limit))
            orders = by_sensitivity(sensitivity), by_execution(sensitivity)
            plain = [str(greedy(meter, sensitivity, order)[1]) for order in orders]
            cells = [
                name, f"{case.metric}, {part.samples}", f"{limit:g}",
                f"{part.lost:.2f}{lost}" if result.met else f"not met: {part.lost:.2f}",
                str(raised_layers(quantizer, result.plan)), str(total), *plain,
                f"{result.slowdown:.2f}", f"{seconds:.0f}",
            ]  # fmt: skip
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
