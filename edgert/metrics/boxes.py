"""Boxes of objects, as labels give them and as detectors find them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Boxes:
    """A labelled image's objects. classes: int64 [N]; boxes: float64 [N, 4], x1 y1 x2 y2 as shares of width and height;
    crowd: bool [N], regions of many objects, in which nothing that is found counts; size: height and width in pixels of
    the image as the model sees it (0 where unknown), for detectors that count in pixels."""

    classes: Array
    boxes: Array
    crowd: Array
    size: tuple[int, int] = (0, 0)

    @classmethod
    def of(cls, rows: Any, size: tuple[int, int] = (0, 0)) -> Boxes:
        """Of rows class, x1, y1, x2, y2."""
        table = np.asarray(rows, np.float64).reshape(-1, 5)
        return cls(table[:, 0].astype(np.int64), table[:, 1:], np.zeros(len(table), bool), size)


def iou(found: Array, wanted: Array, crowd: Array) -> Array:
    """Intersection over union of every found box [D, 4] with every wanted one [G, 4]: [D, G]. With a crowd's region the
    whole is the found box, as COCO has it."""
    low = np.maximum(found[:, None, :2], wanted[None, :, :2])
    high = np.minimum(found[:, None, 2:], wanted[None, :, 2:])
    common = np.prod(np.clip(high - low, 0, None), axis=-1)
    areas = [np.prod(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None), axis=-1) for boxes in (found, wanted)]
    whole = np.where(crowd[None, :], areas[0][:, None], areas[0][:, None] + areas[1][None, :] - common)
    shares: Array = np.divide(common, whole, out=np.zeros_like(common), where=whole > 0)
    return shares
