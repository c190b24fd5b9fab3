"""resize."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from edgert.errors import ModelError
from edgert.ops._enums import CoordinateMode, NearestMode, ResizeMode
from ops.runner import check, f32, i8, i32, i64, of_data, quant_i8, refused

SIZES = [(1, 1), (5, 7), (10, 14), (3, 4), (13, 29), (1, 40)]


@pytest.mark.parametrize(("coordinates", "nearest"), list(product(CoordinateMode, NearestMode)))
def test_nearest(coordinates: CoordinateMode, nearest: NearestMode) -> None:
    for out_h, out_w in SIZES:
        attrs = {"out_h": out_h, "out_w": out_w, "coordinates": coordinates, "nearest": nearest}
        check("resize", attrs, [i8(2, 5, 7, 3)], quant=quant_i8())
        check("resize", {**attrs, "scale_h": out_h / 5, "scale_w": 1.3}, [i64(1, 5, 7, 2)])


@pytest.mark.parametrize("coordinates", list(CoordinateMode))
@pytest.mark.parametrize("size", SIZES)
def test_bilinear(coordinates: CoordinateMode, size: tuple[int, int]) -> None:
    attrs: dict[str, Any] = {
        "out_h": size[0],
        "out_w": size[1],
        "mode": ResizeMode.BILINEAR,
        "coordinates": coordinates,
    }
    for scales in ({}, {"scale_h": size[0] / 5, "scale_w": 1.3}):
        check("resize", {**attrs, **scales}, [f32(2, 5, 7, 3)])
        check("resize", {**attrs, **scales}, [i8(2, 5, 7, 33)], quant=quant_i8())


def test_much_larger_than_its_input() -> None:
    """Positions beyond the last pixel are clamped to it."""
    attrs = {"out_h": 1, "out_w": 4000, "mode": ResizeMode.BILINEAR}
    check("resize", attrs, [i8(1, 1, 10, 1)], quant=quant_i8())


def test_by_hand() -> None:
    x = of_data(np.array([0, 10], np.float32).reshape(1, 1, 2, 1))
    attrs = {"out_h": 1, "out_w": 4, "mode": ResizeMode.BILINEAR, "coordinates": CoordinateMode.HALF_PIXEL}
    (y,) = check("resize", attrs, [x])
    assert y.reshape(-1).tolist() == [0, 2.5, 7.5, 10]
    (y,) = check("resize", {"out_h": 1, "out_w": 4}, [x])
    assert y.reshape(-1).tolist() == [0, 0, 10, 10]


def test_large_on_several_threads() -> None:
    attrs = {"out_h": 160, "out_w": 160, "mode": ResizeMode.BILINEAR, "coordinates": CoordinateMode.HALF_PIXEL}
    check("resize", attrs, [i8(1, 80, 80, 32)], quant=quant_i8())


def test_refuses_impossible_sizes() -> None:
    refused("resize", {"out_h": 0, "out_w": 2}, [f32(1, 2, 2, 1)], [f32(1, 1, 2, 1)], "needed at least 1x1")
    refused("resize", {"out_h": 2, "out_w": 2, "scale_h": -1.0}, [f32(1, 2, 2, 1)], [f32(1, 2, 2, 1)], "scale is -1")
    bilinear = {"out_h": 2, "out_w": 2, "mode": ResizeMode.BILINEAR}
    refused("resize", bilinear, [i32(1, 2, 2, 1)], [i32(1, 2, 2, 1)], "bilinear on int32")
    with pytest.raises(ModelError, match="at least 1x1"):
        check("resize", {"out_h": 0, "out_w": 2}, [f32(1, 2, 2, 1)])
