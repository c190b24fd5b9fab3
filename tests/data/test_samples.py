"""Samples from every kind of source, and what they become for every kind of input."""

from __future__ import annotations

import importlib
import struct
import sys
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from edgert.data import Sample, load_samples, read_labels
from edgert.data.sample import Normalisation
from edgert.dtypes import DType, QuantParams
from edgert.errors import InputError
from edgert.runtime.tensors import TensorInfo

QUANT = QuantParams((0.5,), (-10,))


def info(*shape: int, dtype: DType = DType.FLOAT32, quant: QuantParams | None = None, name: str = "x") -> TensorInfo:
    return TensorInfo(0, name, dtype, shape, quant, "activation")


def load(source: object, inputs: Sequence[TensorInfo] | TensorInfo, stated: Normalisation = ((), ())) -> list[Sample]:
    listed = [inputs] if isinstance(inputs, TensorInfo) else inputs
    return list(load_samples(str(source), listed, stated))


@pytest.mark.parametrize("shape", [(1, 2, 3), (2, 3), (5, 2, 3), (5, 1, 2, 3)])
def test_npy_of_one_or_more_samples(tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
    np.save(tmp_path / "a.npy", array)
    samples = load(tmp_path / "a.npy", info(1, 2, 3))
    assert len(samples) == (5 if shape[0] == 5 else 1)
    assert samples[0].name == ("a.npy[0]" if shape[0] == 5 else "a.npy")
    assert all(sample.inputs["x"].shape == (1, 2, 3) for sample in samples)
    assert samples[0].inputs["x"].dtype == np.float32
    np.testing.assert_array_equal(np.concatenate([s.inputs["x"] for s in samples]).ravel(), array.ravel())


def test_npz_with_several_inputs(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.ones((4, 2)), y=np.arange(4.0).reshape(4, 1))
    inputs = [info(1, 2), info(1, 1, name="y")]
    samples = load(tmp_path / "a.npz", inputs)
    assert [float(sample.inputs["y"].item()) for sample in samples] == [0, 1, 2, 3]
    np.savez(tmp_path / "b.npz", x=np.ones((4, 2)), y=np.ones((3, 1)))
    with pytest.raises(InputError, match="different numbers of samples"):
        load(tmp_path / "b.npz", inputs)


def test_floats_are_quantised_and_integers_kept(tmp_path: Path) -> None:
    np.save(tmp_path / "real.npy", np.array([0.0, 0.5, -1.0, 1e9], np.float32))
    (sample,) = load(tmp_path / "real.npy", info(4, dtype=DType.INT8, quant=QUANT))
    assert sample.inputs["x"].tolist() == [-10, -9, -12, 127]
    np.save(tmp_path / "raw.npy", np.array([1, 2, 3, -4], np.int64))
    (sample,) = load(tmp_path / "raw.npy", info(4, dtype=DType.INT8, quant=QUANT))
    assert sample.inputs["x"].tolist() == [1, 2, 3, -4]
    np.save(tmp_path / "wide.npy", np.array([1, 2, 3, 400]))
    with pytest.raises(InputError, match="from 1 to 400, which int8 cannot hold"):
        load(tmp_path / "wide.npy", info(4, dtype=DType.INT8, quant=QUANT))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_not_finite(tmp_path: Path, bad: float) -> None:
    np.save(tmp_path / "a.npy", np.array([[1, 2], [3, bad]], np.float32))
    with pytest.raises(InputError, match=r"a\.npy\[1\]: input 'x' holds (NaN|infinity); remove"):
        load(tmp_path / "a.npy", info(1, 2))


def test_bin_by_size(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(np.array([1.5, -2.5], "<f4").tobytes())
    (sample,) = load(tmp_path, info(1, 2))
    assert sample.inputs["x"].tolist() == [[1.5, -2.5]]
    (sample,) = load(tmp_path, info(1, 2, dtype=DType.INT8, quant=QUANT))
    assert sample.inputs["x"].tolist() == [[-7, -15]]
    (tmp_path / "a.bin").write_bytes(np.array([-3, 4], np.int8).tobytes())
    (sample,) = load(tmp_path, info(1, 2, dtype=DType.INT8, quant=QUANT))
    assert sample.inputs["x"].tolist() == [[-3, 4]]
    (tmp_path / "a.bin").write_bytes(bytes(3))
    with pytest.raises(InputError, match=r"a\.bin has 3 bytes, needed 2 .* or 8"):
        load(tmp_path, info(1, 2))


def test_bin_of_colour_pixels(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(bytes([0, 128, 255]))
    pixel = info(1, 1, 1, 3)
    assert load(tmp_path, pixel)[0].inputs["x"].ravel().tolist() == [0, 128, 255]
    stated = ((128.0,), (64.0,))
    assert load(tmp_path, pixel, stated)[0].inputs["x"].ravel().tolist() == [-2, 0, 127 / 64]
    integer = info(1, 1, 1, 3, dtype=DType.INT8, quant=QUANT)
    assert load(tmp_path, integer)[0].inputs["x"].ravel().tolist() == [-128, 0, 127]
    assert load(tmp_path, integer, stated)[0].inputs["x"].ravel().tolist() == [-14, -10, -6]


def test_images_are_scaled_and_laid_out(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    image.new("RGB", (40, 20), (255, 0, 51)).save(tmp_path / "b.png")
    image.new("L", (9, 9), 255).save(tmp_path / "a.png")
    (tmp_path / "notes.txt").write_text("passed over")
    stated = ((0.0, 0.0, 0.0), (255.0, 255.0, 255.0))
    grey, colour = load(tmp_path, info(1, 4, 5, 3), stated)
    assert (grey.name, colour.name) == ("a.png", "b.png")
    assert colour.inputs["x"].shape == (1, 4, 5, 3)
    np.testing.assert_allclose(colour.inputs["x"][0, 0, 0], [1.0, 0.0, 0.2])
    np.testing.assert_allclose(load(tmp_path, info(1, 3, 4, 5), stated)[1].inputs["x"][0, :, 0, 0], [1.0, 0.0, 0.2])
    with pytest.raises(InputError, match="takes no image"):
        load(tmp_path, info(1, 7))
    with pytest.raises(InputError, match="normalisation has 2 channels"):
        load(tmp_path, info(1, 4, 5, 3), ((0.0, 0.0), (1.0, 1.0)))
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(InputError, match="no readable image"):
        load(tmp_path, info(1, 4, 5, 3))


def test_wav_in_windows(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "a.wav"), "wb") as sound:
        sound.setparams((2, 2, 8000, 0, "NONE", ""))
        sound.writeframes(np.array([[16384, 0], [-32768, -32768], [32767, 32767]], "<i2").tobytes())
    first, second = load(tmp_path / "a.wav", info(1, 2))
    assert first.inputs["x"].tolist() == [[0.25, -1.0]]
    np.testing.assert_allclose(second.inputs["x"], [[32767 / 32768, 0]])
    (tmp_path / "a.wav").write_bytes(b"RIFFnothing")
    with pytest.raises(InputError, match="no PCM"):
        load(tmp_path / "a.wav", info(1, 2))


def wav(tag: int, width: int, channels: int, sound: bytes) -> bytes:
    header = struct.pack("<HHIIHH", tag, channels, 8000, 8000 * width * channels, width * channels, 8 * width)
    if tag == 0xFFFE:
        header += struct.pack("<HHIH", 22, 8 * width, 0, 1) + bytes(14)
    chunks = b"WAVEfmt " + struct.pack("<I", len(header)) + header + b"LIST\x03\0\0\0abc\0data"
    return b"RIFF" + struct.pack("<I", 0) + chunks + struct.pack("<I", len(sound)) + sound


@pytest.mark.parametrize(
    ("tag", "width", "sound"),
    [
        (1, 1, bytes([192, 0])),
        (1, 2, struct.pack("<hh", 1 << 14, -(1 << 15))),
        (1, 3, b"\0\0\x40\0\0\x80"),
        (0xFFFE, 3, b"\0\0\x40\0\0\x80"),
        (1, 4, struct.pack("<ii", 1 << 30, -(1 << 31))),
        (3, 4, struct.pack("<ff", 0.5, -1)),
        (3, 8, struct.pack("<dd", 0.5, -1)),
    ],
)
def test_wav_of_every_sample_format(tmp_path: Path, tag: int, width: int, sound: bytes) -> None:
    (tmp_path / "a.wav").write_bytes(wav(tag, width, 1, sound))
    (sample,) = load(tmp_path / "a.wav", info(1, 2))
    assert sample.inputs["x"].tolist() == [[0.5, -1.0]]
    (tmp_path / "a.wav").write_bytes(wav(tag, width, 2, sound + b"cut short"[: width * 2 - 1]))
    (sample,) = load(tmp_path / "a.wav", info(1, 1))
    assert sample.inputs["x"].tolist() == [[-0.25]]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "does not begin"),
        (wav(1, 2, 1, b"")[:30], "cut short"),
        (wav(1, 2, 1, b""), "no sound"),
        (wav(1, 5, 1, bytes(5)), "integers of 40 bits"),
        (wav(2, 2, 1, bytes(4)), "format 2"),
        (wav(1, 2, 0, bytes(4)), "0 channels"),
    ],
)
def test_wav_that_cannot_be_read(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "a.wav").write_bytes(data)
    with pytest.raises(InputError, match=message):
        load(tmp_path / "a.wav", info(1, 2))


def test_images_are_turned_upright(tmp_path: Path) -> None:
    """Phones store a photograph as the sensor saw it, and the turn beside it."""
    image = pytest.importorskip("PIL.Image")
    pixels = np.zeros((8, 8), np.uint8)
    pixels[:4] = 255
    exif = image.Exif()
    exif[0x0112] = 6  # the camera was turned: what is up in the file is right in the picture
    image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    (sample,) = load(tmp_path / "a.png", info(1, 8, 8, 1))
    np.testing.assert_array_equal(sample.inputs["x"][0, :, :, 0], np.rot90(pixels, -1))


def test_images_of_16_bits_keep_their_brightness(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    pixels = np.arange(0, 256, 4, np.uint16).reshape(8, 8)
    image.fromarray(pixels * 257).save(tmp_path / "a.png")
    (sample,) = load(tmp_path / "a.png", info(1, 8, 8, 1))
    np.testing.assert_array_equal(sample.inputs["x"][0, :, :, 0], pixels)


def test_numbers_that_float32_cannot_hold(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.full((1, 2), 1e300))
    with pytest.raises(InputError, match="float32 cannot hold"):
        load(tmp_path / "a.npy", info(1, 2))


@pytest.mark.parametrize("name", ["a.npz", "a.npy"])
def test_arrays_that_are_empty_files(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(InputError, match=name):
        load(tmp_path / name, info(1, 2))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def f():\n    raise KeyError('oops')", "f failed: KeyError: 'oops'"),
        ("def f():\n    yield [0, 0]\n    1 / 0", "after 1 samples failed: ZeroDivisionError"),
        ("def f():\n    pass", "f failed: TypeError.*not iterable"),
        ("def f(x):\n    return []", "takes no arguments"),
        ("def f():\n    return [[1, [2, 3]]]", r"f\[0\] is no array"),
        ("def f(:", "cannot be imported: SyntaxError"),
        ("raise SystemExit(3)", "cannot be imported: SystemExit"),
        ("1 / 0", "cannot be imported: ZeroDivisionError"),
    ],
)
def test_functions_that_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str) -> None:
    """A fault of the user's module is told as that, in one line, and not taken for one of edgert's."""
    (tmp_path / "failing_samples.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "failing_samples", raising=False)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    importlib.invalidate_caches()
    with pytest.raises(InputError, match=message) as caught:
        load("failing_samples:f", info(1, 2))
    assert "\n" not in str(caught.value)


def test_folder_that_is_empty_or_mixed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no data"):
        load(tmp_path, info(1, 2))
    (tmp_path / "a.bin").write_bytes(bytes(8))
    np.save(tmp_path / "b.npy", np.zeros(2))
    with pytest.raises(InputError, match=r"several kinds \(1 .bin, 1 .npy\)"):
        load(tmp_path, info(1, 2))


def test_function_of_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_samples.py").write_text(
        "import numpy as np\n"
        "def arrays():\n    return (np.full(2, i) for i in range(3))\n"
        "def named():\n    yield {'x': np.zeros(2), 'y': np.ones((1, 1))}\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "my_samples", raising=False)
    samples = load_samples("my_samples:arrays", [info(1, 2)])
    assert samples.count is None
    for _again in range(2):
        assert [sample.inputs["x"].tolist() for sample in samples] == [[[0, 0]], [[1, 1]], [[2, 2]]]
    (sample,) = load("my_samples:named", [info(1, 2), info(1, 1, name="y")])
    assert sample.inputs["y"].item() == 1
    with pytest.raises(InputError, match="no function 'absent'"):
        load("my_samples:absent", info(1, 2))


def test_one_array_for_a_model_of_two_inputs(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(2))
    with pytest.raises(InputError, match="the model has 2 inputs"):
        load(tmp_path / "a.npy", [info(1, 2), info(1, 2, name="y")])


def test_labels(tmp_path: Path) -> None:
    path = tmp_path / "l.csv"
    path.write_text("file,label\na.png,cat\nb.png,0\n\n")
    assert read_labels(path, ["dog", "cat"]) == {"a.png": 1, "b.png": 0}
    path.write_text("a.bin,12,7\n")
    assert read_labels(path) == {"a.bin": 7}
    path.write_bytes(b"\xef\xbb\xbfa.bin,7\r\n")  # as Excel writes it
    assert read_labels(path) == {"a.bin": 7}
    for text, message in (
        ("a.png,cta\nb.png,0\n", "line 1: label 'cta'"),
        ("a,3,3\n", "label 3 of 3 classes"),
        ("a,1\na,2\n", "line 2: a has a label already"),
        ("a\n", "line 1: 1 columns"),
        ("a,1\nb,cat\n", "line 2: label 'cat'"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            read_labels(path)


def test_labels_beside_samples_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What measures can calibrate, too."""
    np.savez(tmp_path / "a.npz", whatever=np.ones((3, 2)), labels=np.arange(3), sequences=np.arange(3))
    assert [sample.name for sample in load(tmp_path / "a.npz", info(1, 2))] == ["a.npz[0]", "a.npz[1]", "a.npz[2]"]
    np.savez(tmp_path / "b.npz", labels=np.ones((3, 2)))
    assert len(load(tmp_path / "b.npz", info(1, 2, name="labels"))) == 3
    (tmp_path / "labelled_pairs.py").write_text(
        "import numpy as np\ndef pairs():\n    yield np.ones((1, 2), np.float32), 7\n"
    )
    monkeypatch.chdir(tmp_path)
    (sample,) = load("labelled_pairs:pairs", info(1, 2))
    assert sample.inputs["x"].tolist() == [[1, 1]]
