"""What a quantised graph looks like: int8 wherever it can be, float32 where it must or should be."""

from __future__ import annotations

import numpy as np
from passes.graphs import Maker, ops
from quant.networks import headed_network, images, node, observe, residual_network, scaled_conv
from reference_executor import ReferenceExecutor

from edgert.dtypes import DType
from edgert.ir import Graph, Node, Value
from edgert.ops._enums import Activation, BinaryFunction, ReduceFunction, UnaryFunction
from edgert.quant.graph.groups import SOFTMAX_PARAMS, activation_quants
from edgert.quant.graph.pools import pools_to_means
from edgert.quant.graph.rewrite import quantize_graph
from edgert.quant.quantize import node_schemes
from edgert.quant.schemes import Plan


def quantised(graph: Graph, io: str = "float", count: int = 3) -> Graph:
    """The graph itself, rewritten; its float results on the calibration inputs are checked to stay close."""
    inputs = images(graph, count)
    exact = [ReferenceExecutor(graph).run(x) for x in inputs]
    histograms = observe(graph, inputs)
    schemes = node_schemes(graph, Plan(), io)
    quantize_graph(graph, activation_quants(graph, histograms, schemes), histograms, schemes, io)
    if io == "float":
        for x, expected in zip(inputs, exact, strict=True):
            for got, want in zip(ReferenceExecutor(graph).run(x), expected, strict=True):
                np.testing.assert_allclose(got, want, rtol=0, atol=0.1 * float(np.abs(want).max()))
    return graph


def int8_inputs(node: Node) -> list[Value]:
    return [value for value in node.inputs if value is not None and not value.constant]


def test_int8_everywhere_between_input_and_softmax() -> None:
    graph = quantised(residual_network(uneven=3.0))
    assert graph.nodes[0].op == "quantize"
    assert [n.op for n in graph.nodes[-2:]] == ["dequantize", "softmax"]
    for inner in graph.nodes[1:-2]:
        assert {value.dtype for value in (*int8_inputs(inner), *inner.outputs)} == {DType.INT8}, inner
    assert [(v.name, v.dtype) for v in graph.inputs] == [("input1", DType.FLOAT32)]
    assert [v.dtype for v in graph.outputs] == [DType.FLOAT32]


def test_scores_are_int16_where_their_layer_is_small() -> None:
    assert node(quantised(headed_network(2000)), "fully_connected").output.dtype == DType.INT8
    assert node(quantised(headed_network(4)), "fully_connected").output.dtype == DType.INT16
    assert node(quantised(headed_network(4), io="int8"), "fully_connected").output.dtype == DType.INT8


def test_weights_and_biases() -> None:
    graph = quantised(residual_network(uneven=3.0))
    weighted = [n for n in graph.nodes if n.op in ("conv2d", "depthwise_conv2d", "fully_connected")]
    assert len(weighted) == 6
    for n in weighted:
        x, weights, bias = (value for value in n.inputs if value is not None)
        assert x.quant is not None
        assert weights.quant is not None
        assert bias.quant is not None
        axis = 2 if n.op == "depthwise_conv2d" else 0
        assert (weights.dtype, bias.dtype) == (DType.INT8, DType.INT32)
        assert (weights.quant.axis, len(weights.quant.scales)) == (axis, weights.shape[axis])
        assert set(weights.quant.zero_points) == {0}
        expected = np.float32(x.quant.scale) * np.asarray(weights.quant.scales, np.float32)
        np.testing.assert_array_equal(np.asarray(bias.quant.scales, np.float32), expected)


def test_moved_and_joined_values_share_a_scale_and_a_sum_has_its_own() -> None:
    graph = quantised(residual_network(uneven=3.0))
    pool, concat, add = node(graph, "max_pool2d"), node(graph, "concat"), node(graph, "add")
    reshape = node(graph, "reshape")
    assert {v.quant for v in (*pool.inputs, *pool.outputs, *concat.inputs, concat.output) if v is not None} == {
        concat.output.quant
    }
    assert reshape.inputs[0] is not None
    assert reshape.inputs[0].quant == reshape.output.quant
    assert len({v.quant for v in (*add.inputs, add.output) if v is not None}) == 3


def test_an_int8_interface() -> None:
    graph = quantised(residual_network(uneven=3.0), io="int8")
    assert {"quantize", "dequantize"} & set(ops(graph)) == set()
    assert [(v.name, v.dtype) for v in graph.inputs] == [("input1", DType.INT8)]
    (scores,) = graph.outputs
    assert (scores.dtype, scores.quant) == (DType.INT8, SOFTMAX_PARAMS)
    assert scores.name == residual_network().outputs[0].name


def test_what_has_no_int8_form_is_wrapped() -> None:
    make = Maker()
    hidden = scaled_conv(make, make.input(1, 4, 4, 3), np.ones(4), Activation.NONE)
    middle = make.op("prelu", hidden, np.full(4, 0.2, np.float32))
    halves = make.op("binary", middle, np.full(4, 3.0, np.float32), function=BinaryFunction.MAXIMUM)
    graph = quantised(make.outputs(scaled_conv(make, halves, np.ones(2), Activation.NONE)))
    order = ["quantize", "conv2d", "dequantize", "prelu", "binary", "quantize", "conv2d", "dequantize"]
    assert [n.op for n in graph.nodes] == order


def test_a_function_in_the_middle_is_int8_and_one_at_the_end_is_float() -> None:
    make = Maker()
    hidden = scaled_conv(make, make.input(1, 4, 4, 3), np.ones(4), Activation.NONE)
    inner = make.op("unary", hidden, function=UnaryFunction.HARD_SWISH)
    scores = scaled_conv(make, inner, np.ones(2), Activation.NONE)
    graph = quantised(make.outputs(make.op("unary", scores, function=UnaryFunction.SIGMOID)))
    assert [n.op for n in graph.nodes] == ["quantize", "conv2d", "unary", "conv2d", "dequantize", "unary"]


def detector() -> Graph:
    """Two heads with scores of very different ranges, joined, and arithmetic behind."""
    make = Maker()
    hidden = scaled_conv(make, make.input(1, 4, 4, 3), np.ones(4))
    small = make.op("reshape", scaled_conv(make, hidden, np.full(2, 0.01), Activation.NONE), shape=(1, 16, 2))
    large = make.op("reshape", scaled_conv(make, hidden, np.full(2, 50.0), Activation.NONE), shape=(1, 16, 2))
    joined = make.op("concat", small, large, axis=1)
    return make.outputs(make.op("mul", joined, np.full((1, 1, 1), 0.5, np.float32)))


def test_joined_heads_keep_their_own_scales() -> None:
    graph = detector()
    inputs = images(graph, 3)
    exact = [ReferenceExecutor(graph).run(x)[0] for x in inputs]
    quantised(graph)
    heads = [n for n in graph.nodes if n.op == "reshape"]
    assert len({head.output.quant for head in heads}) == 2
    assert {value.dtype for value in node(graph, "concat").outputs} == {DType.FLOAT32}
    for x, want in zip(inputs, exact, strict=True):
        got = ReferenceExecutor(graph).run(x)[0]
        for rows in (slice(0, 16), slice(16, 32)):
            noise = np.sqrt(np.square(got[:, rows] - want[:, rows]).mean())
            assert noise < 0.03 * np.sqrt(np.square(want[:, rows]).mean())


def test_values_joined_to_probabilities_keep_their_range() -> None:
    """A softmax has the fixed scale 1/256; what it is joined with must not be forced to that."""
    make = Maker()
    hidden = scaled_conv(make, make.input(1, 4, 4, 3), np.full(4, 5.0), Activation.NONE)
    classes = make.op("softmax", scaled_conv(make, hidden, np.ones(3), Activation.NONE), axis=3)
    graph = make.outputs(make.op("concat", hidden, classes, axis=3))
    quantised(graph, io="int8")
    concat = node(graph, "concat")
    assert node(graph, "softmax").output.quant == SOFTMAX_PARAMS
    assert concat.output.quant is not None
    assert concat.output.quant.scale > 5 / 256
    assert concat.inputs[0] is not None
    assert concat.inputs[0].quant == concat.output.quant


def test_global_pools_become_means() -> None:
    make = Maker()
    hidden = scaled_conv(make, make.input(1, 4, 6, 3), np.ones(4))
    local = make.op("average_pool2d", hidden, kernel_h=2, kernel_w=2, stride_h=2, stride_w=2)
    whole = make.op("average_pool2d", local, kernel_h=2, kernel_w=3)
    graph = make.outputs(whole)
    x = images(graph, 1)[0]
    expected = ReferenceExecutor(graph).run(x)[0]
    pools_to_means(graph)
    graph.verify()
    assert [n.op for n in graph.nodes] == ["conv2d", "average_pool2d", "reduce"]
    assert graph.nodes[-1].attrs["function"] == ReduceFunction.MEAN
    np.testing.assert_allclose(ReferenceExecutor(graph).run(x)[0], expected, rtol=1e-5, atol=1e-6)
