"""Equalisation keeps what a float network computes, and brings its channels to one range."""

from __future__ import annotations

import numpy as np
import pytest
from passes.graphs import Maker
from quant.networks import depthwise, images, node, observe, residual_network, scaled_conv
from reference_executor import ReferenceExecutor

from edgert.ir import Graph, Value
from edgert.ops._enums import Activation, UnaryFunction
from edgert.quant.graph.clone import clone
from edgert.quant.rounding.equalize import channel_factors, equalize


def assert_same_function(graph: Graph, changed: Graph, inputs: list[np.ndarray]) -> None:
    for x in inputs:
        expected, got = ReferenceExecutor(graph).run(x), ReferenceExecutor(changed).run(x)
        for a, b in zip(expected, got, strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5 * float(np.abs(a).max()))


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_the_float_function_stays(strength: float) -> None:
    graph = residual_network()
    equalized = clone(graph)
    assert equalize(equalized, observe(graph, images(graph, 4)), strength)
    equalized.verify()
    assert_same_function(graph, equalized, images(graph, 5, seed=77))  # others than those of calibration


def test_tied_channels_share_their_factor() -> None:
    graph = residual_network()
    factors = channel_factors(graph, observe(graph, images(graph, 4)), 1.0)
    add, pool, concat = node(graph, "add"), node(graph, "max_pool2d"), node(graph, "concat")
    flat = node(graph, "reshape")
    for value in (*add.inputs, pool.inputs[0], pool.output):
        np.testing.assert_array_equal(factors[value], factors[add.output])
    np.testing.assert_array_equal(factors[concat.output], np.concatenate([factors[v] for v in concat.inputs]))
    np.testing.assert_array_equal(factors[flat.output], np.tile(factors[flat.inputs[0]], 16))
    assert factors[add.output].min() < 0.9
    for value in (*graph.inputs, *graph.outputs, node(graph, "softmax").inputs[0]):
        assert (factors[value] == 1.0).all()


def test_full_strength_brings_every_channel_to_half_of_the_range_at_least() -> None:
    make = Maker(seed=1)
    hidden = scaled_conv(make, make.input(1, 6, 6, 3), np.array([0.05, 0.2, 0.5, 1.0]))
    deep = depthwise(make, hidden)
    graph = make.outputs(scaled_conv(make, deep, np.ones(2), Activation.NONE))
    inputs = images(graph, 3)
    before = observe(graph, inputs)[hidden.name].channel_reach()
    assert before.max() / before.min() > 5
    equalized = clone(graph)
    equalize(equalized, observe(graph, inputs), 1.0)
    after = observe(equalized, inputs)
    for value in (hidden, deep):
        reach = after[value.name].channel_reach()
        assert reach.min() >= 0.499 * reach.max()  # a factor of 2 is left for what was not seen
    np.testing.assert_allclose(after[hidden.name].channel_reach().max(), before.max(), rtol=1e-4)


def test_silent_channels_stay() -> None:
    make = Maker()
    weights = np.array([[0.1, 0.1, 0.1], [-1e-3, 0, 0]]).reshape(2, 1, 1, 3)
    bias = np.array([0.0, -5.0])  # the second channel never gets past the ReLU
    x = make.input(1, 4, 4, 3)
    hidden = make.op("conv2d", x, weights.astype(np.float32), bias.astype(np.float32), activation=Activation.RELU)
    graph = make.outputs(scaled_conv(make, hidden, np.ones(2)))
    factors = channel_factors(graph, observe(graph, images(graph, 2)), 1.0)[hidden]
    np.testing.assert_array_equal(factors, [1.0, 1.0])


def test_channels_that_reach_the_clip_of_relu6_stay() -> None:
    make = Maker()
    x = make.input(1, 6, 6, 3)
    hidden = scaled_conv(make, x, np.array([0.3, 0.5, 8.0]), Activation.RELU6)
    graph = make.outputs(scaled_conv(make, hidden, np.ones(2), Activation.NONE))
    inputs = images(graph, 4)
    seen = observe(graph, inputs)
    reach = seen[hidden.name].channel_reach()
    assert reach[2] == 6.0
    assert reach[:2].max() < 5.0
    factors = channel_factors(graph, seen, 1.0)[hidden]
    assert factors[2] == 1.0
    assert (reach / factors >= 2.999).all()
    assert (reach / factors <= 6.0).all()
    equalized = clone(graph)
    assert equalize(equalized, seen, 1.0)
    assert_same_function(graph, equalized, inputs)


def activated(function: UnaryFunction) -> tuple[Graph, Value]:
    make = Maker()
    hidden = scaled_conv(make, make.input(1, 4, 4, 3), np.array([0.1, 1.0, 3.0]), Activation.NONE)
    after = make.op("unary", hidden, function=function, alpha=0.1)
    return make.outputs(scaled_conv(make, after, np.ones(2))), hidden


def test_homogeneous_functions_pass_the_factor_on() -> None:
    graph, hidden = activated(UnaryFunction.LEAKY_RELU)
    seen = observe(graph, images(graph, 3))
    assert channel_factors(graph, seen, 1.0)[hidden].min() < 0.5
    equalized = clone(graph)
    assert equalize(equalized, seen, 1.0)
    assert_same_function(graph, equalized, images(graph, 3, seed=8))


@pytest.mark.parametrize("function", [UnaryFunction.SIGMOID, UnaryFunction.HARD_SWISH, UnaryFunction.TANH])
def test_other_functions_pin_their_channels(function: UnaryFunction) -> None:
    graph, hidden = activated(function)
    seen = observe(graph, images(graph, 3))
    assert (channel_factors(graph, seen, 1.0)[hidden] == 1.0).all()
    assert not equalize(graph, seen, 1.0)


def test_a_gate_keeps_its_own_scale() -> None:
    make = Maker()
    hidden = scaled_conv(make, make.input(1, 4, 4, 3), np.array([0.1, 1.0, 3.0]))
    gate = make.op("unary", make.op("reduce", hidden, function=0, axes=(1, 2), keep_dims=True), function=5)
    gated = make.op("mul", hidden, gate)
    # The mean that feeds the sigmoid needs the true values, and so pins what it reads.
    pinned = make.outputs(scaled_conv(make, gated, np.ones(2)))
    assert not equalize(pinned, observe(pinned, images(pinned, 2)), 1.0)

    make = Maker()
    hidden = scaled_conv(make, make.input(1, 4, 4, 3), np.array([0.1, 1.0, 3.0]))
    squeezed = scaled_conv(make, make.op("reduce", hidden, function=0, axes=(1, 2), keep_dims=True), np.ones(3))
    gated = make.op("mul", hidden, make.op("unary", squeezed, function=5))
    graph = make.outputs(scaled_conv(make, gated, np.ones(2)))
    seen = observe(graph, images(graph, 2))
    factors = channel_factors(graph, seen, 1.0)
    assert factors[gated].min() < 0.9
    np.testing.assert_array_equal(factors[gated], factors[hidden])
    equalized = clone(graph)
    assert equalize(equalized, seen, 1.0)
    assert_same_function(graph, equalized, images(graph, 3, seed=5))


def test_shared_weights_are_not_touched() -> None:
    make = Maker()
    hidden = scaled_conv(make, make.input(1, 4, 4, 3), np.array([0.1, 1.0, 3.0]))
    shared = make.weights(3, 1, 1, 3)
    second = make.op("conv2d", hidden, shared, activation=Activation.RELU)
    graph = make.outputs(make.op("conv2d", second, shared))
    assert shared.data is not None
    original = shared.data.copy()
    equalized = clone(graph)
    assert equalize(equalized, observe(graph, images(graph, 2)), 1.0)
    np.testing.assert_array_equal(shared.data, original)
    assert_same_function(graph, equalized, images(graph, 3, seed=5))


def test_grouped_and_multiplied_channels() -> None:
    make = Maker()
    hidden = scaled_conv(make, make.input(1, 4, 4, 3), np.array([0.1, 1.0, 3.0, 0.2]))
    kernel = make.rng.normal(size=(2, 2, 8)).astype(np.float32)
    wide = make.op("depthwise_conv2d", hidden, kernel, multiplier=2, activation=Activation.RELU)
    grouped = make.op("conv2d", wide, make.weights(6, 1, 1, 4), groups=2, activation=Activation.RELU)
    graph = make.outputs(scaled_conv(make, grouped, np.ones(2)))
    equalized = clone(graph)
    assert equalize(equalized, observe(graph, images(graph, 2)), 1.0)
    assert_same_function(graph, equalized, images(graph, 3, seed=5))
