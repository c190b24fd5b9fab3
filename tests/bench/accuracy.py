"""Measures float and int8 accuracy on the labelled part of the shared data and prints the README's table.

usage: python tests/bench/accuracy.py [--data ../shared/data]

"int8 here" is the float model quantised by edgert. Calibration images are others than the measured ones, but for
vww01, whose 120 images are all there is: the first 60 calibrate, without their labels.
"""

from __future__ import annotations

import argparse
import gzip
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import model_inputs

import edgert

Pairs = list[tuple[NDArray[np.generic], int]]


def accuracy(package: bytes, pairs: Pairs) -> float:
    """Percent of top-1 hits."""
    model = edgert.Model(package)
    return 100 * float(np.mean([int(model(x).argmax()) == label for x, label in pairs]))


def quantised(path: Path, calibration: Pairs) -> bytes:
    name = edgert.Model(edgert.convert(path).data).inputs[0].name
    return edgert.convert(path, quantize="int8", calibrate=[{name: x} for x, _ in calibration]).data


def mnist(find: Callable[[str], Path]) -> Pairs:
    images, labels = sorted(find("data/mnist").iterdir())
    pixels = np.frombuffer(gzip.decompress(images.read_bytes())[16:], np.uint8).reshape(-1, 1, 1, 28, 28)
    classes = np.frombuffer(gzip.decompress(labels.read_bytes())[8:], np.uint8)
    return [(x.astype(np.float32), int(y)) for x, y in zip(pixels, classes, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[3] / "shared" / "data")
    data: Path = parser.parse_args().data

    def find(name: str) -> Path:
        return data / name

    print("| model | data | float32 | int8, quantised here | int8, its authors' file |\n|---|---|---|---|---|")

    def row(name: str, text: str, source: str, measured: Pairs, calibration: Pairs, authors: float | None) -> None:
        path = find(source)
        ours = accuracy(quantised(path, calibration), measured)
        theirs = "" if authors is None else f"{authors:.1f} %"
        print(f"| {name} | {text} | {accuracy(edgert.convert(path).data, measured):.1f} % | {ours:.1f} % | {theirs} |")

    def authors_file(name: str, pairs: Pairs) -> float:
        return accuracy(edgert.convert(find(f"tflite/{name}.tflite")).data, pairs)

    pixels = list(model_inputs.cifar(find))
    images: Pairs = [(x.astype(np.float32), y) for x, y in pixels]
    theirs = authors_file("ic_resnet8_int8", [(model_inputs.as_int8(x), y) for x, y in pixels[:200]])
    row("ic_resnet8", "200 of ic01 (CIFAR-10)", "tflite/ic_resnet8_float.tflite", images[:200], images[200:400], theirs)

    pixels = list(model_inputs.person(find))
    images = [(x.astype(np.float32) / np.float32(255), y) for x, y in pixels]
    theirs = authors_file("vww_mnv1_int8", [(model_inputs.as_int8(x), y) for x, y in pixels])
    row("vww_mnv1", "120 of vww01", "tflite/vww_mnv1_float.tflite", images, images[:60], theirs)

    images = mnist(find)
    row("cntk_mnist", "2800 of MNIST", "onnx/cntk_mnist.onnx", images[200:], images[:200], None)

    kws = authors_file("kws_dscnn_int8", list(model_inputs.kws(find)))
    print(f"| kws_dscnn | 500 of kws01 | | | {kws:.1f} % |")


if __name__ == "__main__":
    main()
