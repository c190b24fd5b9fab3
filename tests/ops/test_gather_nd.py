"""gather_nd."""

from __future__ import annotations

import numpy as np
import pytest

from edgert.dtypes import DType
from edgert.errors import ModelError
from ops.hostile import check_hostile
from ops.runner import Input, check, f32, i8, i32, i64, make_case, of_data, quant_i8, refused


@pytest.mark.parametrize("dtype", list(DType), ids=lambda d: d.name.lower())
def test_every_type(dtype: DType) -> None:
    check("gather_nd", {}, [Input((4, 5, 3), dtype, low=0, high=9), i32(6, 2, low=-4, high=3)])


@pytest.mark.parametrize(
    ("x", "batch_dims", "indices"),
    [((5,), 0, (1,)), ((5,), 0, (3, 1)), ((4, 5), 0, (2,)), ((4, 5), 0, (3, 2)), ((4, 4, 6), 0, (2, 3, 1)),
     ((4, 4, 6), 1, (4, 2)), ((4, 5, 6), 1, (4, 3, 1)), ((2, 3, 4, 5), 2, (2, 3, 7, 1)), ((2, 3, 4), 2, (2, 3, 1))],
)  # fmt: skip
def test_shapes(x: tuple[int, ...], batch_dims: int, indices: tuple[int, ...]) -> None:
    low = -min(x[batch_dims:])
    for make in (i32, i64):
        check("gather_nd", {"batch_dims": batch_dims}, [f32(*x), make(*indices, low=low, high=-low - 1)])


def test_quantised_constant_indices_and_threads() -> None:
    check("gather_nd", {}, [i8(9, 9, 200), i32(3000, 2, low=-9, high=8, constant=True)], quant=quant_i8())


def test_order_of_coordinates() -> None:
    x = of_data(np.arange(12, dtype=np.int64).reshape(3, 4))
    (y,) = check("gather_nd", {}, [x, of_data(np.array([[0, 1], [-1, -1], [2, 0]], np.int64))])
    assert y.tolist() == [1, 11, 8]


def test_index_outside_is_an_error_of_the_run() -> None:
    check_hostile("gather_nd", {}, [f32(4, 4, 100), i32(700, 2, low=-4, high=3)])
    check_hostile("gather_nd", {"batch_dims": 1}, [f32(2, 4), i64(2, 3, 1, low=-4, high=3)])


def test_refused() -> None:
    refused("gather_nd", {}, [f32(2, 3), f32(2)], [f32()], "indices are float32")
    refused("gather_nd", {}, [f32(2, 3), i32()], [f32()], "indices are a scalar")
    refused("gather_nd", {}, [f32(2, 3), i32(2, 3)], [f32(2)], "tuples have 3 indices")
    refused("gather_nd", {"batch_dims": 1}, [f32(2, 3), i32(2)], [f32()], "batch_dims is 1")
    refused("gather_nd", {"batch_dims": -1}, [f32(2, 3), i32(2)], [f32()], "batch_dims is -1")
    refused("gather_nd", {"batch_dims": 1}, [f32(2, 3), i32(3, 1)], [f32(3)], "dimension 0 of the indices is 3")
    refused("gather_nd", {}, [f32(2, 3), i32(4, 2)], [f32(3)], "has shape")
    refused("gather_nd", {}, [f32(2, 3), i32(4, 2)], [i32(4)], "output is int32")
    with pytest.raises(ModelError, match="indices run from 0 to 3"):
        make_case("gather_nd", {}, [f32(2, 3), of_data(np.array([[0, 3]]), constant=True)])
