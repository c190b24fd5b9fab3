"""Runs models in the runtime as they come (imported graphs, packages, files), and compares what they give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert import Interpreter
from edgert.compile import LOWER, convert, optimise, run_passes
from edgert.ir import Graph
from edgert.pack.writer import write

Array = NDArray[Any]
Inputs = Sequence[Array] | Mapping[str, Array]  # in the model's order, or by name


def packed(graph: Graph) -> bytes:
    """The package of an imported graph, as edgert.convert makes it. The graph is optimised and lowered in place."""
    graph.verify()
    optimise(graph)
    run_passes(graph, LOWER)
    return write(graph)


def opened(model: bytes | Graph, threads: int = 1, isa: str | None = None) -> Interpreter:
    """The interpreter of a package or an imported graph."""
    package = packed(model) if isinstance(model, Graph) else model
    interpreter = Interpreter(model_content=package, num_threads=threads, isa=isa)
    interpreter.allocate_tensors()
    return interpreter


def step(interpreter: Interpreter, inputs: Inputs) -> list[Array]:
    """The outputs of one invoke."""
    details = interpreter.get_input_details()
    given = [inputs[detail["name"]] for detail in details] if isinstance(inputs, Mapping) else inputs
    for detail, array in zip(details, given, strict=True):
        interpreter.set_tensor(detail["index"], array)
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]


def run(model: bytes | Graph, inputs: Inputs, threads: int = 1, isa: str | None = None) -> list[Array]:
    return step(opened(model, threads, isa), inputs)


def run_by_name(model: bytes | Graph, inputs: Inputs) -> dict[str, Array]:
    """The outputs by name."""
    interpreter = opened(model)
    names = [detail["name"] for detail in interpreter.get_output_details()]
    return dict(zip(names, step(interpreter, inputs), strict=True))


def run_converted(
    source: Path | bytes, inputs: Inputs, input_shapes: Mapping[str, tuple[int, ...]] | None = None
) -> list[Array]:
    """The outputs of a model's file, or of its bytes, converted."""
    return run(convert(source, input_shapes=input_shapes).data, inputs)


def assert_close(our: Array, their: Any, tolerance: float = 1e-4, least: float = 1.0) -> None:
    """Floats within a tolerance of the largest number (or of `least`, when all are smaller), all else equal."""
    their = np.asarray(their)
    assert our.shape == their.shape
    if their.dtype.kind == "f":
        bound = tolerance * max(least, float(np.abs(their).max(initial=0.0)))
        np.testing.assert_allclose(our, their, rtol=0, atol=bound)
    else:
        np.testing.assert_array_equal(our, their)


def assert_all_close(
    ours: Sequence[Array], theirs: Sequence[Array], tolerance: float = 1e-4, least: float = 1.0
) -> None:
    """As many outputs, of the same types, each close."""
    assert len(ours) == len(theirs)
    for our, their in zip(ours, theirs, strict=True):
        assert our.dtype == their.dtype
        assert_close(our, their, tolerance, least)
