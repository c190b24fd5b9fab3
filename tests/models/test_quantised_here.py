"""Float models that edgert quantises itself keep their accuracy on labelled data, and their signals elsewhere.

Calibrated and measured on the parts that tests/model_splits.py names, as tests/bench/quantisation does beside peers.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import model_inputs
import model_splits
import numpy as np
import pytest

import edgert

Find = Callable[[str], Path]
MOST_POINTS = 0.3  # that int8 may lose of a classifier's accuracy

CLASSIFIERS = {  # source, data, decibels that int8 keeps of the probabilities
    "ic_resnet8": ("tflite/ic_resnet8_float.tflite", model_splits.cifar, 27),
    "vww_mnv1": ("tflite/vww_mnv1_float.tflite", model_splits.person, 28),
    "cntk_mnist": ("onnx/cntk_mnist.onnx", lambda find: model_splits.digits(find, 1, (1, 1, 28, 28)), 38),
    "lenet": ("caffe/lenet.caffemodel", lambda find: model_splits.digits(find, 1 / 256, (1, 1, 28, 28)), 44),
    "mnist_lstm": ("tflite/mnist_lstm_float.tflite", lambda find: model_splits.digits(find, 1 / 255, (1, 28, 28)), 42),
}


def both(path: Path, calibration: list[np.ndarray]) -> tuple[edgert.Model, edgert.Model]:
    """The model in float32 and quantised here."""
    float_model = edgert.Model(edgert.convert(path).data)
    name = float_model.inputs[0].name
    samples = [{name: x} for x in calibration]
    return float_model, edgert.Model(edgert.convert(path, quantize="int8", calibrate=samples).data)


def results(model: edgert.Model, inputs: np.ndarray) -> np.ndarray:
    """Scores of every sample, each from a fresh state."""
    rows = []
    for x in inputs:
        model.session.reset_variables()
        rows.append(model(x).ravel())
    return np.stack(rows).astype(np.float64)


def decibels(exact: np.ndarray, rounded: np.ndarray) -> float:
    return 10 * float(np.log10(np.square(exact).sum() / np.square(exact - rounded).sum()))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_keeps_its_accuracy(name: str, shared_data: Find) -> None:
    source, make, least_decibels = CLASSIFIERS[name]
    data = make(shared_data)
    float_model, int8_model = both(shared_data(source), list(data.calibration[0]))
    exact, rounded = results(float_model, data.measured[0]), results(int8_model, data.measured[0])
    before, after = (100 * float(np.mean(scores.argmax(axis=1) == data.targets)) for scores in (exact, rounded))
    print(f"{name}: {data.split}; float {before:.2f} %, int8 {after:.2f} %, {decibels(exact, rounded):.1f} dB")
    assert before > 80
    assert after >= before - MOST_POINTS
    assert decibels(exact, rounded) >= least_decibels


def test_log_mels_come_back(shared_data: Find) -> None:
    """An autoencoder of sound: 640 numbers of an unbounded range."""
    data = model_splits.log_mels(shared_data)
    float_model, int8_model = both(shared_data("tflite/ad_ae_float.tflite"), list(data.calibration[0]))
    exact, rounded = results(float_model, data.measured[0]), results(int8_model, data.measured[0])
    assert decibels(exact, rounded) >= 32


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
