"""Reshapes follow a resized batch."""

from __future__ import annotations

import pytest

from edgert.dtypes import DType
from edgert.ir import Graph, Node, Value
from edgert.passes.free_batch import free_batch


@pytest.mark.parametrize(
    ("old", "new", "attr"),
    [((1, 4, 3), (1, 12), (-1, 12)), ((1, 10, 2), (10, 2), (-1, 2)), ((1,), (), ()), ((0, 3), (0, 3), (0, 3))],
)
def test_first_dimension_is_inferred(old: tuple[int, ...], new: tuple[int, ...], attr: tuple[int, ...]) -> None:
    x, y = Value("x", old, DType.FLOAT32), Value("y", new, DType.FLOAT32)
    graph = Graph("g", [x], [y], [Node("reshape", [x], [y], {"shape": new}, name="reshape")])
    graph.verify()
    assert free_batch(graph) == (attr != new)
    assert graph.nodes[0].attrs["shape"] == attr
    graph.verify()
    assert not free_batch(graph)
