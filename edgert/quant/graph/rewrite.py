"""Rewrites a float graph to what every node shall compute in, given the parameters of its activations."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.dtypes import DType, QuantParams
from edgert.ir import Graph, Names, Node, Value
from edgert.ops import OPS_BY_NAME, QuantRule
from edgert.ops._enums import Activation
from edgert.quant.graph.forms import node_forms, rule_of, symmetric_params
from edgert.quant.graph.groups import Quants
from edgert.quant.observe.histogram import Histogram
from edgert.quant.rounding.bias import mean_shift
from edgert.quant.rounding.compact import Stored
from edgert.quant.rounding.int4 import RoundedWeights
from edgert.quant.rounding.scales import activation_params, quantize_bias
from edgert.quant.rounding.weights import SMALL, Rounder, dequantized, nearest, round_to_float16, weight_operands
from edgert.quant.schemes import Activations, Scheme, Weights, layer_name

FLOAT, INT8, INT16 = Activations.FLOAT, Activations.INT8, Activations.INT16
_DTYPES = {INT8: DType.INT8, INT16: DType.INT16}
_LARGEST_BIAS = 2.0**45  # of an int64 bias, in steps: half of what the runtime takes


@dataclass(frozen=True)
class Rewritten:
    """What quantize_graph knows of the graph that it made."""

    sources: dict[Value, str]  # the name of the float tensor that each int8 or int16 activation stands for
    stored: dict[Value, Stored]  # how constants are kept in a file; edgert.quant.rounding.compact.compact needs it


class _Rewriter:
    """Builds the new node list. Every float value is written in one form and converted to the others where one is
    wanted, each once, and always from the form that was written."""

    def __init__(
        self, graph: Graph, quants: Quants, histograms: Mapping[str, Histogram], rounder: Rounder, fine: Collection[str]
    ) -> None:
        self.histograms = histograms
        self.quants = quants
        self.rounder = rounder
        self.fine = fine
        self.nodes: list[Node] = []
        self.written: dict[Value, Activations] = {}  # FLOAT for what is not here
        self.forms: dict[tuple[Value, Activations], Value] = {}
        self.stored: dict[Value, Stored] = {}
        self.float_weights: dict[tuple[Value, Weights, int | None], Value] = {}
        self.kept_float: list[str] = []  # constants that float16 cannot hold
        self.names = Names(value.name for value in graph.values())

    def twin(self, value: Value, form: Activations) -> Value:
        """A new value for the int8 or int16 form."""
        dtype = _DTYPES[form]
        name = self.names.unique(f"{value.name}_{dtype.name.lower()}")
        return Value(name, value.shape, dtype, self.quants[form][value])

    def as_form(self, value: Value, form: Activations) -> Value:
        """The form of a value that is asked for, converted here if need be."""
        if value.dtype != DType.FLOAT32 or (form == FLOAT and (value.constant or value.variable)):
            return value
        written = self.written.get(value, FLOAT)
        if form == FLOAT == written:
            return value
        if (value, form) not in self.forms:
            self.forms[value, form] = self._constant(value, form) if value.constant else self._converted(value, form)
        return self.forms[value, form]

    def _converted(self, value: Value, form: Activations) -> Value:
        written = self.written.get(value, FLOAT)
        source = value if written == FLOAT else self.forms[value, written]
        result = value if form == FLOAT else self.twin(value, form)
        op = "dequantize" if form == FLOAT else "quantize"
        self.nodes.append(Node(op, [source], [result], {}, f"{value.name}/{op}", op))
        return result

    def _constant(self, value: Value, form: Activations) -> Value:
        assert value.data is not None
        if form == INT8:
            params = activation_params(float(value.data.min()), float(value.data.max()))
        else:
            params = symmetric_params(float(np.abs(value.data).max(initial=0.0)))
        dtype = _DTYPES[form]
        limits = np.iinfo(dtype.numpy_name)
        steps = np.rint(value.data.astype(np.float64) / params.scale) + params.zero_point
        data = np.clip(steps, limits.min, limits.max).astype(dtype.numpy_name)
        return Value(self.names.unique(f"{value.name}_{dtype.name.lower()}"), value.shape, dtype, params, data)

    def float_node(self, node: Node, weights: Weights) -> None:
        inputs = [None if value is None else self.as_form(value, FLOAT) for value in node.inputs]
        made = Node(node.op, inputs, node.outputs, dict(node.attrs), node.name, node.source)
        if weights == Weights.FLOAT16:
            made.inputs = [None if value is None else self._float16(value) for value in inputs]
        elif weights != Weights.FLOAT32:
            self._round_operands(node, made, weights)
        self.nodes.append(made)

    def _float16(self, value: Value) -> Value:
        key = (value, Weights.FLOAT16, None)
        if key not in self.float_weights:
            data = round_to_float16(value)
            if data is None and value.constant and value.data is not None and value.data.size > SMALL:
                self.kept_float.append(value.name)
            self.float_weights[key] = value if data is None else self._float_constant(value, data.astype(np.float32))
            if data is not None:
                self.stored[self.float_weights[key]] = Stored(data, None)
        return self.float_weights[key]

    def _round_operands(self, node: Node, made: Node, kind: Weights) -> None:
        """Gives a float operator rounded weights, and a bias that makes up for what rounding adds to the means."""
        for index, axis in weight_operands(node).items():
            value = node.inputs[index]
            assert value is not None
            own = kind if rule_of(node) == QuantRule.WEIGHTED else Weights.INT8
            key = (value, own, axis)
            if key not in self.float_weights:
                rounded = self.rounder.rounded(node, index, axis, own)
                if rounded is None:  # worth keeping as it is
                    self.float_weights[key] = value
                else:
                    constant = self._float_constant(value, dequantized(rounded))
                    self.float_weights[key] = constant
                    self.stored[constant] = _stored(rounded, own)
            made.inputs[index] = self.float_weights[key]
        x, weights = node.inputs[0], made.inputs[1] if len(made.inputs) > 1 else None
        if rule_of(node) == QuantRule.WEIGHTED and x is not None and weights is not None and x.name in self.histograms:
            assert weights.data is not None
            bias = node.inputs[2] if len(node.inputs) > 2 else None
            channels = node.output.shape[-1]
            real = np.zeros(channels) if bias is None or bias.data is None else bias.data.astype(np.float64)
            real = real - mean_shift(node, weights.data, self.histograms[x.name].mean())
            name = self.names.unique(f"{node.output.name}/bias" if bias is None else f"{bias.name}_corrected")
            made.inputs[2:] = [Value(name, (channels,), DType.FLOAT32, None, real.astype(np.float32))]

    def _float_constant(self, like: Value, data: NDArray[np.float32]) -> Value:
        return Value(self.names.unique(f"{like.name}_rounded"), like.shape, DType.FLOAT32, None, data)

    def integer_node(self, node: Node, form: Activations, weights: Weights) -> None:
        if rule_of(node) == QuantRule.WEIGHTED:
            if form == INT16 and layer_name(node) in self.fine:
                self._fine_node(node)
                return
            inputs = self._weighted_inputs(node, form, weights)
        else:
            inputs = [None if value is None else self.as_form(value, form) for value in node.inputs]
        outputs = []
        for value in node.outputs:
            if value.dtype == DType.FLOAT32:
                self.written[value] = form
                self.forms[value, form] = self.twin(value, form)
                outputs.append(self.forms[value, form])
            else:  # QuantRule.FOLLOW: an index or a truth value
                outputs.append(value)
        self.nodes.append(Node(node.op, inputs, outputs, dict(node.attrs), node.name, node.source))

    def _fine_node(self, node: Node) -> None:
        """An int16 node whose weights are the sum of two int8 terms: the second is what rounding to the first left.

        The first term's results have the output's scale. An activation comes after the sum; what it cuts off may
        saturate before, as int16 reaches as far below zero as above.
        """
        x8, w8, bias = self._weighted_inputs(node, INT16, Weights.INT8, fine=True)
        weights = node.inputs[1]
        assert x8 is not None
        assert x8.quant is not None
        assert w8 is not None
        assert w8.data is not None
        assert w8.quant is not None
        assert weights is not None
        assert weights.data is not None
        axis = w8.quant.axis
        rest = weights.data.astype(np.float64) - dequantized(RoundedWeights(w8.data, w8.quant))
        fine = nearest(rest, axis, Weights.INT8, None)
        w_fine = Value(self.names.unique(f"{weights.name}_rest"), weights.shape, DType.INT8, fine.params, fine.data)
        others = tuple(i for i in range(fine.data.ndim) if i != axis)
        most = np.abs(dequantized(fine).astype(np.float64)).sum(axis=others).max() * x8.quant.scale * 2.0**15
        y = self.twin(node.output, INT16)
        self.written[node.output] = INT16
        self.forms[node.output, INT16] = y
        attrs = {**node.attrs, "activation": Activation.NONE}
        terms = []
        for suffix, inputs, quant in (
            ("coarse", [x8, w8, bias], y.quant),
            ("rest", [x8, w_fine], symmetric_params(float(most))),
        ):
            term = Value(self.names.unique(f"{node.output.name}/{suffix}"), y.shape, DType.INT16, quant)
            self.nodes.append(Node(node.op, list(inputs), [term], dict(attrs), f"{node.name}/{suffix}", node.source))
            terms.append(term)
        activation = node.attrs.get("activation", Activation.NONE)
        self.nodes.append(Node("add", [*terms], [y], {"activation": activation}, node.name, node.source))

    def _weighted_inputs(self, node: Node, form: Activations, kind: Weights, fine: bool = False) -> list[Value | None]:
        """Input, weights and bias. fine: the bias need not make up for what rounding adds to the means."""
        x, weights = node.inputs[0], node.inputs[1]
        bias = node.inputs[2] if len(node.inputs) > 2 else None
        assert x is not None
        assert weights is not None
        xq = self.as_form(x, form)
        assert xq.quant is not None
        step = xq.quant.scale
        # Of the bias in steps of the accumulator: a channel whose bias does not fit gets larger ones.
        most = 2.0**30 if form == INT8 else _LARGEST_BIAS
        least = None if bias is None or bias.data is None else np.abs(bias.data.astype(np.float64)) / (most * step)
        (axis,) = (axis for index, axis in weight_operands(node).items() if index == 1)
        rounded = self.rounder.rounded(node, 1, axis, kind, least)
        assert rounded is not None
        scales = np.array(rounded.params.scales, np.float32)
        w8 = Value(self.names.unique(f"{weights.name}_int8"), weights.shape, DType.INT8, rounded.params, rounded.data)
        if kind in (Weights.INT4, Weights.INT4_BLOCK):
            self.stored[w8] = _stored(rounded, kind)
        real = np.zeros(len(scales)) if bias is None or bias.data is None else bias.data.astype(np.float64)
        if x.name in self.histograms and not fine:
            real = real - mean_shift(node, dequantized(rounded), self.histograms[x.name].mean())
        data = _integer_bias(node, real, form, step, rounded)
        dtype = DType.of(data.dtype)
        params = None  # 64-bit numbers have no scale in a file
        if dtype == DType.INT32:
            params = QuantParams(tuple(float(s) for s in np.float32(step) * scales), (0,) * len(scales), 0)
        suffix = dtype.name.lower()
        name = self.names.unique(f"{node.output.name}/bias_{suffix}" if bias is None else f"{bias.name}_{suffix}")
        return [xq, w8, Value(name, data.shape, dtype, params, data)]


def _stored(rounded: RoundedWeights, kind: Weights) -> Stored:
    four_bits = kind in (Weights.INT4, Weights.INT4_BLOCK)
    return Stored(rounded.data, rounded.params, rounded.multipliers, four_bits)


def _integer_bias(
    node: Node, real: NDArray[np.float64], form: Activations, step: float, rounded: RoundedWeights
) -> NDArray[Any]:
    """int32; for int16 activations int64 where a sum might leave int32, as 32-bit biases make convolutions add up in
    32 bits."""
    scales = np.array(rounded.params.scales, np.float32)
    if form == INT8:
        return quantize_bias(real, step, scales)
    wide = np.rint(real / (np.float32(step) * scales).astype(np.float64)).astype(np.int64)
    others = tuple(axis for axis in range(rounded.data.ndim) if axis != rounded.params.axis)
    largest = np.abs(rounded.data.astype(np.int64)).sum(axis=others) * 2**15 + np.abs(wide)
    return np.asarray(wide.astype(np.int32) if (largest < 2**31).all() else wide)


def quantize_graph(
    graph: Graph,
    quants: Quants,
    histograms: Mapping[str, Histogram],
    schemes: Mapping[Node, Scheme],
    io: str = "float",
    rounder: Rounder | None = None,
    fine: Collection[str] = (),
) -> Rewritten:
    """Rewrites `graph` in place: every node computes in what its scheme says where its operator has that form, and in
    float32 otherwise; conversions stand between.

    quants: parameters of every float32 activation (edgert.quant.graph.groups.activation_quants). histograms: what
    calibration saw, by tensor name, for bias correction. schemes: of every node. rounder: of weights; to nearest
    unless given. fine: names of layers whose weights are, with int16 activations, the sum of two int8 terms.
    io: "float" keeps the graph's float32 inputs and outputs; "int8" and "int16" make those of that type that an
    operator with an integer form reads or writes.
    Names: inputs and outputs keep theirs; the other forms of a tensor get the suffix "_int8" or "_int16".
    Weights that are stored compactly stand in the graph with the values that they are expanded to; see
    edgert.quant.rounding.compact.compact, which comes last.
    """
    rewriter = _Rewriter(graph, quants, histograms, rounder or Rounder(), fine)
    forms = node_forms(graph, schemes, histograms)
    outer = {"float": FLOAT, "int8": INT8, "int16": INT16}[io]
    inputs = list(graph.inputs)
    if outer != FLOAT:
        inputs = [_outer_input(graph, rewriter, value, outer, forms) for value in graph.inputs]
    for node in graph.nodes:
        if forms[node] == FLOAT:
            rewriter.float_node(node, schemes[node].weights)
        else:
            rewriter.integer_node(node, forms[node], schemes[node].weights)
    integers = {value for node in graph.nodes if rule_of(node) != QuantRule.FLOAT for value in node.outputs}
    integers &= set(quants.get(outer, ()))
    outputs = [rewriter.as_form(value, outer if value in integers else FLOAT) for value in graph.outputs]
    sources = {twin: value.name for (value, _), twin in rewriter.forms.items() if twin is not value}
    for float_value, value in (*zip(graph.inputs, inputs, strict=True), *zip(graph.outputs, outputs, strict=True)):
        if value is not float_value:  # it takes the name of the float tensor that it replaces
            float_value.name, value.name = value.name, float_value.name
    graph.inputs, graph.outputs, graph.nodes = inputs, outputs, rewriter.nodes
    if rewriter.kept_float:
        names = ", ".join(rewriter.kept_float[:3]) + (" ..." if len(rewriter.kept_float) > 3 else "")
        graph.notes.append(
            f"These constants stay float32 ({len(rewriter.kept_float)} in all), as float16 would lose too much: {names}"
        )
    graph.verify()
    return Rewritten({twin: name for twin, name in sources.items() if not twin.constant}, rewriter.stored)


def _outer_input(
    graph: Graph, rewriter: _Rewriter, value: Value, form: Activations, forms: Mapping[Node, Activations]
) -> Value:
    """What takes an input's place at an integer interface: its integer form, where integer operators read it."""
    readers = [node for node in graph.nodes if value in node.inputs]
    integer = any(forms[node] != FLOAT for node in readers)
    real = any(OPS_BY_NAME[node.op].quant == QuantRule.FLOAT for node in readers)
    if value.dtype != DType.FLOAT32 or not integer or real or value in graph.outputs:
        return value
    twin = rewriter.twin(value, form)
    rewriter.forms[value, form] = twin
    rewriter.written[value] = form
    return twin
