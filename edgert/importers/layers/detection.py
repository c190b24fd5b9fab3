"""What detectors begin and end with: prior boxes, boxes decoded from them, and the best boxes of every class.

Shapes are fixed here while the number of boxes found is not: results have as many rows as there can be, the rows behind
the last found hold -1 or 0, as each function says.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.builder import Array, GraphBuilder
from edgert.ir import Value
from edgert.ops._enums import BinaryFunction, CompareFunction, ReduceFunction, UnaryFunction

MOST_PRIORS, MOST_RATIOS = 1 << 20, 1 << 8
MOST_IMAGES = 64  # of a batch: each takes nodes of its own


class Priors(NamedTuple):
    """float32 [K, 4] each: boxes xmin, ymin, xmax, ymax as parts of the image, and the variance of every coordinate."""

    boxes: Array
    variances: Array


class Code(enum.Enum):
    """How a network states boxes, relative to priors (SSD, https://arxiv.org/abs/1512.02325)."""

    CORNER = "corner"  # differences of the corners
    CENTER_SIZE = "center_size"  # of the centre in sizes of the prior, and logarithms of the sizes' ratios
    CORNER_SIZE = "corner_size"  # differences of the corners in sizes of the prior


def prior_boxes(
    cells: tuple[int, int],
    image: tuple[int, int],
    smallest: Sequence[float],
    largest: Sequence[float] = (),
    ratios: Sequence[float] = (),
    *,
    flip: bool = True,
    clip: bool = False,
    variances: Sequence[float] = (0.1,),
    steps: tuple[float, float] = (0.0, 0.0),
    offset: float = 0.5,
) -> Priors:
    """Caffe's PriorBox: boxes of several sizes and ratios of width to height around the centre of every cell.

    cells, image, steps: (height, width); a step of 0 is the image's size over the cells. smallest, largest: sides in
    pixels; a largest one gives a square of the geometric mean. flip: 1 / ratio as well. variances: 1 or 4.
    """
    most = 2 * (len(ratios) + 1) * len(smallest) * cells[0] * cells[1]
    if len(ratios) > MOST_RATIOS or most > MOST_PRIORS:
        raise ModelError(f"{len(smallest)} sizes and {len(ratios)} ratios at {cells[0]}x{cells[1]} cells are too many")
    shapes: list[tuple[float, float]] = []  # width, height in pixels
    sides = [1.0]
    for ratio in ratios:
        if not ratio > 0:
            raise ModelError(f"a ratio of {ratio}, needed a positive one")
        if all(abs(ratio - known) >= 1e-6 for known in sides):
            sides += [ratio, 1.0 / ratio] if flip else [ratio]
    pairs = len(largest) in (0, len(smallest))
    if not pairs or not smallest or min(smallest) <= 0 or len(variances) not in (1, 4):
        raise ModelError(f"{len(smallest)} smallest and {len(largest)} largest sizes, {len(variances)} variances")
    for index, side in enumerate(smallest):
        shapes.append((side, side))
        if largest:
            shapes.append((math.sqrt(side * largest[index]),) * 2)
        shapes += [(side * math.sqrt(ratio), side / math.sqrt(ratio)) for ratio in sides[1:]]
    step = [given or size / count for given, size, count in zip(steps, image, cells, strict=True)]
    y, x = ((np.arange(count) + offset) * pitch for count, pitch in zip(cells, step, strict=True))
    centers = np.stack(np.broadcast_arrays(x[np.newaxis, :, np.newaxis], y[:, np.newaxis, np.newaxis]), -1)
    halves = np.asarray(shapes) / 2
    scale = np.array([image[1], image[0]] * 2, np.float64)
    boxes = (np.concatenate([centers - halves, centers + halves], -1) / scale).reshape(-1, 4).astype(np.float32)
    if clip:
        boxes = np.clip(boxes, 0, 1)
    return Priors(boxes, np.broadcast_to(np.asarray(variances, np.float32), boxes.shape).copy())


def decode_boxes(b: GraphBuilder, encodings: Value, priors: Priors, code: Code, scaled: bool = True) -> Value:
    """Boxes [K, 4] (xmin, ymin, xmax, ymax) of encodings [K, 4]; scaled: they are in units of the variances."""
    if encodings.shape != priors.boxes.shape:
        raise ModelError(f"encodings {list(encodings.shape)} for {len(priors.boxes)} prior boxes")
    boxes = priors.boxes.astype(np.float64)
    size = boxes[:, 2:] - boxes[:, :2]
    step = priors.variances.astype(np.float64) if scaled else np.ones_like(boxes)
    if code is Code.CORNER:
        return b.add(b.mul(encodings, step.astype(np.float32)), priors.boxes)
    if code is Code.CORNER_SIZE:
        return b.add(b.mul(encodings, (step * np.tile(size, 2)).astype(np.float32)), priors.boxes)
    place, extent = b.slice(encodings, 1, 0, 2), b.slice(encodings, 1, 2, 4)
    center = b.add(b.mul(place, (step[:, :2] * size).astype(np.float32)), (boxes[:, :2] + size / 2).astype(np.float32))
    growth = b.unary(UnaryFunction.EXP, b.mul(extent, step[:, 2:].astype(np.float32)) if scaled else extent)
    half = b.mul(growth, (size / 2).astype(np.float32))
    return b.emit("concat", [b.sub(center, half), b.add(center, half)], {"axis": 1})


def select_boxes(
    b: GraphBuilder,
    boxes: Value,
    scores: Value,
    most: int,
    iou_threshold: float,
    score_threshold: float = -math.inf,
    *,
    sigma: float = 0.0,
    inclusive: bool = False,
    fill: int = -1,
) -> tuple[Value, Value, Value]:
    """Non-maximum suppression of boxes [N, 4] by scores [N]: indices (int32) and scores of those chosen, [most] each,
    and their count (int32, a scalar). Rows behind them hold `fill` and 0.

    inclusive: an overlap equal to the threshold is too much (TensorFlow). sigma: of Soft-NMS; 0: hard.
    """
    if len(boxes.shape) != 2 or boxes.shape[1:] != (4,) or scores.shape != boxes.shape[:1] or most < 1:
        raise ModelError(f"boxes {list(boxes.shape)}, scores {list(scores.shape)}, at most {most} of them")
    attrs = {
        "max_output": min(most, scores.shape[0]), "iou_threshold": iou_threshold, "score_threshold": score_threshold,
        "soft_sigma": sigma, "inclusive": inclusive,
    }  # fmt: skip
    batch = [b.reshape(boxes, (1, *boxes.shape)), b.reshape(scores, (1, 1, *scores.shape))]
    selected, values, count = b.emit_all("non_max_suppression", batch, attrs)
    indices = b.reshape(b.slice(selected, 1, 2, 3), (selected.shape[0],))
    if fill == 0:
        indices = b.emit("binary", [indices, np.zeros((), np.int32)], {"function": BinaryFunction.MAXIMUM})
    missing = most - selected.shape[0]
    return (
        b.pad(indices, (0,), (missing,), float(fill)),
        b.pad(values, (0,), (missing,)),
        b.reshape(count, ()),
    )


class Detections(NamedTuple):
    """Of one image, best first: [K], but boxes [K, 4]. Where nothing was found, found is false, all else anything."""

    boxes: Value
    labels: Value  # int32, the index of the class
    scores: Value
    found: Value  # bool


def best_of_classes(
    b: GraphBuilder,
    boxes: Value,
    scores: Value,
    total: int,
    iou_threshold: float,
    score_threshold: float,
    candidates: int = 0,
    per_class: int = 0,
) -> Detections:
    """Non-maximum suppression of boxes [N, 4] for each class by itself, scores [C, N], and the `total` best of all.

    candidates: how many of the best boxes of a class take part; 0: all. per_class: how many of a class are chosen at
    most; 0: any number.
    """
    count = scores.shape[1]
    if boxes.shape != (count, 4) or total < 1:
        raise ModelError(f"boxes {list(boxes.shape)}, scores {list(scores.shape)}, {total} detections")
    if 0 < candidates < count:
        least = b.emit_all("top_k", [scores], {"k": candidates, "axis": 1})[0]
        least = b.slice(least, 1, candidates - 1, candidates)
        among = b.emit("compare", [scores, least], {"function": CompareFunction.GREATER_EQUAL})
        scores = b.emit("select", [among, scores, -math.inf])
    attrs = {
        "max_output": min(total, count, candidates or count, per_class or count), "iou_threshold": iou_threshold,
        "score_threshold": score_threshold,
    }  # fmt: skip
    batch = [b.reshape(boxes, (1, *boxes.shape)), b.reshape(scores, (1, *scores.shape))]
    selected, values, _ = b.emit_all("non_max_suppression", batch, attrs)
    rows = selected.shape[0]
    used = _column(b, selected, 0)
    zero = np.zeros((), np.int32)
    taken = b.emit("compare", [used, zero], {"function": CompareFunction.GREATER_EQUAL})
    marks = b.emit("select", [taken, values, -math.inf])
    best, order = b.emit_all("top_k", [marks], {"k": min(total, rows), "axis": 0})
    chosen = b.emit("gather", [selected, order], {"axis": 0})
    found = b.emit("compare", [_column(b, chosen, 0), zero], {"function": CompareFunction.GREATER_EQUAL})
    places = b.emit("gather", [boxes, _column(b, chosen, 2)], {"axis": 0})
    return Detections(places, _column(b, chosen, 1), best, found)


def padded(b: GraphBuilder, best: Detections, rows: int) -> list[Value]:
    """Boxes [1, rows, 4], scores [1, rows], classes [1, rows] (float32) and count [1] (int32) of one image; 0 where
    nothing was found."""
    have = best.found.shape[0]
    labels = b.emit("cast", [best.labels], dtype=DType.FLOAT32)
    made = []
    for value in (best.boxes, best.scores, labels):
        rank = len(value.shape)
        kept = b.emit("select", [b.reshape(best.found, (have, *[1] * (rank - 1))), value, 0.0])
        full = b.pad(kept, [0] * rank, [rows - have, *[0] * (rank - 1)])
        made.append(b.reshape(full, (1, *full.shape)))
    ones = b.emit("cast", [best.found], dtype=DType.INT32)
    return [*made, b.reduce(ReduceFunction.SUM, ones, (0,))]


def _column(b: GraphBuilder, table: Value, column: int) -> Value:
    return b.reshape(b.slice(table, 1, column, column + 1), (table.shape[0],))


def detection_output(
    b: GraphBuilder,
    boxes: Value,
    scores: Value,
    image: int = 0,
    *,
    background: int = 0,
    total: int,
    candidates: int = 0,
    iou_threshold: float = 0.3,
    score_threshold: float = 0.0,
) -> Value:
    """Caffe's DetectionOutput for one image: [K, 7] of image, class, score and box, by class and then by score.

    boxes [N, 4], scores [N, C]. background: a class that is not reported; -1: all are. Rows without a detection are -1.
    """
    classes = [label for label in range(scores.shape[1]) if label != background]
    if not classes:
        raise ModelError("the background is the only class")
    columns = b.transpose(scores, (1, 0))
    parts = [columns]
    if len(classes) < scores.shape[1]:
        ends = ((0, background), (background + 1, scores.shape[1]))
        parts = [b.slice(columns, 0, begin, end) for begin, end in ends if begin < end]
    kept = parts[0] if len(parts) == 1 else b.emit("concat", parts, {"axis": 0})
    best = best_of_classes(b, boxes, kept, total, iou_threshold, score_threshold, candidates)
    labels = b.emit("gather", [b.const(np.asarray(classes, np.float32)), best.labels], {"axis": 0})
    rows = best.boxes.shape[0]
    behind = b.emit("select", [best.found, labels, math.inf])
    order = b.emit_all("top_k", [behind], {"k": rows, "axis": 0, "smallest": True})[1]
    numbers = b.const(np.full((rows, 1), image, np.float32))
    table = [numbers, b.reshape(labels, (rows, 1)), b.reshape(best.scores, (rows, 1)), best.boxes]
    joined = b.emit("concat", table, {"axis": 1})
    reported = b.emit("select", [b.reshape(best.found, (rows, 1)), joined, -1.0])
    return b.emit("gather", [reported, order], {"axis": 0})
