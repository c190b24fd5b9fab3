"""Runs graphs that an importer made, in the runtime."""

from __future__ import annotations

import numpy as np

import edgert
from edgert.compile import LOWER, optimise, run_passes
from edgert.pack.writer import write


def packed(graph):
    """The package of an imported graph, as edgert.convert makes it."""
    graph.verify()
    optimise(graph)
    run_passes(graph, LOWER)
    return write(graph)


def run_graph(graph, samples):
    """Outputs by name."""
    return run_package(packed(graph), samples)


def run_package(package, samples):
    interpreter = edgert.Interpreter(model_content=package, num_threads=1)
    interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        interpreter.set_tensor(detail["index"], samples[detail["name"]])
    interpreter.invoke()
    return {detail["name"]: interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()}


def assert_close(our, their, tolerance=1e-4):
    """Within tolerance of the largest number, or equal."""
    their = np.asarray(their)
    assert our.shape == their.shape
    if their.dtype.kind == "f":
        bound = tolerance * max(1.0, float(np.abs(their).max(initial=0.0)))
        np.testing.assert_allclose(our, their, rtol=0, atol=bound)
    else:
        np.testing.assert_array_equal(our, their)
