"""Bias correction takes out what rounding adds to the mean of every channel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from passes.graphs import Maker
from quant.networks import depthwise, images, observe, pack, residual_network, scaled_conv
from reference_executor import ReferenceExecutor

from edgert.dtypes import DType
from edgert.ir import Graph, Node, Value
from edgert.ops import OPS_BY_NAME
from edgert.ops._enums import Activation
from edgert.quant.graph.clone import clone
from edgert.quant.graph.groups import activation_quants
from edgert.quant.graph.rewrite import quantize_graph
from edgert.quant.quantize import node_schemes
from edgert.quant.rounding.bias import correct_biases, mean_shift, response
from edgert.quant.schemes import Plan

rng = np.random.default_rng(12)
WEIGHTED = [
    ("fully_connected", (5, 6), {}),
    ("conv2d", (4, 3, 2, 6), {}),
    ("conv2d", (4, 3, 2, 3), {"groups": 2}),
    ("depthwise_conv2d", (2, 3, 12), {"multiplier": 2}),
]


@pytest.mark.parametrize(("op", "shape", "attrs"), WEIGHTED)
def test_the_shift_is_what_the_rounded_weights_add(op: str, shape: tuple[int, ...], attrs: dict[str, Any]) -> None:
    """Without borders the linear operator's mean output over constant channels is exact."""
    exact = rng.normal(size=shape).astype(np.float32)
    rounded = np.round(exact * 4) / 4
    channels = rng.normal(size=6)
    image = (1, 6) if op == "fully_connected" else (1, 5, 5, 6)
    x = np.broadcast_to(channels.astype(np.float32), image)

    def mean_output(weights: np.ndarray) -> np.ndarray:
        make = Maker()
        graph = make.outputs(make.op(op, make.input(*image), weights.astype(np.float32), **attrs))
        y = ReferenceExecutor(graph).run(np.ascontiguousarray(x))[0]
        return y.reshape(-1, y.shape[-1]).astype(np.float64).mean(axis=0)

    make = Maker()
    y = make.op(op, make.input(*image), exact, **attrs)
    node = make.outputs(y).nodes[0]
    np.testing.assert_allclose(response(op, exact, channels), mean_output(exact), rtol=1e-4, atol=1e-5)
    expected = mean_output(rounded) - mean_output(exact)
    np.testing.assert_allclose(mean_shift(node, rounded, channels), expected, rtol=1e-3, atol=1e-4)


def test_response_refuses_other_operators() -> None:
    with pytest.raises(ValueError, match="softmax is no weighted operator"):
        response("softmax", np.zeros((1, 1)), np.zeros(1))


def mean_errors(graph: Graph, correct: bool, inputs: list[np.ndarray]) -> np.ndarray:
    """Mean error of every channel of the output, in the output's units, over the inputs."""
    histograms = observe(graph, inputs)
    rounded = clone(graph)
    schemes = node_schemes(rounded, Plan(), "int8")
    made = quantize_graph(rounded, activation_quants(rounded, histograms, schemes), histograms, schemes)
    sources = made.sources
    if correct:
        means = {name: histogram.mean() for name, histogram in histograms.items()}
        samples = [{rounded.inputs[0].name: x} for x in inputs]
        correct_biases(rounded, sources, means, samples, pack)
        rounded.verify()
    exact = [ReferenceExecutor(graph).run(x)[0] for x in inputs]
    got = [ReferenceExecutor(rounded).run(x)[0] for x in inputs]
    errors = np.stack(got).astype(np.float64) - np.stack(exact)
    return errors.reshape(-1, errors.shape[-1]).mean(axis=0)


def half_step_inputs(graph: Graph) -> list[np.ndarray]:
    """Pixels that lie half a step off the quantised levels, as (p - 127.5) / 127.5 does: each is rounded the same way
    at an even step, so that the whole image shifts."""
    shape = graph.inputs[0].shape
    made = []
    for _ in range(6):
        steps = 2 * rng.integers(-64, 63, shape) + 0.5
        steps.flat[:2] = (-127.5, 127.5)
        made.append((steps / 127.5).astype(np.float32))
    return made


def test_a_shifted_input_is_corrected() -> None:
    make = Maker(seed=2)
    hidden = scaled_conv(make, make.input(1, 12, 12, 3), np.ones(6))
    deep = depthwise(make, hidden, Activation.NONE)
    graph = make.outputs(scaled_conv(make, deep, np.ones(5), Activation.NONE))
    inputs = half_step_inputs(graph)
    before, after = mean_errors(graph, False, inputs), mean_errors(graph, True, inputs)
    assert np.sqrt(np.square(after).mean()) < 0.5 * np.sqrt(np.square(before).mean())


def test_correction_is_repeatable_and_keeps_the_results_close() -> None:
    graph = residual_network()
    inputs = images(graph, 4)
    first, second = mean_errors(graph, True, inputs), mean_errors(graph, True, inputs)
    np.testing.assert_array_equal(first, second)
    assert np.abs(first).max() < 0.02  # of probabilities


def test_a_graph_with_variables_stays() -> None:
    make = Maker()
    x = make.input(1, 2, 2, 3)
    y = scaled_conv(make, x, np.ones(3), Activation.NONE)
    graph = make.outputs(y)
    histograms = observe(graph, images(graph, 2))
    schemes = node_schemes(graph, Plan(), "int8")
    sources = quantize_graph(graph, activation_quants(graph, histograms, schemes), histograms, schemes).sources
    state = Value("state", (1, 2, 2, 3), DType.FLOAT32, None, np.zeros((1, 2, 2, 3), np.float32), variable=True)
    graph.nodes.append(Node("assign", [state, y], [], OPS_BY_NAME["assign"].complete({}), "keep"))
    graph.verify()
    biases = [node.inputs[2].data for node in graph.nodes if node.op == "conv2d" and node.inputs[2] is not None]
    correct_biases(graph, sources, {}, [], pack)
    after = [node.inputs[2].data for node in graph.nodes if node.op == "conv2d" and node.inputs[2] is not None]
    assert len(biases) == 1
    assert all(a is b for a, b in zip(biases, after, strict=True))
