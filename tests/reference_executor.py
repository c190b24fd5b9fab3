"""Runs a graph node by node through OpDef.reference: the definition of what every other executor must give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.ir import Graph, Value
from edgert.ops import OPS_BY_NAME

Array = NDArray[Any]


class ReferenceExecutor:
    """Variables keep their values from run to run."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.variables = {v: np.array(v.data) for v in graph.values() if v.variable and v.data is not None}

    def all_values(self, inputs: Sequence[Array]) -> dict[Value, Array]:
        """Every value of one run; inputs in the graph's order, with its shapes and dtypes."""
        values: dict[Value, Array] = {}
        for value, array in zip(self.graph.inputs, inputs, strict=True):
            assert array.shape == value.shape, (value, array.shape)
            assert array.dtype == value.dtype.numpy_name, (value, array.dtype)
            values[value] = array

        def look(value: Value | None) -> Array | None:
            if value is None:
                return None
            if value.variable:
                return self.variables[value]
            return value.data if value.data is not None else values[value]

        for node in self.graph.nodes:
            arrays = [look(value) for value in node.inputs]
            if node.op == "assign":
                target, new = node.inputs[0], arrays[1]
                assert target is not None
                assert new is not None
                self.variables[target] = new.copy()
                continue
            results = OPS_BY_NAME[node.op].run(node, arrays)
            for value, result in zip(node.outputs, results, strict=True):
                assert result.shape == value.shape, (node, value, result.shape)
                assert result.dtype == value.dtype.numpy_name, (node, value, result.dtype)
                values[value] = result
        for value in self.graph.outputs:
            array = look(value)
            assert array is not None
            values[value] = array
        return values

    def run(self, *inputs: Array) -> list[Array]:
        """The graph's outputs."""
        values = self.all_values(inputs)
        return [values[value] for value in self.graph.outputs]
