"""Confidence intervals, beside SciPy's and beside what they promise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from edgert.errors import InputError
from edgert.metrics import metric
from edgert.metrics.intervals import _STUDENT, bootstrap, jackknife, mcnemar, paired_shares, wilson

stats = pytest.importorskip("scipy.stats")


@pytest.mark.parametrize(("hits", "count"), [(0, 10), (1, 10), (10, 10), (171, 200), (853, 1000)])
def test_wilson_equals_scipy(hits: int, count: int) -> None:
    expected = stats.binomtest(hits, count).proportion_ci(0.95, method="wilson")
    assert wilson(hits, count) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize(("b", "c"), [(0, 0), (0, 5), (3, 9), (12, 12), (40, 22)])
def test_mcnemar_equals_the_binomial_test(b: int, c: int) -> None:
    expected = stats.binomtest(b, b + c).pvalue if b + c else 1.0
    assert mcnemar(b, c) == pytest.approx(expected)


def test_paired_shares_of_many_samples_have_the_plain_normal_interval() -> None:
    low, high = paired_shares(132, 107, 1144)
    difference = 25 / 1144
    half = 1.96 * math.sqrt((132 + 107) - 25**2 / 1144) / 1144
    assert (low, high) == pytest.approx((difference - half, difference + half), abs=5e-4)
    low, high = paired_shares(0, 0, 50)
    assert -0.06 < low < 0 < high < 0.06


def test_paired_shares_hold_what_they_promise() -> None:
    """Of many experiments with a known difference, about 95 % have it inside their interval."""
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(2000):
        b, c, _ = rng.multinomial(150, [0.06, 0.02, 0.92])
        low, high = paired_shares(int(b), int(c), 150)
        inside += low <= 0.04 <= high
    assert 0.93 <= inside / 2000 <= 0.98


def test_bootstrap_of_a_mean_is_near_the_normal_interval() -> None:
    values = np.random.default_rng(1).normal(size=400)
    low, high = bootstrap(lambda w: float(w @ values / w.sum()), 400)
    half = 1.96 * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)
    assert (low, high) == bootstrap(lambda w: float(w @ values / w.sum()), 400)


def test_bootstrap_leaves_out_what_has_no_value() -> None:
    assert all(math.isnan(bound) for bound in bootstrap(lambda w: math.nan, 5))
    low, high = bootstrap(lambda w: math.inf if w[0] else 1.0, 5)
    assert (low, high) == (1.0, math.inf)


def test_jackknife_of_a_mean_is_near_the_normal_interval() -> None:
    values = np.random.default_rng(1).normal(size=1000)
    low, high = jackknife(lambda w: float(w @ values / w.sum()), 1000)
    half = 1.96 * values.std() / math.sqrt(1000)
    assert (low + high) / 2 == pytest.approx(values.mean())
    assert (high - low) / 2 == pytest.approx(half, rel=0.5)
    assert pytest.approx([stats.t.ppf(0.975, df) for df in range(1, 20)], abs=1e-4) == list(_STUDENT)
    assert all(math.isnan(bound) for bound in jackknife(lambda w: 1.0, 1))


def scores(hits: list[int], classes: int = 3) -> list[dict[str, Any]]:
    return [{"y": np.eye(classes)[0 if hit else 1]} for hit in hits]


def test_drop_counts_points_lost_on_the_same_samples() -> None:
    top1 = metric("top1")
    before = [top1.evidence(one, 0) for one in scores([1] * 90 + [0] * 10)]
    after = [top1.evidence(one, 0) for one in scores([1] * 85 + [0] * 14 + [1])]
    drop = top1.drop(before, after)
    assert drop.value == pytest.approx(4)
    assert drop.low < 4 < drop.high
    assert drop.details["only_before_right"] == 5
    assert drop.details["only_after_right"] == 1
    assert drop.details["p_value"] == pytest.approx(stats.binomtest(1, 6).pvalue)
    # Paired: far narrower than the interval of either value.
    assert drop.high - drop.low < 0.8 * (top1.measurement(after).high - top1.measurement(after).low)
    assert top1.drop(after, before).value == pytest.approx(-4)
    with pytest.raises(InputError, match="100 samples and the other on 99"):
        top1.drop(before, after[1:])


def test_drop_of_agreement_is_what_is_missing() -> None:
    agreement = metric("agreement")
    outputs = scores([1] * 100)
    before = [agreement.evidence(one, one) for one in outputs]
    after = [agreement.evidence(changed, one) for changed, one in zip(scores([1] * 97 + [0] * 3), outputs, strict=True)]
    drop = agreement.drop(before, after)
    assert drop.value == pytest.approx(3)
    expected = stats.binomtest(3, 100).proportion_ci(0.95, method="wilson")
    assert (drop.low, drop.high) == pytest.approx((100 * expected.low, 100 * expected.high))


def test_drop_of_distances() -> None:
    rng = np.random.default_rng(0)
    exact = [{"y": rng.normal(size=20)} for _ in range(50)]
    near = [{"y": one["y"] + 0.1 * rng.normal(size=20)} for one in exact]
    mse, sqnr = metric("mse"), metric("sqnr")
    before, after = ([mse.evidence(a, b) for a, b in zip(side, exact, strict=True)] for side in (exact, near))
    drop = mse.drop(before, after)
    assert drop.value == pytest.approx(0.01, rel=0.2)
    assert 0 < drop.low < drop.value < drop.high
    before, after = ([sqnr.evidence(a, b) for a, b in zip(side, exact, strict=True)] for side in (exact, near))
    with pytest.raises(InputError, match="sqnr is inf"):
        sqnr.drop(before, after)
