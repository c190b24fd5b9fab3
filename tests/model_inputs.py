"""Inputs of the models in the shared data, as ../shared/data/MANIFEST.md says how they are made."""

from __future__ import annotations

import csv
import gzip
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

Array = NDArray[Any]
Find = Callable[[str], Path]

# Every quantised model among them, those of legacy uint8 last.
INT8_MODELS = [
    "kws_dscnn_int8",
    "ic_resnet8_int8",
    "vww_mnv1_int8",
    "ad_ae_int8",
    "person_detect_int8",
    "micro_speech_int8",
    "hello_world_int8",
    "mobilenet_v1_0.25_128_qat_uint8",
    "mobilenet_v1_0.25_224_qat_uint8",
    "mobilenet_v2_1.0_224_qat_uint8",
    "mnist_lstm_int8",  # these two carry state from run to run
    "wakeword_okay_nabu_int8_stateful",
]


def labelled_files(folder: Path) -> list[tuple[Path, int]]:
    """Files of a folder with their classes, from y_labels.csv (file, number of classes, class)."""
    with (folder / "y_labels.csv").open(newline="") as rows:
        return [(folder / row[0], int(row[2])) for row in csv.reader(rows)]


def random_inputs(shape: tuple[int, ...], dtype: str, count: int, seed: int = 0) -> Iterator[Array]:
    """Uniform integers of the whole range, or normal floats."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        if dtype == "float32":
            yield rng.standard_normal(shape).astype(np.float32)
        else:
            limits = np.iinfo(dtype)
            yield rng.integers(limits.min, limits.max + 1, shape).astype(dtype)


def _bins(find: Find, folder: str, dtype: str, shape: tuple[int, ...]) -> Iterator[tuple[Array, int]]:
    for path, label in labelled_files(find(f"data/{folder}")):
        yield np.fromfile(path, dtype).reshape(shape), label


def kws(find: Find) -> Iterator[tuple[Array, int]]:
    """kws_dscnn: MFCCs, int8 with the model's own scale."""
    yield from _bins(find, "kws01", "int8", (1, 49, 10, 1))


def cifar(find: Find) -> Iterator[tuple[Array, int]]:
    """ic_resnet8: uint8 pixels."""
    yield from _bins(find, "ic01", "uint8", (1, 32, 32, 3))
    image = pytest.importorskip("PIL.Image")
    for path, label in labelled_files(find("data/cifar10_test_png")):
        yield np.asarray(image.open(path).convert("RGB"))[None], label


def person(find: Find) -> Iterator[tuple[Array, int]]:
    """vww_mnv1: uint8 pixels."""
    yield from _bins(find, "vww01", "uint8", (1, 96, 96, 3))


def gray_person(find: Find) -> Iterator[tuple[Array, int]]:
    """person_detect: uint8 luminance (ITU-R 601) of the same images."""
    for image, label in person(find):
        gray = np.rint(image.astype(np.float64) @ [0.299, 0.587, 0.114])
        yield gray.astype(np.uint8)[..., None], label


def digits(find: Find) -> tuple[Array, Array]:
    """MNIST: images uint8 [N, 28, 28], and what they show."""
    images = gzip.decompress(find("data/mnist/images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress(find("data/mnist/labels-idx1-ubyte.gz").read_bytes())
    return np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28), np.frombuffer(labels, np.uint8, offset=8)


def recording(find: Find, name: str) -> tuple[Array, int]:
    """A recording of one channel, float32 from -1 to 1, and its samples a second."""
    with wave.open(str(find(name))) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        return samples.astype(np.float32) / np.float32(32768), file.getframerate()


def photos(find: Find, height: int, width: int) -> Iterator[Array]:
    """Every photograph of the shared data, squeezed to the size: uint8 [1, height, width, 3]."""
    image = pytest.importorskip("PIL.Image")
    for path in sorted([*find("data/images_ccby").glob("*.jpg"), *find("data/coco_val").rglob("*.jpg")]):
        yield np.asarray(image.open(path).convert("RGB").resize((width, height)))[None]


def as_int8(pixels: Array) -> Array:
    """uint8 pixels as the int8 models take them: less 128."""
    return (pixels.astype(np.int16) - 128).astype(np.int8)
