"""scatter_nd."""

from __future__ import annotations

import numpy as np
import pytest

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.ops._enums import ScatterReduction
from ops.hostile import check_hostile
from ops.runner import Input, boolean, check, f32, i8, i32, i64, make_case, of_data, quant_i8, refused

REDUCED = [dtype for dtype in DType if dtype != DType.FLOAT16]


@pytest.mark.parametrize("dtype", list(DType), ids=lambda d: d.name.lower())
def test_every_type_is_written(dtype: DType) -> None:
    """Unequal tuples, and equal ones of which the last wins."""
    x, updates = Input((4, 5, 3), dtype, low=0, high=9), Input((6, 3), dtype, low=10, high=19)
    check("scatter_nd", {}, [x, i32(6, 2, low=-4, high=3), updates])


@pytest.mark.parametrize("dtype", REDUCED, ids=lambda d: d.name.lower())
@pytest.mark.parametrize("reduction", list(ScatterReduction), ids=lambda r: r.name.lower())
def test_reductions(dtype: DType, reduction: ScatterReduction) -> None:
    """Many updates of few elements; int8 sums and products wrap."""
    low = 0 if dtype in (DType.UINT8, DType.BOOL) else -9
    x, updates = Input((4, 4), dtype, low=low, high=9), Input((50,), dtype, low=low, high=9)
    check("scatter_nd", {"reduction": reduction}, [x, i64(50, 2, low=-4, high=3), updates], relative=1e-4)


@pytest.mark.parametrize(
    ("x", "indices", "updates"),
    [((5,), (1,), ()), ((5,), (3, 1), (3,)), ((4, 5), (2, 1), (2, 5)), ((4, 5, 6), (3, 2, 2), (3, 2, 6))],
)  # fmt: skip
def test_shapes(x: tuple[int, ...], indices: tuple[int, ...], updates: tuple[int, ...]) -> None:
    for reduction in (ScatterReduction.NONE, ScatterReduction.ADD):
        check("scatter_nd", {"reduction": reduction}, [f32(*x), i32(*indices, low=-4, high=3), f32(*updates)])


@pytest.mark.parametrize("reduction", [ScatterReduction.NONE, ScatterReduction.MIN, ScatterReduction.MAX])
def test_quantised(reduction: ScatterReduction) -> None:
    inputs = [i8(6, 9), i32(40, 1, low=-6, high=5), i8(40, 9)]
    check("scatter_nd", {"reduction": reduction}, inputs, quant=quant_i8())


def test_nan_stays() -> None:
    x = of_data(np.array([np.nan, 1, 2], np.float32))
    updates = of_data(np.array([5, np.nan, 7], np.float32))
    (y,) = check("scatter_nd", {"reduction": ScatterReduction.MAX}, [x, of_data(np.array([[0], [1], [2]])), updates])
    assert np.isnan(y[:2]).all()
    assert y[2] == 7


def test_index_outside_is_an_error_of_the_run() -> None:
    for reduction in (ScatterReduction.NONE, ScatterReduction.MUL):
        inputs = [f32(4, 4, 5), i32(70, 2, low=-4, high=3), f32(70, 5)]
        check_hostile("scatter_nd", {"reduction": reduction}, inputs)


def test_refused() -> None:
    x, indices, updates = f32(2, 3), i32(4, 1), f32(4, 3)
    refused("scatter_nd", {}, [x, f32(4, 1), updates], [x], "indices are float32")
    refused("scatter_nd", {}, [x, i32(4, 3), updates], [x], "tuples have 3 indices")
    refused("scatter_nd", {}, [x, indices, f32(4, 2)], [x], "the shape of the updates does not fit")
    refused("scatter_nd", {}, [x, indices, f32(4)], [x], "the shape of the updates does not fit")
    refused("scatter_nd", {}, [x, indices, i32(4, 3)], [x], "updates is int32")
    refused("scatter_nd", {}, [x, indices, updates], [f32(3, 3)], "has shape")
    refused("scatter_nd", {"reduction": 9}, [x, indices, updates], [x], "reduction is 9")
    refused("scatter_nd", {}, [i8(2, 3), indices, i8(4, 3, quant=quant_i8(2.0))], [i8(2, 3)], "updates differ")
    adds = {"reduction": ScatterReduction.ADD}
    refused("scatter_nd", adds, [i8(2, 3), indices, i8(4, 3)], [i8(2, 3)], "quantised numbers")
    half, halves = Input((2, 3), DType.FLOAT16), Input((4, 3), DType.FLOAT16)
    refused("scatter_nd", adds, [half, indices, halves], [half], "a reduction of float16")
    with pytest.raises(ModelError, match="updates are bool"):
        make_case("scatter_nd", {}, [x, indices, boolean(4, 3)])
    with pytest.raises(ModelError, match="indices run from 0 to 2"):
        make_case("scatter_nd", {}, [x, of_data(np.array([[0], [2]]), constant=True), f32(2, 3)])
