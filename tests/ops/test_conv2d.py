from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgert.dtypes import QuantParams
from edgert.ops._enums import Activation
from ops.runner import check, f32, i8, i32, of_data, refused
from ops.weighted_inputs import FORMS, inputs, output_quant

SAME3 = {"pad_top": 1, "pad_left": 1, "pad_bottom": 1, "pad_right": 1}
UNEVEN = {"pad_top": 0, "pad_left": 2, "pad_bottom": 3, "pad_right": 0}


def run(form: str, x: tuple[int, ...], w: tuple[int, ...], bias: bool = True, **attrs: Any) -> None:
    check("conv2d", attrs, inputs(form, x, w, 0, bias), quant=output_quant(form), relative=1e-4, absolute=1e-4)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("channels", [1, 3, 4, 15, 16, 64, 67])
@pytest.mark.parametrize("outputs", [1, 7, 16, 33])
def test_pointwise(form: str, channels: int, outputs: int) -> None:
    run(form, (1, 5, 6, channels), (outputs, 1, 1, channels))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("channels", [1, 3, 8, 17])
@pytest.mark.parametrize("kernel", [(3, 3), (1, 5), (4, 1), (2, 2)])
@pytest.mark.parametrize("pads", [{}, SAME3, UNEVEN])
def test_window(form: str, channels: int, kernel: tuple[int, int], pads: dict[str, int]) -> None:
    run(form, (2, 7, 9, channels), (18, *kernel, channels), **pads)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("stride", [(2, 2), (1, 3), (4, 1)])
@pytest.mark.parametrize("pads", [{}, SAME3, UNEVEN])
def test_stride(form: str, stride: tuple[int, int], pads: dict[str, int]) -> None:
    run(form, (1, 11, 10, 3), (8, 3, 3, 3), stride_h=stride[0], stride_w=stride[1], **pads)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dilation", [(2, 1), (1, 2), (3, 2)])
@pytest.mark.parametrize("pads", [{}, SAME3, UNEVEN])
def test_dilation(form: str, dilation: tuple[int, int], pads: dict[str, int]) -> None:
    run(form, (1, 11, 10, 5), (9, 3, 2, 5), dilation_h=dilation[0], dilation_w=dilation[1], **pads)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("groups", "group_channels", "group_outputs"), [(2, 4, 3), (3, 1, 2), (4, 16, 16), (5, 1, 1)])
def test_groups(form: str, groups: int, group_channels: int, group_outputs: int) -> None:
    weights = (groups * group_outputs, 3, 3, group_channels)
    run(form, (1, 6, 7, groups * group_channels), weights, groups=groups, **SAME3)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("channels", "group"), [(16, 4), (48, 4), (32, 8), (64, 16), (24, 4)])
@pytest.mark.parametrize(
    "attrs", [SAME3, {}, {"stride_h": 2, "stride_w": 2, **UNEVEN}, {"dilation_h": 2, "dilation_w": 3, "pad_left": 9}]
)
def test_groups_of_few_channels(form: str, channels: int, group: int, attrs: dict[str, int]) -> None:
    weights = (channels, 3, 3, group)
    run(form, (2, 9, 13, channels), weights, groups=channels // group, **attrs)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("activation", list(Activation))
@pytest.mark.parametrize("bias", [False, True])
def test_activation_and_bias(form: str, activation: Activation, bias: bool) -> None:
    run(form, (1, 6, 5, 6), (10, 3, 3, 6), bias, activation=activation, **SAME3)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("size", "channels", "outputs"), [(40, 16, 24), (4, 128, 300)])
def test_large_enough_for_threads(form: str, size: int, channels: int, outputs: int) -> None:
    run(form, (1, size, size, channels), (outputs, 3, 3, channels), **SAME3)


@pytest.mark.parametrize("beyond", [0, 1, 2, 4, 9])  # weights that leave int8 without their zero point
@pytest.mark.parametrize("zero_point", [3, -37, 120, -128])
@pytest.mark.parametrize(
    ("w", "attrs"),
    [((24, 1, 1, 20), {}), ((35, 3, 3, 3), SAME3), ((40, 2, 2, 9), {"groups": 2}), ((6, 1, 1, 3), {})],
)
def test_zero_points_that_come_off(beyond: int, zero_point: int, w: tuple[int, ...], attrs: dict[str, int]) -> None:
    """Legacy weights as they are trained: all but the outermost fit int8 when their zero point is taken off."""
    rng = np.random.default_rng(beyond)
    lowest, highest = max(-128, zero_point - 128), min(127, zero_point + 127)
    weights = rng.integers(lowest, highest + 1, w).astype(np.int8)
    places = rng.permutation(weights.size)[:beyond]
    weights.flat[places] = -128 if zero_point > 0 else 127
    quant = QuantParams((0.004,), (zero_point,))
    x = i8(1, 6, 7, w[3] * attrs.get("groups", 1), quant=QuantParams((0.03,), (-11,)))
    bias = i32(w[0], constant=True, low=-9000, high=9000)
    check("conv2d", attrs, [x, of_data(weights, quant, constant=True), bias], quant=output_quant("zero_point"))


@pytest.mark.parametrize("form", FORMS)
def test_window_wholly_in_the_padding(form: str) -> None:
    run(form, (1, 2, 2, 3), (4, 2, 2, 3), pad_top=5, pad_left=6, pad_bottom=4, pad_right=7, stride_h=2, stride_w=3)


def test_refused() -> None:
    weight_quant = QuantParams((0.01,), (0,))
    x, y = i8(1, 6, 6, 4), i8(1, 6, 6, 8)
    w, bias = i8(8, 1, 1, 4, quant=weight_quant, constant=True), i32(8, constant=True)

    def no(match: str, attrs: dict[str, Any] | None = None, **changed: Any) -> None:
        operands = {"x": x, "w": w, "bias": bias, "y": y, **changed}
        inputs = [operands["x"], operands["w"], operands["bias"]]
        refused("conv2d", attrs or {}, inputs, [operands["y"]], match)

    no("stride along height is 0", {"stride_h": 0})
    no("dilation -3, needed at least 1", {"dilation_w": -3})
    no("padding along width is 0 and -1", {"pad_right": -1})
    no("padded input has 2147483653 along height", {"pad_top": 2**31 - 1})
    no("groups is 3, needed a divisor of 8", {"groups": 3})
    no("groups is 0", {"groups": 0})
    no(r"input has 4 channels, needed 8 \(2 groups of the weights' 4\)", {"groups": 2})
    no("activation is 9", {"activation": 9})
    no("window covers 7 along height, needed at most the padded input's 6", w=replace(w, shape=(8, 7, 1, 4)))
    no("weights is computed, needed a constant", w=replace(w, constant=False))
    no("weights has 3 dimensions, needed 4", w=replace(w, shape=(8, 1, 4)))
    no("input has 3 dimensions, needed 4", x=i8(6, 6, 4))
    no("weights is float32, needed int8", w=f32(8, 1, 1, 4, constant=True))
    no("output is float32, needed int8", y=f32(1, 6, 6, 8))
    no("input is int32, needed float32 or int8", x=i32(1, 6, 6, 4))
    no("input has 0 scales, needed 1", x=replace(x, quant=None))
    no("weights have 4 scales along axis 3", w=replace(w, quant=QuantParams((0.1,) * 4, (0,) * 4, 3)))
    no("channel 2 have zero point 1", w=replace(w, quant=QuantParams((0.1,) * 8, (0, 0, 1, 0, 0, 0, 0, 0), 0)))
    no("overflow, needed a finite ratio", y=replace(y, quant=QuantParams((1e-38,), (0,))), x=i8(
        1, 6, 6, 4, quant=QuantParams((1e20,), (0,))
    ))  # fmt: skip
    no("bias has 7 elements, needed 8", bias=i32(7, constant=True))
    no("bias is float32, needed int32", bias=f32(8, constant=True))
    no("bias is computed", bias=i32(8))
    no("its inputs give", y=i8(1, 6, 5, 8))
