"""Pooling and resizing against LiteRT."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgert.ops._enums import CoordinateMode, NearestMode, ResizeMode
from ops.litert import run_litert
from ops.runner import Input, check, f32, i8, quant_i8

VALID, SAME = 1, 0
NONE = 0
WINDOWS = [(2, 2, 2, 2), (3, 3, 1, 1), (3, 2, 2, 3), (9, 11, 1, 1), (7, 1, 1, 1)]  # kernel h, w, stride h, w


def drawn(spec: Input) -> np.ndarray:
    return spec.draw(np.random.default_rng(0))


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TFLite's SAME: before and after."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


@pytest.mark.parametrize("padding", [VALID, SAME])
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize(("op", "builtin"), [("average_pool2d", "AVERAGE_POOL_2D"), ("max_pool2d", "MAX_POOL_2D")])
@pytest.mark.parametrize("spec", [f32(1, 9, 11, 20), i8(1, 9, 11, 20), i8(1, 9, 11, 3)], ids=["f32", "i8", "i8x3"])
def test_pooling(op: str, builtin: str, spec: Input, window: tuple[int, ...], padding: int) -> None:
    kernel_h, kernel_w, stride_h, stride_w = window
    top, bottom = same_padding(9, kernel_h, stride_h) if padding == SAME else (0, 0)
    left, right = same_padding(11, kernel_w, stride_w) if padding == SAME else (0, 0)
    attrs = {
        "kernel_h": kernel_h, "kernel_w": kernel_w, "stride_h": stride_h, "stride_w": stride_w,
        "pad_top": top, "pad_bottom": bottom, "pad_left": left, "pad_right": right,
    }  # fmt: skip
    (ours,) = check(op, attrs, [spec], quant=spec.quant)
    fields = {
        "filterHeight": kernel_h, "filterWidth": kernel_w, "strideH": stride_h, "strideW": stride_w,
        "padding": padding, "fusedActivationFunction": NONE,
    }  # fmt: skip
    theirs = run_litert(builtin, ("Pool2DOptions", fields), [drawn(spec)], (ours.shape, ours.dtype.name), spec.quant)
    if spec.quant is not None:
        np.testing.assert_array_equal(ours, theirs)
    else:
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 25, 5, 64), (1, 7, 7, 1280), (1, 3, 3, 256)])
def test_global_average_of_int8(shape: tuple[int, ...]) -> None:
    x = i8(*shape)
    (ours,) = check("average_pool2d", {"kernel_h": shape[1], "kernel_w": shape[2]}, [x], quant=x.quant)
    fields = {"filterHeight": shape[1], "filterWidth": shape[2], "strideH": 1, "strideW": 1, "padding": VALID}
    theirs = run_litert("AVERAGE_POOL_2D", ("Pool2DOptions", fields), [drawn(x)], (ours.shape, "int8"), x.quant)
    np.testing.assert_array_equal(ours, theirs)


MODES = [
    ({"alignCorners": False, "halfPixelCenters": False}, CoordinateMode.ASYMMETRIC),
    ({"alignCorners": False, "halfPixelCenters": True}, CoordinateMode.HALF_PIXEL),
    ({"alignCorners": True, "halfPixelCenters": False}, CoordinateMode.ALIGN_CORNERS),
]
SIZES = [(10, 14), (5, 7), (3, 4), (13, 29), (1, 1), (40, 3)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("fields", "coordinates"), MODES)
@pytest.mark.parametrize("spec", [f32(1, 5, 7, 9), i8(1, 5, 7, 9)], ids=["f32", "i8"])
def test_bilinear(spec: Input, fields: dict[str, Any], coordinates: CoordinateMode, size: tuple[int, int]) -> None:
    """int8 is LiteRT's default, XNNPACK, bit for bit: TFLite's reference rounds the step and drifts on wide images."""
    attrs = {"out_h": size[0], "out_w": size[1], "mode": ResizeMode.BILINEAR, "coordinates": coordinates}
    (ours,) = check("resize", attrs, [spec], quant=spec.quant)
    x, constants = drawn(spec), [np.array(size, np.int32)]
    integer = spec.quant is not None
    theirs = run_litert(
        "RESIZE_BILINEAR", ("ResizeBilinearOptions", fields), [x], (ours.shape, ours.dtype.name), spec.quant, constants
    )
    if integer:
        np.testing.assert_array_equal(ours, theirs)
    else:
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("fields", "coordinates"), MODES)
def test_nearest(fields: dict[str, Any], coordinates: CoordinateMode, size: tuple[int, int]) -> None:
    nearest = NearestMode.FLOOR if coordinates == CoordinateMode.ASYMMETRIC else NearestMode.ROUND_PREFER_CEIL
    attrs = {"out_h": size[0], "out_w": size[1], "coordinates": coordinates, "nearest": nearest}
    x = i8(1, 5, 7, 9)
    (ours,) = check("resize", attrs, [x], quant=quant_i8())
    theirs = run_litert(
        "RESIZE_NEAREST_NEIGHBOR", ("ResizeNearestNeighborOptions", fields), [drawn(x)], (ours.shape, "int8"),
        quant_i8(), [np.array(size, np.int32)],
    )  # fmt: skip
    np.testing.assert_array_equal(ours, theirs)
