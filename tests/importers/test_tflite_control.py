"""TFLite graphs that call graphs: CALL, IF, WHILE, composites, variables within them; and files that abuse them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from litert_reference import LiteRT
from runtime_runs import opened, step

from edgert.compile import convert
from edgert.errors import EdgertError, UnsupportedError
from edgert.importers import tflite

from ._tflite_models import Array, GraphSpec, Op, Tensor, build_graphs, constant

X = np.random.default_rng(4).normal(size=(2, 3)).astype(np.float32)
F, N, B = Tensor((2, 3)), Tensor((), "int32"), Tensor((), "bool")


def run(model: bytes, *inputs: Array, times: int = 1) -> list[Array]:
    """The outputs of the last of some invokes with the same inputs."""
    interpreter = opened(convert(model).data)
    return [step(interpreter, inputs) for _ in range(times)][-1]


def number(value: int) -> Tensor:
    return constant(value, "int32")


def one(kind: str, inputs: Sequence[Tensor], output: Tensor, table: str = "", **options: Any) -> GraphSpec:
    """A graph of one operator on all its inputs."""
    count = len(inputs)
    fed = [i for i, tensor in enumerate(inputs) if tensor.data is None]
    return GraphSpec([*inputs, output], [Op(kind, tuple(range(count)), (count,), table, options)], fed, [count])


RELU, NEGATE = one("RELU", [F], F), one("NEG", [F], F)


def loop(steps: int, limit: Tensor | None = None) -> list[GraphSpec]:
    """x doubled `steps` times by a WHILE that counts; limit: what it counts to, when that is an input."""
    condition = GraphSpec([N, F, N, B], [Op("LESS", (0, 2), (3,), "LessOptions")], [0, 1, 2], [3])
    body = GraphSpec(
        [N, F, N, number(1), N, F],
        [Op("ADD", (0, 3), (4,), "AddOptions"), Op("ADD", (1, 1), (5,), "AddOptions")], [0, 1, 2], [4, 5, 2],
    )  # fmt: skip
    bound = number(steps) if limit is None else limit
    main = GraphSpec(
        [number(0), F, bound, N, F, N],
        [Op("WHILE", (0, 1, 2), (3, 4, 5), "WhileOptions", {"condSubgraphIndex": 1, "bodySubgraphIndex": 2})],
        [1] if limit is None else [1, 2], [4],
    )  # fmt: skip
    return [main, condition, body]


def test_while_with_constant_count() -> None:
    model = build_graphs(loop(5))
    (y,) = run(model, X)
    np.testing.assert_array_equal(y, X * 32)
    np.testing.assert_array_equal(y, LiteRT(model).run(X)[0])
    assert [value.name for value in tflite.load(model).outputs] == ["t4"]


def test_while_that_never_runs() -> None:
    np.testing.assert_array_equal(run(build_graphs(loop(0)), X)[0], X)


def test_while_that_data_decide() -> None:
    with pytest.raises(UnsupportedError, match="how often it runs depends on the data"):
        tflite.load(build_graphs(loop(0, N)))


def recurrent() -> tuple[bytes, int]:
    """As Keras writes a layer: a WHILE over time that gathers x[t], updates a state, and writes it into all results."""
    steps, units = 6, 4
    rng = np.random.default_rng(8)
    w, u = (constant(rng.normal(size=(units, units)), "float32") for _ in range(2))
    sequence, state, results = Tensor((steps, 1, units)), Tensor((1, units)), Tensor((steps, 1, units))
    condition = GraphSpec(
        [N, state, results, sequence, number(steps), B], [Op("LESS", (0, 4), (5,), "LessOptions")], [0, 1, 2, 3], [5]
    )
    row, place = Tensor((1, 1, units)), Tensor((3,), "int32")
    body = GraphSpec(
        [
            N, state, results, sequence, number(1), N, state, w, u, state, state, state, state,
            constant([1, 1, units], "int32"), row, Tensor((1,), "int32"), constant([1], "int32"),
            constant([0, 0], "int32"), place, results,
        ],
        [
            Op("ADD", (0, 4), (5,), "AddOptions"),
            Op("GATHER", (3, 0), (6,), "GatherOptions", {"axis": 0}),
            Op("FULLY_CONNECTED", (6, 7, -1), (9,), "FullyConnectedOptions"),
            Op("FULLY_CONNECTED", (1, 8, -1), (10,), "FullyConnectedOptions"),
            Op("ADD", (9, 10), (11,), "AddOptions"),
            Op("TANH", (11,), (12,)),
            Op("RESHAPE", (12, 13), (14,)),
            Op("RESHAPE", (0, 16), (15,)),
            Op("CONCATENATION", (15, 17), (18,), "ConcatenationOptions", {"axis": 0}),
            Op("DYNAMIC_UPDATE_SLICE", (2, 14, 18), (19,)),
        ],
        [0, 1, 2, 3], [5, 12, 19, 3],
    )  # fmt: skip
    main = GraphSpec(
        [
            number(0), constant(np.zeros((1, units)), "float32"), constant(np.zeros((steps, 1, units)), "float32"),
            sequence, N, state, results, sequence,
        ],
        [Op("WHILE", (0, 1, 2, 3), (4, 5, 6, 7), "WhileOptions", {"condSubgraphIndex": 1, "bodySubgraphIndex": 2})],
        [3], [6, 5],
    )  # fmt: skip
    return build_graphs([main, condition, body]), steps


def test_recurrent_layer_as_a_loop() -> None:
    model, steps = recurrent()
    x = np.random.default_rng(9).normal(size=(steps, 1, 4)).astype(np.float32)
    graph = tflite.load(model)
    weights = [value for node in graph.nodes for value in node.inputs if value is not None and value.shape == (4, 4)]
    assert len({id(value) for value in weights}) <= 2 * steps  # each step has its node, not its copy of the numbers
    for y, wanted in zip(run(model, x), LiteRT(model).run(x), strict=True):
        np.testing.assert_allclose(y, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layer", ["gru", "lstm"])
def test_keras_layers_as_loops(layer: str) -> None:
    """Two layers as TensorFlow writes them without its fused operators; tests/data/README.md tells how."""
    model = (Path(__file__).parents[1] / f"data/tflite/keras_{layer}.tflite").read_bytes()
    x = np.random.default_rng(1).normal(size=(1, 12, 5)).astype(np.float32)
    np.testing.assert_allclose(run(model, x)[0], LiteRT(model).run(x)[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("value", [True, False])
def test_if(value: bool) -> None:
    """A constant condition takes a branch; a computed one takes the result of one."""
    options = {"thenSubgraphIndex": 1, "elseSubgraphIndex": 2}
    wanted = np.maximum(X, 0) if value else -X
    known = GraphSpec([constant(value, "bool"), F, F], [Op("IF", (0, 1), (2,), "IfOptions", options)], [1], [2])
    model = build_graphs([known, RELU, NEGATE])
    assert [node.op for node in tflite.load(model).nodes] == ["unary"]
    np.testing.assert_array_equal(run(model, X)[0], wanted)
    open_ = GraphSpec([B, F, F], [Op("IF", (0, 1), (2,), "IfOptions", options)], [0, 1], [2])
    model = build_graphs([open_, RELU, NEGATE])
    np.testing.assert_array_equal(run(model, np.array(value), X)[0], wanted)
    np.testing.assert_array_equal(LiteRT(model).run(np.array(value), X)[0], wanted)


def test_if_with_results_of_two_shapes() -> None:
    longer = one("CONCATENATION", [F, F], Tensor((4, 3)), "ConcatenationOptions", axis=0)
    twice = GraphSpec(
        [F, *longer.tensors[2:]], [Op("CONCATENATION", (0, 0), (1,), "ConcatenationOptions", {"axis": 0})], [0], [1]
    )
    main = GraphSpec(
        [B, F, F], [Op("IF", (0, 1), (2,), "IfOptions", {"thenSubgraphIndex": 1, "elseSubgraphIndex": 2})], [0, 1], [2]
    )
    with pytest.raises(UnsupportedError, match="one shape"):
        tflite.load(build_graphs([main, RELU, twice]))


def test_call_and_composite() -> None:
    for op in (
        Op("CALL", (0,), (1,), "CallOptions", {"subgraph": 1}),
        Op("STABLEHLO_COMPOSITE", (0,), (1,), "StableHLOCompositeOptions", {"decompositionSubgraphIndex": 1}),
    ):
        main = GraphSpec([F, F, F], [op, Op("RELU", (1,), (2,))], [0], [2])
        model = build_graphs([main, NEGATE])
        np.testing.assert_array_equal(run(model, X)[0], np.maximum(-X, 0))


def test_operators_of_called_graphs_are_reported() -> None:
    inner = GraphSpec([F, F, F], [Op("SKIP_GRAM", (0,), (1,)), Op("LSH_PROJECTION", (0,), (2,))], [0], [1])
    main = GraphSpec(
        [F, F, F], [Op("CALL", (0,), (1,), "CallOptions", {"subgraph": 1}), Op("UNIQUE", (0,), (2,))], [0], [1, 2]
    )
    with pytest.raises(UnsupportedError) as caught:
        tflite.load(build_graphs([main, inner]))
    assert [item.operator for item in caught.value.items] == ["SKIP_GRAM", "LSH_PROJECTION", "UNIQUE"]


def test_variable_in_a_loop() -> None:
    """Three rounds of v = v + x, and v lives on in the next run."""
    handle = Tensor((), "resource")
    named = {"container": "", "sharedName": "total"}
    condition = GraphSpec([N, F, number(3), B], [Op("LESS", (0, 2), (3,), "LessOptions")], [0, 1], [3])
    body = GraphSpec(
        [N, F, number(1), N, handle, F, F],
        [
            Op("VAR_HANDLE", (), (4,), "VarHandleOptions", named), Op("ADD", (0, 2), (3,), "AddOptions"),
            Op("READ_VARIABLE", (4,), (5,)), Op("ADD", (5, 1), (6,), "AddOptions"), Op("ASSIGN_VARIABLE", (4, 6), ()),
        ],
        [0, 1], [3, 1],
    )  # fmt: skip
    main = GraphSpec(
        [number(0), F, N, F, handle, F],
        [
            Op("WHILE", (0, 1), (2, 3), "WhileOptions", {"condSubgraphIndex": 1, "bodySubgraphIndex": 2}),
            Op("VAR_HANDLE", (), (4,), "VarHandleOptions", named), Op("READ_VARIABLE", (4,), (5,)),
        ],
        [1], [5],
    )  # fmt: skip
    model = build_graphs([main, condition, body])
    np.testing.assert_allclose(run(model, X)[0], 3 * X, rtol=1e-6)
    np.testing.assert_allclose(run(model, X, times=2)[0], 6 * X, rtol=1e-6)


def fast_refusal(graphs: Sequence[GraphSpec], match: str) -> None:
    model = build_graphs(graphs)
    started = time.process_time()
    with pytest.raises(EdgertError, match=match):
        tflite.load(model)
    assert time.process_time() - started < 3


def test_endless_loops_end() -> None:
    fast_refusal(loop(10**9), "unfolds to more than")
    calls = Op("CALL", (0,), (1,), "CallOptions", {"subgraph": 1})
    fast_refusal([GraphSpec([F, F], [calls], [0], [1]), GraphSpec([F, F], [calls], [0], [1])], "calls itself")
    main = GraphSpec([F, F], [Op("CALL", (0,), (1,), "CallOptions", {"subgraph": 0})], [0], [1])
    fast_refusal([main], "calls itself")


def test_folding_is_bounded() -> None:
    """A loop that doubles a megabyte of constants in each of 2,000 rounds, and a convolution of constants that would be
    hours of work: neither is computed at conversion."""
    big = constant(np.zeros((1 << 18,)), "float32")
    wide = Tensor((1 << 18,))
    condition = GraphSpec([N, wide, number(2000), B], [Op("LESS", (0, 2), (3,), "LessOptions")], [0, 1], [3])
    body = GraphSpec(
        [N, wide, number(1), N, wide],
        [Op("ADD", (0, 2), (3,), "AddOptions"), Op("ADD", (1, 1), (4,), "AddOptions")], [0, 1], [3, 4],
    )  # fmt: skip
    main = GraphSpec(
        [number(0), big, N, wide],
        [Op("WHILE", (0, 1), (2, 3), "WhileOptions", {"condSubgraphIndex": 1, "bodySubgraphIndex": 2})], [], [3],
    )  # fmt: skip
    model = build_graphs([main, condition, body])
    started = time.process_time()
    tflite.load(model)
    image, kernel = constant(np.zeros((1, 300, 300, 4)), "float32"), constant(np.zeros((4, 99, 99, 4)), "float32")
    options = {"padding": 0, "strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
    result = Tensor((1, 300, 300, 4))
    graph = GraphSpec([image, kernel, result], [Op("CONV_2D", (0, 1, -1), (2,), "Conv2DOptions", options)], [], [2])
    assert [node.op for node in tflite.load(build_graphs([graph])).nodes] == ["conv2d"]
    assert time.process_time() - started < 3


def test_graphs_that_double_at_each_level_end() -> None:
    """Twenty graphs, each of which calls the next one twice, would be a million calls."""
    graphs = []
    for level in range(20):
        ops = [Op("CALL", (i,), (i + 1,), "CallOptions", {"subgraph": level + 1}) for i in (0, 1)]
        graphs.append(GraphSpec([F, F, F], ops, [0], [2]))
    fast_refusal([*graphs, RELU], "unfolds to more than")


@pytest.mark.parametrize("number_", [-1, 7])
def test_graphs_that_are_not_there(number_: int) -> None:
    for op in (
        Op("CALL", (0,), (1,), "CallOptions", {"subgraph": abs(number_)}),
        Op("WHILE", (0,), (1,), "WhileOptions", {"condSubgraphIndex": number_, "bodySubgraphIndex": 0}),
    ):
        main = GraphSpec([F, F], [op], [0], [1])
        if not (number_ == -1 and op.kind == "CALL"):
            fast_refusal([main], "calls graph")
