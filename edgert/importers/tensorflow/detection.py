"""TensorFlow handlers: non-maximum suppression.

TensorFlow gives as many boxes as it finds, unless it is told to pad. Shapes are fixed here: there are always as many
rows as there can be, those behind the last found one are -1 (0 where TensorFlow pads), and a note says so.
"""

from __future__ import annotations

import math

from edgert.errors import ModelError
from edgert.importers.builder import RefusedError
from edgert.importers.layers import detection as layers
from edgert.importers.layers.movement import concat
from edgert.importers.tensorflow.builder import Builder, Handler, SourceNode
from edgert.ir import Value
from edgert.ops._enums import UnaryFunction


def non_max_suppression(b: Builder, node: SourceNode) -> list[Value]:
    """NonMaxSuppression to V5. V4 and V5 tell the count too, V5 the scores, which a sigma lets fall (Soft-NMS)."""
    version = int(node.op.partition("V")[2] or 1)
    most = int(b.scalar(node, 2, "largest number of boxes"))
    iou = node.number("iou_threshold", 0.5) if version == 1 else float(b.scalar(node, 3, "overlap threshold"))
    least = float(b.scalar(node, 4, "score threshold")) if version >= 3 else -math.inf
    sigma = float(b.scalar(node, 5, "sigma")) if version >= 5 else 0.0
    padded = node.flag("pad_to_max_output_size")
    if sigma > 0:  # then no overlap is too much
        iou = math.inf
    boxes, scores = b.value(node, 0), b.value(node, 1)
    chosen = layers.select_boxes(b, boxes, scores, most, iou, least, sigma=sigma, fill=0 if padded else -1)
    if not padded:
        b.graph.notes.append(
            f"{node.name!r} ({node.op}) always has {most} rows; those behind the selected boxes are -1."
        )
    indices, values, count = chosen
    return [indices, values, count] if version == 5 else [indices, count] if version == 4 else [indices]


def combined(b: Builder, node: SourceNode) -> list[Value]:
    """Boxes [B, N, 1, 4] by scores [B, N, C], class by class: the best of all classes, 0 behind the last."""
    boxes, scores = b.value(node, 0), b.value(node, 1)
    per_class, total = (int(b.scalar(node, index, "largest number of boxes")) for index in (2, 3))
    iou, least = (float(b.scalar(node, index, "threshold")) for index in (4, 5))
    if len(boxes.shape) != 4 or len(scores.shape) != 3 or boxes.shape[:2] != scores.shape[:2] or per_class < 1:
        raise ModelError(f"boxes {list(boxes.shape)} and scores {list(scores.shape)}, at most {per_class} of a class")
    batch, count, kinds, _ = boxes.shape
    if batch > layers.MOST_IMAGES:
        raise RefusedError(f"a batch of {batch}", f"give at most {layers.MOST_IMAGES} images at once")
    if kinds != 1:
        raise RefusedError("every class has boxes of its own", "give all classes the same boxes, [batch, boxes, 1, 4]")
    if node.flag("pad_per_class"):
        total = min(total, per_class * scores.shape[2])
    parts: list[list[Value]] = []
    for image in range(batch):
        own = b.reshape(b.slice(boxes, 0, image, image + 1), (count, 4))
        marks = b.transpose(b.reshape(b.slice(scores, 0, image, image + 1), scores.shape[1:]), (1, 0))
        best = layers.best_of_classes(b, own, marks, total, iou, least, per_class=per_class)
        parts.append(layers.padded(b, best, total))
    places, values, classes, counts = (concat(b, list(items), 0) for items in zip(*parts, strict=True))
    if node.flag("clip_boxes", True):
        places = b.unary(UnaryFunction.CLIP, places, 0.0, 1.0)
    return [places, values, classes, counts]


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(
        ("NonMaxSuppression", *(f"NonMaxSuppressionV{version}" for version in range(2, 6))), non_max_suppression
    ),
    "CombinedNonMaxSuppression": combined,
}
