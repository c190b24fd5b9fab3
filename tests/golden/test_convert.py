"""edgert convert --golden: pairs that the package brings, by which a device can check itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cli.helpers import DIGITS

import edgert
from edgert import golden
from edgert.cli.main import run
from edgert.compile import convert
from edgert.dtypes import DType
from edgert.errors import InputError
from edgert.golden.trust import Trust, output_trust
from edgert.runtime import _native

Find = Callable[[str], Path]
SOURCE = DIGITS / "digits.onnx"


def samples() -> list[dict[str, np.ndarray]]:
    with np.load(DIGITS / "calibration.npz") as data:
        (name,) = data.files
        return [{name: image[None] if image.ndim == 3 else image} for image in data[name][:40]]


@pytest.mark.parametrize("io", [None, "int8"])
def test_of_calibration_samples(io: str | None) -> None:
    given = samples()
    (name,) = given[0]
    result = convert(SOURCE, calibrate=given, golden=3, io=io)  # type: ignore[arg-type]
    model = _native.Model(content=result.data)
    assert model.golden_count == 3
    loaded = edgert.Model(result.data)
    for number, sample in enumerate(given[:3]):
        (image,), (scores,) = model.golden(number)
        x = loaded.inputs[0].quantize(sample[name]) if io else sample[name].astype(np.float32)
        assert image == x.tobytes()
        found = np.frombuffer(scores, loaded.outputs[0].dtype.numpy_name).reshape(loaded.outputs[0].shape)
        assert np.allclose(found, loaded(x), atol=1e-5)
    assert convert(SOURCE, calibrate=given, golden=3, io=io).data == result.data  # type: ignore[arg-type]
    plain = convert(SOURCE, calibrate=given, io=io)  # type: ignore[arg-type]
    assert np.array_equal(loaded(x), edgert.Model(plain.data)(x))
    assert _native.Model(content=plain.data).golden_count == 0


def test_of_seeded_inputs() -> None:
    result = convert(SOURCE, golden=2)  # float, nothing to calibrate with
    runs = golden.make(result.data, 1)
    assert [run.get("recorded") for run in runs] == [None, 0, 1]
    golden.check(result.data, runs)


def test_more_than_there_are_samples() -> None:
    given = samples()[:8]
    model = _native.Model(content=convert(SOURCE, calibrate=given, golden=10).data)
    assert model.golden_count == 10
    assert len({model.golden(i)[0] for i in range(10)}) == 10


def test_beside_packed_weights() -> None:
    result = convert(SOURCE, calibrate=samples(), golden=2, targets=["x86-64-avx2"])
    model = _native.Model(content=result.data)
    assert model.golden_count == 2
    assert model.targets
    assert model.check_target(0)[1:] == (0, 0)  # none is stale, none wrong
    golden.check(result.data, golden.make(result.data, 1))


def test_an_int8_model_is_exact(shared_data: Find) -> None:
    package = convert(shared_data("tflite/kws_dscnn_int8.tflite"), golden=1).data
    model = _native.Model(content=package)
    assert set(output_trust(model, _native.Session(model))) == {Trust.EXACT}
    runs = golden.make(package, 2)
    assert all(output.keys() == {"sha256"} for run in runs for output in run["outputs"])
    assert len(runs) == 3


@pytest.mark.parametrize("name", ["mnist_lstm_int8", "wakeword_okay_nabu_int8_stateful"])
def test_models_with_state(name: str, shared_data: Find, monkeypatch: pytest.MonkeyPatch) -> None:
    package = convert(shared_data(f"tflite/{name}.tflite"), golden=1).data
    runs = golden.make(package, 2)
    for isa in ("scalar", _native.cpu_isas()[-1]):
        monkeypatch.setenv("ERT_ISA_MAX", isa)
        golden.check(package, runs)


def test_float_models(shared_data: Find, monkeypatch: pytest.MonkeyPatch) -> None:
    package = convert(shared_data("tflite/ic_resnet8_float.tflite")).data
    runs = golden.make(package, 2)
    for isa in _native.cpu_isas():
        monkeypatch.setenv("ERT_ISA_MAX", isa)
        golden.check(package, runs)
    for run_ in runs:
        (output,) = run_["outputs"]
        assert output["tolerance"] < 0.01
        assert edgert.Model(package).outputs[0].dtype == DType.FLOAT32


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "digits.ert"
    words = ["convert", str(SOURCE), "-o", str(output), "--calibrate", str(DIGITS / "calibration.npz")]
    assert run([*words, "--golden", "2"]) == 0
    assert "golden runs" in capsys.readouterr().out
    first = output.read_bytes()
    assert run([*words, "--golden", "2"]) == 0
    assert output.read_bytes() == first
    assert _native.Model(path=output).golden_count == 2
    assert run([*words, "--golden", "65"]) == 2
    with pytest.raises(InputError, match="golden is 65"):
        convert(SOURCE, golden=65)
