"""Which tensors must share one scale and zero point, and the scale that each gets."""

from __future__ import annotations

import math
from collections.abc import Mapping

from edgert.dtypes import DType, QuantParams
from edgert.errors import InputError
from edgert.ir import Graph, Node, Value
from edgert.ops import OPS_BY_NAME, QuantRule
from edgert.quant.histogram import Histogram
from edgert.quant.scales import activation_params, choose_range
from edgert.quant.schemes import Activations, Scheme

SOFTMAX_PARAMS = QuantParams((1.0 / 256.0,), (-128,))


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


def rule_of(node: Node) -> QuantRule:
    """What the quantiser does with a node of a float graph."""
    rule = OPS_BY_NAME[node.op].quant
    results = node.outputs[:1] if rule == QuantRule.SAME else node.outputs  # top_k's others are indices
    if any(value.dtype != DType.FLOAT32 for value in results) and rule != QuantRule.FOLLOW:
        return QuantRule.FLOAT
    if rule == QuantRule.WEIGHTED and not (node.inputs[1] is not None and node.inputs[1].constant):
        return QuantRule.FLOAT
    return rule


def activation_quants(
    graph: Graph,
    histograms: Mapping[str, Histogram],
    schemes: Mapping[Node, Scheme],
    norm: float = math.inf,
) -> dict[Value, QuantParams]:
    """int8 parameters of every float32 value of the graph that is not constant.

    Values that an operator only moves (QuantRule.SAME) or joins (SHARED) get one range: the widest of the ranges
    chosen for each, in this norm (edgert.quant.scales.choose_range). A softmax's output has its own fixed scale, and
    so has all that is only moved from it; joined with others, it is brought to their scale.
    A variable has the range of what is assigned to it. schemes: of every node; those in float join nothing.
    Raises InputError for a value that calibration has not seen.
    """
    groups = _Groups()
    fixed: dict[Value, QuantParams] = {}
    joins: list[tuple[Value, Value]] = []
    for node in graph.nodes:
        rule = rule_of(node)
        if schemes[node].activations == Activations.FLOAT:
            continue
        if rule == QuantRule.FIXED:
            fixed[node.outputs[0]] = SOFTMAX_PARAMS
        elif rule == QuantRule.SAME and node.inputs[0] is not None:
            groups.join(node.inputs[0], node.outputs[0])
        elif rule == QuantRule.SHARED:
            joins += [(v, node.outputs[0]) for v in node.inputs if v is not None and not v.constant]
    own_scale = {groups.find(value) for value in fixed}
    for source, joined in joins:
        if groups.find(source) not in own_scale and groups.find(joined) not in own_scale:
            groups.join(source, joined)

    ranges: dict[Value, tuple[float, float]] = {}
    fixed_groups = {groups.find(value): params for value, params in fixed.items()}
    values = [v for v in graph.values() if v.dtype == DType.FLOAT32 and not v.constant]
    written = {node.inputs[0]: node.inputs[1] for node in graph.nodes if node.op == "assign"}
    for value in values:
        held = written.get(value)  # in a variable
        histogram = histograms.get(value.name if held is None else held.name)
        if histogram is None:
            raise InputError(f"calibration has not seen the tensor {value.name!r}")
        low, high = choose_range(histogram, norm)
        root = groups.find(value)
        if root in ranges:
            low, high = min(low, ranges[root][0]), max(high, ranges[root][1])
        ranges[root] = (low, high)
    quants: dict[Value, QuantParams] = {}
    for value in values:
        root = groups.find(value)
        quants[value] = fixed_groups.get(root) or activation_params(*ranges[root])
    return quants
