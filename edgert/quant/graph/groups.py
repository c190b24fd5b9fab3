"""Which tensors must share one scale and zero point, and the scale that each gets."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.errors import InputError
from edgert.ir import Graph, Node, Value
from edgert.ops import QuantRule
from edgert.ops._unary_int16 import UNIT_SCALE
from edgert.quant.graph.forms import HEADROOM, is_curve, node_forms, rule_of, symmetric_params
from edgert.quant.observe.histogram import Histogram
from edgert.quant.rounding.ranges import Range, choose_range
from edgert.quant.rounding.scales import WEIGHT_LIMIT, activation_params
from edgert.quant.schemes import Activations, Scheme

__all__ = ["SOFTMAX_PARAMS", "UNIT_PARAMS", "Quants", "activation_quants", "rule_of"]

SOFTMAX_PARAMS = QuantParams((1.0 / 256.0,), (-128,))
UNIT_PARAMS = QuantParams((UNIT_SCALE,), (0,))  # of an int16 softmax, sigmoid or tanh

# Parameters of every float32 activation, for each of the forms that it may take.
Quants = Mapping[Activations, Mapping[Value, QuantParams]]

_LARGEST_RATIO = 64.0  # of a weighted operator's input step times weight step to its output step, in int16


class _Groups:
    """Disjoint sets of values (union-find)."""

    def __init__(self) -> None:
        self._parent: dict[Value, Value] = {}

    def find(self, value: Value) -> Value:
        parent = self._parent.get(value, value)
        if parent is value:
            return value
        root = self.find(parent)
        self._parent[value] = root
        return root

    def join(self, a: Value, b: Value) -> None:
        self._parent[self.find(a)] = self.find(b)


def activation_quants(
    graph: Graph,
    histograms: Mapping[str, Histogram],
    schemes: Mapping[Node, Scheme],
    ranges: Mapping[str, Range] | None = None,
) -> Quants:
    """int8 and int16 parameters of every float32 value of the graph that is not constant.

    In each form, values that an operator of that form only moves (QuantRule.SAME) or joins (SHARED) get one range:
    the widest of the ranges chosen for each. A softmax's output has its own fixed scale, and so has all that is only
    moved from it; joined with others, it is brought to their scale. In int16 the same holds for sigmoid and tanh, and
    nothing is clipped.
    A variable has the range of what is assigned to it. schemes: of every node. ranges: for int8, by name
    (edgert.quant.rounding.ranges.tensor_ranges); all that was seen for those that are not there.
    Raises InputError for a value that calibration has not seen.
    """
    forms = node_forms(graph, schemes, histograms)
    seen = _seen(graph, histograms)
    held = {node.inputs[0]: node.inputs[1] for node in graph.nodes if node.op == "assign"}

    def byte_range(value: Value, histogram: Histogram) -> Range:
        known = held.get(value) or value
        return (ranges or {}).get(known.name) or choose_range(histogram)

    quants: dict[Activations, dict[Value, QuantParams]] = {Activations.INT8: {}, Activations.INT16: {}}
    groups, fixed = _grouped([node for node in graph.nodes if forms[node] == Activations.INT8], Activations.INT8)
    low: dict[Value, float] = {}
    high: dict[Value, float] = {}
    for value, histogram in seen.items():
        root, ends = groups.find(value), byte_range(value, histogram)
        low[root], high[root] = min(low.get(root, 0.0), ends[0]), max(high.get(root, 0.0), ends[1])
    for value in seen:
        root = groups.find(value)
        quants[Activations.INT8][value] = fixed.get(root) or activation_params(low[root], high[root])

    wide = [node for node in graph.nodes if forms[node] == Activations.INT16]
    quants[Activations.INT16] = _int16_quants(wide, seen)
    return quants


def _seen(graph: Graph, histograms: Mapping[str, Histogram]) -> dict[Value, Histogram]:
    """What calibration saw of every float32 value that is not constant."""
    written = {node.inputs[0]: node.inputs[1] for node in graph.nodes if node.op == "assign"}
    seen = {}
    for value in graph.values():
        if value.dtype == DType.FLOAT32 and not value.constant:
            held = written.get(value)  # in a variable
            name = value.name if held is None else held.name
            if name not in histograms:
                raise InputError(f"calibration has not seen the tensor {value.name!r}")
            seen[value] = histograms[name]
    return seen


def _grouped(nodes: list[Node], form: Activations) -> tuple[_Groups, dict[Value, QuantParams]]:
    """What these nodes, all of one form, tie together, and the parameters of groups whose scale an operator sets."""
    groups = _Groups()
    fixed: dict[Value, QuantParams] = {}
    joins: list[tuple[Value, Value]] = []
    for node in nodes:
        rule = rule_of(node)
        if rule == QuantRule.FIXED:
            fixed[node.outputs[0]] = SOFTMAX_PARAMS if form == Activations.INT8 else UNIT_PARAMS
        elif form == Activations.INT16 and is_curve(node):
            fixed[node.outputs[0]] = UNIT_PARAMS
        elif rule == QuantRule.SAME and node.inputs[0] is not None:
            groups.join(node.inputs[0], node.outputs[0])
        elif rule == QuantRule.SHARED:
            joins += [(v, node.outputs[0]) for v in node.inputs if v is not None and not v.constant]
    own_scale = {groups.find(value) for value in fixed}
    for source, joined in joins:
        if groups.find(source) not in own_scale and groups.find(joined) not in own_scale:
            groups.join(source, joined)
    return groups, {groups.find(value): params for value, params in fixed.items()}


def _int16_quants(nodes: list[Node], seen: Mapping[Value, Histogram]) -> dict[Value, QuantParams]:
    groups, fixed = _grouped(nodes, Activations.INT16)
    reach: dict[Value, float] = {}
    for value, histogram in seen.items():
        root = groups.find(value)
        reach[root] = max(reach.get(root, 0.0), HEADROOM * max(-histogram.least, histogram.greatest))

    def params(value: Value) -> QuantParams:
        root = groups.find(value)
        return fixed.get(root) or symmetric_params(reach[root])

    # The 64-bit rescaling takes no ratio of 2^7 and more: what nearly cancels out gets a coarser step than it could.
    for node in nodes:
        if rule_of(node) == QuantRule.WEIGHTED or node.op == "matmul":
            steps = [
                params(value).scale if value in seen else _constant_step(node, value)
                for value in node.inputs[:2]
                if value is not None
            ]
            root = groups.find(node.output)
            reach[root] = max(reach[root], math.prod(steps) / _LARGEST_RATIO * 32767.0)
    return {value: params(value) for value in seen}


def _constant_step(node: Node, value: Value) -> float:
    assert value.data is not None
    limit = WEIGHT_LIMIT if rule_of(node) == QuantRule.WEIGHTED else 32767
    return float(np.abs(value.data).max(initial=0.0)) / limit
