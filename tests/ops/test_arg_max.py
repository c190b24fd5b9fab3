from __future__ import annotations

import numpy as np
import pytest

from edgert.dtypes import DType
from edgert.errors import ModelError
from ops.runner import Input, boolean, check, f32, make_case, of_data, refused


@pytest.mark.parametrize("dtype", [DType.FLOAT32, DType.INT8, DType.UINT8, DType.INT32, DType.INT64])
@pytest.mark.parametrize("minimum", [False, True])
@pytest.mark.parametrize(
    ("shape", "axis"), [((10,), 0), ((4, 6, 5), 1), ((4, 6, 5), -1), ((4, 6, 5), 0), ((900, 80), 1)]
)
def test_arg_max(dtype: DType, minimum: bool, shape: tuple[int, ...], axis: int) -> None:
    """Few distinct values, so that the first among equals is put to the test."""
    for keep, out in ((False, DType.INT64), (True, DType.INT32)):
        attrs = {"axis": axis, "keep_dims": keep, "minimum": minimum}
        check("arg_max", attrs, [Input(shape, dtype, low=0, high=3)], dtype=out)


@pytest.mark.parametrize("minimum", [False, True])
def test_nan_comes_first(minimum: bool) -> None:
    x = np.array([[1, np.nan, 3, np.nan], [np.inf, -np.inf, np.nan, 0]], np.float32)
    (y,) = check("arg_max", {"minimum": minimum}, [of_data(x)])
    assert list(y) == [1, 2]


def test_refused() -> None:
    y = Input((), DType.INT64)
    refused("arg_max", {"axis": 1}, [f32(4)], [y], "axis is 1")
    refused("arg_max", {}, [boolean(4)], [y], "input is bool")
    refused("arg_max", {}, [f32(4)], [f32()], "output is float32")
    refused("arg_max", {}, [f32(4)], [Input((1,), DType.INT64)], "has shape")
    with pytest.raises(ModelError, match="input is bool"):
        make_case("arg_max", {}, [boolean(4)])
    with pytest.raises(ModelError, match="axis is 3"):
        make_case("arg_max", {"axis": 3}, [f32(4)])
