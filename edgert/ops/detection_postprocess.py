"""detection_postprocess: what a single-shot detector computes last, from encodings and anchors to the best boxes.

It is TFLite_Detection_PostProcess (tensorflow/lite/kernels/detection_postprocess.cc), to the bit, but that among equal
scores the lower class and the lower box come first, where TFLite leaves it to its library's partial sort.
"""

from __future__ import annotations

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
    encodings, scores, anchors = inputs
    assert encodings is not None
    assert scores is not None
    assert anchors is not None
    for value in (encodings, scores, anchors):
        if value.dtype != DType.FLOAT32:
            raise ModelError(f"{value.name!r} is {value.dtype.name.lower()}, needed float32")
    ranks = len(encodings.shape), len(scores.shape), len(anchors.shape)
    fits = ranks == (3, 3, 2) and encodings.shape[0] == scores.shape[0] == 1 and encodings.shape[2] >= 4
    if not fits or (scores.shape[1], 4) != anchors.shape or encodings.shape[1] != scores.shape[1]:
        found = ", ".join(str(list(value.shape)) for value in (encodings, scores, anchors))
        raise ModelError(f"encodings, scores and anchors are {found}, needed [1, N, 4], [1, N, C] and [N, 4]")
    for name in ("max_detections", "max_classes_per_detection", "detections_per_class", "classes"):
        if attrs[name] < 1:
            raise ModelError(f"{name} is {attrs[name]}, needed 1 or more")
    if scores.shape[2] - attrs["classes"] not in (0, 1):
        raise ModelError(f"{attrs['classes']} classes and {scores.shape[2]} scores, needed as many or one more")
    rows = attrs["max_detections"] * attrs["max_classes_per_detection"]
    shapes = [check_shape((1, rows, 4)), (1, rows), (1, rows), (1,)]
    return [TensorSpec(shape, DType.FLOAT32) for shape in shapes]


def decode(encodings: Array, anchors: Array, scale: Sequence[float]) -> Array:
    """float32 [N, 4] (y1, x1, y2, x2) of encodings and anchors [N, 4] (y, x, h, w); scale: of y, x, h and w.

    In float64, rounded to float32 before the corners are taken.
    """
    code, anchor = encodings.astype(np.float64), anchors.astype(np.float64)
    scales = np.asarray(scale, np.float32).astype(np.float64)
    with np.errstate(all="ignore"):
        middle = (code[:, :2] / scales[:2] * anchor[:, 2:] + anchor[:, :2]).astype(np.float32)
        half = (0.5 * np.exp(code[:, 2:] / scales[2:]) * anchor[:, 2:]).astype(np.float32)
        return np.concatenate([middle - half, middle + half], 1)


def _by_class(boxes: Array, scores: Array, attrs: Attrs) -> list[tuple[int, int, np.float32]]:
    """(box, class, score) of the best detections of all classes."""
    found: list[tuple[int, int, np.float32]] = []
    for label in range(scores.shape[1]):
        kept = np.flatnonzero(scores[:, label] >= np.float32(attrs["score_threshold"]))
        picked = choose(boxes[kept], scores[kept, label], attrs["detections_per_class"], attrs["iou_threshold"])
        found += [(int(kept[index]), label, score) for index, score in picked]
    return sorted(found, key=lambda item: -item[2])[: attrs["max_detections"]]


def _reference(
    arrays: Sequence[Array | None],
    attrs: Attrs,
    in_quants: Sequence[QuantParams | None],
    out_quants: Sequence[QuantParams | None],
) -> list[Array]:
    encodings, all_scores, anchors = arrays
    assert encodings is not None
    assert all_scores is not None
    assert anchors is not None
    boxes = decode(encodings[0, :, :4], anchors, [attrs[f"scale_{axis}"] for axis in "yxhw"])
    scores = all_scores[0, :, all_scores.shape[2] - attrs["classes"] :]
    labels = attrs["max_classes_per_detection"]
    rows = attrs["max_detections"] * labels
    places = np.zeros((1, rows, 4), np.float32)
    classes, best = np.zeros((1, rows), np.float32), np.zeros((1, rows), np.float32)

    def report(row: int, box: int, label: int) -> None:
        places[0, row], classes[0, row], best[0, row] = boxes[box], label, scores[box, label]

    if attrs["regular"]:
        found = _by_class(boxes, scores, attrs)
        count = len(found)
        for row, (box, label, _) in enumerate(found):
            report(row, box, label)
    else:
        highest = scores.max(1)
        kept = np.flatnonzero(highest >= np.float32(attrs["score_threshold"]))
        chosen = choose(boxes[kept], highest[kept], attrs["max_detections"], attrs["iou_threshold"])
        count = len(chosen)
        for row, (index, _) in enumerate(chosen):
            box = int(kept[index])
            for place, label in enumerate(np.argsort(-scores[box], kind="stable")[:labels]):
                report(row * labels + place, box, int(label))
    return [places, classes, best, np.array([count], np.float32)]


DETECTION_POSTPROCESS = OpDef(
    name="detection_postprocess",
    code=OpCode.DETECTION_POSTPROCESS,
    inputs=(3, 3),
    infer=_infer,
    reference=_reference,
    quant=QuantRule.FLOAT,
    attrs={
        "max_detections": ...,
        "max_classes_per_detection": 1,
        "detections_per_class": 100,
        "regular": False,
        "classes": ...,
        "iou_threshold": 0.0,
        "score_threshold": 0.0,
        "scale_x": 1.0,
        "scale_y": 1.0,
        "scale_w": 1.0,
        "scale_h": 1.0,
    },
)
