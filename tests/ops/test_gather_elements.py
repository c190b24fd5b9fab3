"""gather_elements."""

from __future__ import annotations

import numpy as np
import pytest

from edgert.dtypes import DType
from edgert.errors import ModelError
from ops.hostile import check_hostile
from ops.runner import Input, check, f32, i8, i32, i64, make_case, of_data, quant_i8, refused


@pytest.mark.parametrize("dtype", list(DType), ids=lambda d: d.name.lower())
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_every_type(dtype: DType, axis: int) -> None:
    x = Input((4, 5, 6), dtype, low=0, high=9)
    check("gather_elements", {"axis": axis}, [x, i32(4, 5, 6, low=-4, high=3)])


@pytest.mark.parametrize(("axis", "shape"), [(0, (9, 5)), (1, (4, 9)), (1, (2, 3)), (0, (2, 1)), (1, (1, 700))])
def test_indices_of_other_sizes(axis: int, shape: tuple[int, ...]) -> None:
    check("gather_elements", {"axis": axis}, [f32(4, 5), i64(*shape, low=-4, high=3)])


def test_quantised_and_threads() -> None:
    x = i8(300, 30, 40)
    check("gather_elements", {"axis": 1}, [x, i32(300, 30, 40, low=-30, high=29, constant=True)], quant=quant_i8())


def test_meaning() -> None:
    x = of_data(np.array([[1, 2], [3, 4]], np.float32))
    (y,) = check("gather_elements", {"axis": 1}, [x, of_data(np.array([[0, 0], [-1, 0]], np.int64))])
    assert y.tolist() == [[1, 1], [4, 3]]


def test_index_outside_is_an_error_of_the_run() -> None:
    check_hostile("gather_elements", {"axis": 0}, [f32(4, 400, 100), i32(6, 400, 100, low=-4, high=3)])
    check_hostile("gather_elements", {"axis": 1}, [f32(2, 4), i64(2, 7, low=-4, high=3)])


def test_refused() -> None:
    refused("gather_elements", {"axis": 2}, [f32(2, 3), i32(2, 3)], [f32(2, 3)], "axis is 2")
    refused("gather_elements", {}, [f32(2, 3), f32(2, 3)], [f32(2, 3)], "indices are float32")
    refused("gather_elements", {}, [f32(2, 3), i32(2)], [f32(2)], "indices has 1 dimensions")
    refused("gather_elements", {}, [f32(2, 3), i32(2, 4)], [f32(2, 4)], "dimension 1 of the indices is 4")
    refused("gather_elements", {}, [f32(), i32()], [f32()], "axis is 0")
    with pytest.raises(ModelError, match="indices run from 0 to 2"):
        make_case("gather_elements", {}, [f32(2), of_data(np.array([0, 2]), constant=True)])
