"""Channel shuffles become gathers, or the order of the weights that read them."""

from __future__ import annotations

import numpy as np
import pytest

from edgert.dtypes import DType, QuantParams
from edgert.ops._enums import UnaryFunction
from edgert.passes.dead_code import remove_dead_code
from edgert.passes.layout import layout
from passes.graphs import Maker, ops, run_kept


def shuffled(m, y, groups=2):
    """The channels of an NCHW image, read in another order of (group, channel within it)."""
    n, c, h, w = y.shape
    apart = m.transpose(m.op("reshape", y, shape=(n, groups, c // groups, h, w)), 0, 2, 1, 3, 4)
    return m.op("reshape", apart, shape=(n, c, h, w))


def parts(m, y):
    """The two halves of the channels."""
    n, c, h, w = y.shape
    cuts = ((0, c // 2), (c // 2, c))
    return [m.op("slice", y, begin=(0, a, 0, 0), end=(n, b, h, w), strides=(1, 1, 1, 1)) for a, b in cuts]


@pytest.mark.parametrize("groups", [2, 4])
def test_a_convolution_takes_the_order_into_its_weights(groups):
    m = Maker()
    y = shuffled(m, m.nchw(m.conv(m.input(1, 4, 5, 6), 8)), groups)
    graph = m.outputs(m.conv(m.nhwc(y), 3))
    assert run_kept(graph, layout, remove_dead_code)
    assert ops(graph) == {"conv2d": 2}


def test_a_depthwise_convolution_passes_it_on():
    m = Maker()
    y = m.nhwc(shuffled(m, m.nchw(m.conv(m.input(1, 4, 5, 6), 8))))
    y = m.op("depthwise_conv2d", y, m.weights(3, 3, 8), m.weights(8), pad_top=1)
    graph = m.outputs(m.conv(y, 3))
    assert run_kept(graph, layout, remove_dead_code)
    assert ops(graph) == {"conv2d": 2, "depthwise_conv2d": 1}


def test_scales_per_channel_move_along():
    m = Maker()
    y = m.nhwc(shuffled(m, m.nchw(m.conv(m.input(1, 4, 5, 6), 8))))
    quant = QuantParams(tuple(np.linspace(0.01, 0.08, 8)), (0,) * 8, 2)
    stored = m.constant(m.rng.integers(-127, 128, (3, 3, 8)).astype(np.int8), quant)
    y = m.op("depthwise_conv2d", y, m.op("dequantize", stored))
    graph = m.outputs(m.conv(y, 3))
    assert run_kept(graph, layout, remove_dead_code)
    assert "gather" not in ops(graph)


def test_halves_gather_what_they_read():
    m = Maker()
    left, right = parts(m, shuffled(m, m.nchw(m.conv(m.input(1, 4, 5, 6), 8))))
    right = m.nchw(m.conv(m.nhwc(right), 4))
    graph = m.outputs(m.conv(m.nhwc(m.op("concat", left, right, axis=1)), 3))
    assert run_kept(graph, layout, remove_dead_code)
    assert ops(graph) == {"conv2d": 3, "gather": 2, "concat": 1}


def test_a_half_of_even_steps_is_a_slice():
    m = Maker()
    left, _ = parts(m, shuffled(m, m.nchw(m.conv(m.input(1, 4, 5, 6), 8)), groups=4))
    graph = m.outputs(m.conv(m.nhwc(left), 3))
    assert run_kept(graph, layout, remove_dead_code)
    assert ops(graph) == {"conv2d": 2, "slice": 1}


def test_gathers_of_gathers_are_one():
    m = Maker()
    x = m.input(2, 6, dtype=DType.INT8, quant=QuantParams((0.1,), (3,)))
    once = m.op("gather", x, m.constant(np.asarray([5, -6, 3, 1], np.int32)), axis=1)
    graph = m.outputs(m.op("gather", once, m.constant(np.asarray([2, 0, 1], np.int32)), axis=1))
    assert run_kept(graph, layout, remove_dead_code, exact=True)
    assert ops(graph) == {"gather": 1}


@pytest.mark.parametrize("shape", [(1, 4, 4, 6), (1, 6, 2, 8)])
def test_pixels_that_mix_with_channels_stay(shape):
    """Windows of an image, or heads of attention: several axes, which are no order of one."""
    m = Maker()
    x = m.input(*shape)
    n, h, w, c = shape
    apart = m.op("reshape", m.op("unary", x, function=UnaryFunction.FLOOR), shape=(n, h // 2, 2, w // 2, 2, c))
    graph = m.outputs(m.op("reshape", m.transpose(apart, 0, 1, 3, 2, 4, 5), shape=(n * h * w // 4, 4, c)))
    run_kept(graph, layout, remove_dead_code)
    assert "gather" not in ops(graph)


def test_quantised_depthwise_convolutions_stay_whole():
    """Between dequantize and quantize nothing may come, or the operator would not become int8."""
    m = Maker()
    quant = QuantParams((0.05,), (3,))
    x = m.op("dequantize", m.input(1, 4, 5, 8, dtype=DType.INT8, quant=quant))
    y = m.op("depthwise_conv2d", m.nhwc(shuffled(m, m.nchw(x))), m.weights(3, 3, 8))
    y = m.op("quantize", y, quant=quant, dtype=DType.INT8)
    graph = m.outputs(m.conv(m.op("dequantize", y), 3))
    assert run_kept(graph, layout, remove_dead_code)
    assert [node.op for node in graph.nodes[:4]] == ["gather", "dequantize", "depthwise_conv2d", "quantize"]
