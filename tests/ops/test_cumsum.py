"""cumsum."""

from __future__ import annotations

import numpy as np
import pytest

from edgert.dtypes import DType
from edgert.errors import ModelError
from ops.runner import Input, boolean, check, f32, i8, make_case, of_data, refused


@pytest.mark.parametrize("dtype", [DType.FLOAT32, DType.INT32, DType.INT64])
@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_cumsum(dtype: DType, exclusive: bool, reverse: bool) -> None:
    for shape, axis in (((11,), 0), ((4, 6, 5), 1), ((4, 6, 5), -1), ((4, 6, 5), 0), ((1, 1), 1), ((90, 70, 50), 1)):
        attrs = {"axis": axis, "exclusive": exclusive, "reverse": reverse}
        check("cumsum", attrs, [Input(shape, dtype, low=-9, high=9)])


def test_integers_wrap() -> None:
    (y,) = check("cumsum", {}, [of_data(np.array([2**31 - 1, 1, 1], np.int32))])
    assert y.tolist() == [2**31 - 1, -(2**31), -(2**31) + 1]


def test_refused() -> None:
    refused("cumsum", {"axis": 1}, [f32(4)], [f32(4)], "axis is 1")
    refused("cumsum", {}, [boolean(4)], [boolean(4)], "input is bool")
    refused("cumsum", {}, [i8(4)], [i8(4)], "input is int8")
    refused("cumsum", {}, [f32(4)], [f32(3)], "has shape")
    with pytest.raises(ModelError, match="input is bool"):
        make_case("cumsum", {}, [boolean(4)])
