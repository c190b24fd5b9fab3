"""95 % confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Z = 1.959963984540054  # the 97.5 % quantile of the normal distribution
DRAWS = 1000  # resamplings; their 2.5 % quantile is known to about half a percent


def wilson(hits: float, count: float) -> tuple[float, float]:
    """Bounds of a share, from 0 to 1, of which `hits` of `count` independent samples were seen.

    Wilson's score interval (E. B. Wilson, Probable inference, the law of succession, and statistical inference, 1927),
    which holds near 0 and 1 too, where the plain normal one does not.
    """
    share, width = hits / count, Z * Z / count
    middle = (share + width / 2) / (1 + width)
    half = Z * math.sqrt(share * (1 - share) / count + width / (4 * count)) / (1 + width)
    low, high = middle - half, middle + half
    return (0.0 if hits == 0 else low), (1.0 if hits == count else high)


def paired_shares(only_first: int, only_second: int, count: int) -> tuple[float, float]:
    """Bounds of the difference first - second of two shares seen on the same `count` samples, of which only_first hit
    in the first alone and only_second in the second alone.

    The normal interval with half a sample added to each of the four cells (A. Agresti, Y. Min, Simple improved
    confidence intervals for comparing matched proportions, Statistics in Medicine 24, 2005).
    """
    b, c, n = only_first + 0.5, only_second + 0.5, count + 2.0
    difference = (b - c) / n
    half = Z * math.sqrt(max(0.0, (b + c) - (b - c) ** 2 / n)) / n
    return max(-1.0, difference - half), min(1.0, difference + half)


def mcnemar(only_first: int, only_second: int) -> float:
    """p-value of two equal shares on the same samples: the exact two-sided binomial test of the samples that differ."""
    n, k = only_first + only_second, min(only_first, only_second)
    if n == 0:
        return 1.0
    logs = [math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) - n * math.log(2) for i in range(k + 1)]
    return min(1.0, 2 * sum(map(math.exp, logs)))


def bootstrap(score: Callable[[NDArray[Any]], float], count: int, draws: int = DRAWS) -> tuple[float, float]:
    """Bounds of a value between which 95 % of its values on resamples lie (B. Efron's percentile bootstrap).

    score: the value when sample i counts weights[i] times. The draws come from a fixed seed: the same samples give the
    same bounds. Resamples that have no value (NaN) are left out; without any value both bounds are NaN.
    """
    rng = np.random.default_rng(0)
    drawn = (np.bincount(rng.integers(0, count, count), minlength=count) for _ in range(draws))
    values = np.array([score(weights.astype(np.float64)) for weights in drawn])
    values = np.sort(values[~np.isnan(values)])
    if values.size == 0:
        return math.nan, math.nan
    # Plain order statistics: an interpolated quantile between infinities would be NaN.
    outside = int(0.025 * values.size)
    return float(values[outside]), float(values[-1 - outside])


GROUPS = 20
# 97.5 % quantiles of Student's t with 1, 2, ... 19 degrees of freedom.
_STUDENT = (
    12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281,
    2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930,
)  # fmt: skip


def jackknife(score: Callable[[NDArray[Any]], float], count: int) -> tuple[float, float]:
    """Bounds of a value that is costly to compute, from 20 values, each without every 20th sample.

    The delete-a-group jackknife (P. S. Kott, Journal of Official Statistics 17, 2001). Both bounds are NaN for one
    sample.
    """
    groups = min(GROUPS, count)
    if groups < 2:
        return math.nan, math.nan
    place = np.arange(count) % groups
    values = np.array([score((place != i).astype(np.float64)) for i in range(groups)])
    error = math.sqrt((groups - 1) / groups * float(np.square(values - values.mean()).sum()))
    middle, half = score(np.ones(count)), _STUDENT[groups - 2] * error
    return middle - half, middle + half
