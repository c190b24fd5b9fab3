"""Files that Keras 1.2.2 and 2.3.1 wrote on Theano, and tf.keras 2.21: beside what those computed, recorded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from reference_executor import ReferenceExecutor

from edgert.compile import convert
from edgert.importers.keras import load
from importers._keras_run import assert_close

pytest.importorskip("h5py", reason="the package h5py is absent")

RECORDED = Path(__file__).resolve().parents[1] / "data" / "keras"
NAMES = sorted(path.stem for path in RECORDED.glob("*.npz"))


@pytest.mark.parametrize("name", NAMES)
def test_old_file_equals_what_its_keras_computed(name: str) -> None:
    with np.load(RECORDED / f"{name}.npz") as recorded:
        inputs = [recorded[key] for key in sorted(recorded) if key.startswith("input")]
        outputs = [recorded[f"output_{index}"] for index in range(sum(key.startswith("output") for key in recorded))]
    path = RECORDED / f"{name}.h5"
    graph = load(path)
    shapes = {value.name: tuple(array.shape) for value, array in zip(graph.inputs, inputs, strict=True)}
    graph = load(path, shapes)
    typed = [array.astype(value.dtype.numpy_name) for value, array in zip(graph.inputs, inputs, strict=True)]
    assert_close(ReferenceExecutor(graph).run(*typed), outputs)
    optimised = convert(path, input_shapes=shapes).graph
    assert_close(ReferenceExecutor(optimised).run(*typed), outputs)


def test_there_are_recorded_files() -> None:
    assert len(NAMES) == 13
