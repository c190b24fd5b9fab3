"""Runs PyTorch modules eagerly and, converted, in the runtime."""

from __future__ import annotations

import numpy as np
import torch

import edgert
from edgert.compile import LOWER, optimise, run_passes
from edgert.pack.writer import write


def flat(result):
    """All tensors of a nested result as arrays, in order."""
    if isinstance(result, torch.Tensor):
        return [result.detach().numpy()]
    items = result.values() if isinstance(result, dict) else result
    return [array for item in items if item is not None for array in flat(item)]


def eager(module, inputs):
    with torch.no_grad():
        return flat(module(*(item.clone() for item in inputs)))


def opened(graph):
    """An interpreter of a graph that an importer made."""
    optimise(graph)
    run_passes(graph, LOWER)
    interpreter = edgert.Interpreter(model_content=write(graph), num_threads=1)
    interpreter.allocate_tensors()
    return interpreter


def step(interpreter, arrays):
    """The outputs of one invoke."""
    for detail, array in zip(interpreter.get_input_details(), arrays, strict=True):
        interpreter.set_tensor(detail["index"], array)
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]).copy() for detail in interpreter.get_output_details()]


def run(graph, inputs):
    return step(opened(graph), [item.numpy() for item in inputs])


def assert_close(ours, theirs, tolerance=1e-4):
    """Floats within a tolerance of the largest number, all else equal."""
    assert len(ours) == len(theirs)
    for place, (our, their) in enumerate(zip(ours, theirs, strict=True)):
        assert our.shape == their.shape, place
        assert our.dtype == their.dtype, place
        if our.dtype == np.float32:
            bound = tolerance * max(1e-3, float(np.abs(their).max(initial=0)))
            np.testing.assert_allclose(our, their, rtol=0, atol=bound, err_msg=f"output {place}")
        else:
            np.testing.assert_array_equal(our, their, err_msg=f"output {place}")


def lively(module, seed=0):
    """The module in use, with weights and statistics that are none of the neutral ones it starts with."""
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if getattr(part, "running_mean", None) is not None:
            part.running_mean.uniform_(-0.5, 0.5, generator=generator)
            part.running_var.uniform_(0.5, 1.5, generator=generator)
        if isinstance(part, torch.nn.modules.batchnorm._NormBase | torch.nn.LayerNorm | torch.nn.GroupNorm):
            for weight in (part.weight, part.bias):
                if weight is not None:
                    weight.data.uniform_(0.6, 1.4, generator=generator)
    return module.eval()
