"""average_pool2d."""

from __future__ import annotations

import numpy as np
import pytest

from edgert.errors import ModelError
from edgert.ops._enums import Activation
from ops.runner import check, f32, i8, of_data, quant_i8, refused

WINDOWS = [
    {"kernel_h": 2, "kernel_w": 2, "stride_h": 2, "stride_w": 2},
    {"kernel_h": 3, "kernel_w": 3, "pad_top": 1, "pad_left": 1, "pad_bottom": 1, "pad_right": 1},
    {"kernel_h": 5, "kernel_w": 2, "stride_h": 2, "stride_w": 3, "pad_top": 4, "pad_right": 1},
    {"kernel_h": 9, "kernel_w": 11},
    {},
]


@pytest.mark.parametrize("count_include_pad", [False, True])
@pytest.mark.parametrize("attrs", WINDOWS)
@pytest.mark.parametrize("channels", [1, 3, 16, 130])
def test_windows(attrs: dict[str, int], channels: int, count_include_pad: bool) -> None:
    attrs = {**attrs, "count_include_pad": count_include_pad}
    check("average_pool2d", attrs, [f32(2, 9, 11, channels)])
    check("average_pool2d", attrs, [i8(2, 9, 11, channels)], quant=quant_i8())


@pytest.mark.parametrize("activation", list(Activation))
def test_activations(activation: Activation) -> None:
    attrs = {"kernel_h": 2, "kernel_w": 1, "activation": activation}
    check("average_pool2d", attrs, [f32(1, 5, 5, 7, low=-8.0, high=8.0)])
    check("average_pool2d", attrs, [i8(1, 5, 5, 7, quant=quant_i8(0.1, -30))], quant=quant_i8(0.1, -30))


def test_rounds_half_away_from_zero() -> None:
    x = np.array([[1, 2], [-1, -2], [0, 1], [0, -1], [127, 127], [-128, -128], [-128, 127]], np.int8)
    (y,) = check("average_pool2d", {"kernel_w": 2}, [of_data(x.reshape(7, 1, 2, 1), quant_i8())], quant=quant_i8())
    assert y.reshape(-1).tolist() == [2, -2, 1, -1, 127, -128, -1]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 14, 49, 100, 1000])
def test_every_rounding_at_window_sizes(size: int) -> None:
    """Division by multiplication is exact for every sum: extremes, and all residues of the count."""
    rng = np.random.default_rng(size)
    rows = rng.integers(-128, 127, (400, size), dtype=np.int8, endpoint=True)
    rows[0], rows[1] = -128, 127
    rows[2:200] //= 64
    x = of_data(rows.reshape(400, 1, size, 1), quant_i8())
    check("average_pool2d", {"kernel_w": size}, [x], quant=quant_i8())


def test_large_window() -> None:
    check("average_pool2d", {"kernel_h": 240, "kernel_w": 320}, [i8(1, 240, 320, 5)], quant=quant_i8())
    check("average_pool2d", {"kernel_h": 7, "kernel_w": 7}, [i8(1, 7, 7, 1280)], quant=quant_i8())


def test_refuses_impossible_windows() -> None:
    refused("average_pool2d", {"kernel_h": 6}, [f32(1, 5, 5, 2)], [f32(1, 1, 5, 2)], "window")
    refused("average_pool2d", {"pad_right": 1}, [f32(1, 5, 5, 2)], [f32(1, 5, 6, 2)], "padding")
    big = {"kernel_h": 1 << 22, "kernel_w": 1 << 22, "pad_top": (1 << 22) - 1, "pad_left": (1 << 22) - 1}
    refused("average_pool2d", big, [f32(1, 5, 5, 2)], [f32(1, 5, 5, 2)], "taps")
    with pytest.raises(ModelError, match="padding"):
        check("average_pool2d", {"pad_right": 1}, [f32(1, 5, 5, 2)])
