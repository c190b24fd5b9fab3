"""The arena plan: nothing that lives at the same time overlaps, and memory is reused."""

from __future__ import annotations

import random
from itertools import pairwise

from edgert.dtypes import DType
from edgert.ir import Graph, Node, Value
from edgert.pack.plan import ALIGNMENT, in_place, plan_arena, value_bytes


def chain(sizes: list[int]) -> Graph:
    """A graph of one-input nodes whose values have the given sizes in bytes."""
    values = [Value(f"v{i}", (size,), DType.INT8) for i, size in enumerate(sizes)]
    nodes = [Node("unary", [a], [b]) for a, b in pairwise(values)]
    return Graph("chain", [values[0]], [values[-1]], nodes)


def random_graph(rng: random.Random) -> Graph:
    values = [Value(f"in{i}", (rng.randrange(1, 5000),), DType.INT8) for i in range(2)]
    graph = Graph("random", list(values))
    for i in range(30):
        inputs = [rng.choice(values) for _ in range(rng.randrange(1, 4))]
        outputs = [Value(f"v{i}_{j}", (rng.randrange(0, 5000),), DType.INT8) for j in range(rng.randrange(1, 3))]
        graph.nodes.append(Node("any", [*inputs, None], outputs))
        values += outputs
    graph.outputs = rng.sample(values, 3)
    return graph


def lifetimes(graph: Graph) -> dict[Value, tuple[int, int]]:
    """First and last moment of every value, worked out the slow way: moment 0 is before the first node."""
    moments = {value: [0, len(graph.nodes) + 1] for value in graph.inputs}
    for moment, node in enumerate(graph.nodes, start=1):
        for value in (*node.inputs, *node.outputs):
            if value is not None and value not in graph.inputs:
                moments.setdefault(value, [moment, moment])[1] = moment
    for value in graph.outputs:
        moments[value][1] = len(graph.nodes) + 1
    return {value: (a, b) for value, (a, b) in moments.items()}


def test_values_that_live_together_do_not_overlap() -> None:
    rng = random.Random(1)
    for _ in range(50):
        graph = random_graph(rng)
        plan = plan_arena(graph)
        alive = lifetimes(graph)
        assert set(plan.offsets) == set(alive)
        values = list(alive)
        for i, a in enumerate(values):
            assert plan.offsets[a] % ALIGNMENT == 0
            assert plan.offsets[a] + value_bytes(a) <= plan.arena_bytes
            for b in values[i + 1 :]:
                together = alive[a][0] <= alive[b][1] and alive[b][0] <= alive[a][1]
                apart = (
                    plan.offsets[a] + value_bytes(a) <= plan.offsets[b]
                    or plan.offsets[b] + value_bytes(b) <= plan.offsets[a]
                )
                assert apart or not together, (a, b)


def test_a_chain_needs_its_input_and_two_more() -> None:
    assert plan_arena(chain([64, 640, 640, 640, 640, 640])).arena_bytes == 64 + 2 * 640


def with_lut(second: str = "lut", extra_reader: bool = False) -> tuple[Graph, list[Value]]:
    """x -> unary -> a -> (lut, or another) -> b, of 640 bytes each."""
    import numpy as np

    x, a, b, c = (Value(name, (640,), DType.INT8) for name in "xabc")
    table = Value("table", (256,), DType.INT8, data=np.zeros(256, np.int8))
    nodes = [Node("unary", [x], [a]), Node(second, [a, table], [b]), Node("unary", [b], [c])]
    return Graph("g", [x], [c, a] if extra_reader else [c], nodes), [x, a, b, c]


def test_an_elementwise_node_writes_over_what_it_alone_reads() -> None:
    graph, (x, a, b, c) = with_lut()
    plan = plan_arena(graph)
    assert in_place(graph) == {b: a}
    assert plan.offsets[a] == plan.offsets[b]
    assert len({plan.offsets[value] for value in (x, a, c)}) == 3
    assert plan.arena_bytes == 3 * 640


def test_nothing_is_overwritten_that_others_read() -> None:
    assert in_place(with_lut(extra_reader=True)[0]) == {}
    assert in_place(with_lut("gather")[0]) == {}
    x, a, b, c = (Value(name, (640,), DType.INT8) for name in "xabc")
    twice = Graph("g", [x], [b], [Node("unary", [x], [a]), Node("add", [a, a], [b])])
    assert in_place(twice) == {}
    later = Graph("g", [x], [c], [Node("unary", [x], [a]), Node("unary", [x], [b]), Node("add", [a, b], [c])])
    assert in_place(later) == {c: b}
    broadcast = Value("row", (1,), DType.INT8)
    smaller = Graph("g", [x, broadcast], [c], [Node("unary", [x], [b]), Node("add", [b, broadcast], [c])])
    assert in_place(smaller) == {}


def test_an_interpolating_lut_has_a_place_of_its_own() -> None:
    """The core runs int8 tables in place, and not those of int16."""
    graph, values = with_lut()
    for value in values:
        value.dtype = DType.INT16
    assert in_place(graph) == {}


def test_constants_and_variables_have_no_place() -> None:
    import numpy as np

    x = Value("x", (4,), DType.INT8)
    weights = Value("w", (4,), DType.INT8, data=np.zeros(4, np.int8))
    state = Value("s", (4,), DType.INT8, data=np.zeros(4, np.int8), variable=True)
    y = Value("y", (4,), DType.INT8)
    plan = plan_arena(Graph("g", [x], [y], [Node("any", [x, weights, state], [y])]))
    assert set(plan.offsets) == {x, y}
