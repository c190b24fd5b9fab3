"""Runs ONNX models in onnxruntime and, converted, in the runtime."""

from __future__ import annotations

import numpy as np
import onnxruntime

import edgert
from edgert.compile import convert


def run_onnxruntime(model, samples):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, samples)


def run_converted(path, samples, input_shapes=None):
    """The outputs of the converted model in the runtime."""
    package = convert(path, input_shapes=input_shapes).data
    interpreter = edgert.Interpreter(model_content=package, num_threads=1)
    interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        interpreter.set_tensor(detail["index"], samples[detail["name"]])
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]


def assert_close(ours, theirs):
    """Within 1e-4 of the largest number, or equal."""
    assert len(ours) == len(theirs)
    for our, their in zip(ours, theirs, strict=True):
        assert our.shape == their.shape
        assert our.dtype == their.dtype
        if our.dtype == np.float32:
            bound = 1e-4 * max(1.0, float(np.abs(their).max()))
            np.testing.assert_allclose(our, their, rtol=1e-4, atol=bound)
        else:
            np.testing.assert_array_equal(our, their)
