"""non_max_suppression, and as onnxruntime and LiteRT choose boxes (tests/importers has their whole models)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgert.errors import ModelError
from ops.runner import Input, check, f32, i32, make_case, of_data, refused


def boxes(*shape: int, seed: int = 0, constant: bool = False) -> Input:
    """Boxes that overlap often, their corners in any order."""
    rng = np.random.default_rng(seed)
    corner, size = rng.uniform(0, 3, (*shape, 2)), rng.uniform(-1, 1, (*shape, 2))
    return of_data(np.concatenate([corner, corner + size], -1).astype(np.float32), constant=constant)


def scores(*shape: int, steps: int = 0) -> Input:
    """Random scores; steps: of which many are equal."""
    values = np.random.default_rng(1).uniform(0, 1, shape)
    return of_data((np.floor(values * steps) / steps if steps else values).astype(np.float32))


@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("soft_sigma", [0.0, 0.3])
def test_non_max_suppression(inclusive: bool, center: bool, soft_sigma: float) -> None:
    for iou, lowest, most in ((0.3, 0.2, 5), (0.0, 0.5, 100), (1.0, -np.inf, 3), (0.6, 2.0, 4)):
        attrs: dict[str, Any] = {"iou_threshold": iou, "score_threshold": lowest, "max_output": most}
        attrs |= {"inclusive": inclusive, "center": center, "soft_sigma": soft_sigma}
        check("non_max_suppression", attrs, [boxes(2, 60), scores(2, 7, 60)])
        if not soft_sigma:
            check("non_max_suppression", attrs, [boxes(2, 60), scores(2, 7, 60, steps=4)])


def test_thresholds_from_inputs() -> None:
    inputs = [boxes(1, 40), scores(1, 2, 40)]
    (by_attribute, *_) = check(
        "non_max_suppression", {"max_output": 40, "iou_threshold": 0.25, "score_threshold": 0.5}, inputs
    )
    thresholds = [of_data(np.array([number], np.float32)) for number in (0.25, 0.5)]
    (by_input, *_) = check("non_max_suppression", {"max_output": 40}, [*inputs, *thresholds])
    np.testing.assert_array_equal(by_attribute, by_input)
    check("non_max_suppression", {"max_output": 40}, [*inputs, None, thresholds[1]])
    check("non_max_suppression", {"max_output": 40}, [*inputs, thresholds[0]])


def test_unused_rows() -> None:
    one_place = of_data(np.tile(np.array([0, 0, 1, 1], np.float32), (1, 4, 1)))
    attrs = {"max_output": 3, "iou_threshold": 0.5, "score_threshold": 0.0}
    values = of_data(np.array([[[0.1, 0.9, 0.9, 0.3]]], np.float32))
    selected, best, count = check("non_max_suppression", attrs, [one_place, values])
    assert selected.tolist() == [[0, 0, 1], [-1, -1, -1], [-1, -1, -1]]
    assert best.tolist() == [np.float32(0.9), 0, 0]
    assert count.tolist() == [1]


def test_numbers_that_are_none() -> None:
    """Boxes and scores of NaN and infinity: nothing hangs or reads elsewhere."""
    rng = np.random.default_rng(0)
    odd = rng.choice(np.array([np.nan, np.inf, -np.inf, 0, 1, 3e38], np.float32), (1, 50, 4))
    marks = rng.choice(np.array([np.nan, np.inf, -np.inf, 0.5, 1], np.float32), (1, 3, 50))
    for sigma in (0.0, 0.5, np.inf):
        case = make_case("non_max_suppression", {"max_output": 20, "soft_sigma": sigma}, [of_data(odd), of_data(marks)])
        selected, _, count = case.run(threads=2)
        assert 0 < count[0] <= 60
        assert selected[: count[0], 2].max() < 50


def test_refused() -> None:
    attrs = {"max_output": 2}
    out = [i32(2, 3), f32(2), i32(1)]
    good = [f32(1, 5, 4), f32(1, 1, 5)]
    refused("non_max_suppression", attrs, [f32(1, 5, 5), good[1]], out, r"needed \[B,N,4\]")
    refused("non_max_suppression", attrs, [good[0], f32(2, 1, 5)], out, r"needed \[B,N,4\]")
    refused("non_max_suppression", attrs, [good[0], f32(1, 1, 6)], out, r"needed \[B,N,4\]")
    refused("non_max_suppression", attrs, [f32(5, 4), good[1]], out, "boxes has 2 dimensions")
    refused("non_max_suppression", attrs, [good[0], i32(1, 1, 5)], out, "scores is int32")
    refused("non_max_suppression", attrs, [*good, f32(2)], out, "a threshold has 2 elements")
    refused("non_max_suppression", attrs, [*good, i32(1)], out, "a threshold is int32")
    refused("non_max_suppression", {"max_output": -1}, good, out, "max_output is -1")
    refused("non_max_suppression", attrs, good, [i32(3, 3), f32(2), i32(1)], "has shape")
    refused("non_max_suppression", attrs, good, [i32(2, 3), i32(2), i32(1)], "the output of scores is int32")
    refused("non_max_suppression", attrs, good, [i32(2, 3), f32(2), f32(1)], "the output of the count is float32")
    with pytest.raises(ModelError, match="needed float32"):
        make_case("non_max_suppression", attrs, [i32(1, 5, 4), good[1]])
    with pytest.raises(ModelError, match="one element"):
        make_case("non_max_suppression", attrs, [*good, f32(2)])
