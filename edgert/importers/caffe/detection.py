"""Caffe handlers: the layers of single-shot detectors (SSD's fork of Caffe)."""

from __future__ import annotations

import numpy as np

from edgert.errors import ModelError
from edgert.importers.builder import GraphBuilder, RefusedError
from edgert.importers.caffe.layer import Handler, SourceLayer
from edgert.importers.layers import detection as layers
from edgert.ir import Value

CODES = {1: layers.Code.CORNER, 2: layers.Code.CENTER_SIZE, 3: layers.Code.CORNER_SIZE}


def prior_box(b: GraphBuilder, layer: SourceLayer) -> Value:
    """A constant [1, 2, 4 * boxes]: the boxes of all cells, and their variances."""
    param, cells = layer.param("prior_box_param"), layer.input(0).shape
    if len(cells) != 4:
        raise ModelError(f"its input is {list(cells)}, needed [N, C, H, W]")
    if param.img_size:
        image = (param.img_size, param.img_size)
    elif param.img_h and param.img_w:
        image = (param.img_h, param.img_w)
    else:
        shape = layer.input(1).shape
        if len(shape) != 4:
            raise ModelError(f"the image is {list(shape)}, needed [N, C, H, W]")
        image = (shape[2], shape[3])
    steps = (param.step_h, param.step_w) if param.step_h and param.step_w else (param.step, param.step)
    boxes, variances = layers.prior_boxes(
        (cells[2], cells[3]), image, tuple(param.min_size), tuple(param.max_size), tuple(param.aspect_ratio),
        flip=param.flip, clip=param.clip, variances=tuple(param.variance) or (0.1,), steps=steps, offset=param.offset,
    )  # fmt: skip
    return b.const(np.stack([boxes.reshape(-1), variances.reshape(-1)])[np.newaxis])


def detection_output(b: GraphBuilder, layer: SourceLayer) -> Value:
    """[1, 1, rows, 7] of image, class, score, xmin, ymin, xmax, ymax, with as many rows as there can be: Caffe gives
    those of detections alone, here -1 follows them."""
    param = layer.param("detection_output_param")
    location, confidence, stored = (layer.input(index) for index in range(3))
    if not stored.constant or stored.data is None:
        raise RefusedError("its prior boxes depend on the data", "compute them by PriorBox layers")
    if not param.share_location:
        raise RefusedError("every class has boxes of its own", "train with share_location: true")
    if param.nms_param.eta < 1:
        raise RefusedError("the overlap that it allows changes on the way (eta)", "leave eta out")
    priors = layers.Priors(*stored.data.reshape(2, -1, 4))
    count, classes, batch = len(priors.boxes), param.num_classes, location.shape[0]
    if classes < 1 or location.shape[1:] != (4 * count,) or batch > layers.MOST_IMAGES:
        raise ModelError(f"{classes} classes, encodings {list(location.shape)} for {count} prior boxes")
    scores = b.reshape(confidence, (batch, count, classes))
    candidates = param.nms_param.top_k if param.nms_param.top_k > 0 else 0
    total = param.keep_top_k if param.keep_top_k > 0 else classes * min(candidates or count, count)
    threshold = param.confidence_threshold if param.has("confidence_threshold") else -np.inf
    found = []
    for image in range(batch):
        code = b.reshape(b.slice(location, 0, image, image + 1), (count, 4))
        boxes = layers.decode_boxes(b, code, priors, CODES[param.code_type], not param.variance_encoded_in_target)
        marks = b.reshape(b.slice(scores, 0, image, image + 1), (count, classes))
        rows = layers.detection_output(
            b, boxes, marks, image, background=param.background_label_id, total=total, candidates=candidates,
            iou_threshold=param.nms_param.nms_threshold, score_threshold=threshold,
        )  # fmt: skip
        found.append(rows)
    table = found[0] if batch == 1 else b.emit("concat", found, {"axis": 0})
    b.graph.notes.append(
        f"{layer.name!r} (DetectionOutput) always has {table.shape[0]} rows; those without a detection are -1."
    )
    return b.reshape(table, (1, 1, *table.shape))


HANDLERS: dict[str, Handler] = {"PriorBox": prior_box, "DetectionOutput": detection_output}
