"""Mean intersection over union, beside scikit-learn's Jaccard score."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgert.errors import InputError
from edgert.metrics import metric

sklearn = pytest.importorskip("sklearn.metrics")

Array = NDArray[Any]


def scenes(count: int = 12, classes: int = 4) -> tuple[list[Array], list[Array]]:
    """Scores [H, W, classes] and masks with some ignored pixels."""
    rng = np.random.default_rng(0)
    masks = [rng.integers(0, classes, (9, 7)) for _ in range(count)]
    scores = [rng.normal(size=(9, 7, classes)) + 1.2 * np.eye(classes)[mask] for mask in masks]
    masks = [np.where(rng.random(mask.shape) < 0.1, 255, mask).astype(np.uint8) for mask in masks]
    return scores, masks


def expected(scores: list[Array], masks: list[Array]) -> float:
    wanted, found = np.concatenate([m.ravel() for m in masks]), np.concatenate([s.argmax(-1).ravel() for s in scores])
    counted = wanted != 255
    return 100 * float(sklearn.jaccard_score(wanted[counted], found[counted], average="macro"))


def test_miou_equals_scikit_learn_in_every_form_of_outputs() -> None:
    scores, masks = scenes()
    value = expected(scores, masks)
    found = metric("miou").measure([{"y": s[None]} for s in scores], masks)
    assert found.value == pytest.approx(value)
    assert found.low < value < found.high
    assert len(found.details["per_class"]) == 4
    assert np.mean(found.details["per_class"]) == pytest.approx(value)
    for outputs in (
        [{"y": s.transpose(2, 0, 1)[None]} for s in scores],
        [{"y": s.argmax(-1)[None]} for s in scores],
        [{"y": s.argmax(-1)[None, None]} for s in scores],
    ):
        assert metric("miou").measure(outputs, masks).value == pytest.approx(value)
    assert metric("miou").measure([{"y": s[None]} for s in scores], [m[None] for m in masks]).value == pytest.approx(
        value
    )


def test_masks_of_another_size_are_brought_to_the_outputs() -> None:
    scores, masks = scenes()
    larger = [np.repeat(np.repeat(mask, 3, 0), 2, 1) for mask in masks]
    found = metric("miou").measure([{"y": s[None]} for s in scores], larger)
    assert found.value == pytest.approx(expected(scores, masks))


def test_one_channel_needs_a_threshold() -> None:
    scores, masks = scenes(classes=2)
    one = [{"y": (s[None, :, :, 1:] - s[None, :, :, :1])} for s in scores]
    assert metric("miou:0").measure(one, masks).value == pytest.approx(expected(scores, masks))
    with pytest.raises(InputError, match=r"one channel of scores.*miou:0\.5"):
        metric("miou").measure(one, masks)


def test_classes_that_do_not_occur_count_nothing() -> None:
    scores, masks = scenes(classes=3)
    wider = [np.concatenate([s, np.full((9, 7, 2), -99.0)], -1) for s in scores]
    found = metric("miou").measure([{"y": s[None]} for s in wider], masks)
    assert found.value == pytest.approx(expected(scores, masks))
    assert found.details["per_class"][3:] == [None, None]


def test_wrong_masks() -> None:
    scores, masks = scenes(1)
    outputs = [{"y": scores[0][None]}]
    with pytest.raises(InputError, match="the mask holds class 9, and there are 4 classes"):
        metric("miou").measure(outputs, [np.full((9, 7), 9)])
    with pytest.raises(InputError, match=r"needed a mask of integers"):
        metric("miou").measure(outputs, [np.zeros((9, 7))])
    with pytest.raises(InputError, match=r"miou needs scores \[1, H, W, classes\]"):
        metric("miou").measure([{"y": np.zeros(3)}], masks)
