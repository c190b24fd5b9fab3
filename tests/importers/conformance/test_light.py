"""The networks of onnx's `light` tests: real architectures whose weights are one number each.

The suite feeds them evenly spaced numbers from 0 up to 1, and its outputs lie beside the models.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx.backend.test
import pytest
from onnx import numpy_helper
from runtime_runs import opened, packed, step

from edgert.importers.onnx import load

FOLDER = Path(onnx.backend.test.__file__).parent / "data" / "light"
NAMES = sorted(path.stem for path in FOLDER.glob("*.onnx"))


def test_all_nine_are_there():
    assert len(NAMES) == 9


@pytest.mark.parametrize("name", NAMES)
def test_light(name):
    package = packed(load(FOLDER / f"{name}.onnx"))  # keeps no graph, whose weights are hundreds of megabytes
    interpreter = opened(package, threads=2)
    inputs = []
    for detail in interpreter.get_input_details():
        count = int(np.prod(detail["shape"]))
        inputs.append((np.arange(count, dtype=np.float64).reshape(detail["shape"]) / count).astype(np.float32))
    (made,) = step(interpreter, inputs)
    expected = numpy_helper.to_array(onnx.load_tensor(str(FOLDER / f"{name}_output_0.pb")))
    np.testing.assert_allclose(made, expected, rtol=1e-3, atol=1e-7)
