"""What each operator of a float graph can compute in, and what it shall compute in when a plan leaves that open.

A value of the float graph has up to three forms: float32, int8 and int16. Every operator works in one of them, and
edgert.quant.graph.rewrite converts where a reader wants another form than the one that was written.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from edgert.ir import Graph, Node, Value
from edgert.ops import OPS_BY_NAME, QuantRule
from edgert.ops._enums import UnaryFunction
from edgert.ops._functions import unary_function
from edgert.ops._unary_int16 import SLOPES, STEPS, look_up, table_of
from edgert.quant.observe.histogram import Histogram
from edgert.quant.schemes import Activations, Plan, Scheme, Weights

_ANY_QUANT = QuantParams((2.0**-15,), (0,))  # for checks that ask only whether there is a scale
_CURVES = (UnaryFunction.SIGMOID, UnaryFunction.TANH)
# int16 has bits to spare, and what lies beyond all calibration samples would be clipped: a bit is left for it.
HEADROOM = 2.0
_FAITHFUL = 55.0  # decibels of an interpolated function, below which it is no good to int16
_SPARED = 0.05  # share of the weights that may stay int8 where most are int4
_INT4 = (Weights.INT4, Weights.INT4_BLOCK)


def rule_of(node: Node) -> QuantRule:
    """What the quantiser does with a node of a float graph."""
    rule = OPS_BY_NAME[node.op].quant
    results = node.outputs[:1] if rule == QuantRule.SAME else node.outputs  # top_k's others are indices
    if any(value.dtype != DType.FLOAT32 for value in results) and rule != QuantRule.FOLLOW:
        return QuantRule.FLOAT
    if rule == QuantRule.WEIGHTED and not (node.inputs[1] is not None and node.inputs[1].constant):
        return QuantRule.FLOAT
    return rule


def form_of(node: Node, wanted: Activations, histograms: Mapping[str, Histogram]) -> Activations:
    """What a node computes in: what is wanted, or float32 where it has no such form.

    histograms: what calibration saw; functions that int16 interpolates between too few points stay float32.
    """
    first = node.inputs[0] if node.inputs else None
    if wanted == Activations.FLOAT or rule_of(node) == QuantRule.FLOAT:
        return Activations.FLOAT
    if first is None or first.dtype != DType.FLOAT32:
        return Activations.FLOAT
    if wanted == Activations.INT16 and not _has_int16(node, histograms):
        return Activations.FLOAT
    return wanted


def node_forms(
    graph: Graph, schemes: Mapping[Node, Scheme], histograms: Mapping[str, Histogram]
) -> dict[Node, Activations]:
    """form_of of every node."""
    return {node: form_of(node, schemes[node].activations, histograms) for node in graph.nodes}


def settle(graph: Graph, plan: Plan) -> dict[Node, Scheme]:
    """Every node's scheme: the plan's, but for what the plan leaves to us as long as it does not name the node.

    - What only moves values about goes with the layer before it, so that no conversion stands between two layers
      that were both named.
    - int4 weights are for fully connected and pointwise layers, and neither for the first weighted layer nor for the
      last, which see the raw input and make the scores, nor for the smallest ones, which together hold next to none of
      the weights and as much of the noise as the others. These get int8. A named conv2d may be any; other operators
      have no int4 form.
    """
    schemes = {node: plan.of(node) for node in graph.nodes}
    followers: dict[Node, Node] = {}  # movers, and the named node that they follow
    producers = graph.producers()
    spared = _first_and_last(graph) | _smallest(graph)
    for node in graph.nodes:
        if rule_of(node) == QuantRule.SAME and not plan.names(node):
            before = producers.get(node.inputs[0]) if node.inputs[0] is not None else None
            named = None if before is None else before if plan.names(before) else followers.get(before)
            if named is not None:
                followers[node] = named
                schemes[node] = schemes[named]
        if schemes[node].weights in _INT4 and not _takes_int4(node, plan.names(node), node in spared):
            schemes[node] = replace(schemes[node], weights=Weights.INT8)
    return schemes


def _takes_int4(node: Node, named: bool, spared: bool) -> bool:
    weights = node.inputs[1] if len(node.inputs) > 1 else None
    if weights is None or not weights.constant or node.op not in ("conv2d", "fully_connected"):
        return False
    return named or (_is_matrix(node) and not spared)


def _is_matrix(node: Node) -> bool:
    """Whether a weighted node is a fully connected or pointwise layer."""
    weights = node.inputs[1]
    pointwise = node.op == "conv2d" and weights is not None and weights.shape[1:3] == (1, 1)
    return node.op == "fully_connected" or pointwise


def _smallest(graph: Graph) -> set[Node]:
    """Of the layers that might get int4 weights, the smallest, up to _SPARED of all their weights."""
    sizes: dict[Node, int] = {}
    for node in graph.nodes:
        weights = node.inputs[1] if len(node.inputs) > 1 else None
        if weights is not None and rule_of(node) == QuantRule.WEIGHTED and _is_matrix(node):
            sizes[node] = math.prod(weights.shape)
    found: set[Node] = set()
    room = _SPARED * sum(sizes.values())
    for node in sorted(sizes, key=lambda node: sizes[node]):
        room -= sizes[node]
        if room < 0.0:
            break
        found.add(node)
    return found


def _first_and_last(graph: Graph) -> set[Node]:
    """Weighted nodes that no weighted node stands before, or behind."""
    weighted = [node for node in graph.nodes if rule_of(node) == QuantRule.WEIGHTED]
    behind: set[Value] = set()  # what a weighted node stands before
    ends: set[Node] = set()
    for node in graph.nodes:
        reads = any(value in behind for value in node.inputs if value is not None)
        if node in weighted and not reads:
            ends.add(node)
        if reads or node in weighted:
            behind.update(node.outputs)
    before: set[Value] = set()  # what a weighted node reads in the end
    for node in reversed(graph.nodes):
        leads = any(value in before for value in node.outputs)
        if node in weighted and not leads:
            ends.add(node)
        if leads or node in weighted:
            before.update(value for value in node.inputs if value is not None)
    return ends


def is_curve(node: Node) -> bool:
    """Whether int16 has a table of sigmoids for the node, which writes numbers at 2^-15."""
    return node.op == "unary" and node.attrs["function"] in _CURVES


def _has_int16(node: Node, histograms: Mapping[str, Histogram]) -> bool:
    twins: dict[Value, Value] = {}

    def twin(value: Value | None, index: int) -> Value | None:
        if value is None or value.dtype != DType.FLOAT32:
            return value
        if value not in twins:
            dtype, data = DType.INT16, value.data
            if rule_of(node) == QuantRule.WEIGHTED and index > 0:
                dtype = DType.INT8 if index == 1 else DType.INT64
            twins[value] = Value(value.name, value.shape, dtype, _ANY_QUANT, data)
        return twins[value]

    trial = Node(node.op, [twin(v, i) for i, v in enumerate(node.inputs)], [], dict(node.attrs), node.name)
    trial.outputs = [
        Value(v.name, v.shape, DType.INT16 if v.dtype == DType.FLOAT32 else v.dtype, _ANY_QUANT) for v in node.outputs
    ]
    try:
        OPS_BY_NAME[node.op].check(trial)
    except ModelError:
        return False
    return node.op != "unary" or _is_faithful(node, histograms)


def _is_faithful(node: Node, histograms: Mapping[str, Histogram]) -> bool:
    """Whether the int16 form of a function is as good as int16 deserves, for what the node reads."""
    function = node.attrs["function"]
    if function in SLOPES or function in _CURVES:
        return True
    source = node.inputs[0]
    seen = None if source is None else histograms.get(source.name)
    if function in STEPS or seen is None:
        return False
    used = seen.counts > 0
    x, counts = seen.centres()[used], seen.counts[used]
    attrs = OPS_BY_NAME["unary"].complete(node.attrs)
    real = unary_function(function, *(float(np.float32(attrs[name])) for name in ("alpha", "beta")))
    with np.errstate(all="ignore"):
        exact = np.asarray(real(x))
    if not len(x) or not np.isfinite(exact).all():
        return False
    x_quant, y_quant = (symmetric_params(HEADROOM * float(np.abs(array).max())) for array in (x, exact))
    steps = np.rint(x / x_quant.scale).astype(np.int64)
    made = look_up(table_of(real, x_quant, y_quant), np.clip(steps, -(2**15), 2**15 - 1)) * y_quant.scale
    noise, power = float((counts * (made - exact) ** 2).sum()), float((counts * exact**2).sum())
    return bool(noise <= power * 10.0 ** (-_FAITHFUL / 10.0))


def symmetric_params(largest: float) -> QuantParams:
    """int16 parameters for numbers of at most this magnitude: zero point 0. The scale is a float32."""
    scale = float(np.float32(largest / 32767.0))
    return QuantParams((scale if scale > 0.0 else 1.0,), (0,))
