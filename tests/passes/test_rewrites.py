"""The smaller passes: every case of their docstrings, and what they must leave alone."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgert.dtypes import DType, QuantParams
from edgert.ir import Node
from edgert.ops._enums import Activation, BinaryFunction, CompareFunction, PadMode, ReduceFunction, UnaryFunction
from edgert.passes.dead_code import remove_dead_code
from edgert.passes.fold_batch_norm import fold_batch_norm
from edgert.passes.fold_constants import fold_constants
from edgert.passes.fuse_activations import fuse_activations
from edgert.passes.fuse_affine import fuse_affine
from edgert.passes.fuse_pad import fuse_pad
from edgert.passes.merge_duplicates import merge_duplicates
from edgert.passes.merge_movement import merge_movement
from edgert.passes.simplify import simplify
from passes.graphs import Maker, ops, run_kept

QUANT = QuantParams((0.05,), (3,))


def layer(m, kind, x):
    """A convolution, depthwise or dense layer with four output channels."""
    if kind == "fully_connected":
        return m.op(kind, x, m.weights(4, x.shape[-1]), m.weights(4))
    if kind == "depthwise_conv2d":
        return m.op(kind, x, m.weights(3, 3, 4), None, multiplier=2)
    return m.op(kind, x, m.weights(4, 3, 3, x.shape[-1]))


LAYERS = ("conv2d", "depthwise_conv2d", "fully_connected")


class TestFoldBatchNorm:
    @pytest.mark.parametrize("kind", LAYERS)
    def test_product_and_sum_fold(self, kind):
        m = Maker()
        y = layer(m, kind, m.input(1, 5, 5, 2))
        y = m.op("add", m.op("mul", y, m.weights(1, 1, 1, 4)), m.weights(4))
        y = m.op("sub", m.op("mul", 0.5, y), 1.5, activation=Activation.RELU)
        graph = m.outputs(y)
        assert run_kept(graph, fold_batch_norm, remove_dead_code)
        assert ops(graph) == {kind: 1}
        assert graph.nodes[0].attrs["activation"] == Activation.RELU

    @pytest.mark.parametrize(
        "after",
        [
            lambda m, y: m.op("mul", y, m.weights(5, 1)),  # per row
            lambda m, y: m.op("sub", 1.0, y),
            lambda m, y: m.op("add", y, m.weights(3, 1, 1, 4)),  # broadcasts the layer's output
            lambda m, y: m.op("add", y, y),
        ],
    )
    def test_others_stay(self, after):
        m = Maker()
        y = m.conv(m.input(1, 5, 5, 2), 4)
        graph = m.outputs(after(m, y))
        assert not run_kept(graph, fold_batch_norm)

    def test_a_second_reader_or_an_activation_keeps_the_layer(self):
        m = Maker()
        y, z = m.conv(m.input(1, 5, 5, 2), 4), m.conv(m.input(1, 5, 5, 2), 4, activation=Activation.RELU)
        graph = m.outputs(y, m.op("mul", y, 2.0), m.op("mul", z, 2.0))
        assert not run_kept(graph, fold_batch_norm)


class TestFuseActivations:
    @pytest.mark.parametrize(
        ("attrs", "activation"),
        [
            ({"function": UnaryFunction.RELU}, Activation.RELU),
            ({"function": UnaryFunction.RELU6}, Activation.RELU6),
            ({"function": UnaryFunction.RELU_N1_TO_1}, Activation.RELU_N1_TO_1),
            ({"function": UnaryFunction.CLIP, "alpha": 0.0, "beta": 6.0}, Activation.RELU6),
            ({"function": UnaryFunction.CLIP, "alpha": 0.0, "beta": 5.0}, None),
            ({"function": UnaryFunction.TANH}, None),
        ],
    )
    @pytest.mark.parametrize("kind", [*LAYERS, "add", "mul", "max_pool2d", "concat"])
    def test_float(self, kind, attrs, activation):
        m = Maker()
        x = m.input(1, 5, 5, 2)
        if kind in LAYERS:
            y = layer(m, kind, x)
        elif kind == "max_pool2d":
            y = m.op(kind, x, kernel_h=2, kernel_w=2)
        else:
            y = m.op(kind, x, m.input(1, 5, 5, 2), **({"axis": 3} if kind == "concat" else {}))
        graph = m.outputs(m.op("unary", y, **attrs))
        assert run_kept(graph, fuse_activations, remove_dead_code) == (activation is not None)
        if activation is not None:
            assert ops(graph) == {kind: 1}
            assert graph.nodes[0].attrs["activation"] == activation

    @pytest.mark.parametrize(("quant", "fused"), [(QUANT, True), (QuantParams((0.04,), (3,)), False)])
    def test_int8_only_at_one_scale(self, quant, fused):
        m = Maker()
        x = m.input(1, 5, 5, 2, dtype=DType.INT8, quant=QUANT)
        y = m.op("add", x, m.input(1, 5, 5, 2, dtype=DType.INT8, quant=QUANT), quant=QUANT)
        graph = m.outputs(m.op("unary", y, function=UnaryFunction.RELU, quant=quant))
        assert run_kept(graph, fuse_activations, remove_dead_code, exact=True) == fused

    def test_an_activation_or_another_reader_stays(self):
        m = Maker()
        y = m.conv(m.input(1, 5, 5, 2), 4)
        z = m.conv(m.input(1, 5, 5, 2), 4, activation=Activation.RELU6)
        relu = [m.op("unary", value, function=UnaryFunction.RELU) for value in (y, z)]
        assert not run_kept(m.outputs(y, *relu), fuse_activations)


class TestFusePad:
    @pytest.mark.parametrize("kind", ["conv2d", "depthwise_conv2d"])
    def test_into_convolutions(self, kind):
        m = Maker()
        x = m.op("pad", m.input(1, 5, 6, 2), before=(0, 1, 2, 0), after=(0, 3, 0, 0))
        graph = m.outputs(layer(m, kind, x))
        assert run_kept(graph, fuse_pad, remove_dead_code)
        (node,) = graph.nodes
        assert [node.attrs[side] for side in ("pad_top", "pad_left", "pad_bottom", "pad_right")] == [1, 2, 3, 0]

    def test_int8_pads_with_the_zero_point(self):
        m = Maker()
        x = m.input(1, 5, 6, 2, dtype=DType.INT8, quant=QUANT)
        x = m.op("pad", x, before=(0, 1, 1, 0), after=(0, 1, 1, 0))
        weights = m.constant(m.rng.integers(-127, 128, (4, 3, 3, 2)).astype(np.int8), QuantParams((0.01,), (0,)))
        graph = m.outputs(m.op("conv2d", x, weights, quant=QuantParams((0.2,), (-5,))))
        assert run_kept(graph, fuse_pad, remove_dead_code, exact=True)
        assert ops(graph) == {"conv2d": 1}

    def test_into_an_average_that_counts_it(self):
        m = Maker()
        x = m.op("pad", m.input(1, 5, 6, 2), before=(0, 1, 1, 0), after=(0, 1, 1, 0))
        graph = m.outputs(m.op("average_pool2d", x, kernel_h=3, kernel_w=3))
        assert run_kept(graph, fuse_pad, remove_dead_code)
        assert ops(graph) == {"average_pool2d": 1}

    def test_through_the_reshape_of_a_sequence(self):
        m = Maker()
        x = m.op("pad", m.input(1, 20, 3), before=(0, 2, 0), after=(0, 1, 0))
        x = m.op("reshape", x, shape=(1, 1, 23, 3))
        graph = m.outputs(m.op("conv2d", x, m.weights(4, 1, 3, 3)))
        assert run_kept(graph, fuse_pad, remove_dead_code)
        assert ops(graph) == {"reshape": 1, "conv2d": 1}

    def test_through_the_transpose_of_an_input(self):
        m = Maker()
        x = m.op("pad", m.input(1, 3, 5, 6), before=(0, 0, 1, 2), after=(0, 0, 3, 0))
        graph = m.outputs(m.op("conv2d", m.nhwc(x), m.weights(4, 3, 3, 3)))
        assert run_kept(graph, fuse_pad, remove_dead_code)
        assert ops(graph) == {"transpose": 1, "conv2d": 1}
        assert [graph.nodes[1].attrs[side] for side in ("pad_top", "pad_left", "pad_bottom", "pad_right")] == [
            1,
            2,
            3,
            0,
        ]

    @pytest.mark.parametrize(
        "attrs",
        [
            {"before": (0, 0, 0, 1), "after": (0, 0, 0, 0)},
            {"before": (0, 1, 1, 0), "after": (0, 1, 1, 0), "value": 1.0},
            {"before": (0, 1, 1, 0), "after": (0, 1, 1, 0), "mode": PadMode.REFLECT},
        ],
    )
    def test_others_stay(self, attrs):
        m = Maker()
        x = m.op("pad", m.input(1, 5, 6, 2), **attrs)
        assert not run_kept(m.outputs(layer(m, "conv2d", x)), fuse_pad)


def hard_swish(m, x):
    return m.op("mul", m.op("mul", x, relu6(m, m.op("add", x, 3.0))), 1 / 6)


def hard_swish_by_division(m, x):
    gate = m.op("binary", relu6(m, m.op("add", 3.0, x)), 6.0, function=BinaryFunction.DIV)
    return m.op("mul", x, gate)


def relu6(m, x):
    return m.op("unary", x, function=UnaryFunction.RELU6)


def gelu(m, x):
    erf = m.op("unary", m.op("binary", x, math.sqrt(2), function=BinaryFunction.DIV), function=UnaryFunction.ERF)
    return m.op("mul", m.op("mul", x, m.op("add", erf, 1.0)), 0.5)


def gelu_tanh(m, x):
    cubic = m.op("mul", m.op("binary", x, 3.0, function=BinaryFunction.POW), 0.044715)
    inner = m.op("mul", m.op("add", x, cubic), math.sqrt(2 / math.pi))
    return m.op("mul", m.op("mul", 0.5, x), m.op("add", 1.0, m.op("unary", inner, function=UnaryFunction.TANH)))


def mish(m, x):
    softplus = m.op("unary", x, function=UnaryFunction.SOFTPLUS)
    return m.op("mul", x, m.op("unary", softplus, function=UnaryFunction.TANH))


class TestSimplify:
    @pytest.mark.parametrize(
        ("make", "function"),
        [
            (hard_swish, UnaryFunction.HARD_SWISH),
            (hard_swish_by_division, UnaryFunction.HARD_SWISH),
            (lambda m, x: m.op("mul", relu6(m, m.op("add", x, 3.0)), 1 / 6), UnaryFunction.HARD_SIGMOID),
            (lambda m, x: m.op("mul", m.op("unary", x, function=UnaryFunction.SIGMOID), x), UnaryFunction.SILU),
            (lambda m, x: m.op("mul", x, m.op("unary", x, function=UnaryFunction.HARD_SIGMOID, alpha=1 / 6, beta=0.5)),
             UnaryFunction.HARD_SWISH),
            (mish, UnaryFunction.MISH),
            (gelu, UnaryFunction.GELU),
            (gelu_tanh, UnaryFunction.GELU_TANH),
            (lambda m, x: m.op("mul", x, x), UnaryFunction.SQUARE),
            (lambda m, x: m.op("binary", x, m.op("mul", 0.1, x), function=BinaryFunction.MAXIMUM),
             UnaryFunction.LEAKY_RELU),
        ],
    )  # fmt: skip
    def test_functions(self, make, function):
        m = Maker()
        graph = m.outputs(make(m, m.input(1, 4, 5)))
        assert run_kept(graph, simplify, remove_dead_code)
        assert [node.op for node in graph.nodes] == ["unary"]
        assert graph.nodes[0].attrs["function"] == function
        assert not simplify(graph)

    def test_a_broadcast_that_the_operator_does_anyway(self):
        m = Maker()
        x = m.input(2, 3, 4)
        y = m.op("add", x, m.op("broadcast_to", m.input(3, 1), shape=(2, 3, 4)))
        graph = m.outputs(y)
        assert run_kept(graph, simplify, remove_dead_code)
        assert ops(graph) == {"add": 1}

    def test_a_broadcast_that_makes_the_shape_stays(self):
        m = Maker()
        wide = m.op("broadcast_to", m.input(3, 1), shape=(2, 3, 4))
        graph = m.outputs(m.op("add", m.input(3, 4), wide))
        assert not run_kept(graph, simplify, remove_dead_code)

    @pytest.mark.parametrize(("mask", "guarded"), [(-1e9, False), (-np.inf, True)])
    def test_a_softmax_of_finite_numbers_needs_no_guard(self, mask, guarded):
        """Rows that are -inf throughout are NaN: there the guard stays."""
        m = Maker()
        scores = m.op("mul", m.op("matmul", m.input(1, 4, 8), m.input(1, 8, 4)), 0.35)
        scores = m.op("add", scores, np.triu(np.full((4, 4), mask, np.float32)))
        y = m.op("softmax", scores, axis=-1)
        isnan = m.op("compare", y, y, function=CompareFunction.NOT_EQUAL)
        graph = m.outputs(m.op("select", isnan, 0.0, y))
        with np.errstate(invalid="ignore"):
            assert run_kept(graph, simplify, remove_dead_code) != guarded
        assert ("select" in ops(graph)) == guarded

    def test_near_misses_stay(self):
        """Other constants, another tensor in the gate."""
        m = Maker()
        x, y = m.input(1, 4), m.input(1, 4)
        outputs = (
            m.op("mul", m.op("mul", x, relu6(m, m.op("add", x, 2.0))), 1 / 6),
            m.op("mul", m.op("mul", x, relu6(m, m.op("add", y, 3.0))), 1 / 6),
            m.op("mul", m.op("unary", x, function=UnaryFunction.SIGMOID), y),
            m.op("binary", x, m.op("mul", 1.5, x), function=BinaryFunction.MAXIMUM),
        )
        assert not run_kept(m.outputs(*outputs), simplify)

    def test_division_becomes_a_product(self):
        m = Maker()
        x = m.input(1, 4)
        graph = m.outputs(
            m.op("binary", x, m.constant([2.0, 4.0, 5.0, 8.0]), function=BinaryFunction.DIV),
            m.op("binary", x, m.constant([2.0, 0.0, 5.0, 8.0]), function=BinaryFunction.DIV),
        )
        assert run_kept(graph, simplify)
        assert ops(graph) == {"mul": 1, "binary": 1}  # a division by zero stays one

    def test_neutral_arithmetic_goes(self):
        m = Maker()
        x = m.input(1, 4)
        y = m.op("add", m.op("mul", x, 1.0), m.constant([0.0, 0.0, 0.0, 0.0]))
        y = m.op("cast", m.op("copy", m.op("sub", y, 0.0)), dtype=DType.FLOAT32)
        y = m.op("binary", m.op("unary", y, function=UnaryFunction.EXP), 1.0, function=BinaryFunction.POW)
        graph = m.outputs(y)
        assert run_kept(graph, simplify, remove_dead_code, exact=True)
        assert ops(graph) == {"unary": 1}

    def test_an_output_that_is_an_input_stays_a_copy(self):
        m = Maker()
        x = m.input(1, 4)
        graph = m.outputs(m.op("copy", x), m.op("copy", x))
        run_kept(graph, simplify, merge_duplicates, remove_dead_code, exact=True)
        assert ops(graph) == {"copy": 2}

    def test_zero_that_broadcasts_stays(self):
        m = Maker()
        graph = m.outputs(m.op("add", m.input(1, 4), np.zeros((3, 4), np.float32)))
        assert not run_kept(graph, simplify)


class TestOthers:
    def test_merge_movement_finds_identities(self):
        m = Maker()
        x = m.input(2, 3, 4)
        y = m.op("reshape", m.op("reshape", x, shape=(6, 4)), shape=(2, 3, 4))
        y = m.op("broadcast_to", m.op("pad", y, before=(0, 0, 0), after=(0, 0, 0)), shape=(2, 3, 4))
        graph = m.outputs(m.op("unary", y, function=UnaryFunction.NEG))
        assert run_kept(graph, merge_movement, remove_dead_code, exact=True)
        assert ops(graph) == {"unary": 1}

    def test_merge_duplicates(self):
        """Same operator, inputs and attributes; small constants count by their content, outputs keep their names."""
        m = Maker()
        x = m.input(1, 4)
        sums = [m.op("add", x, number) for number in (1.0, 1.0, 2.0)]
        graph = m.outputs(*(m.op("unary", value, function=UnaryFunction.EXP) for value in sums))
        assert run_kept(graph, merge_duplicates, exact=True)
        assert ops(graph) == {"add": 2, "unary": 3}

    def test_fold_constants(self):
        """Arithmetic on constants goes; what would only grow the file stays."""
        m = Maker()
        x = m.input(1, 4)
        small = m.op("unary", m.op("add", m.weights(4), m.weights(4)), function=UnaryFunction.EXP)
        wide = m.op("broadcast_to", m.weights(1, 1000), shape=(1000, 1000))
        total = m.op("reduce", wide, function=ReduceFunction.SUM, axes=(0, 1), keep_dims=False)
        graph = m.outputs(m.op("add", m.op("mul", x, small), total))
        assert run_kept(graph, fold_constants)
        assert ops(graph) == {"broadcast_to": 1, "reduce": 1, "mul": 1, "add": 1}

    def test_dead_code_keeps_what_writes_variables(self):
        m = Maker()
        x = m.input(1, 4)
        m.op("unary", x, function=UnaryFunction.EXP)
        state = m.constant(np.zeros((1, 4), np.float32))
        state.variable = True
        graph = m.outputs(m.op("add", x, state))
        graph.nodes.append(Node("assign", [state, graph.outputs[0]], []))
        graph.verify()
        assert remove_dead_code(graph)
        assert ops(graph) == {"add": 1, "assign": 1}
        assert not remove_dead_code(graph)


class TestFuseAffine:
    @pytest.mark.parametrize("kind", ["add", "sub"])
    @pytest.mark.parametrize("shapes", [((4,), (1, 1, 4)), ((1,), (4,)), ((1, 1, 1, 4), ())])
    def test_product_and_sum_per_channel(self, kind, shapes):
        m = Maker()
        y = m.op("mul", m.weights(*shapes[0]), m.input(1, 5, 5, 4))
        graph = m.outputs(m.op(kind, y, m.weights(*shapes[1]), activation=Activation.RELU))
        assert run_kept(graph, fuse_affine, remove_dead_code)
        assert ops(graph) == {"depthwise_conv2d": 1}

    def test_others_stay(self):
        """Scalars, a vector per row, another reader, a rank other than 4."""
        m = Maker()
        x, y = m.input(1, 5, 5, 4), m.input(5, 4)
        shared = m.op("mul", x, m.weights(4))
        graph = m.outputs(
            m.op("add", m.op("mul", x, 2.0), 1.0),
            m.op("add", m.op("mul", x, m.weights(5, 1)), m.weights(4)),
            m.op("add", shared, m.weights(4)),
            shared,
            m.op("add", m.op("mul", y, m.weights(4)), m.weights(4)),
        )
        assert not run_kept(graph, fuse_affine)
