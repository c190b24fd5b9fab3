"""non_max_suppression: boxes chosen class by class, as many rows as there can be at most, and how many are used."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from edgert.ir import Value
from edgert.ops._boxes import choose
from edgert.ops._def import Array, Attrs, OpDef, QuantRule, TensorSpec
from edgert.ops._enums import OpCode
from edgert.ops._move import check_shape


def _infer(inputs: Sequence[Value | None], attrs: Attrs) -> list[TensorSpec]:
    boxes, scores, *thresholds = inputs
    assert boxes is not None
    assert scores is not None
    for value in inputs:
        if value is not None and value.dtype != DType.FLOAT32:
            raise ModelError(f"{value.name!r} is {value.dtype.name.lower()}, needed float32")
    if len(boxes.shape) != 3 or len(scores.shape) != 3 or boxes.shape != (scores.shape[0], scores.shape[2], 4):
        raise ModelError(f"boxes {list(boxes.shape)} and scores {list(scores.shape)}, needed [B, N, 4] and [B, C, N]")
    for value in thresholds:
        if value is not None and math.prod(value.shape) != 1:
            raise ModelError(f"the threshold {value.name!r} has the shape {list(value.shape)}, needed one element")
    if attrs["max_output"] < 0:
        raise ModelError(f"max_output is {attrs['max_output']}, needed 0 or more")
    batch, classes, count = scores.shape
    rows = batch * classes * min(attrs["max_output"], count)
    return [
        TensorSpec(check_shape((rows, 3)), DType.INT32),
        TensorSpec((rows,), DType.FLOAT32),
        TensorSpec((1,), DType.INT32),
    ]


def _corners(boxes: Array, center: bool) -> Array:
    """[..., 4] as y1, x1, y2, x2 with y1 <= y2 and x1 <= x2."""
    if center:
        x, y, half_width, half_height = boxes[..., 0], boxes[..., 1], boxes[..., 2] / 2, boxes[..., 3] / 2
        return np.stack([y - half_height, x - half_width, y + half_height, x + half_width], -1)
    first, second = boxes[..., :2], boxes[..., 2:]
    return np.concatenate([np.where(first > second, second, first), np.where(first > second, first, second)], -1)


def _reference(
    arrays: Sequence[Array | None],
    attrs: Attrs,
    in_quants: Sequence[QuantParams | None],
    out_quants: Sequence[QuantParams | None],
) -> list[Array]:
    """Unused rows are -1 in the indices, 0 in the scores."""
    boxes, scores, *thresholds = arrays
    assert boxes is not None
    assert scores is not None
    iou, lowest = attrs["iou_threshold"], np.float32(attrs["score_threshold"])
    given = [None if item is None else item.reshape(-1)[0] for item in thresholds]
    if given and given[0] is not None:
        iou = given[0]
    if len(given) > 1 and given[1] is not None:
        lowest = given[1]
    corners = _corners(boxes, attrs["center"])
    batch, classes, count = scores.shape
    rows = batch * classes * min(attrs["max_output"], count)
    found: list[tuple[int, int, int]] = []
    values: list[np.float32] = []
    for image in range(batch):
        for label in range(classes):
            kept = np.flatnonzero(scores[image, label] > lowest)
            for index, score in choose(
                corners[image][kept], scores[image, label][kept], attrs["max_output"], iou,
                lowest=float(lowest), sigma=attrs["soft_sigma"], inclusive=attrs["inclusive"],
            ):  # fmt: skip
                found.append((image, label, int(kept[index])))
                values.append(score)
    selected = np.full((rows, 3), -1, np.int32)
    selected[: len(found)] = np.reshape(found, (-1, 3))
    best = np.zeros(rows, np.float32)
    best[: len(values)] = values
    return [selected, best, np.array([len(found)], np.int32)]


NON_MAX_SUPPRESSION = OpDef(
    name="non_max_suppression",
    code=OpCode.NON_MAX_SUPPRESSION,
    inputs=(2, 4),
    infer=_infer,
    reference=_reference,
    quant=QuantRule.FLOAT,
    attrs={
        "max_output": ...,
        "iou_threshold": 0.0,
        "score_threshold": 0.0,
        "soft_sigma": 0.0,
        "inclusive": False,
        "center": False,
    },
)
