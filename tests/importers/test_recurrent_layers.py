"""Whole recurrent layers: stacked, bidirectional, batch first; operators and their unrolled form give the same.

test_onnx_recurrent.py and the PyTorch importer's tests compare with other runtimes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.builder import Array, GraphBuilder
from edgert.importers.layers import recurrent
from edgert.importers.layers.cells import TANH, Function
from edgert.importers.layers.recurrent import GruWeights, LstmWeights, RnnWeights
from edgert.ir import Graph
from edgert.ops import OPS_BY_NAME

STEPS, BATCH, WIDTH, UNITS = 5, 3, 6, 4
# tanh as the operators have it, but by nodes of its own: this makes a layer unroll.
OWN_TANH = Function(None, emit=lambda b, x: b.unary(TANH.kind, x) if TANH.kind is not None else x)


def draw(seed: int, *shape: int) -> Array:
    return (0.4 * np.random.default_rng(seed).normal(size=shape)).astype(np.float32)


def run(graph: Graph, feeds: list[Array]) -> list[Array]:
    graph.verify()
    known = dict(zip(graph.inputs, feeds, strict=True))
    for node in graph.nodes:
        arrays = [None if value is None else known.get(value, value.data) for value in node.inputs]
        known.update(zip(node.outputs, OPS_BY_NAME[node.op].run(node, arrays), strict=True))
    return [known.get(value, value.data) for value in graph.outputs]


def layers(kind: str, count: int, directions: int, out: int = 0) -> list[list[Any]]:
    made: list[list[Any]] = []
    for index in range(count):
        width = WIDTH if index == 0 else directions * (out or UNITS)
        row: list[Any] = []
        for direction in range(directions):
            seed = 100 * index + 10 * direction
            gates = {"lstm": 4, "gru": 3, "rnn": 1}[kind]
            matrices = draw(seed, gates * UNITS, width), draw(seed + 1, gates * UNITS, out or UNITS)
            biases = draw(seed + 2, gates * UNITS), draw(seed + 3, gates * UNITS)
            if kind == "lstm":
                projection = draw(seed + 4, out, UNITS) if out else None
                row.append(LstmWeights(*matrices, biases[0], draw(seed + 5, 3, UNITS), projection))
            else:
                row.append(GruWeights(*matrices, *biases) if kind == "gru" else RnnWeights(*matrices, biases[0]))
        made.append(row)
    return made


def results(kind: str, activation: Function, batch_first: bool, lengths: bool, out: int = 0, **options: Any) -> Any:
    """y, the final states, and the operators that made them."""
    b = GraphBuilder("layers")
    shape = (BATCH, STEPS, WIDTH) if batch_first else (STEPS, BATCH, WIDTH)
    x = b.input("x", shape, DType.FLOAT32)
    h = b.input("h", (4, BATCH, out or UNITS), DType.FLOAT32)
    feeds = [draw(7, *shape), draw(8, 4, BATCH, out or UNITS)]
    count = b.input("lengths", (BATCH,), DType.INT32) if lengths else None
    feeds += [np.array([2, 5, 0], np.int32)] if lengths else []
    cells = layers(kind, 2, 2, out)
    options = {**options, "lengths": count, "batch_first": batch_first, "activation": activation}
    if kind == "lstm":
        made = recurrent.lstm(b, x, cells, h, None, **options)
    else:
        made = (recurrent.gru if kind == "gru" else recurrent.rnn)(b, x, cells, h, **options)
    b.output("y", made.y)
    b.output("states", recurrent.stacked(b, made.h))
    if made.c:
        b.output("cells", recurrent.stacked(b, made.c))
    return run(b.graph, feeds), {node.op for node in b.graph.nodes}


CASES: list[tuple[str, dict[str, Any]]] = [
    ("rnn", {"clip": 0.3}),
    ("gru", {"reset_after": True}),
    ("gru", {"reset_after": False, "gate": recurrent.hard_sigmoid()}),
    ("lstm", {"clip": 0.5, "cell_clip": 0.6}),
    ("lstm", {"out": 3, "projection_clip": 0.2}),
]


@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize(("kind", "options"), CASES)
def test_unrolled_layers_equal_operators(kind: str, options: dict[str, Any], batch_first: bool, lengths: bool) -> None:
    compact, operators = results(kind, TANH, batch_first, lengths, **options)
    plain, others = results(kind, OWN_TANH, batch_first, lengths, **options)
    assert kind in operators
    assert kind not in others
    width = 2 * (options.get("out") or UNITS)
    assert compact[0].shape == ((BATCH, STEPS, width) if batch_first else (STEPS, BATCH, width))
    for first, second in zip(compact, plain, strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-5, atol=1e-6)


def test_gates_change_places() -> None:
    b = GraphBuilder("gates")
    rows = np.arange(8, dtype=np.float32).reshape(8, 1)
    moved = recurrent.in_order(b, rows, "iofg", "ifgo")
    assert isinstance(moved, np.ndarray)
    assert moved.ravel().tolist() == [0, 1, 4, 5, 6, 7, 2, 3]
    value = b.input("w", (8, 1), DType.FLOAT32)
    b.output("moved", b.operand(recurrent.in_order(b, value, "iofg", "ifgo")))
    np.testing.assert_array_equal(run(b.graph, [rows])[0], moved)
    assert recurrent.in_order(b, value, "ifgo", "ifgo") is value
    with pytest.raises(ValueError, match="not the same gates"):
        recurrent.in_order(b, rows, "abc", "abd")


def test_what_does_not_fit() -> None:
    b = GraphBuilder("wrong")
    flat, x = b.input("flat", (STEPS, WIDTH), DType.FLOAT32), b.input("x", (STEPS, BATCH, WIDTH), DType.FLOAT32)
    cells = layers("gru", 1, 1)
    with pytest.raises(ModelError, match="2 dimensions, needed 3"):
        recurrent.gru(b, flat, cells)
    with pytest.raises(ModelError, match=r"needed \[1, batch, units\]"):
        recurrent.gru(b, x, cells, b.input("h", (2, BATCH, UNITS), DType.FLOAT32))
    with pytest.raises(ModelError, match="2 initial states h, needed 1"):
        recurrent.gru(b, x, cells, [None, None])
