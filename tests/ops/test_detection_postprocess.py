"""detection_postprocess; tests/importers compares it with LiteRT's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgert.errors import ModelError
from ops.runner import Input, check, f32, i32, make_case, of_data, refused

SCALES = {"scale_y": 10.0, "scale_x": 8.0, "scale_h": 5.0, "scale_w": 4.0}


def inputs(count: int, columns: int, coordinates: int = 4, steps: int = 0) -> list[Input]:
    """Encodings, scores and anchors; steps: equal scores are frequent."""
    rng = np.random.default_rng(count)
    encodings = rng.normal(0, 2, (1, count, coordinates)).astype(np.float32)
    values = rng.uniform(0, 1, (1, count, columns))
    values = np.floor(values * steps) / steps if steps else values
    middle, size = rng.uniform(0, 1, (count, 2)), rng.uniform(0.1, 0.5, (count, 2))
    anchors = np.concatenate([middle, size], 1).astype(np.float32)
    return [of_data(encodings), of_data(values.astype(np.float32)), of_data(anchors, constant=True)]


@pytest.mark.parametrize("regular", [False, True])
@pytest.mark.parametrize(("classes", "columns"), [(5, 5), (5, 6), (90, 91), (1, 1), (1, 2)])
def test_detection_postprocess(regular: bool, classes: int, columns: int) -> None:
    for most, labels, per_class, threshold in ((10, 1, 100, 0.3), (4, 3, 2, 0.9), (200, 2, 5, 0.0), (3, 1, 1, 1.5)):
        attrs: dict[str, Any] = {
            "max_detections": most, "max_classes_per_detection": labels, "detections_per_class": per_class,
            "regular": regular, "classes": classes, "iou_threshold": 0.5, "score_threshold": threshold, **SCALES,
        }  # fmt: skip
        check("detection_postprocess", attrs, inputs(70, columns))
        check("detection_postprocess", attrs, inputs(70, columns, coordinates=6, steps=8))


def test_numbers_that_are_none() -> None:
    """NaN and infinity everywhere: nothing hangs or reads elsewhere."""
    rng = np.random.default_rng(0)
    odd = np.array([np.nan, np.inf, -np.inf, 0, 1, 3e38], np.float32)
    for regular in (False, True):
        attrs = {"max_detections": 7, "max_classes_per_detection": 3, "classes": 4, "regular": regular}
        given = [of_data(rng.choice(odd, shape)) for shape in ((1, 50, 4), (1, 50, 5), (50, 4))]
        _, labels, _, count = make_case("detection_postprocess", attrs, given).run()
        assert 0 <= count[0] <= 7
        assert set(labels.reshape(-1).tolist()) <= {0, 1, 2, 3}


def test_refused() -> None:
    attrs: dict[str, Any] = {"max_detections": 2, "classes": 3}
    out = [f32(1, 2, 4), f32(1, 2), f32(1, 2), f32(1)]
    code, marks, anchors = f32(1, 5, 4), f32(1, 5, 3), f32(5, 4)

    def no(given: list[Input], match: str, **changes: Any) -> None:
        refused("detection_postprocess", {**attrs, **changes}, given, out, match)

    no([i32(1, 5, 4), marks, anchors], "encodings is int32")
    no([f32(5, 4), marks, anchors], "encodings has 2 dimensions")
    no([f32(2, 5, 4), marks, anchors], "batches of 2 and 1")
    no([f32(1, 5, 3), marks, anchors], "5 encodings of 3 numbers")
    no([code, f32(1, 6, 3), anchors], "scores of 6 boxes")
    no([code, marks, f32(4, 4)], "4 anchors of 4 numbers")
    no([code, marks, f32(5, 3)], "5 anchors of 3 numbers")
    no([code, f32(1, 5, 5), anchors], "3 classes and 5 scores")
    no([code, marks, anchors], "max_detections is 0", max_detections=0)
    no([code, marks, anchors], "max_classes_per_detection -1", max_classes_per_detection=-1)
    no([code, marks, anchors], "max_detections is 2147483647", max_detections=2**31 - 1)
    no([code, marks, anchors], "detections_per_class 0", detections_per_class=0)
    no([code, marks, anchors], "0 classes", classes=0)
    no([code, marks, anchors], "has shape", max_detections=3)
    refused("detection_postprocess", attrs, [code, marks, anchors], [*out[:3], i32(1)], "an output is int32")
    with pytest.raises(ModelError, match="3 classes and 5 scores"):
        make_case("detection_postprocess", attrs, [code, f32(1, 5, 5), anchors])
    with pytest.raises(ModelError, match="needed float32"):
        make_case("detection_postprocess", attrs, [code, i32(1, 5, 3), anchors])
    with pytest.raises(ModelError, match=r"needed \[1, N, 4\]"):
        make_case("detection_postprocess", attrs, [code, marks, f32(4, 4)])
    with pytest.raises(ModelError, match="max_detections is 0"):
        make_case("detection_postprocess", {**attrs, "max_detections": 0}, [code, marks, anchors])
