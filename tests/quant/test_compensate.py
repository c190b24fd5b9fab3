"""Rounding with compensation: what it gains, what it keeps, and what it is told of a layer's inputs."""

from __future__ import annotations

import numpy as np
import pytest
from passes.graphs import Maker
from quant.networks import depthwise, images, pack, scaled_conv

from edgert.ops._enums import Activation
from edgert.quant.graph.clone import clone
from edgert.quant.graph.layers import node_schemes
from edgert.quant.observe.measure import sqnr
from edgert.quant.observe.moments import input_moments
from edgert.quant.quantize import Quantizer
from edgert.quant.rounding.compensate import CompensatingRounder, compensated
from edgert.quant.rounding.fine import layers_by_noise, second_terms, spared_layers
from edgert.quant.rounding.int4 import LARGEST_MULTIPLIER, RoundedWeights
from edgert.quant.rounding.weights import dequantized, nearest
from edgert.quant.schemes import INT16, SCHEMES, Plan, Weights, layer_name

KINDS = (Weights.INT8, Weights.INT4, Weights.INT4_BLOCK)


def correlated(rng: np.random.Generator, groups: int, columns: int) -> np.ndarray:
    """A covariance of few strong directions, as inputs of a layer have."""
    mixing = rng.normal(size=(groups, columns, columns)) * np.geomspace(1.0, 0.01, columns)
    return (mixing @ mixing.transpose(0, 2, 1)).astype(np.float32)


def noise(made: RoundedWeights, weights: np.ndarray, axis: int, covariance: np.ndarray) -> float:
    """The power that rounding adds to the outputs."""
    wrong = np.moveaxis(dequantized(made).astype(np.float64) - weights, axis, 0)
    rows = wrong.reshape(len(covariance), -1, covariance.shape[1])
    return float(np.einsum("grk,gkl,grl->", rows, covariance.astype(np.float64), rows))


SHAPES = [  # of weights, axis of the output channels, groups
    ((20, 70), 0, 1),  # fully connected
    ((12, 1, 1, 40), 0, 1),
    ((12, 3, 3, 5), 0, 3),  # grouped
    ((3, 3, 8), 2, 8),  # depthwise
    ((3, 3, 8), 2, 4),  # depthwise with two filters a channel
]
# Four bits are for output channels that come first.
CASES = [(*shape, kind) for shape in SHAPES for kind in (KINDS if shape[1] == 0 else KINDS[:1])]


@pytest.mark.parametrize(("shape", "axis", "groups", "kind"), CASES)
def test_correlated_inputs_let_errors_make_up_for_one_another(
    shape: tuple[int, ...], axis: int, groups: int, kind: Weights
) -> None:
    rng = np.random.default_rng(1)
    weights = rng.normal(size=shape).astype(np.float32)
    covariance = correlated(rng, groups, weights.size // shape[axis])
    made, plain = compensated(weights, axis, kind, None, covariance), nearest(weights, axis, kind, None)
    assert noise(made, weights, axis, covariance) < 0.5 * noise(plain, weights, axis, covariance)
    assert made.data.shape == shape
    assert len(made.params.scales) == shape[axis]
    limit = {Weights.INT8: 127, Weights.INT4: 7, Weights.INT4_BLOCK: 7 * LARGEST_MULTIPLIER}[kind]
    assert np.abs(made.data.astype(int)).max() <= limit


def test_independent_inputs_gain_nothing_and_lose_nothing() -> None:
    rng = np.random.default_rng(2)
    weights = rng.normal(size=(8, 30)).astype(np.float32)
    identity = np.eye(30, dtype=np.float32)[None]
    made, plain = compensated(weights, 0, Weights.INT8, None, identity), nearest(weights, 0, Weights.INT8, None)
    np.testing.assert_array_equal(made.data, plain.data)


@pytest.mark.parametrize("kind", KINDS)
def test_silent_inputs_and_silent_weights(kind: Weights) -> None:
    """Channels that the samples never lit, and rows of zeros."""
    rng = np.random.default_rng(3)
    weights = rng.normal(size=(6, 40)).astype(np.float32)
    weights[2] = 0.0
    covariance = correlated(rng, 1, 40)
    covariance[:, 10:20] = covariance[:, :, 10:20] = 0.0
    made = compensated(weights, 0, kind, None, covariance)
    assert not made.data[2].any()
    assert np.isfinite(made.params.scales).all()
    step = np.array(made.params.scales)[:, None] * (LARGEST_MULTIPLIER if kind == Weights.INT4_BLOCK else 1)
    assert (np.abs(dequantized(made) - weights) <= 20 * step + 1e-6).all()  # nothing runs away
    silent = compensated(weights, 0, kind, None, np.zeros((1, 40, 40), np.float32))
    plain = nearest(weights, 0, kind, None)
    wrong, wrong_before = (float(np.square(dequantized(each) - weights).sum()) for each in (silent, plain))
    assert wrong <= wrong_before * 1.000001


@pytest.mark.parametrize("kind", KINDS)
def test_scales_are_no_less_than_a_bias_needs(kind: Weights) -> None:
    rng = np.random.default_rng(4)
    weights = rng.normal(size=(5, 40)).astype(np.float32)
    least = np.array([0.0, 0.0, 1.0, 0.0, 0.3])
    made = compensated(weights, 0, kind, least, correlated(rng, 1, 40))
    assert (np.array(made.params.scales) >= np.float32(least) * 0.999999).all()


def test_parts_of_long_rows_are_rounded_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgert.quant.rounding.compensate._MOST_COLUMNS", 50)
    monkeypatch.setattr("edgert.quant.rounding.compensate._TOGETHER", 16)
    rng = np.random.default_rng(5)
    weights = rng.normal(size=(8, 120)).astype(np.float32)
    covariance = correlated(rng, 1, 120)
    made, plain = (f(covariance) for f in (lambda c: compensated(weights, 0, Weights.INT4, None, c),
                                           lambda c: nearest(weights, 0, Weights.INT4, None)))  # fmt: skip
    assert noise(made, weights, 0, covariance) < 0.5 * noise(plain, weights, 0, covariance)


def test_moments_are_covariances_of_windows() -> None:
    """Of every kind of layer, against windows that are cut out one by one."""
    make = Maker(seed=3)
    hidden = depthwise(make, scaled_conv(make, make.input(1, 5, 4, 3), np.ones(4)))
    kernel = make.rng.normal(size=(6, 2, 3, 2)).astype(np.float32)
    hidden = make.op("conv2d", hidden, kernel, groups=2, pad_left=1, stride_w=2)
    flat = make.op("reshape", hidden, shape=(1, 4 * 2 * 6))
    graph = make.outputs(make.op("fully_connected", flat, make.weights(3, 48)))
    samples = [{graph.inputs[0].name: x} for x in images(graph, 40)]
    found = input_moments(graph, pack(clone(graph)), samples)
    layers = [n for n in graph.nodes if n.op != "reshape"]
    assert list(found) == [layer_name(n) for n in layers]
    assert [found[layer_name(n)].shape for n in layers] == [(1, 3, 3), (4, 9, 9), (2, 12, 12), (1, 48, 48)]

    rows = np.concatenate([sample[graph.inputs[0].name].reshape(-1, 3) for sample in samples]).astype(np.float64)
    np.testing.assert_allclose(found[layer_name(layers[0])][0], np.cov(rows.T, bias=True), rtol=1e-4, atol=1e-5)

    from reference_executor import ReferenceExecutor

    runs = [ReferenceExecutor(graph).all_values([s[graph.inputs[0].name]]) for s in samples]
    by_name = [{value.name: array for value, array in run.items()} for run in runs]
    source = layers[2].inputs[0]
    assert source is not None
    windows = []
    for run in by_name:
        image = np.pad(run[source.name][0], ((0, 0), (1, 0), (0, 0)))
        windows += [image[y : y + 2, x : x + 3, 2:].reshape(-1) for y in range(4) for x in (0, 2)]
    wanted = np.cov(np.array(windows, np.float64).T, bias=True)
    np.testing.assert_allclose(found[layer_name(layers[2])][1], wanted, rtol=1e-3, atol=1e-4)


def test_few_windows_are_drawn_of_many_and_the_same_ones_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgert.quant.observe.moments._ROWS", 16)
    make = Maker()
    graph = make.outputs(scaled_conv(make, make.input(1, 16, 16, 3), np.ones(2)))
    samples = [{graph.inputs[0].name: x} for x in images(graph, 4)]
    once, again = (input_moments(graph, pack(clone(graph)), samples) for _ in range(2))
    (name,) = once
    np.testing.assert_array_equal(once[name], again[name])
    pixels = np.concatenate([sample[graph.inputs[0].name].reshape(-1, 3) for sample in samples])
    assert not np.allclose(once[name][0], np.cov(pixels.T, bias=True), rtol=1e-3)
    assert np.linalg.matrix_rank(once[name][0]) == 3


def test_a_rounder_leaves_to_the_nearest_step_what_it_knows_nothing_of() -> None:
    make = Maker()
    graph = make.outputs(scaled_conv(make, make.input(1, 4, 4, 3), np.ones(2)))
    (layer,) = graph.nodes
    weights = layer.inputs[1]
    assert weights is not None
    assert weights.data is not None
    made = CompensatingRounder({}).rounded(layer, 1, 0, Weights.INT8)
    assert made is not None
    np.testing.assert_array_equal(made.data, nearest(weights.data, 0, Weights.INT8, None).data)


def test_second_terms_for_no_more_layers_than_the_promise_takes() -> None:
    names = [f"layer{i}" for i in range(10)]
    asked: list[int] = []

    def measure(fine: tuple[str, ...]) -> float:
        asked.append(len(fine))
        assert fine == tuple(names[: len(fine)])
        return 30.0 + 4.0 * len(fine)

    assert second_terms(names, measure, plain=30.0, int8=20.0) == tuple(names[:4])  # 20 + 20 + a margin of 3
    assert len(asked) <= 5
    assert second_terms(names, measure, plain=50.0, int8=20.0) == ()
    assert second_terms([], measure, plain=30.0, int8=20.0) == ()
    assert second_terms(names, measure, plain=30.0, int8=90.0) == tuple(names)  # out of reach, and a gain
    assert second_terms(names, lambda fine: 31.0, plain=30.0, int8=90.0) == ()  # out of reach, and none


def test_as_few_layers_are_spared_as_come_near_to_int8() -> None:
    names = [f"layer{i}" for i in range(8)]
    assert spared_layers(names, lambda spared: 30.0, plain=27.0) == ()  # good enough
    assert spared_layers(names, lambda spared: 10.0 + len(spared) / 2, plain=10.0) == tuple(names[:7])  # 14 - 0.5
    assert spared_layers(names, lambda spared: 12.0 + 3 * len(spared), plain=12.0) == tuple(names[:5])  # 26
    assert spared_layers(names, lambda spared: 18.0, plain=17.5) == ()


def test_int16_keeps_its_promise() -> None:
    """Where rounding to eight bits is nearly all of the noise, some layers have two terms, and 20 dB more than int8."""
    make = Maker(seed=6)
    hidden = make.input(1, 4, 4, 8)
    for _ in range(3):
        hidden = scaled_conv(make, hidden, np.ones(16))
    graph = make.outputs(scaled_conv(make, hidden, np.ones(4), Activation.NONE))
    samples = [{graph.inputs[0].name: x} for x in images(graph, 12)]
    others = images(graph, 6, seed=11)
    exact = [np.stack([_run(pack(clone(graph)), x) for x in others])]
    found = {}
    for name in ("int8", "int16"):
        quantizer = Quantizer(graph, samples, pack, Plan(SCHEMES[name]))
        package = pack(quantizer.quantized())
        found[name] = sqnr(exact, [np.stack([_run(package, x) for x in others])])
    assert found["int16"] > found["int8"] + 20.0
    schemes = node_schemes(graph, Plan(INT16), "float")
    names = layers_by_noise(graph, schemes, lambda scheme: scheme == INT16)
    assert sorted(names) == sorted(layer_name(n) for n in graph.nodes)
    fine = quantizer.choose()[0].fine
    assert fine == tuple(names[: len(fine)])
    assert fine


def _run(package: bytes, x: np.ndarray) -> np.ndarray:
    import edgert

    return np.asarray(edgert.Model(package)(x), np.float64)
