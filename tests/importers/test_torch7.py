"""Torch7 networks, against OpenCV where it reads the module, and against what the module's Lua source says."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from reference_executor import ReferenceExecutor
from runtime_runs import run

from edgert.errors import FileFormatError, InputError, UnsupportedError
from edgert.importers import torch7
from importers._torch7_write import GraphNode, Storage, container, graph_module, module, save, sequential

RNG = np.random.default_rng(7)
IMAGE = (1, 4, 9, 8)


def normal(*shape):
    return RNG.normal(0, 0.5, shape).astype(np.float32)


def positive(*shape):
    return RNG.uniform(0.5, 1.5, shape).astype(np.float32)


def conv(kind="SpatialConvolution", inputs=4, outputs=6, kw=3, kh=3, dw=1, dh=1, padw=0, padh=0, flat=False, **fields):
    weight = normal(outputs, inputs, kh, kw)
    return module(kind, nInputPlane=inputs, nOutputPlane=outputs, kW=kw, kH=kh, dW=dw, dH=dh, padW=padw, padH=padh,
                  weight=weight.reshape(outputs, -1) if flat else weight, bias=normal(outputs), **fields)  # fmt: skip


def pool(kind, kw, kh, dw, dh, padw=0, padh=0, ceil=False, **fields):
    return module(kind, kW=kw, kH=kh, dW=dw, dH=dh, padW=padw, padH=padh, ceil_mode=ceil, **fields)


def batch_norm(channels=4):
    return module("SpatialBatchNormalization", nDim=4, eps=1e-3, momentum=0.1, affine=True, weight=positive(channels),
                  bias=normal(channels), running_mean=normal(channels), running_var=positive(channels))  # fmt: skip


def full_conv():
    return module("SpatialFullConvolution", nInputPlane=4, nOutputPlane=3, kW=3, kH=3, dW=2, dH=2, padW=1, padH=1,
                  adjW=1, adjH=1, weight=normal(4, 3, 3, 3), bias=normal(3))  # fmt: skip


def linear(inputs, outputs):
    return module("Linear", weight=normal(outputs, inputs), bias=normal(outputs))


AGAINST_OPENCV = {
    "conv": conv(padw=1, padh=2, dw=2),
    "conv_mm": conv("SpatialConvolutionMM", flat=True, padw=1),
    "dilated": conv("SpatialDilatedConvolution", padw=2, padh=2, dilationW=2, dilationH=2),
    "full_conv": full_conv(),
    "max_pool": pool("SpatialMaxPooling", 3, 2, 2, 2),
    "max_pool_ceil": pool("SpatialMaxPooling", 3, 3, 2, 2, 1, 1, True),
    "average_pool": pool("SpatialAveragePooling", 3, 3, 2, 2, 1, 1, False, count_include_pad=True, divide=True),
    "batch_norm": batch_norm(),
    "relu": module("ReLU"),
    "prelu": module("PReLU", weight=normal(4), nOutputPlane=4),
    "elu": module("ELU", alpha=1.0),
    "sigmoid": module("Sigmoid"),
    "tanh": module("Tanh"),
    "softmax": module("SoftMax"),
    "log_softmax": module("LogSoftMax"),
    "identity": module("Identity"),
    "dropout": module("Dropout", p=0.3),
    "dropout_v2": module("Dropout", p=0.3, v2=True),
    "spatial_dropout": module("SpatialDropout", p=0.25),
    "mul_constant": module("MulConstant", constant_scalar=1.5),
    "lrn": module("SpatialCrossMapLRN", size=3, alpha=0.01, beta=0.75, k=1),
    "upsample": module("SpatialUpSamplingNearest", scale_factor=2),
    "zero_padding": module("SpatialZeroPadding", pad_l=1, pad_r=2, pad_t=0, pad_b=3),
    "reflection": module("SpatialReflectionPadding", pad_l=2, pad_r=1, pad_t=2, pad_b=1),
    "square": module("Square"),
    "shave": module("ShaveImage", size=2),
    "total_variation": module("TotalVariation", strength=1),
    "concat": container("Concat", conv(), conv(outputs=2), dimension=2),
    "depth_concat": container("DepthConcat", conv(), conv(kw=1, kh=1, outputs=2), dimension=2),
    "residual": sequential(
        container("ConcatTable", sequential(conv(outputs=4, padw=1, padh=1), batch_norm()), module("Identity")),
        module("CAddTable"), module("ReLU"),
    ),
    "join": sequential(container("ConcatTable", conv(), conv(outputs=3)), module("JoinTable", dimension=2)),
    "classifier": sequential(
        conv(outputs=5, dw=2, dh=2), module("ReLU"), pool("SpatialMaxPooling", 2, 2, 2, 2),
        module("View", size=Storage(10), numElements=10), linear(10, 7), module("LogSoftMax"),
    ),
    "reshape": sequential(module("Reshape", size=Storage(288), nelement=288, batchMode=True), linear(288, 5)),
}  # fmt: skip


def imported(path, *shapes):
    names = ["input"] if len(shapes) == 1 else [f"input{place}" for place in range(1, len(shapes) + 1)]
    graph = torch7.load(path, dict(zip(names, shapes, strict=True)))
    graph.verify()
    return graph


def assert_near(result, expected):
    assert result.shape == expected.shape
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-4 * max(1.0, float(np.abs(expected).max())))


@pytest.mark.parametrize("ascii", [False, True], ids=["binary", "ascii"])
@pytest.mark.parametrize("name", AGAINST_OPENCV)
def test_equals_opencv(name, ascii, tmp_path):
    cv2 = pytest.importorskip("cv2", reason="needs opencv-python-headless")
    x = normal(*IMAGE)
    net = AGAINST_OPENCV[name]
    path = save(tmp_path / "net.t7", net if net.kind == "nn.Sequential" else sequential(net))
    reference = cv2.dnn.readNetFromTorch(str(path), True, True)
    reference.setInput(x)
    expected = reference.forward()
    if ascii:  # OpenCV reads it too, but tells it apart by its name
        path = save(tmp_path / "ascii.t7", net, ascii=True)
    graph = imported(path, IMAGE)
    for result in (*ReferenceExecutor(graph).run(x), *run(graph, [x])):
        assert_near(result, expected)


def test_modules_that_opencv_lacks(tmp_path):
    """Each with a formula from its Lua source."""
    weight, bias = normal(5, 12), normal(5)
    scale = normal(1, 4, 1, 1)

    def temporal(x):
        windows = [x[:, at : at + 3].reshape(1, -1) for at in range(0, 7, 2)]
        return np.stack([part @ weight.T + bias for part in windows], 1)

    sequence = (1, 9, 4)
    cases = [
        (module("TemporalConvolution", inputFrameSize=4, outputFrameSize=5, kW=3, dW=2, weight=weight, bias=bias),
         sequence, temporal),
        (module("LeakyReLU", negval=0.2), IMAGE, lambda x: np.where(x > 0, x, 0.2 * x)),
        (module("SpatialSoftMax"), IMAGE, lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True)),
        (module("HardShrink", **{"lambda": 0.4}), IMAGE, lambda x: np.where(np.abs(x) > 0.4, x, 0)),
        (module("SoftShrink", **{"lambda": 0.4}), IMAGE, lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.4, 0)),
        (module("SpatialSubSampling", kW=2, kH=3, dW=2, dH=3, weight=scale.reshape(4), bias=scale.reshape(4)), IMAGE,
         lambda x: x.reshape(1, 4, 3, 3, 4, 2).sum((3, 5)) * scale + scale),
        (module("PixelShuffle", upscaleFactor=2), IMAGE,
         lambda x: x.reshape(1, 1, 2, 2, 9, 8).transpose(0, 1, 4, 2, 5, 3).reshape(1, 1, 18, 16)),
        (module("HardTanh", min_val=-0.3, max_val=0.4), IMAGE, lambda x: np.clip(x, -0.3, 0.4)),
        (module("Threshold", threshold=0.1, val=-1), IMAGE, lambda x: np.where(x > 0.1, x, -1)),
        (module("SoftPlus", beta=2), IMAGE, lambda x: np.log1p(np.exp(2 * x)) / 2),
        (module("AddConstant", constant_scalar=-2), IMAGE, lambda x: x - 2),
        (module("CMul", weight=scale, size=Storage(1, 4, 1, 1)), IMAGE, lambda x: x * scale),
        (module("Mean", dimension=2, nInputDims=3, sizeAverage=True), IMAGE, lambda x: x.mean(2)),
        (module("Max", dimension=1), IMAGE, lambda x: x.max(0)),
        (module("Sum", dimension=-1, squeeze=False), IMAGE, lambda x: x.sum(3, keepdims=True)),
        (module("Normalize", p=2, eps=1e-10), (3, 6), lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)),
        (module("InstanceNormalization", eps=1e-5, weight=scale.reshape(4), bias=scale.reshape(4)), IMAGE,
         lambda x: ((x - x.mean((2, 3), keepdims=True)) / np.sqrt(x.var((2, 3), keepdims=True) + 1e-5) + 1) * scale),
        (module("Padding", dim=1, pad=-2, nInputDim=3, value=0.5), IMAGE,
         lambda x: np.concatenate([np.full((1, 2, 9, 8), 0.5), x], 1)),
        (module("SpatialZeroPadding", pad_l=-2, pad_r=1, pad_t=0, pad_b=-3), IMAGE,
         lambda x: np.pad(x[:, :, :-3, 2:], ((0, 0), (0, 0), (0, 0), (0, 1)))),
        (module("SpatialReplicationPadding", pad_l=2, pad_r=1, pad_t=0, pad_b=3), IMAGE,
         lambda x: np.pad(x, ((0, 0), (0, 0), (0, 3), (2, 1)), "edge")),
        (module("Transpose", permutations=[[2, 3], [3, 4]]), IMAGE, lambda x: x.transpose(0, 2, 3, 1)),
        (module("Narrow", dimension=2, index=2, length=-2), IMAGE, lambda x: x[:, 1:3]),
        (module("Select", dimension=3, index=-1), IMAGE, lambda x: x[:, :, -1]),
        (module("Unsqueeze", pos=1, numInputDims=3), IMAGE, lambda x: x[:, np.newaxis]),
        (module("Replicate", nfeatures=3, dim=2), IMAGE, lambda x: np.stack([x] * 3, 1)),
        (module("View", size=Storage(-1), numInputDims=3), IMAGE, lambda x: x.reshape(1, -1)),
        (module("Reshape", size=Storage(36, 8)), IMAGE, lambda x: x.reshape(1, 36, 8)),
        (pool("SpatialAveragePooling", 2, 3, 2, 3, divide=False), IMAGE,
         lambda x: x.reshape(1, 4, 3, 3, 4, 2).sum((3, 5))),
        (sequential(module("SplitTable", dimension=2), module("NarrowTable", offset=2, length=2), module("CSubTable")),
         IMAGE, lambda x: x[:, 1] - x[:, 2]),
        (sequential(container("ConcatTable", module("Identity"), module("Tanh")), module("CMulTable")), IMAGE,
         lambda x: x * np.tanh(x)),
    ]  # fmt: skip
    for net, shape, formula in cases:
        x = normal(*shape)
        graph = imported(save(tmp_path / "net.t7", net), shape)
        for result in (*ReferenceExecutor(graph).run(x), *run(graph, [x])):
            assert_near(result, formula(x))


def test_rows_of_a_table(tmp_path):
    table = normal(5, 3)
    graph = imported(save(tmp_path / "net.t7", module("LookupTable", weight=table)), (2, 3))
    (rows,) = ReferenceExecutor(graph).run(np.array([[1, 5, 2], [3, 3, 4]], np.float32))
    np.testing.assert_array_equal(rows, table[[[0, 4, 1], [2, 2, 3]]])


def test_a_network_in_a_checkpoint(tmp_path):
    path = save(tmp_path / "net.t7", {"model": module("ReLU"), "epoch": 7, "options": {"rate": 0.1}})
    graph = torch7.load(path, {"input": (1, 3)})
    assert graph.notes == ["The file holds a table; its item 'model' is taken."]
    with pytest.raises(FileFormatError, match="a table with 2 networks"):
        torch7.load(save(path, {"a": module("ReLU"), "b": module("Tanh")}), {"input": (1, 3)})


def test_tables_of_inputs_and_outputs(tmp_path):
    net = sequential(container("ParallelTable", module("Tanh"), module("Identity")),
                     container("ConcatTable", module("CAddTable"), module("SelectTable", index=-1)))  # fmt: skip
    graph = imported(save(tmp_path / "net.t7", net), (1, 3), (1, 3))
    assert [value.name for value in graph.inputs] == ["input1", "input2"]
    assert [value.name for value in graph.outputs] == ["output1", "output2"]
    x, y = normal(1, 3), normal(1, 3)
    total, second = ReferenceExecutor(graph).run(x, y)
    assert_near(total, np.tanh(x) + y)
    assert_near(second, y)


def test_a_graph_of_modules(tmp_path):
    """nngraph: branches that join, a table taken apart, two inputs and two outputs."""
    left, right = GraphNode(), GraphNode()
    bent = GraphNode(left, module=module("Tanh"))
    total = GraphNode(bent, right, module=module("CAddTable"))
    both = GraphNode(total, module=container("ConcatTable", module("Identity"), module("Square")))
    table = GraphNode(both, nSplitOutputs=2)
    squared, plain = (GraphNode(table, selectindex=index) for index in (2, 1))
    less = GraphNode(squared, plain, module=module("CSubTable"))
    order = [left, right, bent, total, both, table, plain, squared, less]
    net = graph_module(order, [left, right], [less, bent])
    graph = imported(save(tmp_path / "net.t7", net), (2, 3), (2, 3))
    x, y = normal(2, 3), normal(2, 3)
    first, second = ReferenceExecutor(graph).run(x, y)
    added = np.tanh(x) + y
    assert_near(first, added**2 - added)
    assert_near(second, np.tanh(x))


def test_a_long_graph_of_modules(tmp_path):
    """As deep in the file as it is long."""
    nodes = [GraphNode()]
    for _ in range(400):
        nodes.append(GraphNode(nodes[-1], module=module("AddConstant", constant_scalar=1)))
    net = graph_module(nodes, nodes[:1], nodes[-1:])
    (y,) = ReferenceExecutor(imported(save_deep(tmp_path / "net.t7", net), (1, 3))).run(np.zeros((1, 3), np.float32))
    assert y[0, 0] == 400


def save_deep(path, net):
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(100000)
    try:
        return save(path, net)
    finally:
        sys.setrecursionlimit(limit)


def test_nodes_bear_the_numbers_of_their_modules(tmp_path):
    graph = imported(
        save(tmp_path / "net.t7", sequential(conv(), sequential(module("Tanh"), module("Sigmoid")))), IMAGE
    )
    assert {(node.name, node.source) for node in graph.nodes} == {
        ("1", "nn.SpatialConvolution"), ("2.1", "nn.Tanh"), ("2.2", "nn.Sigmoid"),
    }  # fmt: skip


def test_the_shape_must_be_given(tmp_path):
    path = save(tmp_path / "net.t7", module("ReLU"))
    with pytest.raises(InputError, match=r"'input' any: give their sizes as input_shapes=\{'input': \(1, \.\.\.\)\}"):
        torch7.load(path)
    with pytest.raises(InputError, match="inputs are called 'input'"):
        torch7.load(path, {"data": (1, 3)})


def test_all_unknown_modules_are_listed(tmp_path):
    net = sequential(module("Unknown"), module("ReLU"), container("ConcatTable", module("Strange"), module("Tanh")))
    with pytest.raises(UnsupportedError) as caught:
        torch7.load(save(tmp_path / "net.t7", net), {"input": (1, 3)})
    assert [(item.node, item.operator) for item in caught.value.items] == [("1", "nn.Unknown"), ("3.1", "nn.Strange")]
