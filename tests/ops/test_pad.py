"""pad."""

from __future__ import annotations

import numpy as np
import pytest

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.ops._enums import PadMode
from ops.runner import Input, boolean, check, f32, i8, i32, of_data, quant_i8, refused

MARGINS = [
    ((0, 0, 0, 0), (0, 0, 0, 0)),
    ((0, 1, 1, 0), (0, 1, 1, 0)),
    ((0, 2, 0, 0), (0, 0, 0, 0)),
    ((0, 0, 0, 3), (0, 0, 0, 2)),
    ((1, 2, 3, 1), (0, 1, 2, 4)),
]


@pytest.mark.parametrize("mode", list(PadMode))
@pytest.mark.parametrize(("before", "after"), MARGINS)
def test_modes(mode: PadMode, before: tuple[int, ...], after: tuple[int, ...]) -> None:
    attrs = {"before": before, "after": after, "mode": mode, "value": 1.5}
    check("pad", attrs, [f32(2, 4, 5, 6)])
    check("pad", attrs, [i8(2, 4, 5, 6)], quant=quant_i8())


def test_modes_by_hand() -> None:
    x = of_data(np.array([1, 2, 3], np.float32))
    wanted = {
        PadMode.CONSTANT: [0, 0, 1, 2, 3, 0, 0],
        PadMode.REFLECT: [3, 2, 1, 2, 3, 2, 1],
        PadMode.SYMMETRIC: [2, 1, 1, 2, 3, 3, 2],
        PadMode.EDGE: [1, 1, 1, 2, 3, 3, 3],
    }
    for mode, row in wanted.items():
        (y,) = check("pad", {"before": (2,), "after": (2,), "mode": mode}, [x])
        assert y.tolist() == row


@pytest.mark.parametrize(("value", "stored"), [(0.0, 3), (1.0, 23), (0.075, 5), (1e9, 127), (-1e9, -128)])
def test_value_is_quantised(value: float, stored: int) -> None:
    """0.075 / 0.05 is 1.5 in float32, which rounds to even."""
    (y,) = check("pad", {"before": (1,), "after": (0,), "value": value}, [i8(4)], quant=quant_i8(0.05, 3))
    assert y[0] == stored


def test_other_dtypes() -> None:
    margins = {"before": (1, 0), "after": (0, 2)}
    check("pad", {**margins, "value": -7.0}, [i32(3, 4)])
    check("pad", {**margins, "value": 1.0}, [boolean(3, 4)])
    check("pad", {**margins, "value": 300.0}, [Input((3, 4), DType.INT16, low=-9, high=9)])
    check("pad", {**margins, "value": -3.0}, [Input((3, 4), DType.INT64, low=-9, high=9)])
    check("pad", margins, [Input((3, 4), DType.FLOAT16)])


def test_large_on_several_threads() -> None:
    attrs = {"before": (0, 1, 1, 0), "after": (0, 1, 1, 0)}
    check("pad", attrs, [i8(1, 112, 112, 32)], quant=quant_i8())
    check("pad", {**attrs, "mode": PadMode.REFLECT}, [f32(1, 100, 100, 16)])


def test_refuses_what_cannot_be_padded() -> None:
    def pad(before: int, after: int, **more: object) -> dict[str, object]:
        return {"before": (before,), "after": (after,), **more}

    refused("pad", pad(-1, 0), [f32(4)], [f32(3)], "padded by -1")
    refused("pad", pad(4, 0, mode=PadMode.REFLECT), [f32(4)], [f32(8)], "padded by 4 and 0, needed 0 to 3")
    refused("pad", pad(0, 5, mode=PadMode.SYMMETRIC), [f32(4)], [f32(9)], "needed 0 to 4")
    refused("pad", pad(2**31 - 2, 2), [f32(4)], [f32(4)], "axis 0 would have")
    refused("pad", pad(0, 1, value=0.5), [i32(4)], [i32(5)], "value 0.5 is no int32")
    refused("pad", {"before": (0, 0), "after": (0,)}, [f32(4)], [f32(4)], "before has 2 values")
    with pytest.raises(ModelError, match="needed 0 to 3"):
        check("pad", pad(4, 0, mode=PadMode.REFLECT), [f32(4)])
