"""The networks of onnx's `light` tests: real architectures whose weights are one number each.

The suite feeds them evenly spaced numbers from 0 up to 1, and its outputs lie beside the models.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx.backend.test
import pytest
from onnx import numpy_helper

import edgert
from edgert.compile import LOWER, optimise, run_passes
from edgert.importers.onnx import load
from edgert.pack.writer import write

FOLDER = Path(onnx.backend.test.__file__).parent / "data" / "light"
NAMES = sorted(path.stem for path in FOLDER.glob("*.onnx"))


def test_all_nine_are_there():
    assert len(NAMES) == 9


@pytest.mark.parametrize("name", NAMES)
def test_light(name):
    graph = load(FOLDER / f"{name}.onnx")
    optimise(graph)
    run_passes(graph, LOWER)
    package = write(graph)
    del graph  # whose weights are hundreds of megabytes
    interpreter = edgert.Interpreter(model_content=package, num_threads=2)
    interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        count = int(np.prod(detail["shape"]))
        numbers = np.arange(count, dtype=np.float64).reshape(detail["shape"]) / count
        interpreter.set_tensor(detail["index"], numbers.astype(np.float32))
    interpreter.invoke()
    (output,) = interpreter.get_output_details()
    expected = numpy_helper.to_array(onnx.load_tensor(str(FOLDER / f"{name}_output_0.pb")))
    np.testing.assert_allclose(interpreter.get_tensor(output["index"]), expected, rtol=1e-3, atol=1e-7)
