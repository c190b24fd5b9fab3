from __future__ import annotations

import numpy as np
import pytest

from edgert.dtypes import DType
from edgert.ops._enums import ReduceFunction
from ops.runner import Input, check, f32, i8, i32, i64, of_data, quant_i8, refused

SHAPES_AND_AXES = [
    ((4, 5, 6, 7), (1, 2)), ((1, 7, 7, 130), (1, 2)), ((3, 100), (1,)), ((3, 100), (0,)), ((2, 3, 4), (0, 2)),
    ((2, 3, 4), (0, 1, 2)), ((2, 3, 4), (-1, 0)), ((2, 3, 4), ()), ((5,), (0,)), ((1, 1, 9), (0, 1)), ((), ()),
    ((2, 3, 2, 3, 2), (0, 2, 4)), ((2, 3, 2, 3, 2), (1, 3)), ((1, 40, 40, 70), (1, 2)), ((8, 9000), (1,)),
]  # fmt: skip
INTEGERS = [ReduceFunction.SUM, ReduceFunction.MAX, ReduceFunction.MIN, ReduceFunction.PROD]


@pytest.mark.parametrize("function", list(ReduceFunction))
@pytest.mark.parametrize("keep_dims", [False, True])
@pytest.mark.parametrize(("shape", "axes"), SHAPES_AND_AXES)
def test_float32(function: ReduceFunction, keep_dims: bool, shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    x = f32(*shape, low=0.9, high=1.1) if function == ReduceFunction.PROD else f32(*shape)
    check("reduce", {"function": function, "axes": axes, "keep_dims": keep_dims}, [x], relative=1e-5)


@pytest.mark.parametrize("function", [function for function in ReduceFunction if function != ReduceFunction.PROD])
@pytest.mark.parametrize("keep_dims", [False, True])
@pytest.mark.parametrize(("shape", "axes"), SHAPES_AND_AXES)
def test_int8(function: ReduceFunction, keep_dims: bool, shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    count = np.prod([shape[axis] for axis in axes], initial=1)
    scale = {ReduceFunction.MEAN: 0.011, ReduceFunction.SUM: 0.04 * float(np.sqrt(count))}.get(function, 0.07)
    for quant in (quant_i8(scale, -9), quant_i8()):
        check("reduce", {"function": function, "axes": axes, "keep_dims": keep_dims}, [i8(*shape)], quant=quant)


@pytest.mark.parametrize("function", INTEGERS)
@pytest.mark.parametrize("dtype", [DType.INT32, DType.INT64])
@pytest.mark.parametrize(("shape", "axes"), SHAPES_AND_AXES)
def test_integers(function: ReduceFunction, dtype: DType, shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    check("reduce", {"function": function, "axes": axes}, [Input(shape, dtype, low=-3, high=3)])


def test_mean_rounds_each_step_to_float32() -> None:
    """Ties and near ties, where another order of the operations gives another integer."""
    for zero_x, zero_y, scale_x, scale_y in [(0, 0, 0.5, 1.0), (7, -3, 0.03, 0.01), (-128, 100, 0.07, 0.03)]:
        x = i8(3, 5, 7, 64, quant=quant_i8(scale_x, zero_x))
        check("reduce", {"function": ReduceFunction.MEAN, "axes": (1, 2)}, [x], quant=quant_i8(scale_y, zero_y))


def test_max_of_nan_is_nan() -> None:
    for shape, axis in (((4, 20), 1), ((20, 4), 0)):
        x = np.arange(80, dtype=np.float32).reshape(shape)
        x[1, 2] = np.nan
        for function in (ReduceFunction.MAX, ReduceFunction.MIN):
            (y,) = check("reduce", {"function": function, "axes": (axis,)}, [of_data(x)])
            assert np.isnan(y).sum() == 1


def test_refused() -> None:
    mean = {"function": ReduceFunction.MEAN, "axes": (0,)}
    refused("reduce", {**mean, "axes": (2,)}, [f32(2, 3)], [f32(3)], "axis is 2, needed one of -2 to 1")
    refused("reduce", {**mean, "axes": (0, -2)}, [f32(2, 3)], [f32(3)], "axis 0 is given twice")
    refused("reduce", {**mean, "function": 5}, [f32(2, 3)], [f32(3)], "function is 5, needed one of 0 to 4")
    refused("reduce", mean, [i32(2, 3)], [i32(3)], "mean of int32")
    refused("reduce", {**mean, "function": ReduceFunction.PROD}, [i8(2, 3)], [i8(3)], "prod of int8")
    refused("reduce", mean, [f32(2, 3)], [i8(3)], "output is int8, needed float32")
    refused("reduce", mean, [f32(2, 3)], [f32(2)], "its inputs give")
    refused("reduce", {**mean, "keep_dims": True}, [i64(2, 3)], [i64(1, 3)], "mean of int64")
    refused("reduce", mean, [i8(2, 3, quant=None)], [i8(3)], "input has 0 scales, needed 1")
    refused("reduce", mean, [i8(2**23 + 1, 1)], [i8(1)], "reduces 8388609 int8 elements to one")
