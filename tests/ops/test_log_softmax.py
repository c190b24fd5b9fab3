from __future__ import annotations

import numpy as np
import pytest

from edgert.errors import ModelError
from ops.runner import check, f32, i32, make_case, of_data, refused


@pytest.mark.parametrize(("shape", "axis"), [((10,), 0), ((3, 7), -1), ((2, 5, 3), 1), ((600, 33), 1)])
def test_log_softmax(shape: tuple[int, ...], axis: int) -> None:
    (y,) = check("log_softmax", {"axis": axis}, [f32(*shape, low=-20, high=20)])
    np.testing.assert_allclose(np.exp(y.astype(np.float64)).sum(axis), 1, rtol=1e-5)


def test_far_from_zero() -> None:
    check("log_softmax", {}, [of_data(np.array([[1e30, 0, -1e30], [1000, 1001, 1002]], np.float32))])


def test_refused() -> None:
    refused("log_softmax", {}, [i32(4)], [f32(4)], "input is int32")
    refused("log_softmax", {}, [f32(4)], [i32(4)], "output is int32")
    refused("log_softmax", {"axis": -2}, [f32(4)], [f32(4)], "axis is -2")
    refused("log_softmax", {}, [f32(4)], [f32(1, 4)], "has shape")
    with pytest.raises(ModelError, match="axis is 1"):
        make_case("log_softmax", {"axis": 1}, [f32(4)])
