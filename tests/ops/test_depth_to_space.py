"""depth_to_space."""

from __future__ import annotations

import numpy as np
import pytest

from edgert.errors import ModelError
from ops.runner import check, f32, i8, of_data, quant_i8, refused


@pytest.mark.parametrize("column_row_depth", [False, True])
@pytest.mark.parametrize(
    ("shape", "block"), [((1, 2, 3, 4), 2), ((2, 5, 4, 27), 3), ((1, 3, 3, 5), 1), ((1, 40, 40, 64), 4)]
)
def test_blocks(shape: tuple[int, ...], block: int, column_row_depth: bool) -> None:
    attrs = {"block": block, "column_row_depth": column_row_depth}
    check("depth_to_space", attrs, [f32(*shape)])
    check("depth_to_space", attrs, [i8(*shape)], quant=quant_i8())


def test_orders_by_hand() -> None:
    x = of_data(np.arange(8, dtype=np.float32).reshape(1, 1, 1, 8))
    (rows,) = check("depth_to_space", {"block": 2}, [x])
    assert rows[0, ..., 0].tolist() == [[0, 2], [4, 6]]
    (columns,) = check("depth_to_space", {"block": 2, "column_row_depth": True}, [x])
    assert columns[0, ..., 0].tolist() == [[0, 1], [2, 3]]


def test_refuses_channels_that_do_not_divide() -> None:
    refused("depth_to_space", {"block": 2}, [f32(1, 2, 2, 6)], [f32(1, 4, 4, 1)], "6 channels, needed a multiple of 4")
    refused("depth_to_space", {"block": 0}, [f32(1, 2, 2, 4)], [f32(1, 4, 4, 1)], "block is 0")
    refused("depth_to_space", {"block": 2**30}, [f32(1, 2, 2, 4)], [f32(1, 4, 4, 1)], "block is")
    refused("depth_to_space", {"block": 2}, [f32(2, 2, 4)], [f32(1, 4, 4, 1)], "3 dimensions, needed 4")
    with pytest.raises(ModelError, match="multiple of 4"):
        check("depth_to_space", {"block": 2}, [f32(1, 2, 2, 6)])
