"""The pipeline as a whole: formats, options, metadata, and packages that do what the source does."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import edgert
from edgert.compile import convert, is_quantized
from edgert.dtypes import DType
from edgert.errors import FileFormatError, InputError
from edgert.pack.reader import read

Find = Callable[[str], Path]


def samples(count: int) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(9)
    return [{"input_1": rng.uniform(0, 255, (1, 32, 32, 3)).astype(np.float32)} for _ in range(count)]


def test_a_path_and_its_bytes_give_the_same_package(shared_data: Find) -> None:
    path = shared_data("tflite/kws_dscnn_int8.tflite")
    first = convert(path)
    assert first.data == convert(str(path)).data
    assert first.data == convert(path.read_bytes(), name=path.stem).data
    assert (first.source_format, first.source_bytes, first.quantized_here) == ("tflite", path.stat().st_size, False)


def test_metadata_travels(shared_data: Find) -> None:
    path = shared_data("tflite/ic_resnet8_float.tflite")
    result = convert(path, labels=["a", "b"], mean=[1, 2, 3], std=[4, 5, 6])
    metadata = read(result.data).metadata
    assert metadata.name == "ic_resnet8_float"
    assert metadata.labels == ("a", "b")
    assert (metadata.input_mean, metadata.input_std) == ((1, 2, 3), (4, 5, 6))
    assert metadata.source_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert metadata.toolchain == f"edgert {edgert.__version__}"
    assert ("source_format", "tflite") in metadata.entries


def test_quantising_keeps_a_float_interface_and_is_repeatable(shared_data: Find) -> None:
    path = shared_data("tflite/ic_resnet8_float.tflite")
    stages: list[tuple[str, int]] = []
    result = convert(path, calibrate=samples(4), progress=lambda stage, count, _: stages.append((stage, count)))
    assert result.quantized_here
    assert result.calibration_samples == 4
    assert is_quantized(result.graph)
    assert [value.dtype for value in (*result.graph.inputs, *result.graph.outputs)] == [DType.FLOAT32, DType.FLOAT32]
    assert ("calibrate", 4) in stages
    assert [name for name, _ in stages][-1] == "write"
    assert convert(path, calibrate=samples(4)).data == result.data
    assert len(read(result.data).metadata.calibration_sha256) == 64


@pytest.mark.parametrize("name", ["ic_resnet8_float", "ic_resnet8_int8"])
@pytest.mark.parametrize("io", ["float", "int8"])
def test_io_changes_the_interface_and_keeps_the_numbers(name: str, io: str, shared_data: Find) -> None:
    path = shared_data(f"tflite/{name}.tflite")
    calibrate = samples(4) if name.endswith("float") else None
    default = edgert.Model(convert(path, calibrate=calibrate).data)
    changed = edgert.Model(convert(path, calibrate=calibrate, io=io).data)  # type: ignore[arg-type]
    wanted = DType.FLOAT32 if io == "float" else DType.INT8
    assert {info.dtype for info in (*changed.inputs, *changed.outputs)} == {wanted}
    assert [info.name for info in changed.inputs] == [info.name for info in default.inputs]
    assert [info.name for info in changed.outputs] == [info.name for info in default.outputs]
    x = samples(1)[0]["input_1"]

    def scores(model: edgert.Model) -> np.ndarray:
        given = model.inputs[0]
        raw = x if given.dtype == DType.FLOAT32 else given.quantize(x)
        found = np.asarray(model(raw))
        return found if found.dtype == np.float32 else (found.astype(np.float32) + 128) / 256

    # A model quantised here computes its last softmax in float32 where the output is float32.
    steps = 0 if name.endswith("int8") else 2
    np.testing.assert_allclose(scores(changed), scores(default), rtol=0, atol=steps / 256)


def test_a_quantised_source_keeps_its_integers(shared_data: Find) -> None:
    path = shared_data("tflite/ic_resnet8_int8.tflite")
    result = convert(path, quantize="int8", calibrate=samples(1))
    assert result.data == convert(path).data
    assert not result.quantized_here
    assert any("quantised already" in note for note in result.notes)


def test_wrong_use_is_told_in_one_line(shared_data: Find, tmp_path: Path) -> None:
    path = shared_data("tflite/ic_resnet8_float.tflite")
    package = tmp_path / "model.ert"
    package.write_bytes(convert(path).data)
    text = tmp_path / "model.txt"
    text.write_text("not a model at all")
    cases: list[tuple[type[Exception], str, Callable[[], object]]] = [
        (InputError, "needs calibration samples", lambda: convert(path, quantize="int8")),
        (InputError, "no sample", lambda: convert(path, calibrate=[])),
        (InputError, "quantize is 'int3', needed one of none, int8", lambda: convert(path, quantize="int3")),
        (InputError, "io is 'half'", lambda: convert(path, io="half")),  # type: ignore[arg-type]
        (InputError, "std has a 0", lambda: convert(path, std=[1, 0, 1])),
        (InputError, "there is no such file", lambda: convert(tmp_path / "missing.tflite")),
        (FileFormatError, "an .ert package already", lambda: convert(package)),
        (FileFormatError, "not a model that can be converted; known are ONNX", lambda: convert(text)),
        (FileFormatError, "not an ONNX file", lambda: convert(b"neither of them")),
    ]
    for kind, message, call in cases:
        with pytest.raises(kind, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_the_hash_of_the_source_is_of_all_its_files(tmp_path: Path) -> None:
    """Weights that lie beside a model count, wherever they are; so do those of another model of the same shape."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    seen = set()
    for factor in (1.0, 2.0):
        weights = np.full((64, 64), factor, np.float32)
        node = helper.make_node("MatMul", ["x", "w"], ["y"])
        inputs, outputs = ([helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 64))] for name in "xy")
        graph = helper.make_graph([node], "g", inputs, outputs, [numpy_helper.from_array(weights, "w")])
        folder = tmp_path / str(factor)
        folder.mkdir()
        onnx.save(
            helper.make_model(graph), folder / "m.onnx", save_as_external_data=True, location="m.bin", size_threshold=0
        )
        result = convert(folder / "m.onnx")
        both = (folder / "m.onnx").read_bytes() + (folder / "m.bin").read_bytes()
        assert result.source_bytes == len(both)
        assert edgert.Model(result.data).metadata("source_sha256") == hashlib.sha256(both).hexdigest()
        seen.add(hashlib.sha256((folder / "m.onnx").read_bytes()).hexdigest())
    assert len(seen) == 1  # the description alone does not tell them apart
