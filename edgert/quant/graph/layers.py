"""The layers that a plan may speak of, and the scheme that each gets."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from edgert.dtypes import DType
from edgert.ir import Graph, Node
from edgert.ops import OPS_BY_NAME, QuantRule
from edgert.quant.graph.forms import rule_of, settle
from edgert.quant.graph.norms import float_norms
from edgert.quant.graph.roots import float_front, float_roots
from edgert.quant.graph.tail import float_tail
from edgert.quant.schemes import FLOAT, INT8, INT16, Activations, Plan, Scheme, layer_name

# What int16 layers may take for better results. Of a network's multiply-adds, which take some four times as long as
# int8's; and of weights, as int16 doubles them in memory: the 1.28 million of MobileNetV2's last layer, which no cache
# keeps from one invoke to the next, would cost a tenth of its time.
_SMALL_SHARE = 0.035
_MOST_WEIGHTS = 1 << 16


@dataclass(frozen=True)
class Layer:
    """A node of the float graph that a plan may speak of."""

    name: str  # edgert.quant.schemes.layer_name
    source: str  # the source node's name
    op: str
    macs: int  # multiply-adds of one invoke
    weights: int  # elements of its constant float inputs
    stays_float: bool  # unless a plan names it: norms, and what computes on results


def graph_layers(graph: Graph) -> tuple[Layer, ...]:
    """In order of execution, those that compute on float tensors."""
    quiet = float_norms(graph) | float_roots(graph) | float_tail(graph)
    return tuple(_layer(node, node in quiet) for node in graph.nodes if rule_of(node) != QuantRule.FOLLOW)


def _layer(node: Node, stays_float: bool) -> Layer:
    shapes = [value.shape if value is not None else () for value in node.inputs]
    count = OPS_BY_NAME[node.op].macs
    macs = count(shapes, [value.shape for value in node.outputs]) if count is not None else 0
    constants = [v for v in node.inputs if v is not None and v.constant and v.dtype == DType.FLOAT32]
    weights = sum(math.prod(value.shape) for value in constants)
    return Layer(layer_name(node), node.name, node.op, macs, weights, stays_float)


def node_schemes(graph: Graph, plan: Plan, io: str, front: bool = False) -> dict[Node, Scheme]:
    """Every node's scheme: the plan's, but float where the recipe wants it and the plan does not name the node.

    front: whether a filter bank before logarithms stays float, too (edgert.quant.graph.roots.float_front).
    """
    schemes = settle(graph, plan)
    quiet = float_norms(graph) | float_roots(graph) | (float_tail(graph) if io == "float" else set())
    for node in quiet | (float_front(graph) if front else set()):
        if not plan.names(node) and schemes[node].activations != Activations.FLOAT:
            recurrent = node.op in ("lstm", "gru", "rnn", "svdf")  # their weights are as many as a layer's
            schemes[node] = replace(schemes[node], activations=Activations.FLOAT) if recurrent else FLOAT
    for node in fine_heads(graph) if io == "float" else ():
        if schemes[node] == INT8 and not plan.names(node):
            schemes[node] = INT16
    return schemes


def fine_heads(graph: Graph) -> list[Node]:
    """The layers that make the results, where they take little of the time: weighted operators that nothing but the
    graph's outputs and the float tail reads.

    Their results in int8 would lose more than anything before them: scores are told apart by less than a step.
    """
    tail, consumers, outputs = float_tail(graph), graph.consumers(), set(graph.outputs)
    heads = []
    for node in graph.nodes:
        if rule_of(node) == QuantRule.WEIGHTED:
            readers = consumers.get(node.output, [])
            if all(reader in tail for reader in readers) and (readers or node.output in outputs):
                heads.append(node)
    layers = [_layer(node, False) for node in heads]
    whole = sum(layer.macs for layer in graph_layers(graph))
    small = sum(layer.macs for layer in layers) < _SMALL_SHARE * whole
    return heads if small and sum(layer.weights for layer in layers) <= _MOST_WEIGHTS else []
