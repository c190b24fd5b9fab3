"""scatter_elements."""

from __future__ import annotations

import numpy as np
import pytest

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.ops._enums import ScatterReduction
from ops.hostile import check_hostile
from ops.runner import Input, check, f32, i8, i32, i64, make_case, of_data, quant_i8, refused

REDUCED = [dtype for dtype in DType if dtype != DType.FLOAT16]


@pytest.mark.parametrize("dtype", list(DType), ids=lambda d: d.name.lower())
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_every_type_is_written(dtype: DType, axis: int) -> None:
    x, updates = Input((4, 5, 6), dtype, low=0, high=9), Input((3, 4, 2), dtype, low=10, high=19)
    check("scatter_elements", {"axis": axis}, [x, i32(3, 4, 2, low=-4, high=3), updates])


@pytest.mark.parametrize("dtype", REDUCED, ids=lambda d: d.name.lower())
@pytest.mark.parametrize("reduction", list(ScatterReduction), ids=lambda r: r.name.lower())
def test_reductions(dtype: DType, reduction: ScatterReduction) -> None:
    low = 0 if dtype in (DType.UINT8, DType.BOOL) else -9
    x, updates = Input((3, 4), dtype, low=low, high=9), Input((3, 20), dtype, low=low, high=9)
    attrs = {"reduction": reduction, "axis": 1}
    check("scatter_elements", attrs, [x, i64(3, 20, low=-4, high=3), updates], relative=1e-4)


def test_quantised() -> None:
    for reduction in (ScatterReduction.NONE, ScatterReduction.MAX):
        inputs = [i8(6, 9), i32(6, 9, low=-6, high=5), i8(6, 9)]
        check("scatter_elements", {"reduction": reduction}, inputs, quant=quant_i8())


def test_meaning() -> None:
    x = of_data(np.zeros((3, 3), np.float32))
    updates = of_data(np.array([[1, 2, 3], [4, 5, 6]], np.float32))
    (y,) = check("scatter_elements", {"axis": 0}, [x, of_data(np.array([[1, 0, 2], [0, -1, 1]])), updates])
    assert y.tolist() == [[4, 2, 0], [1, 0, 6], [0, 5, 3]]


def test_index_outside_is_an_error_of_the_run() -> None:
    for reduction in (ScatterReduction.NONE, ScatterReduction.MIN):
        inputs = [f32(4, 5), i32(9, 5, low=-4, high=3), f32(9, 5)]
        check_hostile("scatter_elements", {"reduction": reduction}, inputs)


def test_refused() -> None:
    x, indices, updates = f32(2, 3), i32(4, 3), f32(4, 3)
    refused("scatter_elements", {}, [x, f32(4, 3), updates], [x], "indices are float32")
    refused("scatter_elements", {}, [x, i32(4), updates], [x], "indices has 1 dimensions")
    refused("scatter_elements", {}, [x, i32(4, 4), f32(4, 4)], [x], "dimension 1 of the indices is 4")
    refused("scatter_elements", {}, [x, indices, f32(3, 3)], [x], "indices and updates differ in shape")
    refused("scatter_elements", {"axis": 2}, [x, indices, updates], [x], "axis is 2")
    refused("scatter_elements", {"reduction": 5}, [x, indices, updates], [x], "reduction is 5")
    refused("scatter_elements", {}, [x, indices, updates], [f32(3, 3)], "has shape")
    with pytest.raises(ModelError, match="differ in shape"):
        make_case("scatter_elements", {}, [x, indices, f32(4, 2)])
