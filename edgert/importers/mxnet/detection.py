"""MXNet handlers: anchors, and the choice of boxes, of single-shot detectors."""

from __future__ import annotations

import math

import numpy as np

from edgert.errors import ModelError
from edgert.importers.builder import GraphBuilder, RefusedError
from edgert.importers.layers import detection as layers
from edgert.importers.layers.elementwise import clamp
from edgert.importers.mxnet.node import Handler, SourceNode
from edgert.ir import Value
from edgert.ops._enums import BinaryFunction, CompareFunction, ReduceFunction, UnaryFunction

MOST_ANCHORS = 1 << 20


def anchors(b: GraphBuilder, node: SourceNode) -> Value:
    """MultiBoxPrior: a constant [1, anchors, 4] of corners. Every size with the first ratio, then the first size with
    every other ratio, around the centre of every cell."""
    shape = node.input().shape
    if len(shape) != 4:
        raise ModelError(f"an input {list(shape)}, needed 4 dimensions")
    height, width = shape[2:]
    sizes, ratios = (node.numbers(name) or (1.0,) for name in ("sizes", "ratios"))
    steps, offsets = node.numbers("steps") or (-1.0, -1.0), node.numbers("offsets") or (0.5, 0.5)
    count = len(sizes) + len(ratios) - 1
    if min(ratios) <= 0 or min(sizes) <= 0 or height * width * count > MOST_ANCHORS:
        raise ModelError(f"sizes {list(sizes)} and ratios {list(ratios)} for {height} x {width} cells")
    pairs = [(size, ratios[0]) for size in sizes] + [(sizes[0], ratio) for ratio in ratios[1:]]
    halves = np.array(
        [(size * height / width * math.sqrt(ratio) / 2, size / math.sqrt(ratio) / 2) for size, ratio in pairs]
    )
    y, x = (
        (np.arange(cells) + offset) * (step if step > 0 else 1 / cells)
        for cells, offset, step in zip((height, width), offsets, steps, strict=True)
    )
    centres = np.stack(np.broadcast_arrays(x[np.newaxis, :, np.newaxis], y[:, np.newaxis, np.newaxis]), -1)
    boxes = np.concatenate([centres - halves, centres + halves], -1).reshape(1, -1, 4).astype(np.float32)
    return b.const(np.clip(boxes, 0, 1) if node.flag("clip", False) else boxes)


def detection(b: GraphBuilder, node: SourceNode) -> Value:
    """MultiBoxDetection of one image: [1, anchors, 6] of class, score and corners, the best first. What MXNet marks -1
    in its place, because it overlaps a better one, is -1 altogether and at the end here."""
    chances, code = node.input(0), node.input(1)
    if len(chances.shape) != 3 or chances.shape[0] != 1:
        raise RefusedError(f"chances {list(chances.shape)}", "convert it for one image")
    if node.integer("background_id", 0) != 0 or chances.shape[1] < 2:
        raise RefusedError("the background is not the first of several classes", "use background_id 0")
    boxes = node.array(2, "anchors").reshape(-1, 4)
    count = len(boxes)
    variances = np.asarray(node.numbers("variances") or (0.1, 0.1, 0.2, 0.2), np.float32)
    if chances.shape[2] != count or math.prod(code.shape) != 4 * count or variances.size != 4:
        raise ModelError(f"chances {list(chances.shape)} and offsets {list(code.shape)} for {count} anchors")
    priors = layers.Priors(boxes, np.broadcast_to(variances, boxes.shape).copy())
    places = layers.decode_boxes(b, b.reshape(code, (count, 4)), priors, layers.Code.CENTER_SIZE)
    if node.flag("clip", True):
        places = clamp(b, places, 0, 1)
    foreground = b.reshape(b.slice(chances, 1, 1, chances.shape[1]), (chances.shape[1] - 1, count))
    best = b.reduce(ReduceFunction.MAX, foreground, (0,), keep_dims=False)
    label = b.emit("arg_max", [foreground], {"axis": 0, "keep_dims": False})
    table = _chosen(
        b, places, best, b.emit("cast", [label]), node.number("nms_threshold", 0.5), node.number("threshold", 0.01),
        most=node.integer("nms_topk", -1), together=node.flag("force_suppress", False),
    )  # fmt: skip
    return b.reshape(table, (1, *table.shape))


def _chosen(
    b: GraphBuilder, boxes: Value, scores: Value, labels: Value | None, overlap: float, least: float, *, most: int,
    together: bool,
) -> Value:  # fmt: skip
    """[N, 6] of label, score and box: what non-maximum suppression leaves, the best first, then rows of -1.

    most: how many of the best take part, all if below 1. together: boxes of different labels suppress each other; else
    each label has its own part of a plane, so far from the others that no boxes of two can meet.
    """
    count = scores.shape[0]
    labels = labels if labels is not None else b.const(np.zeros(count, np.float32))
    taking = min(most, count) if most > 0 else count
    if taking < count:
        scores, order = b.emit_all("top_k", [scores], {"k": taking, "axis": 0})
        boxes, labels = (b.emit("gather", [item, order], {"axis": 0}) for item in (boxes, labels))
    apart = boxes
    if not together:
        extent = b.reduce(ReduceFunction.MAX, b.unary(UnaryFunction.ABS, boxes), (0, 1), keep_dims=False)
        apart = b.add(boxes, b.mul(b.reshape(labels, (taking, 1)), b.mul(b.add(extent, 1.0), 2.0)))
    chosen, _, _ = layers.select_boxes(b, apart, scores, taking, overlap, least)
    found = b.emit("compare", [chosen, np.zeros((), np.int32)], {"function": CompareFunction.GREATER_EQUAL})
    rows = b.emit("binary", [chosen, np.zeros((), np.int32)], {"function": BinaryFunction.MAXIMUM})
    columns = [b.reshape(labels, (taking, 1)), b.reshape(scores, (taking, 1)), boxes]
    table = b.emit("gather", [b.emit("concat", columns, {"axis": 1}), rows], {"axis": 0})
    table = b.emit("select", [b.reshape(found, (taking, 1)), table, -1.0])
    return b.pad(table, (0, 0), (count - taking, 0), -1.0)


def box_nms(b: GraphBuilder, node: SourceNode) -> Value:
    """[..., N, K] of one image, with a score, four corners and perhaps a label in every row: those left, the best
    first, then rows of -1."""
    x = node.input()
    if len(x.shape) < 2 or math.prod(x.shape[:-2]) != 1:
        raise RefusedError(f"an input {list(x.shape)}", "convert it for one image")
    if node.text("in_format", "corner") != "corner" or node.text("out_format", "corner") != "corner":
        raise RefusedError("boxes by their centres", "use corners")
    start, score, label = node.integer("coord_start", 2), node.integer("score_index", 1), node.integer("id_index", -1)
    wanted = [score, start, start + 1, start + 2, start + 3] if label < 0 else [label, score, *range(start, start + 4)]
    if wanted != list(range(x.shape[-1])) or node.integer("background_id", -1) != -1:
        raise RefusedError(f"rows of {x.shape[-1]} with other things in them", "use rows of label, score, corners")
    rows = b.reshape(x, x.shape[-2:])
    labels = None if label < 0 else _column(b, rows, label)
    scores = _column(b, rows, score)
    if labels is not None:  # those of the background take no part
        background = b.emit("compare", [labels, -1.0], {"function": CompareFunction.EQUAL})
        scores = b.emit("select", [background, -math.inf, scores])
    together = label < 0 or node.flag("force_suppress", False)
    table = _chosen(
        b, b.slice(rows, 1, start, start + 4), scores, labels, node.number("overlap_thresh", 0.5),
        node.number("valid_thresh", 0), most=node.integer("topk", -1), together=together,
    )  # fmt: skip
    return b.reshape(table if label >= 0 else b.slice(table, 1, 1, 6), x.shape)


def _column(b: GraphBuilder, table: Value, column: int) -> Value:
    return b.reshape(b.slice(table, 1, column, column + 1), (table.shape[0],))


HANDLERS: dict[str, Handler] = {
    "MultiBoxDetection": detection,
    "MultiBoxPrior": anchors,
    "_contrib_MultiBoxDetection": detection,
    "_contrib_MultiBoxPrior": anchors,
    "_contrib_box_nms": box_nms,
    "_contrib_box_non_maximum_suppression": box_nms,
}
