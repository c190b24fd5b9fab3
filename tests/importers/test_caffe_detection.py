"""Caffe's detectors (PriorBox, DetectionOutput): against OpenCV, and numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from runtime_runs import run

from edgert.errors import ModelError, UnsupportedError
from edgert.importers import caffe
from importers._caffe_write import inputs_text, save

RNG = np.random.default_rng(8)
FIRST = "min_size: 20 max_size: 40 aspect_ratio: 2 aspect_ratio: 3 flip: true clip: false"
SECOND = "min_size: 30 min_size: 45 aspect_ratio: 2 flip: false clip: true step: 25 offset: 0.4"
VARIANCE = "variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2"
COUNT = 4 * 5 * 6 + 2 * 3 * 4  # boxes of both maps
CLASSES = 4
MAPS = {"data": (1, 3, 60, 80), "first": (1, 2, 4, 5), "second": (1, 2, 2, 3)}


def priors(first=FIRST, second=SECOND):
    def layer(name, param):
        return (
            f'layer {{ name: "{name}_prior" type: "PriorBox" bottom: "{name}" bottom: "data" top: "{name}_prior" '
            f"prior_box_param {{ {param} {VARIANCE} }} }}\n"
        )

    joined = 'bottom: "first_prior" bottom: "second_prior" top: "priors" concat_param { axis: 2 }'
    return layer("first", first) + layer("second", second) + f'layer {{ name: "priors" type: "Concat" {joined} }}\n'


def output(param):
    stated = {"share_location": "true", "background_label_id": "0"}  # OpenCV wants them stated
    param += "".join(f" {name}: {value}" for name, value in stated.items() if name not in param)
    return (
        'layer { name: "out" type: "DetectionOutput" bottom: "location" bottom: "confidence" bottom: "priors" '
        f'top: "out" detection_output_param {{ num_classes: {CLASSES} {param} }} }}\n'
    )


def network(folder, param, batch=1):
    shapes = {**MAPS, "location": (batch, COUNT * 4), "confidence": (batch, COUNT * CLASSES)}
    return save(folder, inputs_text(shapes) + priors() + output(param), {}), shapes


def sampled(shapes, seed):
    rng = np.random.default_rng(seed)
    values = {name: rng.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}
    values["confidence"] = rng.uniform(0, 1, shapes["confidence"]).astype(np.float32)
    return values


PARAMETERS = {
    "center": "code_type: CENTER_SIZE keep_top_k: 20 confidence_threshold: 0.5 nms_param { nms_threshold: 0.45 }",
    "candidates": "code_type: CENTER_SIZE keep_top_k: 50 confidence_threshold: 0.1 "
    "nms_param { nms_threshold: 0.3 top_k: 15 }",
    "corner": "code_type: CORNER keep_top_k: 200 confidence_threshold: 0.7 nms_param { nms_threshold: 0.2 }",
    "background": "code_type: CENTER_SIZE background_label_id: 2 keep_top_k: 30 confidence_threshold: 0.4 "
    "nms_param { nms_threshold: 0.5 }",
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_detections_equal_opencv(name, tmp_path):
    cv2 = pytest.importorskip("cv2", reason="needs opencv-python-headless")
    path, shapes = network(tmp_path, PARAMETERS[name])
    net = cv2.dnn.readNetFromCaffe(str(path), str(path.with_suffix(".caffemodel")))
    for seed in range(3):
        inputs = sampled(shapes, seed)
        graph = caffe.load(path)
        (found,) = run(graph, inputs)
        for key, array in inputs.items():
            net.setInput(array, key)
        expected = net.forward("out").reshape(-1, 7)
        expected = expected[expected[:, 2] > 0]  # OpenCV fills with zeros
        rows = found.reshape(-1, 7)
        rows = rows[rows[:, 0] >= 0]
        assert len(rows) == len(expected) > 0
        order = np.lexsort((-expected[:, 2], expected[:, 1]))
        np.testing.assert_allclose(rows, expected[order], rtol=1e-4, atol=1e-4)


def test_variances_in_the_encodings(tmp_path):
    """Encodings that are multiplied by the variances already mean the same."""
    results = []
    for place, extra, factors in (("a", "", 1), ("b", "variance_encoded_in_target: true", [0.1, 0.1, 0.2, 0.2])):
        (tmp_path / place).mkdir()
        path, shapes = network(tmp_path / place, f"{PARAMETERS['center']} {extra}")
        inputs = sampled(shapes, 5)
        inputs["location"] *= np.tile(np.float32(factors), COUNT * (4 // np.size(factors)))
        graph = caffe.load(path)
        results += run(graph, inputs)
    np.testing.assert_allclose(results[0], results[1], rtol=1e-5, atol=1e-6)


def test_prior_boxes_equal_opencv(tmp_path):
    cv2 = pytest.importorskip("cv2", reason="needs opencv-python-headless")
    path = save(tmp_path, inputs_text(MAPS) + priors(), {})
    net = cv2.dnn.readNetFromCaffe(str(path), str(path.with_suffix(".caffemodel")))
    for key, shape in MAPS.items():
        net.setInput(np.zeros(shape, np.float32), key)
    graph = caffe.load(path)
    (found,) = run(graph, [np.zeros(value.shape, np.float32) for value in graph.inputs])
    expected = net.forward("priors")
    assert found.shape == expected.shape == (1, 2, COUNT * 4)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_prior_boxes_of_one_cell(tmp_path):
    """Centre at half a step; the square, the geometric mean, and 2:1 both ways."""
    text = (
        'layer { name: "out" type: "PriorBox" bottom: "map" bottom: "data" top: "out" '
        "prior_box_param { min_size: 16 max_size: 25 aspect_ratio: 2 variance: 0.3 } }"
    )
    path = save(tmp_path, inputs_text({"data": (1, 3, 50, 100), "map": (1, 2, 1, 1)}) + text, {})
    (found,) = run(caffe.load(path), [np.zeros(shape, np.float32) for shape in ((1, 3, 50, 100), (1, 2, 1, 1))])
    sides = [(16, 16), (20, 20), (16 * 2**0.5, 16 / 2**0.5), (16 / 2**0.5, 16 * 2**0.5)]
    boxes = [[(50 - w / 2) / 100, (25 - h / 2) / 50, (50 + w / 2) / 100, (25 + h / 2) / 50] for w, h in sides]
    np.testing.assert_allclose(found[0, 0].reshape(-1, 4), boxes, rtol=1e-6)
    assert (found[0, 1] == np.float32(0.3)).all()


def test_images_of_a_batch_are_numbered(tmp_path):
    """Decoded by hand: one confident box of each image, elsewhere nothing; rows behind the found ones are -1."""
    path, shapes = network(tmp_path, PARAMETERS["center"], batch=2)
    inputs = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    inputs["confidence"].reshape(2, COUNT, CLASSES)[0, 7, 2] = 0.9
    inputs["confidence"].reshape(2, COUNT, CLASSES)[1, 100, 3] = 0.8
    graph = caffe.load(path)
    (found,) = run(graph, inputs)
    assert found.shape == (1, 1, 40, 7)
    rows = found.reshape(2, 20, 7)
    np.testing.assert_array_equal(rows[:, 0, :3], np.array([[0, 2, 0.9], [1, 3, 0.8]], np.float32))
    assert (rows[:, 1:] == -1).all()
    (tmp_path / "priors").mkdir()
    boxes = save(tmp_path / "priors", inputs_text(MAPS) + priors(), {})
    (stored,) = run(caffe.load(boxes), [np.zeros(shape, np.float32) for shape in MAPS.values()])
    np.testing.assert_allclose(rows[0, 0, 3:], stored[0, 0].reshape(-1, 4)[7], atol=1e-6)
    np.testing.assert_allclose(rows[1, 0, 3:], stored[0, 0].reshape(-1, 4)[100], atol=1e-6)


@pytest.mark.parametrize(
    ("param", "match"),
    [("share_location: false", "boxes of its own"), ("nms_param { eta: 0.9 }", "eta")],
)
def test_what_is_refused(param, match, tmp_path):
    path, _ = network(tmp_path, param)
    with pytest.raises(UnsupportedError, match=match):
        caffe.load(path)


@pytest.mark.parametrize(
    ("first", "match"),
    [("min_size: -3", "1 smallest"), ("", "0 smallest"), ("min_size: 3 aspect_ratio: 0", "ratio of 0"),
     ("min_size: 3 max_size: 4 max_size: 5", "2 largest")],
)  # fmt: skip
def test_damaged_priors_are_an_error(first, match, tmp_path):
    path = save(tmp_path, inputs_text(MAPS) + priors(first), {})
    with pytest.raises(ModelError, match=match):
        caffe.load(path)
