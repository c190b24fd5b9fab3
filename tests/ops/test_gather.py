"""gather."""

from __future__ import annotations

import numpy as np
import pytest

from edgert import Interpreter
from edgert.errors import InvokeError, ModelError
from edgert.pack.writer import write
from ops.runner import check, f32, i8, i32, i64, make_case, of_data, quant_i8, refused


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize("shape", [(), (4,), (2, 3)])
def test_axes(axis: int, shape: tuple[int, ...]) -> None:
    check("gather", {"axis": axis}, [f32(5, 6, 7), i32(*shape, low=-5, high=4)])
    check("gather", {"axis": axis}, [i8(5, 6, 7), i64(*shape, low=-5, high=4, constant=True)], quant=quant_i8())


def test_large_on_several_threads() -> None:
    check("gather", {"axis": 1}, [f32(3, 500, 40), i32(700, low=-500, high=499)])
    check("gather", {"axis": 1}, [i8(900, 240), i32(240, low=-240, high=239, constant=True)], quant=quant_i8())


def test_negative_indices_count_from_the_end() -> None:
    x = of_data(np.array([10, 20, 30], np.float32))
    (y,) = check("gather", {"axis": 0}, [x, of_data(np.array([-1, 0, -3], np.int64))])
    assert y.tolist() == [30, 10, 10]


@pytest.mark.parametrize("index", [3, -4, 2**31 - 1, -(2**31)])
def test_index_outside_is_an_error_of_the_run(index: int) -> None:
    case = make_case("gather", {"axis": 0}, [f32(3, 2), i32(2, low=0, high=2)])
    interpreter = Interpreter(model_content=write(case.graph))
    x, indices = interpreter.get_input_details()
    interpreter.set_tensor(x["index"], case.feeds[0])
    interpreter.set_tensor(indices["index"], np.array([0, index], np.int32))
    with pytest.raises(InvokeError):
        interpreter.invoke()
    interpreter.set_tensor(indices["index"], np.array([0, -3], np.int32))
    interpreter.invoke()


def test_refuses_other_indices() -> None:
    refused("gather", {"axis": 3}, [f32(2, 3), i32(2)], [f32(2, 3)], "axis is 3")
    refused("gather", {"axis": 0}, [f32(2, 3), f32(2)], [f32(2, 3)], "indices are float32")
    with pytest.raises(ModelError, match="indices run from 0 to 2"):
        check("gather", {"axis": 0}, [f32(2, 3), of_data(np.array([0, 2], np.int32), constant=True)])
