"""Tensors of two models compared layer by layer, and the layer that costs most."""

from __future__ import annotations

import math

import numpy as np
import pytest
from passes.graphs import Maker
from report.twin_models import CHANNELS, accumulator, chain, paired_samples, twins

from edgert.errors import InputError
from edgert.pack.metadata import Metadata
from edgert.pack.writer import write
from edgert.report.inputs import Spread
from edgert.report.quantisation import culprit as culprit_module
from edgert.report.quantisation.culprit import find_culprit
from edgert.report.quantisation.layers import COLUMNS, compare_layers, ranked, row
from edgert.report.quantisation.twins import CHOICES, Twins, noted
from edgert.runtime.model import Model


def test_a_model_equals_itself() -> None:
    pair = twins(chain(4), chain(4))
    samples = paired_samples(pair)
    layers, count = compare_layers(pair, samples)
    assert count == len(samples)
    assert [layer.pair.name for layer in layers] == ["layer0", "layer1", "layer2", "layer3"]
    assert all(layer.difference.different == layer.own.different == 0 for layer in layers)
    assert find_culprit(pair, samples) is None


def test_error_is_told_where_it_arises_and_how_it_spreads() -> None:
    pair = twins(chain(6), chain(6, noise={3: 0.05}))
    layers, _ = compare_layers(pair, paired_samples(pair))
    assert [math.isinf(layer.difference.sqnr_db) for layer in layers] == [True, True, True, False, False, False]
    assert [math.isinf(layer.own.sqnr_db) for layer in layers] == [True, True, True, False, True, True]
    assert layers[3].own.sqnr_db == layers[3].difference.sqnr_db
    assert ranked(layers, "own")[0].order == 3
    assert {layer.order for layer in ranked(layers, "sqnr")[:3]} == {3, 4, 5}
    by_cosine = [layer.difference.cosine for layer in ranked(layers, "cosine")]
    assert by_cosine == sorted(by_cosine)
    assert [layer.order for layer in ranked(layers, "order")] == list(range(6))
    assert len(row(layers[0])) == len(COLUMNS)


def brute_force(pair: Twins, samples: list) -> int:
    """The layer that costs most when every one is tried."""
    prober = culprit_module._Prober(pair, samples, None)
    return int(np.argmax([prober.error(k, k + 1) for k in range(len(pair.first))]))


@pytest.mark.parametrize("costly", [0, 4, 9, 15])
def test_the_costliest_layer_is_found_in_few_runs(costly: int) -> None:
    noise = dict.fromkeys(range(16), 0.002) | {costly: 0.1}
    pair = twins(chain(16), chain(16, noise))
    samples = paired_samples(pair)
    found = find_culprit(pair, samples)
    assert found is not None
    assert found.order == costly == brute_force(pair, samples)
    assert found.pair.name == f"layer{costly}"
    assert found.share > 0.3
    assert found.sqnr_db > found.total_db - 1.0
    assert len(found.probes) == 9  # all, and two halves four times
    assert f"layer{costly} (conv2d, layer {costly} of 16)" in str(found)
    assert found.as_json()["share"] == found.share
    (alone,) = (probe for probe in found.probes if probe.first == probe.last == costly)
    assert alone.sqnr_db == found.sqnr_db


def test_among_equal_layers_the_search_agrees_with_trying_all() -> None:
    rng = np.random.default_rng(7)
    pair = twins(chain(12), chain(12, dict(enumerate(rng.uniform(0.01, 0.02, 12)))))
    samples = paired_samples(pair)
    found = find_culprit(pair, samples)
    assert found is not None
    assert found.order == brute_force(pair, samples)


def test_the_search_ends_after_most_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(culprit_module, "MOST_PROBES", 4)
    pair = twins(chain(16), chain(16, dict.fromkeys(range(16), 0.01)))
    found = find_culprit(pair, paired_samples(pair))
    assert found is not None
    assert 0 <= found.order < 16
    assert len(found.probes) == 9


def test_rescaled_channels_are_compared_by_their_shape() -> None:
    factors = {1: np.geomspace(0.01, 1.0, CHANNELS)}
    spoilt = {3: 0.05}
    named = twins(chain(5), chain(5, spoilt, factors, rescaled=["layer1"]))
    samples = paired_samples(named)
    named.fit_factors(samples)
    fitted = named.factors(named.first[1])
    assert fitted is not None
    alive = named.exact_values(named.first[1]).reshape(-1, CHANNELS).max(axis=0) > 0
    np.testing.assert_allclose(fitted[alive], factors[1][alive], rtol=1e-3)
    layers, _ = compare_layers(named, samples)
    assert layers[1].difference.sqnr_db > 100
    assert layers[2].own.sqnr_db > 100  # what it was given had its channels' factors, too
    assert row(layers[1])[3] == "float32*"
    found = find_culprit(named, samples)
    assert found is not None
    assert found.order == 3

    unnamed = twins(chain(5), chain(5, spoilt, factors))
    unnamed.fit_factors(samples)
    assert compare_layers(unnamed, samples)[0][1].difference.sqnr_db < 20


def test_state_flows_from_sample_to_sample_and_own_errors_do_not_add_up() -> None:
    pair = twins(accumulator(1.0), accumulator(1.25))
    samples = paired_samples(pair, 8)
    layers, _ = compare_layers(pair, samples)
    by_name = {layer.pair.name: layer for layer in layers}
    assert by_name["scaled"].own.sqnr_db == pytest.approx(20 * math.log10(1 / 0.25))
    assert by_name["after"].own.sqnr_db > 100  # the sum itself is exact: its state is the float model's
    assert math.isinf(by_name["result"].own.sqnr_db)
    assert by_name["result"].difference.sqnr_db == pytest.approx(20 * math.log10(1 / 0.25), abs=0.01)
    again, _ = compare_layers(pair, samples)
    assert [layer.difference for layer in again] == [layer.difference for layer in layers]
    found = find_culprit(pair, samples)
    assert found is not None
    assert found.pair.name == "scaled"


def test_models_of_different_sources_have_nothing_to_compare() -> None:
    with pytest.raises(InputError, match="no computed tensor of the same name"):
        twins(chain(3), accumulator(1.0))


def test_no_sample_is_an_error() -> None:
    pair = twins(chain(2), chain(2))
    with pytest.raises(InputError, match="no sample"):
        compare_layers(pair, [])


DEEP = '{"a": ' + "[" * 200 + "]" * 200 + "}"


@pytest.mark.parametrize("text", ["", "{", "[1]", "7", "[" * 5000, '{"rescaled": 3}', DEEP])
def test_metadata_of_a_stranger_are_read_with_care(text: str) -> None:
    make = Maker()
    package = write(make.outputs(make.conv(make.input(1, 2, 2, 3), 4)), Metadata(entries=(("quantization", text),)))
    model = Model(package, keep_all_tensors=True)
    assert noted(model, CHOICES) == ({"rescaled": 3} if "rescaled" in text else {})
    Twins(model, Model(package, keep_all_tensors=True))


def test_samples_are_spread_evenly_and_read_again() -> None:
    spread = Spread(lambda: range(100), most=11)
    numbers = list(spread)
    assert (numbers[0], numbers[-1]) == (0, 99)
    assert set(np.diff(numbers)) <= {9, 10}
    assert list(spread) == list(spread)
    assert len(list(spread)) == spread.count == 11
    assert set(spread.some(4)) <= set(spread)
    assert len(list(spread.some(4))) == 4
    assert list(Spread(lambda: range(3), most=8)) == [0, 1, 2]
    assert list(Spread(lambda: range(0))) == []
