"""The metric that data ask for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgert.evaluation.dataset import Dataset
from edgert.metrics import Boxes, Metric, metric
from edgert.runtime.tensors import TensorInfo


def fitting_metric(dataset: Dataset, outputs: Sequence[TensorInfo]) -> Metric:
    """By the targets: classes top1, boxes map, masks miou, other numbers sqnr. Without targets, for a model with these
    outputs: agreement of classifiers with the float model, and otherwise sqnr."""
    if not dataset.targets:
        return metric("agreement" if class_count(outputs) else "sqnr")
    first = dataset.targets[0]
    if isinstance(first, Boxes):
        return metric("map")
    array = np.asarray(first)
    if array.dtype.kind not in "iub":
        return metric("sqnr")
    return metric("top1" if array.size == 1 else "miou")


def class_count(outputs: Sequence[TensorInfo]) -> int | None:
    """Of a classifier: the width of its first output that is one row of scores; None for other models."""
    rows = [info.shape for info in outputs if info.shape and info.shape[-1] == np.prod(info.shape) > 1]
    return rows[0][-1] if rows and len(outputs) < 4 else None  # a detector's four outputs hold rows, too
