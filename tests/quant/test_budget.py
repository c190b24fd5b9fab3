"""Plans within a budget: they hold on data held back, they are cheap, and where there are none, it is said why."""

from __future__ import annotations

import math
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest
from quant.networks import mobile_network, pack, trained
from quant.plain_greedy import by_execution, by_sensitivity, greedy, raised_layers, sensitivity_of

from edgert.cache import Cache
from edgert.errors import InputError
from edgert.evaluation import Dataset, evidence, runner, split
from edgert.metrics import metric
from edgert.quant.budget.ladder import steps
from edgert.quant.budget.meter import Meter
from edgert.quant.budget.search import Budget, BudgetError, BudgetResult, search
from edgert.quant.graph.clone import clone
from edgert.quant.quantize import Quantizer
from edgert.quant.schemes import FLOAT, INT8, INT16, SCHEMES, Plan

TOP1 = metric("top1")


@pytest.fixture(scope="module")
def made() -> tuple[Quantizer, Dataset]:
    """A network with channels of unequal ranges, which loses points in int8, and labelled samples that did not
    calibrate it."""
    graph, (samples, labels) = trained(mobile_network(uneven=100.0, size=12, blocks=3), 400, 1700)
    quantizer = Quantizer(graph, samples[:100], pack)
    quantizer.choose()
    return quantizer, Dataset.of(samples[100:], labels[100:], "made images")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(tmp_path_factory.mktemp("kept"))


@pytest.fixture(scope="module")
def strict(made: tuple[Quantizer, Dataset], kept: Cache) -> BudgetResult:
    quantizer, data = made
    return search(quantizer, pack, data, TOP1, Budget(0.25), cache=kept)


def plain(data: Dataset, count: int) -> Dataset:
    """The first samples without their labels."""
    return Dataset.of([sample.inputs for sample in data[:count]], source="made images")


def lost(quantizer: Quantizer, data: Dataset, plan: Plan) -> float:
    """Points, measured anew."""
    before = evidence(pack(clone(quantizer.graph)), data, TOP1)
    return TOP1.drop(before, evidence(pack(quantizer.quantized(plan)), data, TOP1)).value


def test_a_plan_holds_on_data_that_chose_nothing(
    made: tuple[Quantizer, Dataset], strict: BudgetResult, kept: Cache
) -> None:
    quantizer, data = made
    held_back = split(data, 0.5).measurement
    assert strict.met
    assert strict.held_back is not None
    assert strict.held_back.samples == len(held_back) == 800
    assert strict.held_back.lost == pytest.approx(lost(quantizer, held_back, strict.plan))
    assert strict.held_back.lost <= 0.25
    assert lost(quantizer, data, Plan()) > 0.25  # int8 throughout would not have done


def test_it_raises_fewer_layers_than_plain_orders(
    made: tuple[Quantizer, Dataset], strict: BudgetResult, kept: Cache
) -> None:
    quantizer, data = made
    sensitivity = sensitivity_of(quantizer, pack, classifies=True)
    measure = Meter(quantizer, pack, data, TOP1, Budget(0.25))
    raised = raised_layers(quantizer, strict.plan)
    assert raised > 0
    for order in (by_sensitivity(sensitivity), by_execution(sensitivity)):
        assert raised < greedy(measure, sensitivity, order)[1]


def test_what_is_promised_names_its_data(strict: BudgetResult) -> None:
    assert strict.held_back is not None
    assert strict.held_back.drop is not None
    text = dict(strict.facts())
    assert "top1" in strict.promise
    assert "800 held-back samples" in strict.promise
    assert "95 % confidence" in strict.promise
    assert "lowest SHA-256 choose" in str(text["data"])
    assert text["note"] is None
    assert "one of 800 samples is 0.12 points" in str(dict(replace(strict, limit=0.1).facts())["note"])
    entry = strict.entry()
    assert (entry["metric"], entry["samples"], entry["max_drop"]) == ("top1", 800, 0.25)
    assert entry["confidence_95"][0] <= entry["drop"] <= entry["confidence_95"][1]


def test_groups_are_ranked_by_gain_per_cost(strict: BudgetResult) -> None:
    ranks = [unit.gain_per_cost for unit in strict.units]
    assert ranks == sorted(ranks, reverse=True)
    assert sum(unit.share for unit in strict.units) == pytest.approx(1.0)
    assert {unit.scheme for unit in strict.raised} <= {"int16", "float"}
    assert len(strict.rows()) == len(strict.units)


def test_int8_throughout_where_it_holds(made: tuple[Quantizer, Dataset], kept: Cache) -> None:
    quantizer, data = made
    result = search(quantizer, pack, data, TOP1, Budget(20.0), cache=kept)
    assert result.met
    assert result.plan == quantizer.plan
    assert (result.units, result.looks) == ((), 1)


def test_the_default_is_looked_at_though_it_has_no_margin(made: tuple[Quantizer, Dataset], kept: Cache) -> None:
    """Where caps allow nothing else, and it holds as measured on the samples that choose."""
    quantizer, data = made
    whole = Meter(quantizer, pack, data, TOP1, Budget(100.0)).estimate(quantizer.plan)  # not given up half-way
    assert whole.sure
    limit = max(whole.lost, 0.0)
    capped = Budget(limit, max_slowdown=1.0)
    try:
        result = search(quantizer, pack, data, TOP1, capped, cache=kept)
    except BudgetError as error:
        result = error.result
    assert result.looks == 1
    assert result.held_back is not None
    assert result.met == (result.held_back.lost <= limit)


def test_samples_without_labels_are_compared_with_float(made: tuple[Quantizer, Dataset], kept: Cache) -> None:
    quantizer, data = made
    samples = plain(data, 400)
    result = search(quantizer, pack, samples, metric("agreement"), Budget(20.0), cache=kept)
    assert result.met
    assert result.held_back is not None
    assert result.held_back.float_value == 100.0
    with pytest.raises(InputError, match="without labels there are"):
        search(quantizer, pack, samples, TOP1, Budget(1.0), cache=kept)


def test_a_value_that_must_be_reached(made: tuple[Quantizer, Dataset], kept: Cache) -> None:
    quantizer, data = made
    int8 = search(quantizer, pack, plain(data, 80), metric("sqnr"), Budget(worst=0.0), cache=kept)
    assert int8.held_back is not None
    assert int8.held_back.drop is None  # float's own value is infinite
    wanted = int8.held_back.value + 6.0
    result = search(quantizer, pack, plain(data, 80), metric("sqnr"), Budget(worst=wanted), cache=kept)
    assert result.raised
    assert result.held_back is not None
    assert result.held_back.value >= wanted
    assert "95 % confidence" in result.promise


def test_an_impossible_budget_says_what_stands_in_the_way(made: tuple[Quantizer, Dataset], kept: Cache) -> None:
    quantizer, data = made
    with pytest.raises(BudgetError, match="the budget cannot be met") as caught:
        search(quantizer, pack, plain(data, 80), metric("mse"), Budget(0.0, raise_to=(INT16,)), cache=kept)
    result = caught.value.result
    assert not result.met
    first = result.in_the_way[0]
    assert first.why == "int16 is the most that is allowed"
    assert first.title in str(caught.value)
    assert first.left == max(unit.left for unit in result.units)
    assert result.as_json()["met"] is False


def test_float_throughout_is_no_quantised_model(made: tuple[Quantizer, Dataset], kept: Cache) -> None:
    quantizer, data = made
    with pytest.raises(BudgetError, match="only float throughout holds it"):
        search(quantizer, pack, plain(data, 40), metric("mse"), Budget(0.0), cache=kept)


def test_caps_on_time_and_size(made: tuple[Quantizer, Dataset], kept: Cache) -> None:
    quantizer, data = made
    with pytest.raises(BudgetError, match=r"not even the best plan within 1\.05 times the time") as caught:
        search(quantizer, pack, plain(data, 80), metric("mse"), Budget(0.0, max_slowdown=1.05), cache=kept)
    result = caught.value.result
    assert 1.0 < result.slowdown <= 1.05
    assert any("beyond the caps" in unit.why for unit in result.in_the_way)
    size = len(pack(quantizer.quantized())) + 400
    with pytest.raises(BudgetError, match="bytes holds it") as caught:
        search(quantizer, pack, plain(data, 80), metric("mse"), Budget(0.0, max_bytes=size), cache=kept)
    assert 0 < caught.value.result.more_bytes <= 400


@pytest.mark.parametrize(
    ("budget", "text"),
    [
        (Budget(-0.5), "would have to be better than float"),
        (Budget(math.nan), "needed a finite number"),
        (Budget(math.inf), "needed a finite number"),
        (Budget(101.0), "needed 0 to 100"),
        (Budget(), "a largest drop or a worst value"),
        (Budget(1.0, worst=90.0), "a largest drop or a worst value"),
        (Budget(1.0, max_slowdown=0.5), "needed 1 or more"),
    ],
)
def test_budgets_that_cannot_be_meant(budget: Budget, text: str) -> None:
    with pytest.raises(InputError, match=text):
        budget.check(TOP1)


def test_one_sample_is_too_few(made: tuple[Quantizer, Dataset], kept: Cache) -> None:
    with pytest.raises(InputError, match="1 sample; a budget needs some to choose by"):
        search(made[0], pack, made[1][:1], TOP1, Budget(1.0))


def test_the_same_plan_from_processes_and_from_what_is_kept(
    made: tuple[Quantizer, Dataset], strict: BudgetResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quantizer, data = made
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        there = search(quantizer, pack, data, TOP1, Budget(0.25), executor=executor, cache=Cache(tmp_path))
    assert there == strict
    assert pack(quantizer.quantized(there.plan)) == pack(quantizer.quantized(strict.plan))

    ran: list[object] = []
    run = runner.run_samples
    monkeypatch.setattr(runner, "run_samples", lambda *given: ran.append(given) or run(*given))
    assert search(quantizer, pack, data, TOP1, Budget(0.25), cache=Cache(tmp_path)) == strict
    assert len(ran) == 1  # for the float results that errors are measured by, which are not kept


def test_progress_is_told(made: tuple[Quantizer, Dataset], kept: Cache) -> None:
    quantizer, data = made
    told: list[tuple[str, int, int | None]] = []
    with pytest.raises(BudgetError):
        search(
            quantizer, pack, plain(data, 40), metric("mse"), Budget(0.0, raise_to=(INT16,)),
            progress=lambda *state: told.append(state),
        )  # fmt: skip
    stages = {stage for stage, _, _ in told}
    assert {"sensitivity", "budget"} <= stages
    counts = [(done, total) for stage, done, total in told if stage == "sensitivity"]
    assert counts == [(i, len(counts)) for i in range(1, len(counts) + 1)]


def test_ladders_only_rise() -> None:
    assert steps(INT8, (FLOAT, INT16, INT8)) == (INT8, INT16, FLOAT)
    assert steps(INT16, (INT8, INT16, FLOAT)) == (INT16, FLOAT)
    assert steps(SCHEMES["int4"], (INT8, INT16, FLOAT)) == (SCHEMES["int4"], INT8, INT16, FLOAT)
    assert steps(SCHEMES["dynamic"], (INT8, INT16, FLOAT)) == (SCHEMES["dynamic"], FLOAT)


def test_weights_of_four_bits_rise_to_eight(made: tuple[Quantizer, Dataset], kept: Cache) -> None:
    quantizer, data = made
    small = Quantizer(quantizer.graph, [sample.inputs for sample in data[:30]], pack, Plan(SCHEMES["int4"]))
    plan = small.plan
    assert lost(small, data, plan) > 0.25
    result = search(small, pack, data, TOP1, Budget(0.25))
    assert result.met
    assert lost(small, split(data, 0.5).measurement, result.plan) <= 1.0
    assert {unit.scheme for unit in result.raised} <= {"int8", "int16", "float"}
