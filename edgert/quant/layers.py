"""The layers that a plan may speak of, and the scheme that each gets."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from edgert.dtypes import DType
from edgert.ir import Graph, Node
from edgert.ops import OPS_BY_NAME, QuantRule
from edgert.quant.forms import rule_of, settle
from edgert.quant.norms import float_norms
from edgert.quant.roots import float_front, float_roots
from edgert.quant.schemes import FLOAT, Activations, Plan, Scheme, layer_name
from edgert.quant.tail import float_tail


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

    front: whether a filter bank before logarithms stays float, too (edgert.quant.roots.float_front).
    """
    schemes = settle(graph, plan)
    quiet = float_norms(graph) | float_roots(graph) | (float_tail(graph) if io == "float" else set())
    for node in quiet | (float_front(graph) if front else set()):
        if not plan.names(node) and schemes[node].activations != Activations.FLOAT:
            recurrent = node.op in ("lstm", "gru", "rnn", "svdf")  # their weights are as many as a layer's
            schemes[node] = replace(schemes[node], activations=Activations.FLOAT) if recurrent else FLOAT
    return schemes
