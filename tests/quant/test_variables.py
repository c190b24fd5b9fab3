"""Models with state: recurrent layers stay float32, what streams through variables becomes int8 around them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert import Interpreter
from edgert.compile import LOWER, run_passes
from edgert.dtypes import DType
from edgert.importers.builder import GraphBuilder
from edgert.ir import Graph
from edgert.pack.writer import write
from edgert.quant.graph.clone import clone
from edgert.quant.quantize import quantize

Array = NDArray[Any]
SAMPLES = 30


def draw(seed: int, *shape: int) -> Array:
    return (np.random.default_rng(seed).normal(size=shape) / np.sqrt(shape[-1])).astype(np.float32)


def recurrent() -> Graph:
    """A layer whose state goes on from run to run, and a classifier."""
    b = GraphBuilder("recurrent")
    x = b.input("x", (1, 6, 5), DType.FLOAT32)
    h, c = (b.variable(name, np.zeros((1, 8), np.float32)) for name in "hc")
    attrs = {"batch_major": True}
    y, h_next, c_next = b.emit_all("lstm", [x, draw(1, 32, 5), draw(2, 32, 8), draw(3, 32), h, c], attrs)
    b.emit_all("assign", [h, h_next])
    b.emit_all("assign", [c, c_next])
    b.output("y", b.emit("fully_connected", [b.reshape(y, (1, 48)), draw(4, 10, 48)]))
    return b.graph


def streaming() -> Graph:
    """A convolution over the last frames, which a variable holds."""
    b = GraphBuilder("streaming")
    x = b.input("x", (1, 1, 2, 8), DType.FLOAT32)
    past = b.variable("past", np.zeros((1, 1, 3, 8), np.float32))
    frames = b.emit("concat", [b.emit("copy", [past]), x], {"axis": 2})
    b.emit_all("assign", [past, b.slice(frames, 2, 2, 5)])
    y = b.emit("conv2d", [frames, draw(5, 6, 1, 5, 8).reshape(6, 1, 5, 8), draw(6, 6)])
    b.output("y", b.emit("fully_connected", [b.reshape(y, (1, 6)), draw(7, 4, 6)]))
    return b.graph


def pack(graph: Graph) -> bytes:
    run_passes(graph, LOWER)
    return write(graph)


def samples(shape: tuple[int, ...]) -> Iterator[dict[str, Array]]:
    for seed in range(SAMPLES):
        yield {"x": np.random.default_rng(seed).normal(size=shape).astype(np.float32)}


def stream(package: bytes, shape: tuple[int, ...]) -> Array:
    """Outputs of one run after the other."""
    interpreter = Interpreter(model_content=package)
    (given,), (wanted,) = interpreter.get_input_details(), interpreter.get_output_details()
    found = []
    for sample in samples(shape):
        interpreter.set_tensor(given["index"], sample["x"])
        interpreter.invoke()
        found.append(np.array(interpreter.get_tensor(wanted["index"])))
    return np.stack(found)


def check(graph: Graph, shape: tuple[int, ...]) -> Graph:
    plain = stream(pack(clone(graph)), shape)
    quantize(graph, samples(shape), pack)
    integers = stream(pack(graph), shape)
    assert np.abs(integers - plain).max() < 0.05 * np.abs(plain).max()
    assert np.abs(plain[1:] - plain[:-1]).max() > 0
    return graph


def test_a_recurrent_layer_stays_float() -> None:
    graph = check(recurrent(), (1, 6, 5))
    (layer,) = (node for node in graph.nodes if node.op == "lstm")
    (classifier,) = (node for node in graph.nodes if node.op == "fully_connected")
    assert {value.dtype for value in layer.outputs} == {DType.FLOAT32}
    assert classifier.inputs[0] is not None
    assert classifier.inputs[0].dtype == DType.INT8


def test_a_stream_through_a_variable() -> None:
    """The variable has the range of what is assigned to it, and the run that measures the loss writes it too."""
    graph = check(streaming(), (1, 1, 2, 8))
    (convolution,) = (node for node in graph.nodes if node.op == "conv2d")
    assert convolution.inputs[0] is not None
    assert convolution.inputs[0].dtype == DType.INT8
