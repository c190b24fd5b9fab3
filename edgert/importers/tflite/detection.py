"""What detectors compute last: non-maximum suppression, and the custom operator TFLite_Detection_PostProcess."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgert.errors import ModelError
from edgert.importers.tflite.builder import Builder, Handler, RefusedError
from edgert.importers.tflite.read import SourceOp
from edgert.ir import Value
from edgert.ops._enums import BinaryFunction

# Options of TFLite_Detection_PostProcess: the attribute that each is here, and its type.
OPTIONS: dict[str, tuple[str, type[int] | type[float] | type[bool]]] = {
    "max_detections": ("max_detections", int),
    "max_classes_per_detection": ("max_classes_per_detection", int),
    "detections_per_class": ("detections_per_class", int),
    "num_classes": ("classes", int),
    "use_regular_nms": ("regular", bool),
    "nms_iou_threshold": ("iou_threshold", float),
    "nms_score_threshold": ("score_threshold", float),
    **{f"{axis}_scale": (f"scale_{axis}", float) for axis in "xywh"},
}
LARGEST_OPTIONS = 1 << 12  # bytes; a map of about twelve numbers is what they should be


def detection_postprocess(b: Builder, op: SourceOp) -> list[Value]:
    """Quantised encodings, scores and anchors are dequantised, as TFLite does within the operator."""
    return b.emit_all("detection_postprocess", [b.real(b.value(op, i)) for i in range(3)], _attributes(op.custom))


def _attributes(packed: bytes) -> dict[str, Any]:
    """Those that the options, a map of FlexBuffers, state."""
    from flatbuffers import flexbuffers

    if not 3 <= len(packed) <= LARGEST_OPTIONS:
        raise ModelError(f"its options are {len(packed)} bytes, needed a map of numbers")
    root = flexbuffers.GetRoot(bytearray(packed))
    if not root.IsMap:
        raise ModelError("its options are no map of numbers")
    options, attrs = root.AsMap, {}
    for name, (attribute, kind) in OPTIONS.items():
        try:
            stored = options[name]
        except KeyError:
            continue
        attrs[attribute] = int(stored.AsInt) if kind is int else kind(stored.AsFloat)
    return attrs


def non_max_suppression(b: Builder, op: SourceOp) -> list[Value]:
    """V4: indices and their count; V5, with a sigma that lets scores fall: indices, scores, count. Padded with 0."""
    boxes, scores = (b.real(b.value(op, i)) for i in range(2))
    most = b.scalar(op, 2, "largest number of boxes")
    if len(boxes.shape) != 2 or len(scores.shape) != 1 or most < 1:
        raise ModelError(f"boxes {list(boxes.shape)}, scores {list(scores.shape)}, at most {most} of them")
    soft = op.kind == "NON_MAX_SUPPRESSION_V5"
    sigma = b.real(b.value(op, 5)) if soft else None
    if sigma is not None and (sigma.data is None or sigma.data.size != 1):
        raise RefusedError("its sigma depends on the data", "use a constant")
    batch = b.reshape(boxes, (1, *boxes.shape)), b.reshape(scores, (1, 1, *scores.shape))
    thresholds = [b.real(b.value(op, i)) for i in (3, 4)]
    attrs: dict[str, Any] = {"max_output": min(most, scores.shape[0]), "inclusive": True}
    if sigma is not None and sigma.data is not None:
        attrs["soft_sigma"] = float(sigma.data.reshape(-1)[0])
    selected, values, count = b.emit_all("non_max_suppression", [*batch, *thresholds], attrs)
    rows = b.reshape(b.slice(selected, (0, 2), (selected.shape[0], 3)), (selected.shape[0],))
    zero = b.const(np.zeros((), np.int32))
    results = [b.emit("binary", [rows, zero], {"function": BinaryFunction.MAXIMUM}), values]
    missing = most - selected.shape[0]
    if missing:
        results = [b.emit("pad", [item], {"before": (0,), "after": (missing,)}) for item in results]
    return [*results[: 2 if soft else 1], b.reshape(count, ())]


HANDLERS: dict[str, Handler] = {
    "CUSTOM TFLite_Detection_PostProcess": detection_postprocess,
    "NON_MAX_SUPPRESSION_V4": non_max_suppression,
    "NON_MAX_SUPPRESSION_V5": non_max_suppression,
}
