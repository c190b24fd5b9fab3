"""The choice between the ways to quantise, and the samples on which it is made."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from passes.graphs import Maker
from quant.networks import depthwise, images, pack, residual_network, scaled_conv

from edgert.ir import Graph
from edgert.ops._enums import Activation
from edgert.quant.graph.clone import clone
from edgert.quant.observe.measure import keep_results, run_all, sqnr
from edgert.quant.observe.samples import KeptSamples
from edgert.quant.quantize import quantize


def samples(graph: Graph, count: int = 8) -> list[dict[str, np.ndarray]]:
    return [{graph.inputs[0].name: x} for x in images(graph, count)]


def test_uneven_channels_are_equalised_and_gain() -> None:
    make = Maker(seed=1)
    hidden = scaled_conv(make, make.input(1, 8, 8, 3), np.geomspace(0.05, 3.0, 16))
    deep = depthwise(make, hidden, bias=0.0)
    weights = make.rng.normal(size=(4, 1, 1, 16)) / np.geomspace(0.05, 3.0, 16)  # narrow channels matter as much
    graph = make.outputs(make.op("conv2d", deep, weights.astype(np.float32), make.weights(4)))
    given = samples(graph)
    exact = run_all(pack(clone(graph)), given)
    tried = quantize(graph, given, pack)
    plain = next(choice for choice in tried if choice.strength == 0.0)
    assert tried[0].strength > 0.0
    assert tried[0].sqnr > plain.sqnr + 6.0
    assert tried[0].sqnr == pytest.approx(max(choice.sqnr for choice in tried), abs=0.5)
    assert sqnr(exact, run_all(pack(clone(graph)), given)) == pytest.approx(tried[0].sqnr, abs=3.0)  # of two held back


def test_the_same_samples_give_the_same_bytes_however_they_come() -> None:
    def one_by_one(graph: Graph) -> Iterator[dict[str, np.ndarray]]:
        yield from samples(graph)

    packages = []
    for source in (samples, samples, one_by_one):
        graph = residual_network()
        quantize(graph, source(graph), pack)
        packages.append(pack(graph))
    assert packages[0] == packages[1] == packages[2]


def test_progress_is_told() -> None:
    graph = residual_network()
    told: list[tuple[str, int, int | None]] = []
    tried = quantize(graph, samples(graph, 3), pack, progress=lambda *words: told.append(words))
    assert told[:3] == [("calibrate", 1, 3), ("calibrate", 2, 3), ("calibrate", 3, 3)]
    assert [words[:2] for words in told[3:]] == [("quantise", count) for count in range(len(tried) + 1)]


def test_results_are_measured_before_the_float_tail() -> None:
    graph = residual_network()
    names = [node.inputs[0].name for node in graph.nodes if node.op == "softmax" and node.inputs[0] is not None]
    keep_results(graph)
    graph.verify()
    assert [value.name for value in graph.outputs] == names
    assert graph.nodes[-1].op == "fully_connected"


def test_results_that_no_tail_computes_are_measured_too() -> None:
    make = Maker()
    hidden = scaled_conv(make, make.input(1, 4, 4, 3), np.ones(2), Activation.NONE)
    scores = make.op("softmax", hidden, axis=3)
    graph = make.outputs(hidden, scores)
    keep_results(graph)
    assert graph.outputs == [hidden]


def test_sqnr() -> None:
    x = np.array([3.0, 4.0])
    tenth, hundredth = np.array([3.0, 4.5]), np.array([3.05, 4.0])
    assert sqnr([x], [tenth]) == pytest.approx(20.0)
    assert sqnr([x, x], [tenth, hundredth]) == pytest.approx(30.0)  # 20 and 40
    assert sqnr([x], [x]) == 200.0
    assert sqnr([np.zeros(2)], [x]) == 200.0  # a result that is always zero tells nothing


def test_kept_samples_are_evenly_spread_within_the_budget() -> None:
    kept = KeptSamples(budget_bytes=10 * 8)
    passed = list(kept.passing({"x": np.array([float(i)])} for i in range(100)))
    assert [sample["x"][0] for sample in passed] == list(range(100))
    values = [sample["x"][0] for sample in kept.some(1000)]
    assert 5 <= len(values) <= 10
    assert len(set(np.diff(values))) == 1
    assert [s["x"][0] for s in kept.some(2)] == [values[0], values[-1]]


def test_one_sample_larger_than_the_budget_is_kept() -> None:
    kept = KeptSamples(budget_bytes=8)
    list(kept.passing([{"x": np.zeros(100)}, {"x": np.ones(100)}]))
    assert len(kept.some(16)) == 1
