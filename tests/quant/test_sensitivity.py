"""What each source of rounding errors costs the results, alone and added up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from quant.networks import mobile_network, pack, trained
from quant.plain_greedy import network

from edgert.cache import Cache
from edgert.quant.budget import sensitivity
from edgert.quant.budget.sensitivity import OutputLoss, Sensitivity, measure_sensitivity
from edgert.quant.observe.measure import keep_results, run_all
from edgert.quant.quantize import Quantizer
from edgert.quant.schemes import FLOAT, INT8, Plan


@pytest.fixture(scope="module")
def quantizer() -> Quantizer:
    graph, (samples, _) = trained(mobile_network(uneven=10.0, size=8, blocks=2), 200, 40)
    made = Quantizer(graph, samples, pack)
    made.choose()
    return made


def measured(quantizer: Quantizer, cache: Cache | None = None) -> Sensitivity:
    rounded = [quantizer.quantized(), None]
    exact = quantizer.quantized(Plan(FLOAT))
    return measure_sensitivity(network(quantizer), exact, rounded, quantizer.kept.some, pack, cache=cache)


def test_losses_add_up_to_that_of_plans(quantizer: Quantizer) -> None:
    found = measured(quantizer)
    samples = quantizer.kept.some(40)
    exact = quantizer.quantized(Plan(FLOAT))
    keep_results(exact)
    wanted = run_all(pack(exact), samples)
    units = found.network.units
    for raised in (0, len(units) // 2, len(units) - 1):
        plan = Plan(INT8, {name: FLOAT for unit in units[:raised] for name in unit.layers})
        graph = quantizer.quantized(plan)
        values = {value.name: value for value in graph.values()}
        graph.outputs = [values[value.name] for value in exact.outputs]
        given = run_all(pack(graph), samples)
        metric = OutputLoss()
        (x,), (y,) = wanted, given
        evidence = [metric.evidence({"": y[i]}, {"": x[i]}) for i in range(len(samples))]
        real = metric.score(evidence)(np.ones(len(samples)))
        predicted = found.loss([1] * raised + [0] * (len(units) - raised))
        assert real / 4 < predicted < real * 4
    assert found.loss([1] * len(units)) == 0.0


def test_change_and_shares_are_parts_of_the_loss(quantizer: Quantizer) -> None:
    found = measured(quantizer)
    levels = [int(i % 3 == 0) for i in range(len(found.network.units))]
    for unit, level in enumerate(levels):
        then = [*levels[:unit], 1 - level, *levels[unit + 1 :]]
        assert found.change(levels, unit, 1 - level) == pytest.approx(found.loss(then) - found.loss(levels))
    assert sum(found.share(unit, levels) for unit in range(len(levels))) == pytest.approx(found.loss(levels))


def test_what_is_kept_is_not_measured_again(
    quantizer: Quantizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = measured(quantizer, Cache(tmp_path))
    ran = []
    each = sensitivity.evidence_of_each

    def counting(packages, *rest, **options):  # type: ignore[no-untyped-def]
        yield from each((ran.append(package) or package for package in packages), *rest, **options)

    monkeypatch.setattr(sensitivity, "evidence_of_each", counting)
    again = measured(quantizer, Cache(tmp_path))
    assert ran == []
    assert (again.weights, again.cells) == (first.weights, first.cells)


def test_divergence_knows_what_decides() -> None:
    metric = OutputLoss(classifies=True)
    close, far = np.array([[1.0, 1.1, 0.0]]), np.array([[9.0, 0.0, 0.0]])

    def loss(exact: np.ndarray, rounded: np.ndarray) -> float:
        return metric.score([metric.evidence({"y": rounded}, {"y": exact})])(np.ones(1))

    error = np.array([[0.2, 0.0, 0.0]])
    assert loss(close, close + error) > 10 * loss(far, far + error)
    assert loss(close, close + 5.0) == pytest.approx(0.0, abs=1e-12)  # what all scores share decides nothing
