"""Transposes go where they cancel; what a graph computes stays."""

from __future__ import annotations

import random

import numpy as np
import pytest

from edgert.dtypes import DType, QuantParams
from edgert.ops._enums import BinaryFunction, CompareFunction, ReduceFunction, UnaryFunction
from edgert.passes.fold_constants import fold_constants
from edgert.passes.layout import layout
from passes.graphs import Maker, ops, run_kept

QUANT = QuantParams((0.05,), (3,))


def between(middle):
    """A graph NHWC -> NCHW, what `middle` makes there, -> NHWC, between two convolutions."""
    m = Maker()
    x = m.input(1, 4, 5, 6)
    y = middle(m, m.nchw(m.conv(x, 8)))
    return m.outputs(m.conv(m.nhwc(y), 3))


@pytest.mark.parametrize(
    "middle",
    [
        lambda m, y: y,
        lambda m, y: m.op("unary", y, function=UnaryFunction.TANH),
        lambda m, y: m.op("mul", y, m.weights(8, 1, 1)),
        lambda m, y: m.op("add", m.weights(1, 8, 4, 5), y),
        lambda m, y: m.op("sub", 1.0, y),
        lambda m, y: m.op("add", y, m.op("unary", y, function=UnaryFunction.ABS)),
        lambda m, y: m.op("binary", y, m.weights(5), function=BinaryFunction.MAXIMUM),
        lambda m, y: m.op("prelu", y, m.weights(8, 1, 1)),
        lambda m, y: m.op("select", m.op("compare", y, 0.0, function=CompareFunction.GREATER), y, m.weights(8, 1, 1)),
        lambda m, y: m.op("concat", y, m.op("unary", y, function=UnaryFunction.NEG), axis=1),
        lambda m, y: m.op("pad", y, before=(0, 1, 2, 0), after=(0, 0, 0, 3)),
        lambda m, y: m.op("slice", y, begin=(0, 2, 0, 1), end=(1, 8, 4, 5), strides=(1, 2, 1, 3)),
        lambda m, y: m.op("softmax", y, axis=1),
        lambda m, y: m.op("log_softmax", y, axis=-3),
        lambda m, y: m.op("reduce", y, function=ReduceFunction.MEAN, axes=(2, 3), keep_dims=True),
        lambda m, y: m.op("reduce", y, function=ReduceFunction.MAX, axes=(1,), keep_dims=True),
        lambda m, y: m.op("gather", y, m.constant(np.asarray([3, 1], np.int32)), axis=1),
        # groups of channels apart and together again, the pixels staying dimensions of their own
        lambda m, y: m.op("reshape", m.op("unary", m.op("reshape", y, shape=(1, 2, 4, 4, 5)),
            function=UnaryFunction.TANH), shape=(1, 8, 4, 5)),
        # squeeze and excitation: a mean, two dense layers, a product with a vector of channels
        lambda m, y: m.op("mul", y, m.op("unary", m.op("reshape", m.op("fully_connected", m.op(
            "reduce", y, function=ReduceFunction.MEAN, axes=(2, 3), keep_dims=False), m.weights(8, 8)),
            shape=(1, 8, 1, 1)), function=UnaryFunction.SIGMOID)),
    ],
)  # fmt: skip
def test_transposes_cancel_through(middle):
    graph = between(middle)
    assert run_kept(graph, layout)
    assert "transpose" not in ops(graph)
    assert not layout(graph)


def test_quantised_activations_move_as_int8():
    """A transpose at an input ends up between quantize and dequantize."""
    m = Maker()
    x = m.input(1, 6, 4, 5)
    y = m.op("dequantize", m.op("quantize", x, quant=QUANT))
    graph = m.outputs(m.conv(m.nhwc(y), 3))
    assert run_kept(graph, layout, exact=True)
    assert [node.op for node in graph.nodes] == ["quantize", "transpose", "dequantize", "conv2d"]
    assert graph.nodes[1].output.dtype == DType.INT8
    assert graph.nodes[1].output.quant == QUANT
    assert not layout(graph)


def test_a_reshape_that_joins_what_lies_apart_stays():
    """Channels and rows together: in NHWC columns stand between them."""
    m = Maker()
    y = m.op("reshape", m.nchw(m.conv(m.input(1, 4, 5, 6), 8)), shape=(1, 32, 5))
    graph = m.outputs(m.op("unary", y, function=UnaryFunction.TANH))
    run_kept(graph, layout)
    assert ops(graph)["transpose"] == 1


@pytest.mark.parametrize("quantised", [False, True])
def test_flatten_goes_into_the_weights(quantised):
    m = Maker()
    x = m.input(2, 4, 5, 6)
    y = m.nchw(m.conv(x, 8))
    y = m.op("unary", m.op("reshape", y, shape=(2, 160)), function=UnaryFunction.RELU)
    weights = m.weights(7, 160)
    if quantised:
        q = m.rng.integers(-127, 128, (7, 160)).astype(np.int8)
        weights = m.op("dequantize", m.constant(q, QuantParams((0.01,) * 7, (0,) * 7)))
    graph = m.outputs(m.op("fully_connected", y, weights, m.weights(7)))
    assert run_kept(graph, layout)
    assert "transpose" not in ops(graph)
    run_kept(graph, fold_constants)


def test_flatten_across_the_batch_stays():
    """[N,C,H,W] -> [N*C,H*W]: no order of columns makes up for that."""
    m = Maker()
    y = m.op("reshape", m.nchw(m.conv(m.input(2, 4, 5, 6), 8)), shape=(16, 20))
    graph = m.outputs(m.op("fully_connected", y, m.weights(7, 20)))
    run_kept(graph, layout)
    assert ops(graph)["transpose"] == 1


def test_matmul_takes_a_swap_of_its_last_axes_as_a_flag():
    m = Maker()
    a, b = m.input(2, 3, 4), m.input(2, 5, 4)
    graph = m.outputs(m.op("matmul", a, m.transpose(b, 0, 2, 1)))
    assert run_kept(graph, layout)
    assert ops(graph) == {"matmul": 1}


def test_sequences_cancel_too():
    """[N,C,L] through two convolutions of height 1."""
    m = Maker()
    x = m.input(1, 3, 20)

    def conv1d(y, channels):
        y = m.transpose(y, 0, 2, 1)
        y = m.conv(m.op("reshape", y, shape=(1, 1, 20, y.shape[2])), channels)
        return m.transpose(m.op("reshape", y, shape=(1, 20, channels)), 0, 2, 1)

    y = m.op("unary", conv1d(x, 4), function=UnaryFunction.RELU)
    graph = m.outputs(conv1d(y, 5))
    assert run_kept(graph, layout)
    assert ops(graph)["transpose"] == 2
    assert ops(graph)["reshape"] == 2


def test_shared_transposes_are_made_once():
    m = Maker()
    x = m.input(1, 3, 4, 5)
    graph = m.outputs(m.conv(m.nhwc(x), 2), m.conv(m.nhwc(x), 3))
    assert run_kept(graph, layout)
    assert ops(graph)["transpose"] == 1


@pytest.mark.parametrize("seed", range(60))
def test_random_graphs_keep_their_results(seed):
    """Layers of NCHW operators on several branches, whatever the transposes do."""
    rng = random.Random(seed)
    m = Maker(seed)
    values = [m.nchw(m.conv(m.nhwc(m.input(1, 4, 6, 6)), 4))]
    for _ in range(rng.randrange(3, 14)):
        y = rng.choice(values)
        n, c, h, w = y.shape
        kind = rng.randrange(13)
        if kind == 0:
            y = m.nchw(m.conv(m.nhwc(y), rng.choice((1, 2, 4))))
        elif kind == 1:
            y = m.op("unary", y, function=rng.choice((UnaryFunction.RELU, UnaryFunction.SIGMOID)))
        elif kind == 2:
            y = m.op(
                rng.choice(("add", "mul", "sub")), y, m.weights(*rng.choice(((c, 1, 1), (1,), (h, 1), (1, c, h, w))))
            )
        elif kind == 3:
            same = [other for other in values if other.shape == y.shape]
            y = m.op(rng.choice(("add", "mul")), y, rng.choice(same))
        elif kind == 4:
            same = [other for other in values if other.shape[2:] == y.shape[2:]]
            y = m.op("concat", y, rng.choice(same), axis=1)
        elif kind == 5:
            gate = m.op("reduce", y, function=ReduceFunction.MEAN, axes=(2, 3), keep_dims=True)
            y = m.op("mul", y, m.nchw(m.conv(m.nhwc(gate), c)))
        elif kind == 6 and c % 2 == 0:
            y = m.op("reshape", y, shape=(n, 2, c // 2, h, w))
            y = m.op("reshape", m.transpose(y, 0, 2, 1, 3, 4), shape=(n, c, h, w))
        elif kind == 7 and c % 2 == 0:
            y = m.op("slice", y, begin=(0, 0, 0, 0), end=(n, c // 2, h, w), strides=(1, 1, 1, 1))
        elif kind == 8:
            y = m.op("softmax", y, axis=rng.choice((1, 3)))
        elif kind == 9:
            y = m.op("reshape", m.op("reshape", y, shape=(n, c * h * w)), shape=(n, c, h, w))
        elif kind == 10:
            y = m.transpose(m.op("unary", m.transpose(y, 0, 1, 3, 2), function=UnaryFunction.TANH), 0, 1, 3, 2)
        elif kind == 11:
            y = m.op("dequantize", m.op("quantize", y, quant=QUANT))
        elif kind == 12:
            y = m.op("add", y, m.op("reshape", m.op("reduce", y, function=ReduceFunction.MAX, axes=(2, 3),
                                                    keep_dims=False), shape=(n, c, 1, 1)))  # fmt: skip
        values.append(y)
    flat = m.op("reshape", values[-1], shape=(1, -1))
    dense = m.op("fully_connected", flat, m.weights(3, flat.shape[1]))
    graph = m.outputs(dense, rng.choice(values[1:]))
    run_kept(graph, layout)
    assert not layout(graph)
