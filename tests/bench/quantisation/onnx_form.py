"""A float graph of edgert as an ONNX model, so that a peer which reads nothing but ONNX gets the same network.

Only the operators of the benchmark's networks. Images are NCHW inside, as ONNX wants them; inputs and outputs keep
their layout. The benchmark compares the results of both forms before it uses either.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, version_converter

from edgert.ir import Graph, Node, Value
from edgert.ops._enums import Activation

LEAST_OPSET, OPSET = 13, 17
IR_VERSION = 8
TO_NCHW, TO_NHWC = (0, 3, 1, 2), (0, 2, 3, 1)


def onnx_model(graph: Graph) -> onnx.ModelProto:
    """Raises KeyError for an operator that it does not know."""
    made = _Writer()
    for value in graph.inputs:
        made.names[value] = value.name
    for node in graph.nodes:
        if node.op != "assign":  # state that the next run would begin with: here each run begins anew
            _OPERATORS[node.op](made, node)
    for value in graph.outputs:
        made.add("Identity", [made.plain(value)], output=value.name)
    inputs, outputs = (
        [helper.make_tensor_value_info(v.name, TensorProto.FLOAT, v.shape) for v in side]
        for side in (graph.inputs, graph.outputs)
    )
    body = helper.make_graph(made.nodes, "float", inputs, outputs, made.constants)
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def modern(path: Path, shapes: Mapping[str, tuple[int, ...]], constants: Mapping[str, Any], made: Path) -> None:
    """Writes an ONNX file anew: in an opset that has scales by channel, its inputs' shapes settled, some of its inputs
    known for good, and what is constant computed."""
    model = onnx.load(path)
    if model.opset_import[0].version < LEAST_OPSET:
        model = version_converter.convert_version(model, OPSET)
    for name, data in constants.items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(data), name))
    del model.graph.value_info[:]  # what was known for open dimensions
    known = {data.name for data in model.graph.initializer}
    for value in list(model.graph.input):
        if value.name in known:  # old files list what is constant among the inputs, too
            model.graph.input.remove(value)
        elif value.name in shapes:
            kind = value.type.tensor_type.elem_type
            value.CopyFrom(helper.make_tensor_value_info(value.name, kind, shapes[value.name]))
    model.ir_version = max(model.ir_version, IR_VERSION)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(made)
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    model = onnx.load(made)
    _rename(model.graph)
    onnx.save(model, made)


def _rename(graph: onnx.GraphProto) -> None:
    """Numbers the tensors: onnxruntime's quantiser makes names of its own by suffixes, which long names may hold."""
    kept = {value.name for value in (*graph.input, *graph.output)}
    names = [data.name for data in graph.initializer] + [name for node in graph.node for name in node.output]
    new = {name: f"tensor{i}_" for i, name in enumerate(names) if name and name not in kept}
    for data in graph.initializer:
        data.name = new.get(data.name, data.name)
    for i, node in enumerate(graph.node):
        assert not any(attribute.HasField("g") for attribute in node.attribute), "a subgraph reads names, too"
        node.name = f"node{i}_"
        for side in (node.input, node.output):
            side[:] = [new.get(name, name) for name in side]
    del graph.value_info[:]


class _Writer:
    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.names: dict[Value, str] = {}  # as the graph has it
        self.nchw: dict[Value, str] = {}  # the same, channels before rows

    def add(self, op: str, inputs: list[str], output: str = "", outputs: int = 1, **attributes: Any) -> str:
        """The first output's name."""
        name = output or f"{op}_{len(self.nodes)}"
        names = [name, *(f"{name}_{i}" for i in range(1, outputs))]
        self.nodes.append(helper.make_node(op, inputs, names, f"node_{len(self.nodes)}", **attributes))
        return name

    def constant(self, data: NDArray[Any]) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(data), name))
        return name

    def plain(self, value: Value | None) -> str:
        assert value is not None
        if value not in self.names:
            self.names[value] = self.add("Transpose", [self.nchw[value]], perm=TO_NHWC)
        return self.names[value]

    def image(self, value: Value | None) -> str:
        assert value is not None
        if value not in self.nchw:
            self.nchw[value] = self.add("Transpose", [self.names[value]], perm=TO_NCHW)
        return self.nchw[value]

    def activated(self, name: str, node: Node) -> str:
        activation = node.attrs.get("activation", Activation.NONE)
        if activation == Activation.RELU:
            return self.add("Relu", [name])
        if activation == Activation.RELU6:
            return self.add("Clip", [name, self.constant(np.float32(0)), self.constant(np.float32(6))])
        assert activation == Activation.NONE, activation
        return name


def _data(node: Node, place: int) -> NDArray[Any]:
    value = node.inputs[place]
    assert value is not None
    assert value.data is not None
    return value.data


def _pads(node: Node) -> list[int]:
    return [node.attrs[f"pad_{side}"] for side in ("top", "left", "bottom", "right")]


def _strides(node: Node) -> list[int]:
    return [node.attrs["stride_h"], node.attrs["stride_w"]]


def _conv(made: _Writer, node: Node) -> None:
    weights = _data(node, 1)
    if node.op == "conv2d":
        weights, groups = weights.transpose(0, 3, 1, 2), node.attrs["groups"]
    else:
        weights, groups = weights.transpose(2, 0, 1)[:, None], weights.shape[2] // node.attrs["multiplier"]
    inputs = [made.image(node.inputs[0]), made.constant(weights)]
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        inputs.append(made.constant(_data(node, 2)))
    dilations = [node.attrs["dilation_h"], node.attrs["dilation_w"]]
    name = made.add("Conv", inputs, pads=_pads(node), strides=_strides(node), dilations=dilations, group=groups)
    made.nchw[node.output] = made.activated(name, node)


def _pool(made: _Writer, node: Node) -> None:
    options: dict[str, Any] = {"kernel_shape": [node.attrs["kernel_h"], node.attrs["kernel_w"]]}
    if node.op == "average_pool2d":
        options["count_include_pad"] = int(node.attrs["count_include_pad"])
    op = "MaxPool" if node.op == "max_pool2d" else "AveragePool"
    name = made.add(op, [made.image(node.inputs[0])], pads=_pads(node), strides=_strides(node), **options)
    made.nchw[node.output] = made.activated(name, node)


def _add(made: _Writer, node: Node) -> None:
    if len(node.output.shape) == 4:
        names, place = [made.image(value) for value in node.inputs], made.nchw
    else:
        names, place = [made.plain(value) for value in node.inputs], made.names
    place[node.output] = made.activated(made.add("Add", names), node)


def _slice(made: _Writer, node: Node) -> None:
    begin, end, strides = (
        made.constant(np.array([node.attrs[key][i] for i in TO_NCHW], np.int64)) for key in ("begin", "end", "strides")
    )
    axes = made.constant(np.arange(4, dtype=np.int64))
    made.nchw[node.output] = made.add("Slice", [made.image(node.inputs[0]), begin, end, axes, strides])


def _pad(made: _Writer, node: Node) -> None:
    amounts = [node.attrs[key][i] for key in ("before", "after") for i in TO_NCHW]
    value = made.constant(np.float32(node.attrs["value"]))
    made.nchw[node.output] = made.add(
        "Pad", [made.image(node.inputs[0]), made.constant(np.array(amounts, np.int64)), value]
    )


def _reshape(made: _Writer, node: Node) -> None:
    shape = made.constant(np.array(node.output.shape, np.int64))
    made.names[node.output] = made.add("Reshape", [made.plain(node.inputs[0]), shape])


def _transpose(made: _Writer, node: Node) -> None:
    if node.attrs["perm"] == TO_NHWC:
        made.nchw[node.output] = made.plain(node.inputs[0])
    else:
        made.names[node.output] = made.add("Transpose", [made.plain(node.inputs[0])], perm=node.attrs["perm"])


def _fully_connected(made: _Writer, node: Node) -> None:
    inputs = [made.plain(node.inputs[0]), made.constant(_data(node, 1)), made.constant(_data(node, 2))]
    made.names[node.output] = made.activated(made.add("Gemm", inputs, transB=1), node)


def _softmax(made: _Writer, node: Node) -> None:
    made.names[node.output] = made.add("Softmax", [made.plain(node.inputs[0])], axis=node.attrs["axis"])


def _lstm(made: _Writer, node: Node) -> None:
    """Gates i, f, g, o become ONNX's i, o, f, g. One direction, batch first, state of zeros."""
    result = node.outputs[0]
    units = result.shape[-1]

    def ordered(data: NDArray[Any]) -> NDArray[Any]:
        return data.reshape(4, units, *data.shape[1:])[[0, 3, 1, 2]].reshape(1, *data.shape)

    bias = np.concatenate([ordered(_data(node, 3)), np.zeros((1, 4 * units), np.float32)], axis=1)
    steps_first = made.add("Transpose", [made.plain(node.inputs[0])], perm=(1, 0, 2))
    inputs = [steps_first, *(made.constant(data) for data in (ordered(_data(node, 1)), ordered(_data(node, 2)), bias))]
    name = made.add("LSTM", inputs, outputs=3, hidden_size=units)
    joined = made.add("Squeeze", [name, made.constant(np.array([1], np.int64))])
    made.names[result] = made.add("Transpose", [joined], perm=(1, 0, 2))


_OPERATORS = {
    "add": _add,
    "average_pool2d": _pool,
    "conv2d": _conv,
    "depthwise_conv2d": _conv,
    "fully_connected": _fully_connected,
    "lstm": _lstm,
    "max_pool2d": _pool,
    "pad": _pad,
    "reshape": _reshape,
    "slice": _slice,
    "softmax": _softmax,
    "transpose": _transpose,
}
