"""Segmentation: mean intersection over union."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgert.errors import InputError
from edgert.metrics._def import Array, Evidence, Metric, Outputs, Score
from edgert.metrics.outputs import pick

IGNORED = 255  # a mask's pixels of this class count nowhere


@dataclass(frozen=True)
class MeanIou(Metric):
    """Percent of pixels that a class and its prediction share, of those that either has, over all samples; the mean
    over the classes that occur in either.

    Outputs: scores [1, H, W, classes] or [1, classes, H, W], or integers [1, H, W], the classes themselves; one channel
    of scores says class 1 from `threshold` on, else class 0. Targets: masks of integers [h, w], of which 255 is
    ignored; a mask of another size is brought to the output's by its nearest pixels.
    """

    threshold: float | None = None
    output: str | None = None

    @property
    def spec(self) -> str:
        name = "miou" if self.threshold is None else f"miou:{self.threshold:g}"
        return f"{name}@{self.output}" if self.output else name

    def evidence(self, outputs: Outputs, target: Any) -> Evidence:
        """int64 [classes, 3]: pixels in common, predicted, wanted."""
        mask = np.asarray(target)
        if mask.ndim == 3 and 1 in (mask.shape[0], mask.shape[-1]):
            mask = mask[0] if mask.shape[0] == 1 else mask[..., 0]
        if mask.ndim != 2 or mask.dtype.kind not in "iub" or mask.size == 0:
            raise InputError(
                f"{self.spec}: the target is {mask.dtype}{list(mask.shape)}, needed a mask of integers [h, w]"
            )
        found = pick(outputs, self.output, self.spec, _is_map, "scores [1, H, W, classes] or [1, classes, H, W]")
        predicted, classes = self._classes_of(found, mask.shape)
        wanted = _nearest(mask, predicted.shape).astype(np.int64)
        counted = wanted != IGNORED
        predicted, wanted = predicted[counted], wanted[counted]
        if classes is None:
            classes = int(max(predicted.max(initial=0), wanted.max(initial=0))) + 1
        for what, values in (("mask", wanted), ("output", predicted)):
            if values.size and not 0 <= values.min() <= values.max() < classes:
                wrong = int(values.min()) if values.min() < 0 else int(values.max())
                raise InputError(f"{self.spec}: the {what} holds class {wrong}, and there are {classes} classes")
        common = np.bincount(wanted[predicted == wanted], minlength=classes)
        columns = common, np.bincount(predicted, minlength=classes), np.bincount(wanted, minlength=classes)
        return (np.stack(columns, 1),)

    def score(self, evidence: Sequence[Evidence]) -> Score:
        table = _table(evidence)

        def value(weights: Array) -> float:
            shares = _shares(np.tensordot(weights, table, 1))
            return 100 * float(np.nanmean(shares)) if not np.isnan(shares).all() else float("nan")

        return value

    def details(self, evidence: Sequence[Evidence]) -> dict[str, Any]:
        """Percent of every class ("per_class"; None where it does not occur), and of right "pixels"."""
        sums = _table(evidence).sum(0)
        shares = [None if np.isnan(share) else 100 * float(share) for share in _shares(sums)]
        pixels = sums[:, 2].sum()
        return {"per_class": shares, "pixels": 100 * float(sums[:, 0].sum() / pixels) if pixels else None}

    def _classes_of(self, found: Array, mask: tuple[int, ...]) -> tuple[Array, int | None]:
        """The class of every pixel, int64 [H, W], and how many there are, where that is known."""
        if found.ndim == 4:
            found = found[0] if _channels_last(found.shape[1:], mask) else found[0].transpose(1, 2, 0)
        elif found.ndim == 3 and found.shape[0] == 1:
            found = found[0, :, :, None]
        else:
            found = found[..., None] if found.ndim == 2 else found
        if found.shape[2] > 1:
            return found.argmax(-1), found.shape[2]
        if found.dtype.kind in "iu":
            return found[..., 0].astype(np.int64), None
        if self.threshold is None:
            raise InputError(
                f"{self.spec}: the output has one channel of scores; say from where on they mean class 1: miou:0.5"
            )
        return (found[..., 0] >= self.threshold).astype(np.int64), 2


def _channels_last(shape: tuple[int, ...], mask: tuple[int, ...]) -> bool:
    """Of an output [1, *shape]: the order in which its image is as large as the mask; else classes are the fewest."""
    if shape[:2] == mask:
        return True
    if shape[1:] == mask:
        return False
    return shape[2] <= shape[0]


def _nearest(mask: Array, shape: tuple[int, ...]) -> Array:
    """The mask in another size: each pixel's centre falls into one of the mask's."""
    rows, columns = (
        ((np.arange(needed) + 0.5) * given / needed).astype(np.int64)
        for given, needed in zip(mask.shape, shape, strict=True)
    )
    scaled: Array = mask[np.ix_(rows, columns)]
    return scaled


def _table(evidence: Sequence[Evidence]) -> Array:
    """float64 [samples, classes, 3]; where classes are only known by their occurrence, the largest number of them."""
    classes = max(len(item[0]) for item in evidence)
    table = np.zeros((len(evidence), classes, 3))
    for i, item in enumerate(evidence):
        table[i, : len(item[0])] = item[0]
    return table


def _shares(sums: Array) -> Array:
    """Of [classes, 3]; NaN for a class that does not occur."""
    common, predicted, wanted = sums.T
    whole = predicted + wanted - common
    shares: Array = np.divide(common, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return shares


def _is_map(array: Array) -> bool:
    return array.dtype.kind in "fiu" and (
        (array.ndim == 4 and array.shape[0] == 1) or array.ndim == 3 or (array.ndim == 2 and min(array.shape) > 1)
    )
