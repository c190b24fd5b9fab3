"""Rewrites a float graph to int8, given the parameters of its activations."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.ir import Graph, Node, Value
from edgert.ops import QuantRule
from edgert.quant.bias import mean_shift
from edgert.quant.groups import rule_of
from edgert.quant.histogram import Histogram
from edgert.quant.scales import activation_params, quantize_bias, quantize_weights, weight_scales
from edgert.quant.schemes import Activations, Scheme

# Axis of the output channels in the weights of each weighted operator.
_CHANNEL_AXIS = {"conv2d": 0, "fully_connected": 0, "depthwise_conv2d": 2}


class _Rewriter:
    """Builds the new node list. Every float value may have an int8 twin and a float form; conversions are added where
    one is wanted and only the other is there."""

    def __init__(self, graph: Graph, quants: Mapping[Value, QuantParams], histograms: Mapping[str, Histogram]) -> None:
        self.graph = graph
        self.histograms = histograms
        self.quants = quants
        self.nodes: list[Node] = []
        self.int8: dict[Value, Value] = {}  # twin of each value that has one
        self.has_float: set[Value] = set(graph.inputs)
        self.names = {value.name for value in graph.values()}

    def fresh_name(self, wanted: str) -> str:
        name, count = wanted, 0
        while name in self.names:
            count += 1
            name = f"{wanted}_{count}"
        self.names.add(name)
        return name

    def twin(self, value: Value) -> Value:
        """A new int8 value; it takes the source's name where no float form will need it."""
        return Value(self.fresh_name(f"{value.name}_int8"), value.shape, DType.INT8, self.quants[value])

    def as_int8(self, value: Value) -> Value:
        """The int8 form of a value, quantised here if need be."""
        if value in self.int8:
            return self.int8[value]
        twin = self._constant(value) if value.constant else self.twin(value)
        if not value.constant:
            self.nodes.append(Node("quantize", [value], [twin], {}, f"{value.name}/quantize", "quantize"))
        self.int8[value] = twin
        return twin

    def _constant(self, value: Value) -> Value:
        assert value.data is not None
        params = activation_params(float(value.data.min()), float(value.data.max()))
        steps = np.rint(value.data.astype(np.float64) / params.scale) + params.zero_point
        data = np.clip(steps, -128, 127).astype(np.int8)
        return Value(self.fresh_name(f"{value.name}_int8"), value.shape, DType.INT8, params, data)

    def as_float(self, value: Value) -> Value:
        """The float form of a value, dequantised here if need be."""
        if value.constant or value.dtype != DType.FLOAT32 or value.variable or value in self.has_float:
            return value
        node = Node("dequantize", [self.int8[value]], [value], {}, f"{value.name}/dequantize", "dequantize")
        self.nodes.append(node)
        self.has_float.add(value)
        return value

    def float_node(self, node: Node) -> None:
        inputs = [None if value is None else self.as_float(value) for value in node.inputs]
        self.nodes.append(Node(node.op, inputs, node.outputs, dict(node.attrs), node.name, node.source))
        self.has_float.update(node.outputs)

    def int8_node(self, node: Node, rule: QuantRule) -> None:
        if rule == QuantRule.WEIGHTED:
            inputs = self._weighted_inputs(node)
        else:
            inputs = [
                value if value is None or value.dtype != DType.FLOAT32 else self.as_int8(value) for value in node.inputs
            ]
        outputs = []
        for value in node.outputs:
            if value.dtype == DType.FLOAT32:
                self.int8[value] = self.twin(value)
                outputs.append(self.int8[value])
            else:  # QuantRule.FOLLOW: an index or a truth value
                outputs.append(value)
        self.nodes.append(Node(node.op, inputs, outputs, dict(node.attrs), node.name, node.source))

    def _weighted_inputs(self, node: Node) -> list[Value | None]:
        x, weights = node.inputs[0], node.inputs[1]
        bias = node.inputs[2] if len(node.inputs) > 2 else None
        assert x is not None
        assert weights is not None
        assert weights.data is not None
        x8 = self.as_int8(x)
        assert x8.quant is not None
        axis = _CHANNEL_AXIS[node.op]
        scales = weight_scales(weights.data, axis, x8.quant.scale, None if bias is None else bias.data)
        params = QuantParams(tuple(float(s) for s in scales), (0,) * len(scales), axis)
        data = quantize_weights(weights.data, scales, axis)
        w8 = Value(self.fresh_name(f"{weights.name}_int8"), weights.shape, DType.INT8, params, data)
        rounded = data * scales.reshape([-1 if i == axis else 1 for i in range(data.ndim)])
        real = np.zeros(len(scales)) if bias is None or bias.data is None else bias.data.astype(np.float64)
        if x.name in self.histograms:
            real = real - mean_shift(node, rounded, self.histograms[x.name].mean())
        bias_data = quantize_bias(real, x8.quant.scale, scales)
        bias_scales = tuple(float(s) for s in np.float32(x8.quant.scale) * scales)
        bias_params = QuantParams(bias_scales, (0,) * len(bias_scales), 0)
        bias_name = self.fresh_name(f"{node.output.name}/bias_int32" if bias is None else f"{bias.name}_int32")
        return [x8, w8, Value(bias_name, bias_data.shape, DType.INT32, bias_params, bias_data)]


def quantize_graph(
    graph: Graph,
    quants: Mapping[Value, QuantParams],
    histograms: Mapping[str, Histogram],
    schemes: Mapping[Node, Scheme],
    io: str = "float",
) -> dict[Value, str]:
    """Rewrites `graph` in place: int8 wherever an operator has an int8 form, float32 in between.

    quants: parameters of every float32 activation (edgert.quant.groups.activation_quants). histograms: what
    calibration saw, by tensor name, for bias correction. schemes: what every node shall compute in, where it can.
    io: "float" keeps the graph's float32 inputs and outputs, "int8" makes those that are computed on in int8 int8
    themselves.
    Names: inputs and outputs keep theirs; the int8 form of a tensor gets the suffix "_int8".
    Returns the name of the float tensor that each int8 activation stands for.
    """
    rewriter = _Rewriter(graph, quants, histograms)
    for node in graph.nodes:
        rule = rule_of(node)
        if rule == QuantRule.FLOAT or schemes[node].activations == Activations.FLOAT or not _has_float_input(node):
            rewriter.float_node(node)
        else:
            rewriter.int8_node(node, rule)
    outputs = list(graph.outputs)
    if io == "float":
        graph.outputs = [rewriter.as_float(value) for value in outputs]
    graph.nodes = rewriter.nodes
    if io == "int8":
        _int8_interface(graph, rewriter, outputs)
    graph.verify()
    return {twin: value.name for value, twin in rewriter.int8.items() if not value.constant}


def _has_float_input(node: Node) -> bool:
    first = node.inputs[0] if node.inputs else None
    return first is not None and first.dtype == DType.FLOAT32


def _int8_interface(graph: Graph, rewriter: _Rewriter, outputs: list[Value]) -> None:
    """Drops the conversions at the interface. The int8 tensors take the names of the float ones they replace."""
    new_outputs = []
    for value in outputs:
        twin = rewriter.int8.get(value)
        if twin is not None and value not in rewriter.has_float:
            twin.name = value.name
            new_outputs.append(twin)
        else:
            new_outputs.append(rewriter.as_float(value))
    graph.outputs = new_outputs
    consumers = graph.consumers()
    for i, value in enumerate(graph.inputs):
        readers = consumers.get(value, [])
        if value.dtype == DType.FLOAT32 and len(readers) == 1 and readers[0].op == "quantize":
            twin = readers[0].output
            graph.nodes.remove(readers[0])
            twin.name = value.name
            graph.inputs[i] = twin
