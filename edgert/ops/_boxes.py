"""Choosing boxes: the best score first, without those that overlap one chosen before (non-maximum suppression)."""

from __future__ import annotations

import numpy as np

from edgert.ops._def import Array


def overlap(box: Array, others: Array) -> Array:
    """Intersection over union of a box [4] with others [N, 4] (y1, x1, y2, x2, in order); 0 for one without area."""
    area = (box[2] - box[0]) * (box[3] - box[1])
    areas = (others[:, 2] - others[:, 0]) * (others[:, 3] - others[:, 1])
    zero = np.float32(0)
    height = np.maximum(np.minimum(box[2], others[:, 2]) - np.maximum(box[0], others[:, 0]), zero)
    width = np.maximum(np.minimum(box[3], others[:, 3]) - np.maximum(box[1], others[:, 1]), zero)
    shared = height * width
    with np.errstate(all="ignore"):
        ratio = shared / (areas + area - shared)
    return np.where((area <= 0) | (areas <= 0), zero, ratio)


def choose(
    boxes: Array, scores: Array, most: int, threshold: float, *,
    lowest: float = -np.inf, sigma: float = 0.0, inclusive: bool = False,
) -> list[tuple[int, np.float32]]:  # fmt: skip
    """(box, score) of at most `most` boxes [N, 4] in falling order of scores [N], the lower box first among equals.

    A box whose overlap with a chosen one is greater than the threshold (inclusive: or equal to it) goes. sigma > 0: the
    score of one that overlaps falls by exp(-overlap^2 / (2 * sigma)), and it goes unless that is greater than `lowest`
    (Soft-NMS, https://arxiv.org/abs/1704.04503).
    """
    current = scores.astype(np.float32).copy()
    left = list(range(len(scores)))
    chosen: list[tuple[int, np.float32]] = []
    while left and len(chosen) < most:
        best = min(left, key=lambda index: (-current[index], index))
        chosen.append((best, current[best]))
        left.remove(best)
        shared = overlap(boxes[best], boxes)
        over = shared >= np.float32(threshold) if inclusive else shared > np.float32(threshold)
        if sigma > 0:
            current *= np.exp(np.float32(-0.5) / np.float32(sigma) * shared * shared)
            over |= ~(current > np.float32(lowest))
        left = [index for index in left if not over[index]]
    return chosen
