"""top_k."""

from __future__ import annotations

import numpy as np
import pytest

from edgert.dtypes import DType
from edgert.errors import ModelError
from ops.runner import Input, check, f32, i8, i32, make_case, of_data, quant_i8, refused


@pytest.mark.parametrize("dtype", list(DType), ids=lambda d: d.name.lower())
@pytest.mark.parametrize("smallest", [False, True])
def test_every_type_has_an_order(dtype: DType, smallest: bool) -> None:
    """Few distinct values, so that the order of equals is put to the test."""
    low = 0 if dtype in (DType.UINT8, DType.BOOL) else -4
    x = Input((5, 30, 4), dtype, low=low, high=4)
    for axis, k in ((1, 7), (1, 30), (0, 5), (-1, 1)):
        check("top_k", {"axis": axis, "k": k, "smallest": smallest}, [x])


def test_extremes_and_large_inputs() -> None:
    ends = np.array([2**63 - 1, -(2**63), 0, -1, 2**63 - 1], np.int64)
    for smallest in (False, True):
        check("top_k", {"k": 5, "smallest": smallest}, [of_data(ends)])
        check("top_k", {"k": 9, "smallest": smallest}, [f32(70_000)])
        check("top_k", {"k": 1000, "smallest": smallest}, [i8(40, 3000)], quant=quant_i8())


def test_floats_in_order() -> None:
    """NaN is the largest, of either sign; both zeros are equal."""
    x = np.array([-0.0, np.nan, 1, -np.inf, 0.0, np.inf, -np.nan, -1e-45, 1e-45], np.float32)
    values, indices = check("top_k", {"k": 9}, [of_data(x)])
    assert indices.tolist() == [1, 6, 5, 2, 8, 0, 4, 7, 3]
    assert np.isnan(values[:2]).all()
    _, indices = check("top_k", {"k": 9, "smallest": True}, [of_data(x.astype(np.float16))])
    assert indices.tolist() == [3, 0, 4, 7, 8, 2, 5, 1, 6]


def test_quantised_keep_their_scale() -> None:
    check("top_k", {"k": 3, "axis": 1}, [i8(4, 9, quant=quant_i8(0.1, -7))], quant=quant_i8(0.1, -7))


def test_refused() -> None:
    refused("top_k", {"k": 5}, [f32(4)], [f32(5), i32(5)], "k is 5, needed 0 to 4")
    refused("top_k", {"k": -1}, [f32(4)], [f32(1), i32(1)], "k is -1")
    refused("top_k", {"k": 2, "axis": 1}, [f32(4)], [f32(2), i32(2)], "axis is 1")
    refused("top_k", {"k": 2}, [f32(4)], [f32(2), f32(2)], "the output of indices is float32")
    refused("top_k", {"k": 2}, [f32(4)], [i32(2), i32(2)], "output is int32")
    refused("top_k", {"k": 2}, [f32(4)], [f32(3), i32(2)], "has shape")
    refused("top_k", {"k": 2}, [i8(4)], [i8(2, quant=quant_i8(0.5)), i32(2)], "scale or zero point")
    with pytest.raises(ModelError, match="k is 5"):
        make_case("top_k", {"k": 5}, [f32(4)])
