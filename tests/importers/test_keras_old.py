"""Files that Keras 1.2.2 and 2.3.1 wrote on Theano, and tf.keras 2.21: beside what those computed, recorded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from reference_executor import ReferenceExecutor
from runtime_runs import assert_all_close

from edgert.compile import convert
from edgert.importers.keras import load

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
    assert_all_close(ReferenceExecutor(graph).run(*typed), outputs)
    optimised = convert(path, input_shapes=shapes).graph
    assert_all_close(ReferenceExecutor(optimised).run(*typed), outputs)


def test_there_are_recorded_files() -> None:
    assert len(NAMES) == 14


def test_cntk_begins_elsewhere_where_strides_leave_an_odd_rest(tmp_path: Path) -> None:
    """The kernel's centre lies at half of what is left over: 8 positions by 2 leave 1, so padding comes first alone."""
    h5py = pytest.importorskip("h5py", reason="the package h5py is absent")
    kernel = np.arange(1, 4, dtype=np.float32).reshape(3, 1, 1)
    layer = {
        "name": "conv", "trainable": True, "filters": 1, "kernel_size": [3], "strides": [2], "padding": "same",
        "data_format": "channels_last", "dilation_rate": [1], "activation": "linear", "use_bias": False,
        "batch_input_shape": [None, 8, 1],
    }  # fmt: skip
    for backend, padding in (("cntk", (1, 0)), ("tensorflow", (0, 1)), ("theano", (1, 0))):
        with h5py.File(tmp_path / "m.h5", "w") as file:
            file.attrs["keras_version"], file.attrs["backend"] = "2.3.1", backend
            file.attrs["model_config"] = json.dumps(
                {"class_name": "Sequential", "config": {"layers": [{"class_name": "Conv1D", "config": layer}]}}
            )
            file["model_weights/conv/kernel"] = kernel
            file["model_weights"].attrs["layer_names"] = ["conv"]
            file["model_weights/conv"].attrs["weight_names"] = ["kernel"]
        x = np.arange(8, dtype=np.float32).reshape(1, 8, 1) ** 2
        padded = np.pad(x[0, :, 0], padding)
        taps = kernel[::-1, 0, 0] if backend == "theano" else kernel[:, 0, 0]
        expected = [float(padded[at : at + 3] @ taps) for at in range(0, 8, 2)]
        (made,) = ReferenceExecutor(load(tmp_path / "m.h5")).run(x)
        np.testing.assert_allclose(made[0, :, 0], expected)
