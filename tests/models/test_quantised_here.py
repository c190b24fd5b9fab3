"""Float models that edgert quantises itself keep their accuracy on labelled data.

Calibration and measurement are kept apart where there is data for both; the 120 images of vww01 are all there is, so
the first 60 calibrate (their labels are not used) and all are measured.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import model_inputs
import numpy as np
import pytest

import edgert

Find = Callable[[str], Path]
Pairs = list[tuple[np.ndarray, int]]


def accuracy(model: edgert.Model, pairs: Pairs) -> float:
    """Percent of top-1 hits."""
    return 100 * float(np.mean([int(model(x).argmax()) == label for x, label in pairs]))


def both(path: Path, calibration: list[np.ndarray]) -> tuple[edgert.Model, edgert.Model]:
    """The model in float32 and quantised here."""
    float_model = edgert.Model(edgert.convert(path).data)
    name = float_model.inputs[0].name
    samples = [{name: x} for x in calibration]
    return float_model, edgert.Model(edgert.convert(path, quantize="int8", calibrate=samples).data)


def test_ic_resnet8(shared_data: Find) -> None:
    pairs = [(x.astype(np.float32), label) for x, label in model_inputs.cifar(shared_data)]
    measured, others = pairs[:200], pairs[200:]  # ic01, then the PNG files, which ic01 does not hold
    float_model, int8_model = both(shared_data("tflite/ic_resnet8_float.tflite"), [x for x, _ in others[:200]])
    assert accuracy(float_model, measured) == 85.5
    assert accuracy(int8_model, measured) >= 84.5


def test_vww_mnv1(shared_data: Find) -> None:
    pairs = [(x.astype(np.float32) / np.float32(255), label) for x, label in model_inputs.person(shared_data)]
    float_model, int8_model = both(shared_data("tflite/vww_mnv1_float.tflite"), [x for x, _ in pairs[:60]])
    assert accuracy(float_model, pairs) == 85.0
    assert accuracy(int8_model, pairs) >= 83.3


def mnist(find: Find) -> Pairs:
    folder = find("data/mnist")
    images, labels = sorted(folder.iterdir())
    pixels = np.frombuffer(gzip.decompress(images.read_bytes())[16:], np.uint8).reshape(-1, 1, 1, 28, 28)
    classes = np.frombuffer(gzip.decompress(labels.read_bytes())[8:], np.uint8)
    return [(x.astype(np.float32), int(label)) for x, label in zip(pixels, classes, strict=True)]


def test_cntk_mnist(shared_data: Find) -> None:
    pairs = mnist(shared_data)
    calibration, measured = pairs[:200], pairs[200:]
    float_model, int8_model = both(shared_data("onnx/cntk_mnist.onnx"), [x for x, _ in calibration])
    assert accuracy(int8_model, measured) >= accuracy(float_model, measured) - 0.5


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes (x0, y0, x1, y1)."""
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    common = np.prod(np.maximum(high - low, 0))
    return float(common / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - common))


def faces(model: edgert.Model, x: np.ndarray, least_score: float = 0.7) -> list[np.ndarray]:
    """Boxes of the faces, best first: scores above 0.7, non-maximum suppression at an overlap of 0.3."""
    outputs = model.run({model.inputs[0].name: x})
    scores, boxes = outputs["scores"][0, :, 1], outputs["boxes"][0]
    kept: list[np.ndarray] = []
    for i in np.argsort(-scores):
        if scores[i] < least_score:
            break
        if all(overlap(boxes[i], other) < 0.3 for other in kept):
            kept.append(boxes[i])
    return kept


# Two photographs have a face within BORDER of the threshold in float, where the last bits decide what counts:
# 000000000885.jpg has its second at 0.6888 (int8: 0.6885), and 000000006763.jpg its third at 0.7132 (int8: 0.7255). The
# nearest to the threshold among all others is at 0.7543 (int8: 0.7356). Measured with the calibration of this test.
BORDER = 0.02
BORDERLINE_PHOTOS = 2


def test_rfb320_finds_the_same_faces(shared_data: Find) -> None:
    inputs = [
        ((x.astype(np.float32) - 127) / 128).transpose(0, 3, 1, 2).copy()
        for x in model_inputs.photos(shared_data, 240, 320)
    ]
    float_model, int8_model = both(shared_data("ultraface_rfb320/rfb320.onnx"), inputs)
    with_faces = borderline = 0
    overlaps = []
    for x in inputs:
        expected, got = faces(float_model, x), faces(int8_model, x)
        certain, possible = faces(float_model, x, 0.7 + BORDER), faces(float_model, x, 0.7 - BORDER)
        with_faces += bool(expected)
        if len(certain) == len(possible):
            assert len(got) == len(expected)
        else:
            borderline += 1
            assert len(certain) <= len(got) <= len(possible)
        overlaps += [max(overlap(box, other) for other in got) for box in certain]
        overlaps += [max(overlap(box, other) for other in possible) for box in got]
    assert with_faces >= 3
    assert borderline <= BORDERLINE_PHOTOS
    assert min(overlaps) > 0.9


@pytest.mark.parametrize("io", ["float", "int8"])
def test_interface_of_a_quantised_model(shared_data: Find, io: str) -> None:
    path = shared_data("tflite/ic_resnet8_float.tflite")
    x = next(model_inputs.cifar(shared_data))[0].astype(np.float32)
    model = edgert.Model(edgert.convert(path, quantize="int8", calibrate=[{"input_1": x}], io=io).data)
    wanted = {"float": "FLOAT32", "int8": "INT8"}[io]
    assert {info.dtype.name for info in (*model.inputs, *model.outputs)} == {wanted}
    assert [info.name for info in model.inputs] == ["input_1"]
    if io == "int8":
        (source,), (scores,) = model.inputs, model.outputs
        assert scores.dequantize(model(source.quantize(x))).sum() == pytest.approx(1, abs=0.05)
