"""Graphs whose layers compute in float32, int8 and int16 side by side."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from passes.graphs import Maker
from quant.networks import images, node, observe, pack, residual_network, scaled_conv
from reference_executor import ReferenceExecutor

import edgert
from edgert.dtypes import DType
from edgert.ir import Graph, Node
from edgert.ops._enums import Activation, ReduceFunction, ResizeMode, UnaryFunction
from edgert.quant.graph.clone import clone
from edgert.quant.graph.groups import UNIT_PARAMS, activation_quants
from edgert.quant.graph.layers import node_schemes
from edgert.quant.graph.rewrite import quantize_graph
from edgert.quant.observe.measure import sqnr
from edgert.quant.schemes import FLOAT, INT8, INT16, Plan, Scheme, layer_name

CONVERSIONS = ("quantize", "dequantize")


def mixed(graph: Graph, plan: Plan, io: str = "float") -> tuple[list[list[np.ndarray]], list[list[np.ndarray]]]:
    """Rewrites the graph itself; its float results before and its results after, on some inputs. The runtime gives
    what the reference gives."""
    inputs = images(graph, 4)
    exact = [ReferenceExecutor(graph).run(x) for x in inputs]
    histograms = observe(graph, inputs)
    schemes = node_schemes(graph, plan, io)
    quants = activation_quants(graph, histograms, schemes)
    quantize_graph(graph, quants, histograms, schemes, io)
    if io != "float":
        return exact, []
    model = edgert.Model(pack(clone(graph)))
    results = []
    for x in inputs:
        results.append(ReferenceExecutor(graph).run(x))
        for value, wanted in zip(graph.outputs, results[-1], strict=True):
            np.testing.assert_allclose(model.run({graph.inputs[0].name: x})[value.name], wanted, rtol=1e-5, atol=1e-6)
    return exact, results


def decibels(pair: tuple[list[list[np.ndarray]], list[list[np.ndarray]]]) -> float:
    exact, got = ([np.stack(arrays) for arrays in zip(*runs, strict=True)] for runs in pair)
    return sqnr(exact, got)


def named(graph: Graph, schemes: Mapping[int, str]) -> dict[str, Scheme]:
    """Schemes by the layers' names, given by their place among the weighted ones."""
    weighted = [n for n in graph.nodes if n.op in ("conv2d", "depthwise_conv2d", "fully_connected")]
    forms = {"float": FLOAT, "int8": INT8, "int16": INT16}
    return {layer_name(weighted[index]): forms[name] for index, name in schemes.items()}


def dtypes(node: Node) -> set[DType]:
    return {value.dtype for value in (*node.inputs, *node.outputs) if value is not None and not value.constant}


def test_int16_throughout() -> None:
    graph = residual_network(uneven=3.0)
    assert decibels(mixed(graph, Plan(INT16))) > 40.0
    assert (graph.nodes[0].op, [n.op for n in graph.nodes[-2:]]) == ("quantize", ["dequantize", "softmax"])
    for inner in graph.nodes[1:-2]:
        assert dtypes(inner) == {DType.INT16}, inner
        for value in (*inner.inputs, *inner.outputs):
            if value is not None and value.dtype == DType.INT16:
                assert value.quant is not None
                assert value.quant.zero_points == (0,)


def test_every_layer_in_a_form_of_its_own() -> None:
    graph = residual_network(uneven=3.0)
    plan = Plan(INT8, named(graph, {1: "int16", 3: "float", 4: "int16"}))
    assert decibels(mixed(graph, plan)) > 30.0
    weighted = [n for n in graph.nodes if n.op in ("conv2d", "depthwise_conv2d", "fully_connected")]
    found = [next(iter(dtypes(n))) for n in weighted]
    assert found[:5] == [DType.INT8, DType.INT16, DType.INT8, DType.FLOAT32, DType.INT16]


def test_conversions_stand_alone_and_are_made_once() -> None:
    graph = residual_network(uneven=3.0)
    mixed(graph, Plan(INT8, named(graph, {0: "int16", 2: "int16", 4: "float"})))
    producers = graph.producers()
    pairs = []
    for n in graph.nodes:
        if n.op in CONVERSIONS:
            source = n.inputs[0]
            assert source is not None
            assert source not in producers or producers[source].op not in CONVERSIONS, "two in a row"
            pairs.append((source.name, n.output.dtype))
    assert len(pairs) == len(set(pairs))


def test_int8_and_int16_convert_without_float_between() -> None:
    make = Maker()
    hidden = scaled_conv(make, make.input(1, 4, 4, 3), np.ones(4))
    graph = make.outputs(scaled_conv(make, scaled_conv(make, hidden, np.ones(4)), np.ones(2), Activation.NONE))
    mixed(graph, Plan(INT8, named(graph, {1: "int16"})))
    assert [(n.op, n.output.dtype) for n in graph.nodes if n.op in CONVERSIONS] == [
        ("quantize", DType.INT8),
        ("quantize", DType.INT16),
        ("quantize", DType.INT8),
        ("dequantize", DType.FLOAT32),
    ]


def test_what_moves_values_goes_with_the_named_layer_before_it() -> None:
    make = Maker()
    hidden = scaled_conv(make, make.input(1, 4, 4, 3), np.ones(4))
    small = make.op("max_pool2d", hidden, kernel_h=2, kernel_w=2, stride_h=2, stride_w=2)
    flat = make.op("reshape", small, shape=(1, 16))
    graph = make.outputs(make.op("fully_connected", flat, make.weights(3, 16), make.weights(3)))
    mixed(graph, Plan(INT8, named(graph, {0: "int16", 1: "int16"})))
    assert [n.op for n in graph.nodes] == [
        "quantize",
        "conv2d",
        "max_pool2d",
        "reshape",
        "fully_connected",
        "dequantize",
    ]
    assert dtypes(node(graph, "reshape")) == {DType.INT16}


def test_scales_are_shared_within_one_form_only() -> None:
    make = Maker()
    x = make.input(1, 4, 4, 3)
    small, large = scaled_conv(make, x, np.full(2, 0.1)), scaled_conv(make, x, np.full(2, 20.0))
    joined = make.op("concat", small, large, axis=3)
    graph = make.outputs(scaled_conv(make, joined, np.ones(2), Activation.NONE))
    mixed(graph, Plan(INT8, named(graph, {0: "int16"})))
    wide, narrow = node(graph, "conv2d", 0).output, node(graph, "conv2d", 1).output
    concat = node(graph, "concat")
    assert (wide.dtype, narrow.dtype, concat.output.dtype) == (DType.INT16, DType.INT8, DType.INT8)
    assert wide.quant is not None
    assert narrow.quant == concat.output.quant
    assert wide.quant.scale * 32767 < 0.2 * narrow.quant.scale * 255  # not that of the large one


UNARY = [
    (UnaryFunction.RELU6, True), (UnaryFunction.HARD_SWISH, True), (UnaryFunction.SIGMOID, True),
    (UnaryFunction.TANH, True), (UnaryFunction.GELU, True), (UnaryFunction.LEAKY_RELU, True),
    (UnaryFunction.FLOOR, False), (UnaryFunction.SIGN, False),
]  # fmt: skip


@pytest.mark.parametrize(("function", "has_int16"), UNARY)
def test_functions_between_int16_layers(function: UnaryFunction, has_int16: bool) -> None:
    make = Maker()
    hidden = scaled_conv(make, make.input(1, 4, 4, 3), np.full(4, 2.0), Activation.NONE)
    made = make.op("unary", hidden, function=function, alpha=0.1)
    graph = make.outputs(scaled_conv(make, made, np.ones(2), Activation.NONE))
    pair = mixed(graph, Plan(INT16))
    if has_int16:
        assert decibels(pair) > 35.0
        (used,) = [n for n in graph.nodes if n.name == made.name.replace("unary", "node_unary")]
        assert dtypes(used) == {DType.INT16}
        if function in (UnaryFunction.SIGMOID, UnaryFunction.TANH):
            assert used.output.quant == UNIT_PARAMS
    else:
        assert dtypes(node(graph, "unary")) == {DType.FLOAT32}


def test_a_function_that_few_points_do_not_follow_stays_float() -> None:
    """1 / (1 + exp(-x)) - 1/2 of numbers up to 10000 is a step for a table that has a point every 40."""
    make = Maker()
    hidden = scaled_conv(make, make.input(1, 4, 4, 3), np.geomspace(0.1, 5000.0, 4), Activation.NONE)
    made = make.op("unary", hidden, function=UnaryFunction.SILU)
    soft = make.op("unary", hidden, function=UnaryFunction.SOFTSIGN)
    graph = make.outputs(scaled_conv(make, made, np.ones(2)), scaled_conv(make, soft, np.ones(2)))
    mixed(graph, Plan(INT16))
    forms = {n.source + n.inputs[0].name: dtypes(n) for n in graph.nodes if n.op == "unary" and n.inputs[0] is not None}
    assert DType.FLOAT32 in set().union(*forms.values())


def test_weightless_operators_in_int16() -> None:
    make = Maker()
    x = make.input(1, 6, 6, 3)
    hidden = scaled_conv(make, x, np.ones(4), Activation.NONE)
    gate = make.op("unary", make.op("reduce", hidden, function=ReduceFunction.MEAN, axes=(1, 2), keep_dims=True),
                   function=UnaryFunction.SIGMOID)  # fmt: skip
    y = make.op("mul", hidden, gate)
    y = make.op("sub", y, np.full((1, 1, 1, 4), 0.3, np.float32))
    y = make.op("pad", y, before=(0, 1, 1, 0), after=(0, 1, 1, 0))
    y = make.op("average_pool2d", y, kernel_h=2, kernel_w=2, stride_h=2, stride_w=2)
    y = make.op("resize", y, out_h=8, out_w=8, mode=ResizeMode.BILINEAR)
    y = make.op("concat", y, y, axis=3)
    y = make.op("slice", y, begin=(0, 1, 1, 0), end=(1, 5, 5, 6), strides=(1, 1, 1, 1))
    y = make.op("reshape", y, shape=(16, 6))
    y = make.op("matmul", y, make.transpose(y, 1, 0))
    graph = make.outputs(make.op("fully_connected", y, make.weights(3, 16), make.weights(3)))
    assert decibels(mixed(graph, Plan(INT16))) > 35.0
    for inner in graph.nodes[1:-1]:
        assert dtypes(inner) == {DType.INT16}, inner


def test_what_nearly_cancels_out_still_runs() -> None:
    """Large inputs whose sum is next to nothing: the ratio of scales stays within what 64 bits rescale."""
    make = Maker()
    weights = np.array([[[[1.0, -1.0, 1e-7]]]], np.float32)
    x = make.op("slice", make.input(1, 4, 4, 3), begin=(0, 0, 0, 0), end=(1, 4, 4, 1), strides=(1, 1, 1, 1))
    x = make.op("concat", x, x, x, axis=3)
    graph = make.outputs(scaled_conv(make, make.op("conv2d", x, weights), np.ones(1), Activation.NONE))
    mixed(graph, Plan(INT16))


@pytest.mark.parametrize(("io", "dtype"), [("int8", DType.INT8), ("int16", DType.INT16)])
def test_interfaces_of_mixtures(io: str, dtype: DType) -> None:
    graph = residual_network(uneven=3.0)
    names = [value.name for value in (*graph.inputs, *graph.outputs)]
    mixed(graph, Plan(INT8, named(graph, {0: "int16", 5: "float"})), io)
    assert [value.name for value in (*graph.inputs, *graph.outputs)] == names
    assert {value.dtype for value in (*graph.inputs, *graph.outputs)} == {dtype}
    assert pack(graph)


def test_int16_at_an_int8_interface() -> None:
    graph = residual_network(uneven=3.0)
    mixed(graph, Plan(INT16), "int8")
    assert {value.dtype for value in (*graph.inputs, *graph.outputs)} == {DType.INT8}
    first = graph.nodes[0]
    assert (first.op, first.inputs[0], first.output.dtype) == ("quantize", graph.inputs[0], DType.INT16)


def test_biases_of_int16_are_as_wide_as_their_sums() -> None:
    """32-bit biases make a convolution add up in 32 bits: not where a sum might leave them."""
    make = Maker()
    short = scaled_conv(make, make.input(1, 2, 2, 3), np.ones(4))
    long = make.op("conv2d", make.op("reshape", short, shape=(1, 1, 1, 16)), np.ones((4, 1, 1, 16), np.float32))
    wide = make.op("concat", *[long] * 250, axis=3)
    graph = make.outputs(make.op("conv2d", wide, np.ones((1, 1, 1, 1000), np.float32), np.ones(1, np.float32)))
    mixed(graph, Plan(INT16))
    biases = [n.inputs[2].dtype for n in graph.nodes if n.op == "conv2d" and n.inputs[2] is not None]
    assert biases == [DType.INT32, DType.INT32, DType.INT64]
