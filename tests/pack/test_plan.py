"""The arena plan: nothing that lives at the same time overlaps, and memory is reused."""

from __future__ import annotations

import random
from itertools import pairwise

from edgert.dtypes import DType
from edgert.ir import Graph, Node, Value
from edgert.pack.plan import ALIGNMENT, plan_arena, value_bytes


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


def test_constants_and_variables_have_no_place() -> None:
    import numpy as np

    x = Value("x", (4,), DType.INT8)
    weights = Value("w", (4,), DType.INT8, data=np.zeros(4, np.int8))
    state = Value("s", (4,), DType.INT8, data=np.zeros(4, np.int8), variable=True)
    y = Value("y", (4,), DType.INT8)
    plan = plan_arena(Graph("g", [x], [y], [Node("any", [x, weights, state], [y])]))
    assert set(plan.offsets) == {x, y}
