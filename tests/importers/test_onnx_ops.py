"""Every operator of the ONNX importer, over operator sets, against onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

import edgert  # noqa: E402
from edgert.compile import convert  # noqa: E402
from edgert.importers.onnx import HANDLERS, load  # noqa: E402
from tests.importers._onnx_cases import CASES  # noqa: E402
from tests.passes.pipeline import optimize  # noqa: E402
from tests.reference_executor import ReferenceExecutor  # noqa: E402


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


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def test_operator_equals_onnxruntime(case, tmp_path):
    model = case.model()
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    samples = case.samples()
    theirs = run_onnxruntime(model, samples)
    graph = load(path)
    graph.verify()
    assert [value.name for value in graph.inputs] == list(samples)
    assert [value.name for value in graph.outputs] == [output.name for output in model.graph.output]
    arrays = list(samples.values())
    assert_close(ReferenceExecutor(graph).run(*arrays), theirs)
    optimize(graph)
    assert_close(ReferenceExecutor(graph).run(*arrays), theirs)
    assert_close(run_converted(path, samples), theirs)


def test_every_handler_of_the_default_domain_has_a_case():
    """Quantised operators have their models in test_onnx_quantized.py."""
    covered = {case.op for case in CASES}
    elsewhere = {"CastLike", "Dropout", "RMSNormalization", "Swish", "QuantizeLinear", "DequantizeLinear",
                 "QLinearConv", "QLinearMatMul"}  # fmt: skip
    missing = {name for name in HANDLERS if "." not in name} - covered - elsewhere
    assert not missing, f"no case for {sorted(missing)}"
