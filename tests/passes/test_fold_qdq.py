"""dequantize, operator, quantize become the int8 operator, by the operator's rule."""

from __future__ import annotations

import numpy as np
import pytest
from reference_executor import ReferenceExecutor

from edgert.dtypes import DType, QuantParams
from edgert.ops._enums import Activation, ReduceFunction, UnaryFunction
from edgert.passes.dead_code import remove_dead_code
from edgert.passes.fold_qdq import fold_qdq
from passes.graphs import Maker, ops, samples

A = QuantParams((0.05,), (3,))
B = QuantParams((0.07,), (-20,))


def int8_input(m, *shape, quant=A):
    return m.op("dequantize", m.input(*shape, dtype=DType.INT8, quant=quant))


def int8_weights(m, *shape, scales=(0.01,), zero_points=(0,), axis=0):
    data = m.rng.integers(-127, 128, shape).astype(np.int8)
    return m.op("dequantize", m.constant(data, QuantParams(scales, zero_points, axis)))


def fold(graph):
    """Folds, and checks that the numbers are those of the float path within one step."""
    arrays = samples(graph)
    before = ReferenceExecutor(graph).run(*arrays)
    assert fold_qdq(graph)
    remove_dead_code(graph)
    graph.verify()
    for our, their in zip(ReferenceExecutor(graph).run(*arrays), before, strict=True):
        assert np.abs(our.astype(np.int64) - their).max() <= 1
    assert not fold_qdq(graph)
    return graph


@pytest.mark.parametrize("activation", [Activation.NONE, Activation.RELU6])
@pytest.mark.parametrize("bias", ["none", "int32", "float", "int32 at another scale"])
def test_weighted_per_channel(bias, activation):
    m = Maker()
    scales = (0.01, 0.02, 0.005, 0.01)
    weights = int8_weights(m, 4, 3, 3, 2, scales=scales, zero_points=(0,) * 4)
    values = {
        "none": None,
        "int32": m.op("dequantize", m.constant(np.asarray([900, -900, 5, 0], np.int32), QuantParams(
            tuple(scale * 0.05 for scale in scales), (0,) * 4))),
        "float": m.weights(4),
        "int32 at another scale": m.op("dequantize", m.constant(
            np.asarray([90, -90, 5, 0], np.int32), QuantParams((0.01,), (0,)))),
    }  # fmt: skip
    y = m.op("conv2d", int8_input(m, 1, 6, 6, 2), weights, values[bias], activation=activation)
    graph = fold(m.outputs(m.op("quantize", y, quant=B)))
    (node,) = graph.nodes
    assert node.op == "conv2d"
    assert node.attrs["activation"] == activation
    assert node.inputs[1].quant.scales == scales
    if bias != "none":
        assert node.inputs[2].dtype == DType.INT32
        np.testing.assert_allclose(node.inputs[2].quant.scales, np.asarray(scales) * 0.05, rtol=1e-6)


def test_depthwise_dense_and_matmul():
    m = Maker()
    x = int8_input(m, 1, 6, 6, 2)
    y = m.op("depthwise_conv2d", x, int8_weights(m, 3, 3, 2, scales=(0.01, 0.02), zero_points=(0, 0), axis=2))
    y = m.op("dequantize", m.op("quantize", y, quant=B))
    y = m.op("fully_connected", y, int8_weights(m, 5, 2, zero_points=(7,)))
    y = m.op("dequantize", m.op("quantize", y, quant=QuantParams((0.1,), (0,))))
    y = m.op("matmul", y, int8_input(m, 1, 4, 5, 3))
    graph = fold(m.outputs(m.op("quantize", y, quant=QuantParams((0.6,), (9,)))))
    assert ops(graph) == {"depthwise_conv2d": 1, "fully_connected": 1, "matmul": 1}


def test_one_tap_with_float_weights():
    """A batch norm between quantize and dequantize: weights of both signs, none, and hardly any beside a large bias."""
    m = Maker()
    weights = m.constant(np.asarray([1.7, -0.3, 0.0, 1e-9], np.float32).reshape(1, 1, 4))
    y = m.op("depthwise_conv2d", int8_input(m, 1, 6, 6, 4), weights, m.constant([0.5, -0.25, 1.0, 2.0]))
    graph = fold(m.outputs(m.op("quantize", y, quant=B)))
    assert ops(graph) == {"depthwise_conv2d": 1}
    np.testing.assert_array_equal(graph.nodes[0].inputs[1].data.reshape(-1)[:3], [127, -127, 0])


def test_free_and_table():
    m = Maker()
    a, b = int8_input(m, 1, 4, 4, 3), int8_input(m, 1, 4, 4, 3, quant=B)
    outputs = [
        m.op("add", a, b),
        m.op("mul", a, b),
        m.op("reduce", a, function=ReduceFunction.MEAN, axes=(1, 2), keep_dims=False),
        m.op("unary", b, function=UnaryFunction.TANH),
    ]
    graph = fold(m.outputs(*(m.op("quantize", value, quant=QuantParams((0.11,), (1,))) for value in outputs)))
    assert ops(graph) == {"add": 1, "mul": 1, "reduce": 1, "unary": 1}


@pytest.mark.parametrize("number", [3.0, -0.25, 0.0])
@pytest.mark.parametrize("kind", ["add", "sub", "mul"])
def test_one_number_as_an_operand(kind, number):
    m = Maker()
    y = m.op(kind, int8_input(m, 1, 4, 4, 3), np.full((1,), number, np.float32))
    graph = fold(m.outputs(m.op("quantize", y, quant=QuantParams((0.07,), (1,)))))
    assert ops(graph) == {kind: 1}


@pytest.mark.parametrize("quant", [A, B])
def test_operators_that_keep_their_scale(quant):
    m = Maker()
    y = m.op("max_pool2d", int8_input(m, 1, 4, 4, 3), kernel_h=2, kernel_w=2)
    graph = fold(m.outputs(m.op("quantize", y, quant=quant)))
    assert [node.op for node in graph.nodes] == (["max_pool2d"] if quant == A else ["max_pool2d", "quantize"])
    assert graph.nodes[0].output.quant == A
    assert graph.outputs[0].quant == quant


FINE = QuantParams((0.02,), (-7,))


@pytest.mark.parametrize(
    ("quant", "attrs", "made"),
    [
        (FINE, {}, ["depthwise_conv2d"]),
        (FINE, {"pad_top": 1, "pad_left": 1, "count_include_pad": True, "activation": Activation.RELU}, None),
        (FINE, {"pad_top": 1, "pad_left": 1}, ["average_pool2d", "quantize"]),  # some windows have fewer taps
        (A, {}, ["average_pool2d"]),
    ],
)
def test_an_average_pool_that_changes_the_scale_rounds_once(quant, attrs, made):
    """Rounding to the input's scale first would lose what the finer output has room for."""
    m = Maker()
    x = int8_input(m, 1, 7, 7, 3)
    graph = m.outputs(m.op("quantize", m.op("average_pool2d", x, kernel_h=3, kernel_w=3, **attrs), quant=quant))
    arrays = samples(graph)
    (before,) = ReferenceExecutor(graph).run(*arrays)
    assert fold_qdq(graph)
    remove_dead_code(graph)
    graph.verify()
    assert [node.op for node in graph.nodes] == (made or ["depthwise_conv2d"])
    (after,) = ReferenceExecutor(graph).run(*arrays)
    assert graph.outputs[0].quant == quant
    if graph.nodes[0].op == "depthwise_conv2d":  # float32 may fall on the other side of a half
        apart = np.abs(before.astype(int) - after)
        assert apart.max() <= 1
        assert np.mean(apart) < 0.02


def test_concat_brings_its_inputs_to_one_scale():
    m = Maker()
    y = m.op("concat", int8_input(m, 1, 4), int8_input(m, 1, 4, quant=B), axis=1)
    graph = fold(m.outputs(m.op("quantize", y, quant=B)))
    assert [node.op for node in graph.nodes] == ["quantize", "concat"]
    assert {value.quant for value in graph.nodes[1].inputs} == {B}


@pytest.mark.parametrize("quant", [QuantParams((1 / 256,), (-128,)), QuantParams((1 / 255,), (-128,))])
def test_softmax_has_its_own_scale(quant):
    m = Maker()
    y = m.op("softmax", int8_input(m, 1, 10), axis=1)
    graph = fold(m.outputs(m.op("quantize", y, quant=quant)))
    assert [node.op for node in graph.nodes] == ["softmax", "quantize"][: 1 + (quant.scale != 1 / 256)]


def test_arg_max_reads_int8():
    m = Maker()
    graph = m.outputs(m.op("arg_max", int8_input(m, 1, 10), axis=1))
    assert fold_qdq(graph)
    remove_dead_code(graph)
    assert ops(graph) == {"arg_max": 1}


@pytest.mark.parametrize("quant", [A, B])
def test_quantize_below_dequantize(quant):
    m = Maker()
    y = m.op("max_pool2d", m.input(1, 4, 4, 3, dtype=DType.INT8, quant=A), kernel_h=2, kernel_w=2)
    y = m.op("quantize", m.op("dequantize", y), quant=quant)
    graph = fold(m.outputs(m.op("max_pool2d", y, kernel_h=2, kernel_w=2)))
    assert ops(graph).get("quantize", 0) == (quant != A)


def test_what_stays_float():
    """No int8 form, a float operand, another reader of the float result."""
    m = Maker()
    x = int8_input(m, 1, 4)
    shared = m.op("add", x, int8_input(m, 1, 4))
    graph = m.outputs(
        m.op("quantize", m.op("log_softmax", x, axis=1), quant=A),
        m.op("quantize", m.op("add", x, m.input(1, 4)), quant=A),
        m.op("quantize", shared, quant=A),
        shared,
    )
    assert not fold_qdq(graph)
