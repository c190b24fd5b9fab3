"""FastestDet's output as boxes, and the mean average precision of boxes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from job import Array

LEAST_SCORE, MOST_OVERLAP = 0.01, 0.45  # low, so that precision is known over the whole range of recall
IOU = 0.5


def boxes(output: Array) -> Array:
    """[85, H, W] as rows (class, score, x0, y0, x1, y1), parts of the image, best first, after suppression by class.

    Channels: objectness, four of the box, 80 classes. Source: example/onnx-runtime of github dog-qiuqiu/FastestDet.
    """
    _, height, width = output.shape
    objectness, box, classes = output[0], output[1:5].astype(np.float64), output[5:]
    score = np.maximum(objectness, 0) ** 0.6 * np.maximum(classes.max(axis=0), 0) ** 0.4
    rows, columns = np.nonzero(score > LEAST_SCORE)
    dx, dy, w, h = box[:, rows, columns]
    w, h = 1 / (1 + np.exp(-w)), 1 / (1 + np.exp(-h))
    x, y = (columns + np.tanh(dx)) / width, (rows + np.tanh(dy)) / height
    found = np.stack(
        [classes.argmax(axis=0)[rows, columns], score[rows, columns], x - w / 2, y - h / 2, x + w / 2, y + h / 2], 1
    )
    found = found[np.argsort(-found[:, 1], kind="stable")]
    kept: list[Array] = []
    for row in found:
        same = [other for other in kept if other[0] == row[0]]
        if not same or overlaps(row[2:], np.stack(same)[:, 2:]).max() < MOST_OVERLAP:
            kept.append(row)
    return np.stack(kept) if kept else np.zeros((0, 6))


def overlaps(box: Array, others: Array) -> Array:
    """Intersection over union of (x0, y0, x1, y1) with each row."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    common = np.prod(np.maximum(high - low, 0), axis=1)
    areas = np.prod(others[:, 2:] - others[:, :2], axis=1)
    return np.asarray(common / (np.prod(box[2:] - box[:2]) + areas - common))


def matched(found: Array, labels: Array) -> Array:
    """Rows (class, score, hit) of one image's boxes. labels: rows (class, centre x, centre y, width, height)."""
    true = np.concatenate([labels[:, 1:3] - labels[:, 3:] / 2, labels[:, 1:3] + labels[:, 3:] / 2], axis=1)
    free = np.ones(len(labels), bool)
    hits = np.zeros(len(found))
    for i, row in enumerate(found):
        candidates = np.flatnonzero(free & (labels[:, 0] == row[0]))
        if len(candidates):
            overlap = overlaps(row[2:], true[candidates])
            if overlap.max() >= IOU:
                free[candidates[overlap.argmax()]] = False
                hits[i] = 1
    return np.column_stack([found[:, :2], hits]) if len(found) else np.zeros((0, 3))


def mean_average_precision(images: Sequence[Array], labels: Sequence[Array]) -> float:
    """Percent; the mean over the classes that the labels hold, of the area under the precision's envelope.

    images: of each, rows (class, score, hit).
    """
    rows, classes = np.concatenate(images), np.concatenate([boxes[:, 0] for boxes in labels])
    areas = []
    for number in np.unique(classes):
        mine = rows[rows[:, 0] == number]
        hits = mine[np.argsort(-mine[:, 1], kind="stable"), 2]
        recall = np.concatenate([[0], np.cumsum(hits) / (classes == number).sum()])
        precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
        envelope = np.maximum.accumulate(precision[::-1])[::-1]
        areas.append(float((np.diff(recall) * envelope).sum()))
    return 100 * float(np.mean(areas))
