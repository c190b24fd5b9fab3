"""Groups of layers that a budget raises together, and the tensors between them that are rounded.

A unit is a weighted layer, or a product of two tensors, with all that works on its results until the next one:
activations, residual additions, pools. Raising one of these without the others would convert back and forth and gain
nothing. A squeeze-excite block is one unit, for the same reason.

A layer by itself gains little: what it writes is rounded again for a neighbour that stays in int8. So a tensor between
units knows both sides, and its rounding is gone only when all of them are raised.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from edgert.dtypes import DType
from edgert.ir import Graph, Node, Value
from edgert.ops import OPS_BY_NAME, QuantRule
from edgert.ops._enums import ReduceFunction
from edgert.quant.graph.groups import rule_of
from edgert.quant.schemes import Activations, Plan, Scheme, Weights, layer_name

_MOVES = (QuantRule.SAME, QuantRule.SHARED)  # what they write is rounded already
_INTEGERS = {DType.INT8: Activations.INT8, DType.INT16: Activations.INT16}
_ROUNDING = {Activations.INT8: 1.0, Activations.INT16: 2.0**-16, Activations.FLOAT: 0.0}
_LONGEST_GATE = 12  # nodes of a squeeze-excite block


@dataclass(frozen=True)
class Unit:
    """Layers that are raised together."""

    name: str  # of its weighted layer, as a plan has it
    source: str  # that layer's name in the source model
    op: str
    layers: tuple[str, ...]  # all of them, in order
    weighted: tuple[str, ...]  # those that have weights
    work: int  # multiply-adds, or elements written by a layer that has none
    weights: int  # elements
    scheme: Scheme  # unless it is raised: the default, or what the quantiser thinks better, as for a classifier's head


@dataclass(frozen=True)
class Cell:
    """Tensors that are rounded once, as operators between them only move values; units: numbers of all that touch
    them."""

    tensors: tuple[str, ...]
    units: tuple[int, ...]


@dataclass(frozen=True)
class Network:
    """A float graph as a budget sees it. steps: what units can be raised to, the first being the plan's default."""

    units: tuple[Unit, ...]  # in order of execution
    cells: tuple[Cell, ...]
    steps: tuple[Scheme, ...]
    fixed_work: int  # of layers that are in no unit

    def scheme(self, unit: int, level: int) -> Scheme:
        """Of a unit on a step; on the first its own, which need not be the default: see Unit.scheme."""
        return self.steps[level] if level else self.units[unit].scheme

    def rounding(self, unit: int, level: int) -> float:
        """What the unit's rounding of tensors costs there, against that to eight bits: steps 256 times smaller have
        errors with a 65536th of the power."""
        return _ROUNDING[self.scheme(unit, level).activations]


def network_of(graph: Graph, quantized: Graph, plan: Plan, steps: tuple[Scheme, ...]) -> Network:
    """Units of a float graph's layers that compute on integers, or with rounded weights; what the plan names stays.

    quantized: what is made of the graph by this plan, which says what every layer really computes in.
    """
    made = _made_schemes(graph, quantized, plan)
    members = {node: scheme for node, scheme in made.items() if not plan.names(node) and _rises(node)}
    groups = _Grouping(graph, set(members)).groups()
    units = tuple(_unit(nodes, members) for nodes in groups)
    number = {node: i for i, nodes in enumerate(groups) for node in nodes}
    cells = _cells(graph, number) if plan.default.activations != Activations.FLOAT else ()
    fixed = sum(work_of(node) for node in graph.nodes if node not in number)
    return Network(units, cells, steps, fixed)


def _made_schemes(graph: Graph, quantized: Graph, plan: Plan) -> dict[Node, Scheme]:
    """The scheme of every layer that computes on integers; where the default is to compute on floats, of those that
    have weights."""
    default = plan.default
    if default.activations == Activations.FLOAT:
        return {node: default for node in graph.nodes if node.outputs and rule_of(node) == QuantRule.WEIGHTED}
    expanded = {value for node in quantized.nodes if node.op == "unpack_int4" for value in node.outputs}
    found: dict[str, Node] = {}
    for node in quantized.nodes:
        if node.op not in ("quantize", "dequantize"):
            found.update((value.name, node) for value in node.outputs if value.dtype in _INTEGERS)
    schemes = {}
    for node in graph.nodes:
        names = (f"{layer_name(node)}_int8", f"{layer_name(node)}_int16", layer_name(node))
        made = next((found[name] for name in names if name in found), None)
        if made is not None and node.outputs:
            four_bits = any(value in expanded for value in made.inputs)
            weights = default.weights if four_bits else Weights.INT8
            schemes[node] = Scheme(_INTEGERS[made.outputs[0].dtype], weights)
    return schemes


def work_of(node: Node) -> int:
    """Multiply-adds, or elements written by an operator that has none."""
    count = OPS_BY_NAME[node.op].macs
    shapes = [value.shape if value is not None else () for value in node.inputs]
    macs = count(shapes, [value.shape for value in node.outputs]) if count is not None else 0
    return macs or sum(math.prod(value.shape) for value in node.outputs)


def _rises(node: Node) -> bool:
    """Whether a node computes on integers unless it is raised."""
    first = node.inputs[0] if node.inputs else None
    return (
        rule_of(node) not in (QuantRule.FLOAT, QuantRule.FOLLOW) and first is not None and first.dtype == DType.FLOAT32
    )


def _heads(node: Node) -> bool:
    return OPS_BY_NAME[node.op].macs is not None


class _Grouping:
    """Puts nodes into groups; a group is known by its first node."""

    def __init__(self, graph: Graph, members: set[Node]) -> None:
        self.graph, self.members = graph, members
        self.order = {node: i for i, node in enumerate(graph.nodes)}
        self.producers = graph.producers()
        self.root: dict[Node, Node] = {}

    def groups(self) -> list[list[Node]]:
        nodes = [node for node in self.graph.nodes if node in self.members]
        for node in nodes:
            above = [self.find(p) for p in self._producers(node) if p in self.members]
            # What joins several branches belongs to the last of them, which runs right before it.
            self.root[node] = max(above, key=self._last_head) if above and not _heads(node) else node
        for node in nodes:
            if node.op == "mul":
                self._join_gate(node)
        self._join_headless(nodes)
        found: dict[Node, list[Node]] = {}
        for node in nodes:
            found.setdefault(self.find(node), []).append(node)
        return list(found.values())

    def find(self, node: Node) -> Node:
        while self.root[node] is not node:
            node = self.root[node]
        return node

    def _last_head(self, root: Node) -> int:
        return self.order[root]

    def _producers(self, node: Node) -> list[Node]:
        return [self.producers[value] for value in node.inputs if value in self.producers]

    def _join_gate(self, product: Node) -> None:
        """x * f(mean(x)): the nodes of f become one group, with the product."""
        for x, gate in (product.inputs[:2], product.inputs[1::-1]):
            if x is None or gate is None or x.constant or gate.constant:
                continue
            path = self._gate(x, gate)
            if path:
                roots = sorted({self.find(node) for node in (product, *path)}, key=self._last_head)
                for root in roots[1:]:
                    self.root[root] = roots[0]
                return

    def _gate(self, x: Value, gate: Value) -> list[Node]:
        """Nodes from a mean over x down to the gate, without the mean; none where the gate is no such thing."""
        path: list[Node] = []
        value = gate
        while len(path) < _LONGEST_GATE:
            node = self.producers.get(value)
            inputs = [v for v in node.inputs if v is not None and not v.constant] if node is not None else []
            if node is None or len(set(inputs)) != 1:
                return []
            if _averages(node):
                return path if inputs[0] is x else []
            if node in self.members:
                path.append(node)
            value = inputs[0]
        return []

    def _join_headless(self, nodes: Iterable[Node]) -> None:
        """A group in which nothing has weights, such as padding of the input, goes with the first that reads it."""
        headed = {self.find(node) for node in nodes if _heads(node)}
        readers = self.graph.consumers()
        for node in reversed(list(nodes)):
            root = self.find(node)
            if root in headed:
                continue
            following = [r for value in node.outputs for r in readers.get(value, []) if r in self.members]
            others = [self.find(r) for r in following if self.find(r) is not root]
            if others:
                self.root[root] = min(others, key=self._last_head)


def _averages(node: Node) -> bool:
    return node.op == "average_pool2d" or (node.op == "reduce" and node.attrs["function"] == ReduceFunction.MEAN)


def _unit(nodes: list[Node], schemes: Mapping[Node, Scheme]) -> Unit:
    heads = [node for node in nodes if _heads(node)]
    named = max(heads, key=work_of) if heads else nodes[0]
    return Unit(
        name=layer_name(named),
        source=named.name,
        op=named.op,
        layers=tuple(layer_name(node) for node in nodes),
        weighted=tuple(layer_name(node) for node in heads),
        work=sum(work_of(node) for node in nodes),
        weights=sum(_weights(node) for node in nodes),
        scheme=schemes[named],
    )


def _weights(node: Node) -> int:
    if rule_of(node) != QuantRule.WEIGHTED or node.inputs[1] is None:
        return 0
    return math.prod(node.inputs[1].shape)


def _cells(graph: Graph, number: Mapping[Node, int]) -> tuple[Cell, ...]:
    """Every tensor that some unit keeps in integers, with those that a move ties to it."""
    parent: dict[Value, Value] = {}

    def find(value: Value) -> Value:
        while parent.get(value, value) is not value:
            value = parent[value]
        return value

    touched: dict[Value, set[int]] = {}
    for node in graph.nodes:
        if node not in number:
            continue
        inputs = [v for v in node.inputs if v is not None and not v.constant and v.dtype == DType.FLOAT32]
        outputs = [v for v in node.outputs if v.dtype == DType.FLOAT32]
        for value in (*inputs, *outputs):
            touched.setdefault(value, set()).add(number[node])
        if rule_of(node) in _MOVES:
            for value in inputs:
                parent[find(value)] = find(outputs[0])
    tied: dict[Value, list[Value]] = {}
    for value in touched:
        tied.setdefault(find(value), []).append(value)
    merged: dict[tuple[int, ...], list[str]] = {}
    for values in tied.values():
        units = tuple(sorted({unit for value in values for unit in touched[value]}))
        merged.setdefault(units, []).extend(value.name for value in values)
    return tuple(Cell(tuple(names), units) for units, names in merged.items())
