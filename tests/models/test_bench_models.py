"""The benchmark's own networks (tests/bench/bench_models.py): the same integers as the reference and as LiteRT, and no
layer that random weights have made constant."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from reference_executor import ReferenceExecutor

import edgert
from edgert.dtypes import DType

pytest.importorskip("ai_edge_litert")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))
import bench_models as models

# LiteRT's softmax and hard-swish round otherwise, and the layers above carry that on.
APART = {"transformer": 8, "mobilenet_v3": 2}
DISTINCT = 40  # of 256 values, that a tensor of 1000 elements or more has


def sample(package: bytes) -> NDArray[Any]:
    """As the ranges were measured: mean 0 and deviation 1."""
    (info,) = edgert.Model(package).inputs
    assert info.quant is not None
    x = np.random.default_rng(9).standard_normal(info.shape) / info.quant.scales[0] + info.quant.zero_points[0]
    return np.clip(np.rint(x), -128, 127).astype(np.int8)


@pytest.mark.parametrize("network", models.MODELS)
def test_integers(network: str) -> None:
    source = models.make(f"{network}_int8")
    result = edgert.convert(source, quantize="none")
    x = sample(result.data)
    expected = ReferenceExecutor(result.graph).all_values([x])
    for value, array in expected.items():
        if value.dtype == DType.INT8 and array.size >= 1000:
            assert len(np.unique(array)) >= DISTINCT, f"{value.name} is nearly constant"
    for isa in ("scalar", None):
        model = edgert.Model(result.data, threads=2, isa=isa)
        got = model.run({model.inputs[0].name: x})
        for value in result.graph.outputs:
            np.testing.assert_array_equal(got[value.name], expected[value], err_msg=f"{isa}: {value.name}")

    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(model_content=source, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    for details in interpreter.get_output_details():
        theirs = interpreter.get_tensor(details["index"]).astype(int)
        assert np.abs(got[details["name"]] - theirs).max() <= APART.get(network, 0)


@pytest.mark.parametrize("network", models.FLOAT)
def test_floats(network: str) -> None:
    source = models.make(f"{network}_float")
    model = edgert.Model(edgert.convert(source).data)
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(model_content=source, num_threads=1)
    interpreter.allocate_tensors()
    (info,) = model.inputs
    x = np.random.default_rng(9).standard_normal(info.shape).astype(np.float32)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    got = model.run({info.name: x})
    for details in interpreter.get_output_details():
        theirs = interpreter.get_tensor(details["index"])
        np.testing.assert_allclose(got[details["name"]], theirs, rtol=1e-4, atol=1e-4 * np.abs(theirs).max())


def test_files_are_the_same_every_time() -> None:
    first, second = (hashlib.sha256(models.make("audio_tcn_int8")).hexdigest() for _ in range(2))
    assert first == second


def test_unknown_names_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["bench_models.py", str(tmp_path), "vgg_int8"])
    with pytest.raises(SystemExit, match="mobilenet_v2_int8"):
        models.main()
    assert not list(tmp_path.iterdir())
