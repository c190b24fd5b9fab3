"""ONNX handlers: what detectors compute last."""

from __future__ import annotations

import math

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.onnx.builder import Builder, Handler, SourceNode
from edgert.ir import Value


def non_max_suppression(b: Builder, node: SourceNode) -> Value:
    """As many rows as there can be at most, for shapes are fixed here: what is not selected is -1, and a note says so.

    Without a limit nothing is selected (the operator's default), without a score threshold every box is a candidate.
    """
    boxes, scores = b.value(node, 0), b.value(node, 1)
    most = int(b.need_constant(node, 2, "max_output_boxes_per_class").reshape(-1)[0]) if node.has(2) else 0
    if most < 1 or len(scores.shape) != 3:
        raise ModelError(
            f"it selects at most {most} boxes of scores {list(scores.shape)}, needed 1 or more of [B, C, N]"
        )
    attrs = {
        "max_output": min(most, scores.shape[2]),
        "score_threshold": -math.inf,
        "center": bool(node.integer("center_point_box", 0)),
    }
    thresholds: list[Value | None] = [None, None]
    for place, name in enumerate(("iou_threshold", "score_threshold")):
        constant = b.constant(node, 3 + place)
        if constant is not None:
            attrs[name] = float(constant.reshape(-1)[0])
        elif node.has(3 + place):
            thresholds[place] = b.value(node, 3 + place)
    selected, _, _ = b.emit_all("non_max_suppression", [boxes, scores, *thresholds], attrs)
    rows = b.emit("cast", [selected], dtype=DType.INT64)
    b.graph.notes.append(
        f"{node.outputs[0]!r} ({node.op}) always has {rows.shape[0]} rows, as many as can be selected: "
        f"those behind the selected ones are -1."
    )
    return rows


HANDLERS: dict[str, Handler] = {"NonMaxSuppression": non_max_suppression}
