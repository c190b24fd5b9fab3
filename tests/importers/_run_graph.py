"""Runs an imported graph in the runtime."""

from __future__ import annotations

import numpy as np

import edgert
from edgert.compile import LOWER, optimise, run_passes
from edgert.pack.writer import write


def run_graph(graph, *inputs):
    """The outputs for inputs in the graph's order. The graph is optimised and lowered in place."""
    optimise(graph)
    run_passes(graph, LOWER)
    interpreter = edgert.Interpreter(model_content=write(graph), num_threads=1)
    interpreter.allocate_tensors()
    details = {detail["name"]: detail["index"] for detail in interpreter.get_input_details()}
    for value, array in zip(graph.inputs, inputs, strict=True):
        interpreter.set_tensor(details[value.name], np.ascontiguousarray(array))
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]
