"""A real detector on COCO's images, beside COCO's own evaluation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from measuring.coco import coco_ap
from numpy.typing import NDArray

import edgert
from edgert.evaluation import load_dataset, run
from edgert.metrics import Boxes, metric

Array = NDArray[Any]

# COCO numbers its 80 classes from 1 to 90, as the detector does from 0 on; YOLO's files count them.
_GAPS = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
_CLASSES = np.array([sum(1 for gap in range(1, label + 1) if gap not in _GAPS) - 1 for label in range(1, 91)])


def found_boxes(outputs: dict[str, Array]) -> Array:
    """Rows x1 y1 x2 y2 score class of TFLite's four outputs."""
    boxes, classes, scores, _count = outputs.values()
    rows = np.column_stack([boxes[0][:, [1, 0, 3, 2]], scores[0], _CLASSES[classes[0].astype(int)]])
    return rows.astype(np.float64)


def test_mean_average_precision_of_ssd_mobilenet(
    shared_data: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    package = edgert.convert(shared_data("tflite/ssd_mobilenet_v1_coco_uint8.tflite")).data
    dataset = load_dataset(shared_data("data/coco_val"), edgert.Model(package).inputs)
    assert dataset.targets is not None
    assert all(isinstance(target, Boxes) for target in dataset.targets)
    found = [found_boxes(outputs) for outputs in run(package, dataset)]
    expected = coco_ap(found, list(dataset.targets))
    measured = metric("map").measure([{"found": rows[None]} for rows in found], dataset.targets)
    assert measured.value == pytest.approx(expected[0], abs=1e-6)
    assert measured.details["per_threshold"]["0.50"] == pytest.approx(expected[1], abs=1e-6)
    assert 15 < measured.value < 25
    assert measured.details["objects"] == sum(len(target.classes) for target in dataset.targets)
