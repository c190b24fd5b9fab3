"""Mean squared error and signal to noise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgert.errors import InputError
from edgert.metrics import metric

RNG = np.random.default_rng(0)
EXACT = [{"a": RNG.normal(size=(1, 8)), "b": RNG.normal(size=(1, 2, 3))} for _ in range(40)]
NEAR = [{name: array + 0.01 * RNG.normal(size=array.shape) for name, array in one.items()} for one in EXACT]


def test_mse_is_the_mean_of_all_outputs() -> None:
    found = metric("mse").measure(NEAR, EXACT)
    each = [np.mean([np.square(x[name] - y[name]).mean() for x, y in zip(NEAR, EXACT, strict=True)]) for name in "ab"]
    assert found.value == pytest.approx(np.mean(each))
    assert found.low < found.value < found.high
    assert metric("mse@b").measure(NEAR, EXACT).value == pytest.approx(each[1])
    assert not metric("mse").higher_is_better


def test_sqnr_is_the_mean_of_all_outputs() -> None:
    found = metric("sqnr").measure(NEAR, EXACT)
    each = []
    for name in "ab":
        x, y = (np.stack([one[name] for one in side]) for side in (EXACT, NEAR))
        each.append(10 * math.log10(np.square(x).sum() / np.square(x - y).sum()))
    assert found.value == pytest.approx(np.mean(each))
    assert found.details["outputs"] == pytest.approx(each)
    assert found.unit == "dB"


def test_sqnr_without_noise() -> None:
    assert metric("sqnr").measure(EXACT, EXACT).value == math.inf
    half = [{"a": one["a"], "b": other["b"]} for one, other in zip(EXACT, NEAR, strict=True)]
    found = metric("sqnr").measure(half, EXACT)
    assert found.value == pytest.approx((200 + metric("sqnr@b").measure(NEAR, EXACT).value) / 2)
    assert found.details["outputs"][0] is None


def test_a_target_of_one_array() -> None:
    outputs = [{"y": np.array([1.0, 2.0])}]
    assert metric("mse").measure(outputs, [np.array([1.0, 4.0])]).value == 2
    assert metric("mse").measure(outputs, [[1.0, 4.0]]).value == 2
    assert metric("mse@a").measure(EXACT, [one["a"] for one in NEAR]).value > 0
    with pytest.raises(InputError, match="name one, as in mse@a"):
        metric("mse").measure(EXACT[:1], [np.zeros(8)])
    with pytest.raises(InputError, match=r"shape \[2\] and its target \[3\]"):
        metric("mse").measure(outputs, [np.zeros(3)])


def test_outputs_of_two_formats_are_paired_in_order() -> None:
    renamed = [{"x": one["a"], "y": one["b"]} for one in NEAR]
    assert metric("mse").measure(renamed, EXACT).value == metric("mse").measure(NEAR, EXACT).value
