from __future__ import annotations

import numpy as np
import pytest

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.ops._enums import CompareFunction
from ops.runner import Input, boolean, check, f32, i8, i32, i64, make_case, of_data, quant_i8, refused

F = CompareFunction
NUMBERS = [DType.FLOAT32, DType.INT8, DType.UINT8, DType.INT16, DType.INT32, DType.INT64]


@pytest.mark.parametrize("function", list(F), ids=lambda f: f.name.lower())
@pytest.mark.parametrize("dtype", NUMBERS, ids=lambda d: d.name.lower())
def test_compare(function: CompareFunction, dtype: DType) -> None:
    low = 0 if dtype == DType.UINT8 else -3
    for a, b in (((5,), (5,)), ((2, 3, 4), (3, 1)), ((), (7,)), ((300, 200), (200,))):
        check("compare", {"function": function}, [Input(shape, dtype, low=low, high=3) for shape in (a, b)])


@pytest.mark.parametrize("function", list(F), ids=lambda f: f.name.lower())
def test_nan(function: CompareFunction) -> None:
    a = np.array([np.nan, np.nan, 1.0, np.inf, 0.0], np.float32)
    b = np.array([np.nan, 1.0, np.nan, np.inf, -0.0], np.float32)
    (y,) = check("compare", {"function": function}, [of_data(a), of_data(b)])
    assert list(y[:3]) == [function == F.NOT_EQUAL] * 3


@pytest.mark.parametrize("function", [F.EQUAL, F.NOT_EQUAL])
def test_bool(function: CompareFunction) -> None:
    check("compare", {"function": function}, [boolean(50), boolean(50)])


def test_quantised_with_equal_scales() -> None:
    check("compare", {"function": F.LESS}, [i8(64), i8(64)])


def test_refused() -> None:
    less, y = {"function": F.LESS}, boolean(4)
    refused("compare", less, [i8(4), i8(4, quant=quant_i8(0.5))], [y], "inputs differ in quantisation")
    refused("compare", less, [i8(4), i8(4, quant=None)], [y], "inputs differ in quantisation")
    refused("compare", less, [f32(4), i32(4)], [y], "input 1 is int32")
    refused("compare", less, [f32(4), f32(4)], [f32(4)], "output is float32, needed bool")
    refused("compare", less, [boolean(4), boolean(4)], [y], "inputs are bool")
    refused("compare", {"function": 6}, [f32(4), f32(4)], [y], "function is 6")
    refused("compare", less, [i64(4), i64(3)], [y], "does not broadcast")
    with pytest.raises(ModelError, match="differ in quantisation"):
        make_case("compare", less, [i8(4), i8(4, quant=quant_i8(0.5))])
    with pytest.raises(ModelError):
        make_case("compare", less, [boolean(4), boolean(4)])
