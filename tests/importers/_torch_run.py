"""Runs PyTorch modules eagerly and, converted, in the runtime."""

from __future__ import annotations

from functools import partial

import runtime_runs
import torch


def flat(result):
    """All tensors of a nested result as arrays, in order."""
    if isinstance(result, torch.Tensor):
        return [result.detach().numpy()]
    items = result.values() if isinstance(result, dict) else result
    return [array for item in items if item is not None for array in flat(item)]


def eager(module, inputs):
    with torch.no_grad():
        return flat(module(*(item.clone() for item in inputs)))


def run(graph, inputs):
    return runtime_runs.run(graph, [item.numpy() for item in inputs])


# Near zero, too: networks at random weights often give small numbers.
assert_all_close = partial(runtime_runs.assert_all_close, least=1e-3)


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
