"""Normalisations stay float32, and what they gain by it."""

from __future__ import annotations

import numpy as np
import pytest
from passes.graphs import Maker
from quant.networks import images, pack
from reference_executor import ReferenceExecutor

from edgert.ir import Graph, Value
from edgert.ops._enums import BinaryFunction, ReduceFunction, UnaryFunction
from edgert.quant.graph.norms import float_norms
from edgert.quant.quantize import quantize

EPSILON = 1e-6


def average(m: Maker, x: Value) -> Value:
    return m.op("reduce", x, function=ReduceFunction.MEAN, axes=(2,), keep_dims=True)


def rooted(m: Maker, x: Value, function: UnaryFunction) -> Value:
    power = average(m, m.op("unary", x, function=UnaryFunction.SQUARE))
    return m.op("unary", m.op("add", power, EPSILON), function=function)


def layer_norm(m: Maker, x: Value) -> Value:
    centred = m.op("sub", x, average(m, x))
    y = m.op("mul", centred, rooted(m, centred, UnaryFunction.RSQRT))
    return m.op("add", m.op("mul", y, m.weights(x.shape[-1])), m.weights(x.shape[-1]))


def divided_layer_norm(m: Maker, x: Value) -> Value:
    centred = m.op("sub", x, average(m, x))
    return m.op("binary", centred, rooted(m, centred, UnaryFunction.SQRT), function=BinaryFunction.DIV)


def folded_layer_norm(m: Maker, x: Value) -> Value:
    """As Keras writes it: x * (gamma * rsqrt) + (beta - mean * gamma * rsqrt)."""
    mean = average(m, x)
    centred = m.op("sub", x, mean)
    factor = m.op("mul", rooted(m, centred, UnaryFunction.RSQRT), m.weights(x.shape[-1]))
    offset = m.op("sub", m.weights(x.shape[-1]), m.op("mul", mean, factor))
    return m.op("add", m.op("mul", x, factor), offset)


def rms_norm(m: Maker, x: Value) -> Value:
    return m.op("mul", m.op("mul", x, rooted(m, x, UnaryFunction.RSQRT)), m.weights(x.shape[-1]))


def l2_norm(m: Maker, x: Value) -> Value:
    total = m.op("reduce", m.op("mul", x, x), function=ReduceFunction.SUM, axes=(2,), keep_dims=True)
    root = m.op("unary", total, function=UnaryFunction.SQRT)
    return m.op("mul", x, m.op("unary", root, function=UnaryFunction.RECIPROCAL))


NORMS = (layer_norm, divided_layer_norm, folded_layer_norm, rms_norm, l2_norm)


def network(norm, m: Maker) -> Graph:
    """A dense layer, a residual around a normalisation and a dense layer, as a transformer's block has them."""
    x = m.op("fully_connected", m.input(1, 6, 16), m.weights(16, 16), m.weights(16))
    y = m.op("fully_connected", norm(m, x), m.weights(16, 16))
    return m.outputs(m.op("fully_connected", m.op("add", x, y), m.weights(4, 16)))


@pytest.mark.parametrize("norm", NORMS)
def test_a_norm_is_found_and_nothing_else(norm) -> None:
    m = Maker()
    graph = network(norm, m)
    others = {"fully_connected"}
    found = float_norms(graph)
    assert [node for node in graph.nodes if node not in found and node.op not in others] == [
        next(node for node in reversed(graph.nodes) if node.op == "add")  # the residual
    ]
    assert not any(node.op in others for node in found)


def test_roots_of_other_things_are_no_norms() -> None:
    m = Maker()
    x = m.input(1, 6, 16)
    magnitude = m.op("unary", m.op("add", m.op("mul", x, x), 1.0), function=UnaryFunction.SQRT)
    pooled = m.op("unary", average(m, x), function=UnaryFunction.RSQRT)
    assert not float_norms(m.outputs(magnitude, pooled))


@pytest.mark.parametrize("norm", NORMS)
def test_rows_of_very_different_size_keep_their_digits(norm) -> None:
    """One row is a fortieth of the others; with the norm in int8 it came out with -2 to 12 decibels."""
    m = Maker()
    x = m.input(1, 6, 16)
    y = m.op("fully_connected", norm(m, x), m.weights(16, 16))
    graph = m.outputs(m.op("fully_connected", y, m.weights(4, 16)))
    arrays = images(graph, 16)
    for array in arrays:
        array[:, 0] /= 40
    exact = np.concatenate([ReferenceExecutor(graph).run(array)[0] for array in arrays])
    quantize(graph, [{graph.inputs[0].name: array} for array in arrays], pack)
    noise = np.concatenate([ReferenceExecutor(graph).run(array)[0] for array in arrays]) - exact
    for rows in (slice(0, 1), slice(1, None)):
        assert 10 * np.log10(np.square(exact[:, rows]).mean() / np.square(noise[:, rows]).mean()) > 30
