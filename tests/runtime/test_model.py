"""edgert.load and edgert.Model."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from runtime.models import counter, gather, int8_copy, pooled, pooled_reference

import edgert
from edgert.errors import FileFormatError, InputError, InvokeError, ModelError, OutOfMemoryError
from edgert.runtime import _native

rng = np.random.default_rng(1)
IMAGE = rng.normal(size=(1, 4, 4, 2)).astype(np.float32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "pooled.ert"
    file.write_bytes(pooled(labels=("a", "b")))
    return file


def test_load_and_call(path: Path) -> None:
    model = edgert.load(path)
    assert np.array_equal(model(IMAGE), pooled_reference(IMAGE))
    assert np.array_equal(model(IMAGE[0]), pooled_reference(IMAGE))  # the batch of 1 may be left out
    assert list(model.run({"image": IMAGE})) == ["scores"]
    assert model.labels == ("a", "b")
    assert model.normalisation == ((1.0,), (2.0,))
    assert (model.name, model.metadata("name"), model.metadata("nonsense")) == ("pooled", "pooled", None)
    assert "image: float32[1, 4, 4, 2]" in repr(model)


def test_results_are_copies(path: Path) -> None:
    model = edgert.load(path)
    first = model(IMAGE)
    model(-IMAGE)
    assert np.array_equal(first, pooled_reference(IMAGE))


def test_views_are_the_tensors_own_memory(path: Path) -> None:
    model = edgert.load(path)
    model.view("image")[...] = IMAGE
    model.invoke()
    view = model.view("scores")
    assert np.array_equal(view, pooled_reference(IMAGE))
    model.view("image")[...] = -IMAGE
    model.invoke()
    assert np.array_equal(view, pooled_reference(-IMAGE))


def test_a_view_outlives_its_model(path: Path) -> None:
    view = edgert.load(path).view("image")
    gc.collect()
    view[...] = 5
    assert view.sum() == 5 * view.size


def test_inputs_keep_their_values(path: Path) -> None:
    model = edgert.load(path)
    first = model(IMAGE)
    model.invoke()
    assert np.array_equal(model.view("scores"), first)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"imge": IMAGE}, "there is no input 'imge'; the inputs are image: float32[1, 4, 4, 2]"),
        ({}, "input 'image' is missing"),
        ({"image": IMAGE.astype(np.float64)}, "input 'image' is float64, needed float32[1, 4, 4, 2]"),
        ({"image": IMAGE[:, :3]}, "input 'image' has shape [1, 3, 4, 2], needed [1, 4, 4, 2]"),
    ],
)
def test_wrong_inputs(path: Path, inputs: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(InputError) as caught:
        edgert.load(path).run(inputs)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_wrong_count_of_inputs(path: Path) -> None:
    with pytest.raises(InputError, match="2 inputs given, needed 1: image: float32"):
        edgert.load(path)(IMAGE, IMAGE)


def test_a_float_for_an_int8_input_is_told_how_to_convert() -> None:
    model = edgert.Model(int8_copy())
    with pytest.raises(InputError, match=r"needed int8\[1, 5\]: convert it with TensorInfo.quantize\(\)"):
        model(np.zeros((1, 5), np.float32))
    x = model.inputs[0]
    real = np.array([[0.0, 0.5, -1.25, 1e9, np.nan]], np.float32)
    assert x.quantize(real).tolist() == [[3, 4, 1, 127, 3]]  # -2.5 rounds to the even -2
    assert x.dequantize(model(x.quantize(real)))[0, :3].tolist() == [0.0, 0.5, -1.0]


def test_resize(path: Path) -> None:
    model = edgert.load(path, threads=2)
    images = rng.normal(size=(3, 4, 4, 2)).astype(np.float32)
    model.resize("image", (3, 4, 4, 2))
    assert np.array_equal(model(images), pooled_reference(images))
    with pytest.raises(ModelError, match="pool"):
        model.resize("image", (3, 1, 4, 2))
    assert np.array_equal(model(images), pooled_reference(images))  # the old shape stays
    view = model.view("image")
    with pytest.raises(InputError, match="arrays still point into"):
        model.resize("image", (1, 4, 4, 2))
    del view
    with pytest.raises(InputError, match="there is no input"):
        model.resize("nonsense", (1,))


def test_variables_live_between_invokes() -> None:
    model = edgert.Model(counter())
    x = np.array([7, 8, 9], np.float32)
    assert model(x).tolist() == [1, 2, 3]
    assert model(-x).tolist() == [7, 8, 9]
    model.session.reset_variables()
    assert model(x).tolist() == [1, 2, 3]


def test_an_index_out_of_range_is_an_error() -> None:
    model = edgert.Model(gather())
    assert model(np.array([3, 0, 1], np.int32))[:, 0].tolist() == [6, 0, 2]
    with pytest.raises(InvokeError, match="operator 0 'pick' \\(gather\\)"):
        model(np.array([0, 4, 1], np.int32))
    assert model(np.array([1, 1, 1], np.int32))[:, 0].tolist() == [2, 2, 2]


def test_instruction_set_cap(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert edgert.load(path, isa="scalar").session.isa == "scalar"
    assert edgert.load(path).session.isa == _native.cpu_isas()[-1]
    monkeypatch.setenv("ERT_ISA_MAX", "scalar")
    assert edgert.load(path).session.isa == "scalar"
    assert edgert.load(path, isa=_native.cpu_isas()[-1]).session.isa == _native.cpu_isas()[-1]
    monkeypatch.setenv("ERT_ISA_MAX", "mmx")
    with pytest.raises(InputError, match="'mmx' is no instruction set; known are scalar"):
        edgert.load(path)


def test_memory_limit(path: Path) -> None:
    with pytest.raises(OutOfMemoryError, match="limit"):
        edgert.Model(path.read_bytes(), memory_limit=600)


def test_threads_must_make_sense(path: Path) -> None:
    with pytest.raises(InputError, match="threads; 1 to 32 are possible"):
        edgert.load(path, threads=1000)


def test_files_that_are_no_packages(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        edgert.load(tmp_path / "none.ert")
    with pytest.raises(InputError, match="not a regular file"):
        edgert.load(tmp_path)
    (tmp_path / "empty.ert").write_bytes(b"")
    with pytest.raises(FileFormatError, match="0 bytes"):
        edgert.load(tmp_path / "empty.ert")
    (tmp_path / "text.ert").write_text("this is no model at all")
    with pytest.raises(FileFormatError, match="the identifier ERT1 is missing"):
        edgert.load(tmp_path / "text.ert")
    (tmp_path / "cut.ert").write_bytes(pooled()[:200])
    with pytest.raises(FileFormatError, match="damaged or cut short"):
        edgert.load(tmp_path / "cut.ert")


def test_a_file_that_is_no_package_is_named_with_what_to_do(tmp_path: Path) -> None:
    source = tmp_path / "net.tflite"
    source.write_bytes(bytes(4) + b"TFL3" + bytes(100))
    with pytest.raises(FileFormatError, match=r"net\.tflite: .*edgert convert net\.tflite -o net\.ert"):
        edgert.load(source)
    empty = tmp_path / "empty.ert"
    empty.touch()
    with pytest.raises(FileFormatError) as caught:
        edgert.load(empty)
    assert str(caught.value).count("empty.ert") == 1
    damaged = tmp_path / "damaged.ert"
    damaged.write_bytes(pooled()[:-8])
    with pytest.raises(FileFormatError, match=r"damaged\.ert: ") as caught:
        edgert.load(damaged)
    assert "convert" not in str(caught.value)


def test_a_package_in_memory_at_any_address() -> None:
    content = pooled()
    for shift in range(0, 20, 3):
        held = bytearray(shift) + content
        assert np.array_equal(edgert.Model(memoryview(held)[shift:])(IMAGE), pooled_reference(IMAGE))


def test_importing_edgert_loads_neither_numpy_nor_click() -> None:
    code = "import sys, edgert; print([m for m in ('numpy', 'click', 'flatbuffers', 'rich') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
