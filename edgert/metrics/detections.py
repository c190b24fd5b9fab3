"""What a detector found, from the forms that its outputs may have."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from edgert.errors import InputError
from edgert.functions import failure, load_function
from edgert.metrics._def import Array, Outputs
from edgert.metrics.outputs import described, pick

FORMS = (
    "boxes [1, N, 4] (y1 x1 y2 x2), classes [1, N], scores [1, N] and a count, as TFLite's detectors end; or "
    "[1, N, 6] with rows x1 y1 x2 y2 score class"
)


def detections(outputs: Outputs, decoder: str | None, output: str | None, size: tuple[int, int], metric: str) -> Array:
    """float64 [N, 6]: x1 y1 x2 y2 as shares of width and height, score, class.

    decoder: "module:function", called with the outputs, which gives this array; without, outputs of FORMS are
    understood. size: height and width of the image in pixels, for boxes that are counted in those; 0 where unknown.
    """
    table: Array
    if decoder is not None:
        return _decoded(outputs, decoder)
    if output is None and (parts := _tflite_parts(outputs)) is not None:
        boxes, classes, scores, count = parts
        known = max(0, min(len(boxes), int(count)))
        table = np.concatenate([boxes[:, [1, 0, 3, 2]], scores[:, None], classes[:, None]], 1)[:known]
    else:
        needed = f"{FORMS}. For others name a function that decodes them: {metric.partition('@')[0]}:MODULE:FUNCTION"
        rows = pick(outputs, output, metric, lambda a: a.ndim in (2, 3) and a.shape[-1] == 6, needed)
        table = rows.reshape(-1, 6).astype(np.float64)
        table = table[table[:, 4] > 0]  # what fills up a fixed number of rows
    if len(table) and np.abs(table[:, :4]).max() > 2:  # pixels; a share may reach a little beyond the image
        height, width = size
        if not height or not width:
            raise InputError(f"{metric}: boxes reach {np.abs(table[:, :4]).max():.0f}, and the image's size is unknown")
        table = table / np.array([width, height, width, height, 1, 1])
    return table


def _tflite_parts(outputs: Outputs) -> tuple[Array, Array, Array, float] | None:
    """Boxes, classes, scores and their count, as float64; classes come before scores unless names or values tell."""
    boxes = [a for a in outputs.values() if a.ndim == 3 and a.shape[0] == 1 and a.shape[2] == 4]
    if len(outputs) != 4 or len(boxes) != 1:
        return None
    rows = {n: a for n, a in outputs.items() if a.ndim == 2 and a.shape == boxes[0].shape[:2]}
    count = [a for n, a in outputs.items() if a.size == 1 and (n not in rows or a.ndim < 2)]
    if len(rows) != 2 or len(count) != 1:
        return None
    (first, a), (second, b) = rows.items()
    whole = [bool((array == np.rint(array)).all()) for array in (a, b)]
    swapped = "score" in first.lower() or "class" in second.lower() or (whole[1] and not whole[0])
    classes, scores = (b, a) if swapped else (a, b)
    number = float(count[0].reshape(-1)[0])
    return boxes[0][0].astype(np.float64), classes[0].astype(np.float64), scores[0].astype(np.float64), number


def _decoded(outputs: Outputs, decoder: str) -> Array:
    try:
        table = np.asarray(_function(decoder)(dict(outputs)), np.float64)
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(
            f"the decoder {decoder} failed: {failure(error)}; it is called with the outputs ({{name: array}}: "
            f"{described(outputs)}) and returns rows x1 y1 x2 y2 score class (--debug shows where it failed)"
        ) from error
    if table.size == 0:
        return np.zeros((0, 6))
    if table.ndim != 2 or table.shape[1] != 6:
        raise InputError(f"the decoder {decoder} gave an array of shape {list(table.shape)}, needed [N, 6]")
    return table


_function = lru_cache(maxsize=8)(load_function)
