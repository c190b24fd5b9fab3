"""COCO's own evaluation of detections."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgert.metrics import Boxes

Array = NDArray[Any]

SIZE = 200  # pixels, in which COCO's evaluation counts


def coco_ap(found: list[Array], wanted: list[Boxes]) -> Array:
    """AP, AP50 and AP75 as pycocotools computes them."""
    coco = pytest.importorskip("pycocotools.coco")
    evaluate = pytest.importorskip("pycocotools.cocoeval")
    truth = coco.COCO()
    annotations, results = [], []
    for image, (rows, labels) in enumerate(zip(found, wanted, strict=True)):
        for label, box, crowd in zip(labels.classes, labels.boxes * SIZE, labels.crowd, strict=True):
            sides = [box[0], box[1], box[2] - box[0], box[3] - box[1]]
            annotations.append(
                {"id": len(annotations) + 1, "image_id": image, "category_id": int(label), "bbox": sides,
                 "area": sides[2] * sides[3], "iscrowd": int(crowd)}
            )  # fmt: skip
        for x1, y1, x2, y2, score, label in rows * np.array([SIZE, SIZE, SIZE, SIZE, 1, 1]):
            sides = [x1, y1, x2 - x1, y2 - y1]
            results.append({"image_id": image, "category_id": int(label), "bbox": sides, "score": score})
    classes = sorted({int(label) for labels in wanted for label in labels.classes})
    truth.dataset = {
        "images": [{"id": i, "width": SIZE, "height": SIZE} for i in range(len(found))],
        "annotations": annotations,
        "categories": [{"id": i, "name": str(i)} for i in classes],
    }
    truth.createIndex()
    run = evaluate.COCOeval(truth, truth.loadRes(results), "bbox")
    run.evaluate()
    run.accumulate()
    run.summarize()
    return 100 * np.array(run.stats[:3])
