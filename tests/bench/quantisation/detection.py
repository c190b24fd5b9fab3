"""FastestDet's output as boxes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from job import Array

LEAST_SCORE, MOST_OVERLAP = 0.01, 0.45  # low, so that precision is known over the whole range of recall


def boxes(outputs: Mapping[str, Array]) -> Array:
    """One output [1, 85, H, W] as rows (x0, y0, x1, y1, score, class), parts of the image, best first, suppressed
    class by class.

    Channels: objectness, four of the box, 80 classes. Source: example/onnx-runtime of github dog-qiuqiu/FastestDet.
    """
    ((output,),) = outputs.values()
    _, height, width = output.shape
    objectness, box, classes = output[0], output[1:5].astype(np.float64), output[5:]
    score = np.maximum(objectness, 0) ** 0.6 * np.maximum(classes.max(axis=0), 0) ** 0.4
    rows, columns = np.nonzero(score > LEAST_SCORE)
    dx, dy, w, h = box[:, rows, columns]
    w, h = 1 / (1 + np.exp(-w)), 1 / (1 + np.exp(-h))
    x, y = (columns + np.tanh(dx)) / width, (rows + np.tanh(dy)) / height
    best = classes.argmax(axis=0)[rows, columns]
    found = np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2, score[rows, columns], best], axis=1)
    kept: list[Array] = []
    for row in found[np.argsort(-found[:, 4], kind="stable")]:
        same = [other for other in kept if other[5] == row[5]]
        if not same or overlaps(row, np.stack(same)).max() < MOST_OVERLAP:
            kept.append(row)
    return np.stack(kept) if kept else np.zeros((0, 6))


def overlaps(box: Array, others: Array) -> Array:
    """Intersection over union of a row with each of some others."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:4], others[:, 2:4])
    common = np.prod(np.maximum(high - low, 0), axis=1)
    areas = np.prod(others[:, 2:4] - others[:, :2], axis=1)
    return np.asarray(common / (np.prod(box[2:4] - box[:2]) + areas - common))
