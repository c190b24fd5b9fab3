"""Quantised ONNX models, made on the fly by onnxruntime's quantiser in all of its usual formats."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import quantization
from passes.pipeline import optimize
from reference_executor import ReferenceExecutor
from runtime_runs import assert_all_close, run_converted

from edgert.dtypes import DType
from edgert.importers.onnx import load
from edgert.importers.onnx.quant import HANDLERS
from importers import _onnx_cases as cases
from importers._onnx_run import run_onnxruntime

FORMATS = list(
    itertools.product(
        (quantization.QuantFormat.QDQ, quantization.QuantFormat.QOperator),
        (quantization.QuantType.QInt8, quantization.QuantType.QUInt8),  # of activations
        (quantization.QuantType.QInt8, quantization.QuantType.QUInt8),  # of weights
        (False, True),  # per channel
    )
)
# Left out: what onnxruntime does not make (int8 activations with uint8 weights), and zero points per channel.
FORMATS = [item for item in FORMATS if item[2] == quantization.QuantType.QInt8 or item[1:4:2] == (item[2], False)]


class Reader(quantization.CalibrationDataReader):
    def __init__(self, samples):
        self.samples = iter(samples)

    def get_next(self):
        return next(self.samples, None)


def small_cnn():
    """Every kind of layer that a mobile network has: depthwise, residual, concat, pools, flatten, softmax."""
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w0", "b0"], ["c0"], "first", pads=[1, 1, 1, 1], strides=[2, 2]),
        node("Relu", ["c0"], ["r0"], "relu"),
        node("Conv", ["r0", "w1"], ["c1"], "depthwise", group=8, pads=[1, 1, 1, 1]),
        node("Clip", ["c1", "zero", "six"], ["r1"], "relu6"),
        node("Conv", ["r1", "w2", "b2"], ["c2"], "project"),
        node("Add", ["c2", "r0"], ["s"], "residual"),
        node("MaxPool", ["s"], ["m"], "max", kernel_shape=[2, 2], strides=[2, 2]),
        node("AveragePool", ["s"], ["a"], "average", kernel_shape=[2, 2], strides=[2, 2]),
        node("Concat", ["m", "a"], ["cat"], "concat", axis=1),
        node("Sigmoid", ["cat"], ["gate"], "sigmoid"),
        node("Mul", ["cat", "gate"], ["swish"], "mul"),
        node("GlobalAveragePool", ["swish"], ["g"], "global"),
        node("Flatten", ["g"], ["flat_g"], "flatten_global"),
        node("Flatten", ["m"], ["flat"], "flatten"),
        node("Gemm", ["flat", "w3", "b3"], ["y0"], "dense", transB=1),
        node("MatMul", ["flat_g", "w4"], ["y1"], "matmul"),
    ]
    rng = np.random.default_rng(5)

    def normal(deviation, *shape):
        return rng.normal(scale=deviation, size=shape)

    constants = {
        "w0": normal(0.3, 8, 3, 3, 3), "b0": normal(1, 8), "w1": normal(0.5, 8, 1, 3, 3),
        "w2": normal(0.3, 8, 8, 1, 1), "b2": normal(1, 8),
        "w3": normal(0.1, 5, 128), "b3": normal(1, 5), "w4": normal(0.3, 16, 4),
        "zero": cases.scalar(0), "six": cases.scalar(6),
    }  # fmt: skip
    tensors = [numpy_helper.from_array(np.asarray(array, np.float32), name) for name, array in constants.items()]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 16, 16))
    return cases.model(nodes, [x], ["y0", "y1"], tensors, opset=13)


def quantized(model, path, samples, kind, activations, weights, per_channel):
    source = path.with_suffix(".float.onnx")
    onnx.save(model, source)
    quantization.quantize_static(
        source, path, Reader(samples), quant_format=kind, activation_type=activations, weight_type=weights,
        per_channel=per_channel,
    )  # fmt: skip
    return onnx.load(path)


def label(value):
    return value.name if hasattr(value, "name") else ("per_channel" if value else "per_tensor")


@pytest.mark.parametrize(("kind", "activations", "weights", "per_channel"), FORMATS, ids=label)
def test_small_cnn(tmp_path, kind, activations, weights, per_channel):
    """The branch of convolutions, a residual and a dense layer agrees; the other passes an average pool, which rounds
    halves up here (TFLite's formula) and to even in onnxruntime. A quarter of its numbers are such halves; on the way
    to the last layer that is one step of its input at most, and one more where the layer itself rounds.
    """
    rng = np.random.default_rng(3)
    samples = [{"x": rng.normal(size=(1, 3, 16, 16)).astype(np.float32)} for _ in range(60)]
    model = quantized(small_cnn(), tmp_path / "model.onnx", samples[:8], kind, activations, weights, per_channel)
    graph = optimize(load(tmp_path / "model.onnx"))
    assert_integer(graph)
    assert_runtime_agrees(tmp_path / "model.onnx", graph, samples[:5])
    dense, pooled = steps_apart(graph, model, samples)
    assert dense.max() <= 1
    layer = graph.producers()[graph.producers()[graph.outputs[1]].inputs[0]]
    x, weights, y = layer.inputs[0], layer.inputs[1], layer.output
    gains = np.abs(weights.data.astype(int)).sum(1) * np.array(weights.quant.scales) * x.quant.scale / y.quant.scale
    assert pooled.max() <= 1 + gains.max()
    assert np.mean(pooled > 1) < 0.2


@pytest.mark.parametrize(("kind", "activations", "weights", "per_channel"), FORMATS, ids=label)
def test_cntk_mnist(shared_data, tmp_path, kind, activations, weights, per_channel):
    model = onnx.version_converter.convert_version(onnx.load(shared_data("onnx/cntk_mnist.onnx")), 13)
    rng = np.random.default_rng(3)
    samples = [{"Input3": (rng.random((1, 1, 28, 28)) * 255).astype(np.float32)} for _ in range(40)]
    model = quantized(model, tmp_path / "model.onnx", samples[:8], kind, activations, weights, per_channel)
    graph = optimize(load(tmp_path / "model.onnx"))
    assert_integer(graph)
    assert_runtime_agrees(tmp_path / "model.onnx", graph, samples[:5])
    (steps,) = steps_apart(graph, model, samples)
    assert steps.max() <= 1


def assert_integer(graph):
    """All arithmetic runs on integers; float32 is at the two ends only."""
    for node in graph.nodes:
        if node.op not in ("quantize", "dequantize"):
            assert all(value.dtype != DType.FLOAT32 for value in node.outputs), node
    ends = [node for node in graph.nodes if node.op == "dequantize"]
    assert {node.output for node in ends} == set(graph.outputs)


def assert_runtime_agrees(path, graph, samples):
    """The converted model gives what the reference gives, bit for bit."""
    executor = ReferenceExecutor(graph)
    for sample in samples:
        for our, reference in zip(run_converted(path, sample), executor.run(*sample.values()), strict=True):
            np.testing.assert_array_equal(our, reference)


def steps_apart(graph, model, samples):
    """How many steps of its scale every output number is away from onnxruntime's, one array for each output."""
    executor = ReferenceExecutor(graph)
    producers = graph.producers()
    scales = [producers[value].inputs[0].quant.scale for value in graph.outputs]
    steps = [[] for _ in scales]
    for sample in samples:
        theirs = run_onnxruntime(model, sample)
        for found, scale, our, their in zip(steps, scales, executor.run(*sample.values()), theirs, strict=True):
            found.append(np.rint(np.abs(our - their) / scale))
    return [np.array(found) for found in steps]


def uint8_model():
    """uint8 at both ends, as for a camera: the interface keeps it, int8 stands between."""
    node = helper.make_node
    nodes = [
        node("QLinearConv", ["x", "sx", "zx", "w", "sw", "zw", "sy", "zy", "b"], ["c"], "conv", pads=[1, 1, 1, 1]),
        node("MaxPool", ["c"], ["y"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
    ]
    rng = np.random.default_rng(1)
    constants = {
        "sx": cases.scalar(1 / 255), "zx": np.asarray(0, np.uint8), "sw": cases.scalar(0.01),
        "w": rng.integers(0, 256, (4, 3, 3, 3)).astype(np.uint8), "zw": np.asarray(121, np.uint8),
        "sy": cases.scalar(0.05), "zy": np.asarray(100, np.uint8), "b": rng.integers(-900, 900, 4).astype(np.int32),
    }  # fmt: skip
    tensors = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    x = helper.make_tensor_value_info("x", TensorProto.UINT8, (1, 3, 8, 8))
    return cases.model(nodes, [x], ["y"], tensors, opset=13)


def test_uint8_interface(tmp_path):
    onnx.save(uint8_model(), tmp_path / "model.onnx")
    graph = load(tmp_path / "model.onnx")
    assert graph.inputs[0].dtype == graph.outputs[0].dtype == DType.UINT8
    assert graph.outputs[0].quant.zero_point == 100
    optimize(graph)
    assert {node.op for node in graph.nodes} <= {"quantize", "transpose", "conv2d", "max_pool2d"}
    x = np.random.default_rng(2).integers(0, 256, (1, 3, 8, 8)).astype(np.uint8)
    (theirs,) = run_onnxruntime(uint8_model(), {"x": x})
    (ours,) = ReferenceExecutor(graph).run(x)
    assert ours.dtype == np.uint8
    assert np.abs(ours.astype(int) - theirs).max() <= 1


def test_padding_and_resizing_of_8_bit_numbers(tmp_path):
    """QOperator models leave Pad and Resize on uint8: with the zero point, with another number, with none given."""
    node = helper.make_node
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"], "quantize"),
        node("Pad", ["q", "pads", "z"], ["p0"], "pad_zero"),
        node("Pad", ["p0", "pads", "seven"], ["p1"], "pad_seven"),
        node("Pad", ["p1", "pads"], ["p2"], "pad_default"),
        node("Resize", ["p2", "", "scales"], ["r"], "resize", mode="nearest"),
        node("DequantizeLinear", ["r", "s", "z"], ["y"], "dequantize"),
        node("ArgMax", ["r"], ["best"], "best", axis=1),
        node("MaxPool", ["r"], ["m"], "max", kernel_shape=[2, 2]),
        node("DequantizeLinear", ["m", "s", "z"], ["largest"], "dequantize_max"),
    ]
    constants = {
        "s": cases.scalar(0.02), "z": np.asarray(100, np.uint8), "seven": np.asarray(7, np.uint8),
        "pads": cases.i(0, 0, 1, 2, 0, 0, 2, 1), "scales": cases.f(1, 1, 2, 2),
    }  # fmt: skip
    tensors = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 5, 4))
    model = cases.model(nodes, [x], ["y", "best", "largest"], tensors)
    onnx.save(model, tmp_path / "model.onnx")
    sample = {"x": np.random.default_rng(1).normal(size=(1, 3, 5, 4)).astype(np.float32)}
    theirs = run_onnxruntime(model, sample)
    assert_all_close(ReferenceExecutor(load(tmp_path / "model.onnx")).run(*sample.values()), theirs)
    assert_all_close(run_converted(tmp_path / "model.onnx", sample), theirs)


def test_batch_norm_with_quantised_numbers(tmp_path):
    """onnxruntime quantises the scale of a BatchNormalization that was not folded before."""
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["scale"], "scale"),
        helper.make_node("BatchNormalization", ["x", "scale", "b", "m", "v"], ["y"], "norm"),
    ]
    constants = {
        "q": np.asarray([-100, 3, 90], np.int8), "s": cases.scalar(0.02), "z": np.asarray(0, np.int8),
        "b": cases.w(3), "m": cases.w(3), "v": cases.positive(3),
    }  # fmt: skip
    tensors = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 5, 4))
    model = cases.model(nodes, [x], ["y"], tensors)
    onnx.save(model, tmp_path / "model.onnx")
    sample = {"x": cases.w(1, 3, 5, 4)}
    assert_all_close(run_converted(tmp_path / "model.onnx", sample), run_onnxruntime(model, sample))


def test_quantised_weights_of_float_layers(tmp_path):
    """Weights behind DequantizeLinear, activations float: folded to float weights, scales per channel respected."""
    rng = np.random.default_rng(1)
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s", "z"], ["wf"], "weights", axis=0),
        helper.make_node("Conv", ["x", "wf"], ["y"], "conv"),
    ]
    constants = {
        "w": rng.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8), "s": cases.positive(4), "z": np.zeros(4, np.int8)
    }  # fmt: skip
    tensors = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 8, 8))
    model = cases.model(nodes, [x], ["y"], tensors)
    onnx.save(model, tmp_path / "model.onnx")
    graph = optimize(load(tmp_path / "model.onnx"))
    assert [node.op for node in graph.nodes] == ["transpose", "conv2d", "transpose"]
    sample = {"x": rng.normal(size=(1, 3, 8, 8)).astype(np.float32)}
    assert_all_close(ReferenceExecutor(graph).run(*sample.values()), run_onnxruntime(model, sample))


def test_dynamically_quantised_layers(tmp_path):
    """What onnxruntime's dynamic quantisation makes of a MatMul and a Conv: scales that only the run knows."""
    rng = np.random.default_rng(3)
    constants = {
        "wm": rng.integers(0, 256, (600, 5)).astype(np.uint8), "zm": u8(131), "sm": cases.scalar(0.01),
        "wc": rng.integers(-128, 128, (4, 1, 3, 3)).astype(np.int8), "zc": np.asarray(0, np.int8),
    }  # fmt: skip
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"], "quantise"),
        helper.make_node("MatMulInteger", ["q", "wm", "z", "zm"], ["sums"], "product"),
        helper.make_node("Cast", ["sums"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["real", "s"], ["scaled"]),
        helper.make_node("Mul", ["scaled", "sm"], ["y"]),
        helper.make_node("Reshape", ["q", "image"], ["pixels"]),
        helper.make_node("ConvInteger", ["pixels", "wc", "z", "zc"], ["c"], "convolution", pads=[1, 1, 1, 1]),
    ]
    constants["image"] = cases.i(3, 1, 20, 30)
    tensors = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, (3, 600))
    model = cases.model(nodes, [x], ["y", "c", "q", "s", "z"], tensors)
    onnx.save(model, tmp_path / "model.onnx")
    sample = {"x": rng.normal(size=(3, 600)).astype(np.float32)}
    assert_all_close(run_converted(tmp_path / "model.onnx", sample), run_onnxruntime(model, sample))


def u8(*numbers):
    return np.asarray(numbers, np.uint8) if len(numbers) != 1 else np.asarray(numbers[0], np.uint8)


def microsoft_cases():
    """Operators of the com.microsoft domain that the quantiser makes of layers which small_cnn does not have."""
    x = cases.x(2, 8, low=0, high=255.9, dtype="uint8")
    s, z = cases.scalar(0.05), u8(120)
    weights = np.random.default_rng(4).integers(-127, 128, (8, 5)).astype(np.int8)
    columns, none = cases.positive(5) * np.float32(0.01), np.zeros(5, np.int8)
    bias = np.arange(-200, 300, 100).astype(np.int32)
    microsoft = {"domain": "com.microsoft", "opset": 13}
    out = (cases.scalar(1 / 256), u8(0))
    yield cases.Case("QLinearSoftmax", inputs=(x, s, z, *out), attrs={"axis": -1, "opset": 13}, **microsoft)
    yield cases.Case(
        "QLinearLeakyRelu", inputs=(x, s, z, cases.scalar(0.04), u8(90)), attrs={"alpha": 0.2}, **microsoft
    )
    yield cases.Case("QLinearSigmoid", inputs=(x, s, z, *out), **microsoft)
    table = np.random.default_rng(5).integers(0, 256, (1, 8)).astype(np.uint8)
    yield cases.Case(
        "QLinearAdd", inputs=(x, s, z, table, cases.scalar(0.03), u8(7), cases.scalar(0.07), z), **microsoft
    )
    yield cases.Case(
        "QLinearMul", inputs=(x, s, z, table, cases.scalar(0.03), u8(7), cases.scalar(0.3), z), **microsoft
    )
    gemm = (x, s, z, weights, columns, none, bias)
    yield cases.Case("QGemm", inputs=gemm, **microsoft)
    yield cases.Case("QGemm", inputs=(*gemm, cases.scalar(0.5), u8(128)), **microsoft)
    transposed = (x, s, z, np.ascontiguousarray(weights.T), columns, none, bias, cases.scalar(0.5), u8(128))
    yield cases.Case("QGemm", inputs=transposed, attrs={"transB": 1}, **microsoft)
    other = cases.x(2, 3, low=0, high=255.9, dtype="uint8")
    concat = (cases.scalar(0.06), z, x, s, z, other, cases.scalar(0.03), u8(3))
    yield cases.Case("QLinearConcat", inputs=concat, attrs={"axis": 1}, **microsoft)
    image = cases.x(1, 3, 6, 6, low=0, high=255.9, dtype="uint8")
    yield cases.Case("QLinearGlobalAveragePool", inputs=(image, s, z, cases.scalar(0.03), u8(9)), **microsoft)
    yield cases.Case("QLinearAveragePool", inputs=(image, s, z, cases.scalar(0.03), u8(9)),
                     attrs={"kernel_shape": [2, 2], "strides": [2, 2]}, **microsoft)  # fmt: skip


@pytest.mark.parametrize("case", list(microsoft_cases()), ids=lambda case: case.label)
def test_microsoft_operators(tmp_path, case):
    """Within one step, and the interface stays uint8."""
    path = tmp_path / "model.onnx"
    names = [f"in{index}" for index in range(len(case.inputs))]
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(item.dtype)), item.shape)
        for name, item in zip(names, case.inputs, strict=True)
        if isinstance(item, cases.Input)
    ]
    tensors = [
        numpy_helper.from_array(item, name)
        for name, item in zip(names, case.inputs, strict=True)
        if not isinstance(item, cases.Input)
    ]
    floats = case.op == "QGemm" and len(case.inputs) == 7
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT if floats else TensorProto.UINT8, None)
    node = helper.make_node(case.op, names, ["y"], "node", domain=case.domain, **case.attrs)
    graph = helper.make_graph([node], "g", inputs, [output], tensors)
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.save(model, path)
    samples = case.samples()
    (theirs,) = run_onnxruntime(model, samples)
    (ours,) = run_converted(path, samples)
    assert ours.dtype == theirs.dtype
    if floats:
        assert_all_close([ours], [theirs])
    else:
        assert np.abs(ours.astype(int) - theirs).max() <= 1


def test_every_quantised_operator_has_a_model():
    covered = {f"com.microsoft.{case.op}" for case in microsoft_cases()}
    elsewhere = {"QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul"}
    elsewhere |= {"com.microsoft.QuantizeLinear", "com.microsoft.DequantizeLinear"}
    assert set(HANDLERS) == covered | elsewhere


@pytest.mark.parametrize("per_operator", [False, True])
@pytest.mark.parametrize("zero", [np.int8(-128), np.uint8(0)], ids=["int8", "uint8"])
def test_quantised_shape_arithmetic_is_known(tmp_path, per_operator, zero):
    """Quantisers treat the products that make up a shape like any other; the shape that comes of them is a constant."""
    node = helper.make_node
    quantized = [
        node("QuantizeLinear", ["patches", "scale", "zero"], ["patches_q"]),
        node("QuantizeLinear", ["two", "scale", "zero"], ["two_q"]),
    ]
    if per_operator:
        factors = ["patches_q", "scale", "zero", "two_q", "scale", "zero", "scale", "zero"]
        quantized.append(node("QLinearMul", factors, ["size_q"], domain="com.microsoft"))
    else:
        quantized += [
            node("DequantizeLinear", ["patches_q", "scale", "zero"], ["patches_d"]),
            node("DequantizeLinear", ["two_q", "scale", "zero"], ["two_d"]),
            node("Mul", ["patches_d", "two_d"], ["size_f"]),
            node("QuantizeLinear", ["size_f", "scale", "zero"], ["size_q"]),
        ]
    nodes = [
        *quantized,
        node("DequantizeLinear", ["size_q", "scale", "zero"], ["size"]),
        node("Cast", ["size"], ["whole"], to=TensorProto.INT64),
        node("Div", ["whole", "three"], ["rows"], "truncated"),
        node("Concat", ["rows", "rest"], ["shape"], axis=0),
        node("Reshape", ["x", "shape"], ["y"]),
    ]
    constants = {
        "patches": np.asarray([4.0], np.float32), "two": np.asarray([2.0], np.float32), "scale": np.float32(0.125),
        "zero": np.asarray(zero), "three": np.asarray([3]), "rest": np.asarray([-1]),
    }  # fmt: skip
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 6))
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, (2, 3))
    graph = helper.make_graph(nodes, "g", [x], [y], tensors)
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "model.onnx")
    imported = load(tmp_path / "model.onnx")
    assert [made.op for made in imported.nodes] == ["reshape"]
    assert imported.outputs[0].shape == (2, 3)


def test_transposed_weights_keep_their_integers(tmp_path):
    """PyTorch writes a quantised linear layer as dequantised weights, a transpose and a product."""
    node = helper.make_node
    nodes = [
        node("QuantizeLinear", ["x", "scale", "zero"], ["x_q"]),
        node("DequantizeLinear", ["x_q", "scale", "zero"], ["x_d"]),
        node("DequantizeLinear", ["w", "scales", "zeros"], ["w_d"], axis=0),
        node("Transpose", ["w_d"], ["w_t"], perm=[1, 0]),
        node("MatMul", ["x_d", "w_t"], ["product"]),
        node("QuantizeLinear", ["product", "scale", "zero"], ["y_q"]),
        node("DequantizeLinear", ["y_q", "scale", "zero"], ["y"]),
    ]
    constants = {
        "w": np.arange(-20, 20, dtype=np.int8).reshape(5, 8), "scales": np.full(5, 0.01, np.float32),
        "zeros": np.zeros(5, np.int8), "scale": np.float32(0.05), "zero": np.int8(3),
    }  # fmt: skip
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 8))
    onnx.save(cases.model(nodes, [x], ["y"], tensors, opset=13), tmp_path / "model.onnx")
    graph = optimize(load(tmp_path / "model.onnx"))
    assert_integer(graph)
    assert [made.op for made in graph.nodes] == ["quantize", "fully_connected", "dequantize"]
