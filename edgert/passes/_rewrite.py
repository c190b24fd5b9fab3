"""How passes rewrite a graph: one sweep over the nodes in order, which writes the new list of nodes as it goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.dtypes import DType, QuantParams
from edgert.ir import Graph, Names, Node, Value
from edgert.ops import OPS_BY_NAME, QuantRule

Array = NDArray[Any]


class Sweep:
    """A rewriting walk: every node is visited once, its inputs already rewritten; what the visitor emits is appended.

    producer: the node that writes a value, of the nodes already rewritten. uses: how many nodes read a value, and
    graph outputs show it, as it was before the sweep.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.changed = False
        self.producer: dict[Value, Node] = {}
        self.uses: dict[Value, int] = {}
        for node in graph.nodes:
            for value in node.inputs:
                if value is not None:
                    self.uses[value] = self.uses.get(value, 0) + 1
        for value in graph.outputs:
            self.uses[value] = self.uses.get(value, 0) + 1
        self.names = Names(value.name for value in graph.values())
        self._nodes: list[Node] = []
        self._instead: dict[Value, Value] = {}

    def run(self, visit: Callable[[Sweep, Node], bool]) -> bool:
        """visit(sweep, node) returns True when it has emitted something in the node's place, False to keep the node.

        Returns whether anything changed. Nodes that nothing reads any more are left to the pass dead_code.
        """
        for node in self.graph.nodes:
            node.inputs = [None if value is None else self.current(value) for value in node.inputs]
            if len(node.outputs) == 1 and visit(self, node):  # assign has none; none with several is rewritten
                self.changed = True
            else:
                self.keep(node)
        self.graph.nodes = self._nodes
        self.graph.outputs = [self.current(value) for value in self.graph.outputs]
        return self.changed

    def current(self, value: Value) -> Value:
        """What stands for a value by now."""
        while value in self._instead:
            value = self._instead[value]
        return value

    def keep(self, node: Node) -> None:
        self._nodes.append(node)
        for value in node.outputs:
            self.producer[value] = node

    def single_use(self, value: Value) -> bool:
        return self.uses.get(value, 0) == 1

    def constant(self, array: Array, like: Value | Node, quant: QuantParams | None = None) -> Value:
        """A new constant, named after a value or after a node's output."""
        base = like.outputs[0].name if isinstance(like, Node) else like.name
        return Value(self.names.unique(f"{base}/constant"), tuple(array.shape), DType.of(array.dtype), quant, array)

    def emit(
        self,
        op: str,
        inputs: Sequence[Value | None],
        attrs: Mapping[str, Any],
        like: Node,
        output: Value | None = None,
        quant: QuantParams | None = None,
        dtype: DType | None = None,
    ) -> Value:
        """Appends a node that takes its name from `like`; its output is `output`, or a new value of the inferred shape.

        quant: of a new output; operators that move values about take it from their input. dtype: of a new output,
        where the operator leaves it open.
        """
        definition = OPS_BY_NAME[op]
        complete = definition.complete(attrs)
        if output is None:
            chosen = {"dtype": dtype} if dtype is not None and definition.out_dtypes else {}
            (spec,) = definition.infer(inputs, {**complete, **chosen})
            first = inputs[0]
            if quant is None and first is not None and definition.quant in (QuantRule.SAME, QuantRule.SHARED):
                quant = first.quant
            name = self.names.unique(f"{like.outputs[0].name}/{op}")
            output = Value(name, spec.shape, spec.dtype, quant)
        self.keep(Node(op, list(inputs), [output], complete, like.name, like.source))
        return output

    def replace(self, old: Value, new: Value) -> bool:
        """Lets `new` stand for `old` in all nodes to come and in the outputs; False when that is not possible.

        A graph output keeps its name: `new` takes it, unless `new` is itself an input, an output or a constant.
        """
        if old in self.graph.outputs:
            outputs = {self.current(value) for value in self.graph.outputs}
            if new not in self.producer or new in outputs or new.variable:
                return False
            old.name, new.name = self.names.unique(f"{old.name}/replaced"), old.name
        self._instead[old] = new
        return True


def first_input(node: Node) -> Value:
    """The first input of an operator that always has one."""
    value = node.inputs[0]
    assert value is not None
    return value


def is_per_channel(value: Value | None) -> bool:
    return value is not None and value.quant is not None and value.quant.per_channel


def scalar_of(value: Value | None) -> float | None:
    """The number that a float constant of one element holds; None for anything else."""
    if value is None or not value.constant or value.data is None or value.data.size != 1:
        return None
    return float(value.data.reshape(-1)[0]) if value.dtype == DType.FLOAT32 else None


def permuted(items: Sequence[Any], perm: Sequence[int]) -> list[Any]:
    return [items[axis] for axis in perm]


def inverse(perm: Sequence[int]) -> tuple[int, ...]:
    return tuple(int(axis) for axis in np.argsort(perm))
