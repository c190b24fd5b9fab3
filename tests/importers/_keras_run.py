"""Runs Keras models in Keras and, converted, in the runtime."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from reference_executor import ReferenceExecutor
from runtime_runs import assert_all_close, run_converted

from edgert.importers.keras import load

Array = NDArray[Any]
rng = np.random.default_rng(20)


def keras_or_skip() -> Any:
    """Keras 3, on PyTorch unless the environment says otherwise."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    pytest.importorskip(os.environ["KERAS_BACKEND"], reason="Keras needs a backend")
    return pytest.importorskip("keras", reason="the package keras is absent")


def filled(model: Any) -> Any:
    """The model with random weights; those that are variances positive."""
    weights = []
    for variable in model.weights:
        drawn = rng.uniform(-0.5, 0.5, variable.shape).astype(np.float32)
        positive = "variance" in variable.path or "count" in variable.path
        weights.append(np.abs(drawn) + 0.5 if positive else drawn)
    model.set_weights(weights)
    return model


def drawn(model: Any) -> list[Array]:
    """An input of batch 1 for every input of the model."""
    inputs = []
    for tensor in model.inputs:
        shape = [1 if size is None else size for size in tensor.shape]
        if str(tensor.dtype).startswith("int"):
            inputs.append(rng.integers(0, 5, shape).astype(str(tensor.dtype)))
        elif str(tensor.dtype) == "bool":
            inputs.append(rng.integers(0, 2, shape).astype(bool))
        else:
            inputs.append(rng.uniform(-1, 1, shape).astype(np.float32))
    return inputs


def predicted(model: Any, inputs: Sequence[Array]) -> list[Array]:
    """What Keras itself gives."""
    as_list = isinstance(getattr(model, "_inputs_struct", None), list)
    made = model.predict_on_batch(list(inputs) if as_list else inputs[0])
    if isinstance(made, dict):
        made = list(made.values())
    return [np.asarray(item) for item in (made if isinstance(made, (list, tuple)) else [made])]


def check(model: Any, tmp_path: Path, formats: Sequence[str] = ("keras", "h5"), runtime: bool = True) -> None:
    """The model's own prediction, the graph by the operators' definitions, and the package in the runtime are equal."""
    filled(model)
    inputs = drawn(model)
    theirs = predicted(model, inputs)
    for kind in formats:
        path = tmp_path / f"model.{kind}"
        model.save(path)
        graph = load(path)
        graph.verify()
        assert len(graph.inputs) == len(inputs)
        assert_all_close(ReferenceExecutor(graph).run(*inputs), theirs)
    if runtime:
        assert_all_close(run_converted(path, inputs), theirs)
