"""Ranges, scales and histograms of the quantiser."""

from __future__ import annotations

import numpy as np
import pytest

from edgert.quant.observe.histogram import BINS, Histogram
from edgert.quant.rounding.ranges import choose_range
from edgert.quant.rounding.scales import (
    activation_params,
    quantize_bias,
    quantize_weights,
    weight_scales,
)

rng = np.random.default_rng(5)


def histogram_of(*arrays: np.ndarray) -> Histogram:
    histogram = Histogram()
    for array in arrays:
        histogram.add(array.astype(np.float32))
    return histogram


def test_histogram_does_not_depend_on_the_order_of_its_data() -> None:
    small, large = rng.normal(0, 0.1, 1000), rng.normal(0, 30, 1000)
    a, b = histogram_of(small, large), histogram_of(large, small)
    assert a.limit == b.limit
    assert np.array_equal(a.counts, b.counts)
    assert a.counts.sum() == 2000


def test_histogram_leaves_exact_zeros_out() -> None:
    values = np.array([0.0, 0.0, 1.0, -0.5])
    histogram = histogram_of(values)
    assert histogram.counts.sum() == 2
    assert (histogram.least, histogram.greatest) == (-0.5, 1.0)


def test_histogram_bins_hold_their_values() -> None:
    values = rng.uniform(-3, 3, 500)
    histogram = histogram_of(values)
    expected, _ = np.histogram(values.astype(np.float32), BINS, (-histogram.limit, histogram.limit))
    assert np.abs(histogram.counts - expected).sum() <= 4  # values on an edge may fall to either side


def test_range_survives_an_outlier() -> None:
    values = rng.normal(0, 1, 100_000)
    values[0] = 1000.0
    low, high = choose_range(histogram_of(values))
    assert high < 500
    assert low < -1


def test_range_keeps_what_is_uniform() -> None:
    low, high = choose_range(histogram_of(rng.uniform(-2, 6, 50_000)))
    assert low == pytest.approx(-2, rel=0.05)
    assert high == pytest.approx(6, rel=0.05)


def test_range_of_a_relu_starts_at_zero() -> None:
    low, high = choose_range(histogram_of(np.maximum(rng.normal(0, 1, 10_000), 0)))
    assert low == 0.0
    assert high > 2


@pytest.mark.parametrize("ends", [(-1.0, 3.0), (0.0, 6.0), (-5.0, 0.0), (2.0, 9.0), (-9.0, -2.0), (0.0, 0.0)])
def test_zero_is_exact_and_the_range_is_held(ends: tuple[float, float]) -> None:
    params = activation_params(*ends)
    scale, zero_point = params.scale, params.zero_point
    assert float(np.float32(scale)) == scale
    assert -128 <= zero_point <= 127
    if ends != (0.0, 0.0):
        assert scale * (-128 - zero_point) <= min(ends[0], 0) + scale / 2
        assert scale * (127 - zero_point) >= max(ends[1], 0) - scale / 2


def test_weights_are_symmetric_per_channel() -> None:
    weights = rng.normal(0, [[1.0], [0.01], [0.0]], (3, 50))
    scales = weight_scales(weights, 0, 0.1, None)
    quantized = quantize_weights(weights, scales, 0)
    assert quantized.min() >= -127
    assert np.abs(quantized[:2]).max(axis=1).tolist() == [127, 127]
    assert np.abs(quantized * scales[:, None] - weights).max(axis=1)[0] <= scales[0] / 2 * 1.001
    assert not quantized[2].any()


def test_a_large_bias_widens_its_channel() -> None:
    weights, bias = np.full((2, 4), 1e-6), np.array([0.0, 1e6])
    scales = weight_scales(weights, 0, 1e-3, bias)
    steps = quantize_bias(bias, 1e-3, scales)
    assert abs(int(steps[1])) <= 2**30 + 64
    assert steps[1] * (1e-3 * float(scales[1])) == pytest.approx(1e6, rel=1e-6)
