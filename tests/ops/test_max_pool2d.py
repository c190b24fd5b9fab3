"""max_pool2d."""

from __future__ import annotations

import pytest

from edgert.errors import ModelError
from edgert.ops._enums import Activation
from ops.runner import check, f32, i8, i32, quant_i8, refused

WINDOWS = [
    {"kernel_h": 2, "kernel_w": 2, "stride_h": 2, "stride_w": 2},
    {"kernel_h": 3, "kernel_w": 3, "pad_top": 1, "pad_left": 1, "pad_bottom": 1, "pad_right": 1},
    {"kernel_h": 3, "kernel_w": 2, "stride_h": 2, "stride_w": 3, "pad_bottom": 2, "pad_right": 1},
    {"kernel_h": 2, "kernel_w": 3, "dilation_h": 3, "dilation_w": 2, "pad_top": 3, "pad_left": 1},
    {"kernel_h": 9, "kernel_w": 11},
    {},
]


@pytest.mark.parametrize("attrs", WINDOWS)
@pytest.mark.parametrize("channels", [1, 3, 16, 24, 95, 130])
def test_windows(attrs: dict[str, int], channels: int) -> None:
    check("max_pool2d", attrs, [f32(2, 9, 11, channels)])
    check("max_pool2d", attrs, [i8(2, 9, 11, channels)], quant=quant_i8())


@pytest.mark.parametrize("activation", list(Activation))
def test_activations(activation: Activation) -> None:
    attrs = {"kernel_h": 2, "kernel_w": 1, "activation": activation}
    check("max_pool2d", attrs, [f32(1, 5, 5, 7, low=-8.0, high=8.0)])
    check("max_pool2d", attrs, [i8(1, 5, 5, 7, quant=quant_i8(0.1, -30))], quant=quant_i8(0.1, -30))


def test_window_that_touches_only_padding_gives_the_least_value() -> None:
    attrs = {"kernel_h": 2, "kernel_w": 1, "dilation_h": 2, "pad_top": 1, "pad_bottom": 1}
    (y,) = check("max_pool2d", attrs, [i8(1, 1, 1, 1)], quant=quant_i8())
    assert y.item() == -128


def test_large_on_several_threads() -> None:
    attrs = {"kernel_h": 3, "kernel_w": 3, "stride_h": 2, "stride_w": 2, "pad_top": 1, "pad_left": 1}
    check("max_pool2d", attrs, [i8(1, 112, 112, 64)], quant=quant_i8())


@pytest.mark.parametrize(
    ("attrs", "message"),
    [
        ({"kernel_h": 0}, "kernel"),
        ({"stride_w": 0}, "stride"),
        ({"dilation_h": -1}, "dilation"),
        ({"pad_top": 1}, "padding"),
        ({"pad_left": -1}, "padding"),
        ({"kernel_h": 6}, "window"),
        ({"kernel_h": 2**31 - 1, "kernel_w": 2**31 - 1}, "kernel|window"),
    ],
)
def test_refuses_impossible_windows(attrs: dict[str, int], message: str) -> None:
    refused("max_pool2d", attrs, [f32(1, 5, 5, 2)], [f32(1, 5, 5, 2)], message)
    with pytest.raises(ModelError, match=message):
        check("max_pool2d", attrs, [f32(1, 5, 5, 2)])


def test_refuses_types_it_does_not_have() -> None:
    refused("max_pool2d", {}, [i32(1, 2, 2, 1)], [i32(1, 2, 2, 1)], "int32, needed float32, int8 or int16")
    refused("max_pool2d", {}, [i8(1, 2, 2, 1)], [i8(1, 2, 2, 1, quant=quant_i8(1.0))], "scale or zero point")
