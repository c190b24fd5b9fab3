from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgert.dtypes import QuantParams
from edgert.ops._enums import Activation
from ops.runner import check, i8, i32, of_data, refused
from ops.weighted_inputs import FORMS, inputs, output_quant

SAME3 = {"pad_top": 1, "pad_left": 1, "pad_bottom": 1, "pad_right": 1}
UNEVEN = {"pad_top": 0, "pad_left": 2, "pad_bottom": 3, "pad_right": 0}


def run(form: str, x: tuple[int, ...], kernel: tuple[int, int], bias: bool = True, **attrs: Any) -> None:
    weights = (*kernel, x[3] * attrs.get("multiplier", 1))
    case = inputs(form, x, weights, 2, bias)
    check("depthwise_conv2d", attrs, case, quant=output_quant(form), relative=1e-4, absolute=1e-4)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("channels", [1, 3, 8, 16, 31, 64, 67])
@pytest.mark.parametrize("pads", [{}, SAME3])
def test_channels(form: str, channels: int, pads: dict[str, int]) -> None:
    run(form, (1, 7, 8, channels), (3, 3), **pads)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (5, 5), (2, 4), (7, 1), (1, 6)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (3, 1), (1, 5)])
@pytest.mark.parametrize("pads", [{}, SAME3, UNEVEN])
def test_window(form: str, kernel: tuple[int, int], stride: tuple[int, int], pads: dict[str, int]) -> None:
    run(form, (2, 9, 8, 10), kernel, stride_h=stride[0], stride_w=stride[1], **pads)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kernel", [(5, 5), (7, 7), (4, 3), (1, 9)])
@pytest.mark.parametrize("channels", [16, 33, 64, 72, 130])
@pytest.mark.parametrize("stride", [1, 2])
def test_large_window(form: str, kernel: tuple[int, int], channels: int, stride: int) -> None:
    rows, columns = kernel[0] // 2, kernel[1] // 2
    pads = {"pad_top": rows, "pad_left": columns, "pad_bottom": rows, "pad_right": columns}
    run(form, (1, 8, 11, channels), kernel, stride_h=stride, stride_w=stride, **pads)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kernel", [1, 3, 5, 9])
@pytest.mark.parametrize(
    "attrs", [{}, {"pad_top": 2, "pad_bottom": 1}, {"stride_h": 2, "stride_w": 3}, {"dilation_h": 2}]
)
@pytest.mark.parametrize("channels", [1, 16, 40])
def test_column(form: str, kernel: int, attrs: dict[str, int], channels: int) -> None:
    """Convolution over time: the input is one pixel wide."""
    run(form, (2, 19, 1, channels), (kernel, 1), **attrs)


@pytest.mark.parametrize("row", [0, 1, 2, None])  # of the window, whose weights leave int8 without their zero point
@pytest.mark.parametrize("zero_point", [5, -60, 101, -128])
@pytest.mark.parametrize("attrs", [{}, SAME3, {"dilation_h": 2, **SAME3}])
@pytest.mark.parametrize("channels", [4, 40])
def test_zero_points_that_come_off(row: int | None, zero_point: int, attrs: dict[str, int], channels: int) -> None:
    """Legacy weights as they are trained; None: such weights in two rows."""
    rng = np.random.default_rng(zero_point + 128)
    lowest, highest = max(-128, zero_point - 128), min(127, zero_point + 127)
    weights = rng.integers(lowest, highest + 1, (3, 3, channels)).astype(np.int8)
    for place in (row,) if row is not None else (0, 2):
        weights[place, 1, 1] = -128 if zero_point > 0 else 126
    quant = QuantParams((0.004,), (zero_point,))
    bias = i32(channels, constant=True, low=-9000, high=9000)
    x = i8(1, 7, 9, channels, quant=QuantParams((0.03,), (-11,)))
    case = [x, of_data(weights, quant, constant=True), bias]
    check("depthwise_conv2d", attrs, case, quant=output_quant("zero_point"))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dilation", [(2, 1), (1, 2), (3, 3)])
@pytest.mark.parametrize("pads", [{}, SAME3, UNEVEN])
def test_dilation(form: str, dilation: tuple[int, int], pads: dict[str, int]) -> None:
    run(form, (1, 11, 10, 5), (3, 3), dilation_h=dilation[0], dilation_w=dilation[1], **pads)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("channels", "multiplier"), [(1, 8), (1, 2), (3, 2), (5, 4), (16, 2)])
@pytest.mark.parametrize("pads", [{}, SAME3])
def test_multiplier(form: str, channels: int, multiplier: int, pads: dict[str, int]) -> None:
    run(form, (1, 6, 9, channels), (3, 3), multiplier=multiplier, **pads)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("activation", list(Activation))
@pytest.mark.parametrize("bias", [False, True])
def test_activation_and_bias(form: str, activation: Activation, bias: bool) -> None:
    run(form, (1, 6, 5, 6), (3, 3), bias, activation=activation, **SAME3)


@pytest.mark.parametrize("form", FORMS)
def test_large_enough_for_threads(form: str) -> None:
    run(form, (1, 30, 30, 48), (3, 3), stride_h=2, stride_w=2, **SAME3)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_input_narrower_than_its_window(form: str, width: int) -> None:
    run(form, (1, 4, width, 9), (3, 5), pad_top=1, pad_bottom=1, pad_left=4, pad_right=5)


@pytest.mark.parametrize("form", FORMS)
def test_window_wholly_in_the_padding(form: str) -> None:
    pads = {"pad_top": 5, "pad_left": 6, "pad_bottom": 4, "pad_right": 7}
    run(form, (1, 3, 5, 4), (2, 2), stride_h=2, stride_w=3, **pads)


def test_a_kernel_of_many_rows() -> None:
    for form in FORMS:
        run(form, (1, 200, 2, 3), (150, 1), pad_top=3)


def test_refused() -> None:
    x, y = i8(1, 6, 6, 4), i8(1, 6, 6, 8)
    w = i8(1, 1, 8, quant=QuantParams((0.01,), (0,)), constant=True)

    def no(match: str, attrs: dict[str, Any] | None = None, **changed: Any) -> None:
        operands = {"x": x, "w": w, "bias": None, "y": y, **changed}
        inputs = [operands["x"], operands["w"], operands["bias"]]
        refused("depthwise_conv2d", {"multiplier": 2, **(attrs or {})}, inputs, [operands["y"]], match)

    no(r"weights have 8 channels, needed 4 \(4 input channels, multiplier 1\)", {"multiplier": 1})
    no("weights have 8 channels, needed 8589934588", {"multiplier": 2**31 - 1})
    no("multiplier -2", {"multiplier": -2})
    no("stride along width is -1", {"stride_w": -1})
    no("activation is 4", {"activation": 4})
    no("weights has 4 dimensions, needed 3", w=replace(w, shape=(1, 1, 1, 8)))
    no("weights is computed", w=replace(w, constant=False))
    no("needed 1, or 8 along axis 2", w=replace(w, shape=(8, 1, 8), quant=QuantParams((0.1,) * 8, (0,) * 8, 0)),
       attrs={"pad_top": 7})  # fmt: skip
    no("bias has 4 elements, needed 8", bias=i32(4, constant=True))
    no("its inputs give", y=i8(1, 5, 6, 8))
