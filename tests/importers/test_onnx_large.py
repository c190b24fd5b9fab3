"""A large ONNX model converts in seconds: 25 MB of weights in some 1,500 nodes, as exporters write them."""

from __future__ import annotations

import time

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from runtime_runs import assert_all_close, run_converted

from edgert.compile import convert
from importers._onnx_run import run_onnxruntime

SECONDS = 10.0
BLOCKS, CHANNELS, WIDE = 100, 48, 288


class Net:
    """Inverted residual blocks with squeeze-and-excite, their activations and normalisations in single nodes."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)
        self.nodes, self.weights = [], []

    def constant(self, array) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def add(self, op, inputs, **attrs) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], f"{op}_{name}", **attrs))
        return name

    def convolution(self, x, inputs, outputs, kernel, groups=1) -> str:
        shape = (outputs, inputs // groups, kernel, kernel)
        weights = self.rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))
        pads = [kernel // 2] * 4
        x = self.add("Conv", [x, self.constant(weights.astype(np.float32))], pads=pads, group=groups)
        ones, zeros = np.ones(outputs, np.float32), np.zeros(outputs, np.float32)
        return self.add("BatchNormalization", [x, *map(self.constant, (ones, zeros, zeros, ones))])

    def hard_swish(self, x) -> str:
        gate = self.add("Add", [x, self.constant(np.float32(3))])
        gate = self.add("Clip", [gate, self.constant(np.float32(0)), self.constant(np.float32(6))])
        return self.add("Mul", [x, self.add("Div", [gate, self.constant(np.float32(6))])])

    def block(self, x) -> str:
        y = self.hard_swish(self.convolution(x, CHANNELS, WIDE, 1))
        y = self.hard_swish(self.convolution(y, WIDE, WIDE, 5, WIDE))
        gate = self.add("GlobalAveragePool", [y])
        gate = self.add("Relu", [self.convolution(gate, WIDE, WIDE // 4, 1)])
        y = self.add("Mul", [y, self.add("Sigmoid", [self.convolution(gate, WIDE // 4, WIDE, 1)])])
        batch = self.add("Gather", [self.add("Shape", [y]), self.constant(np.asarray([0]))])
        rest = self.constant(np.asarray([WIDE, 8, 8]))
        y = self.add("Reshape", [y, self.add("Concat", [batch, rest], axis=0)])
        return self.add("Add", [x, self.convolution(y, WIDE, CHANNELS, 1)])

    def model(self) -> onnx.ModelProto:
        x = "x"
        for _ in range(BLOCKS):
            x = self.block(x)
        infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, CHANNELS, 8, 8)) for name in ("x", x)]
        graph = helper.make_graph(self.nodes, "large", infos[:1], infos[1:], self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def test_a_large_model_converts_in_seconds(tmp_path):
    model = Net().model()
    path = tmp_path / "large.onnx"
    path.write_bytes(model.SerializeToString())
    assert path.stat().st_size > 25e6
    assert len(model.graph.node) > 1500
    started = time.process_time()
    convert(path)
    assert time.process_time() - started < SECONDS
    sample = {"x": np.random.default_rng(1).normal(size=(1, CHANNELS, 8, 8)).astype(np.float32)}
    assert_all_close(run_converted(path, sample), run_onnxruntime(model, sample))
