"""Which of a model's outputs a metric looks at."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgert.errors import InputError
from edgert.metrics._def import Array, Outputs


def pick(outputs: Outputs, name: str | None, metric: str, fits: Callable[[Array], bool], needed: str) -> Array:
    """The output of this name, or the first one that fits. Raises InputError that lists what there is."""
    if name is not None:
        if name not in outputs:
            raise InputError(f"{metric}: there is no output {name!r}; the outputs are {described(outputs)}")
        if not fits(outputs[name]):
            raise InputError(f"{metric}: {described({name: outputs[name]})} is not {needed}")
        return outputs[name]
    for array in outputs.values():
        if fits(array):
            return array
    raise InputError(f"{metric} needs {needed}; the model's outputs are {described(outputs)}")


def described(outputs: Outputs) -> str:
    return ", ".join(f"{name}: {array.dtype}{list(array.shape)}" for name, array in outputs.items()) or "none"


def is_scores(array: Array) -> bool:
    """One row of numbers, [classes] or [1, classes], with more than one class."""
    shape = array.shape
    return len(shape) > 0 and shape[-1] > 1 and array.size == shape[-1] and array.dtype.kind in "fiu"


def scores_of(outputs: Outputs, name: str | None, metric: str) -> Array:
    """float64 [classes]."""
    found = pick(outputs, name, metric, is_scores, "one row of scores, [classes] or [1, classes]")
    return found.reshape(-1).astype(np.float64)
