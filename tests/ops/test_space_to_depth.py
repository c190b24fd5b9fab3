"""space_to_depth."""

from __future__ import annotations

import numpy as np
import pytest

from edgert.errors import ModelError
from ops.runner import check, f32, i8, of_data, quant_i8, refused


@pytest.mark.parametrize(
    ("shape", "block"), [((1, 4, 6, 3), 2), ((2, 9, 3, 5), 3), ((1, 3, 3, 5), 1), ((1, 96, 96, 16), 4)]
)
def test_blocks(shape: tuple[int, ...], block: int) -> None:
    check("space_to_depth", {"block": block}, [f32(*shape)])
    check("space_to_depth", {"block": block}, [i8(*shape)], quant=quant_i8())


def test_order_by_hand() -> None:
    x = of_data(np.arange(8, dtype=np.float32).reshape(1, 2, 2, 2))
    (y,) = check("space_to_depth", {"block": 2}, [x])
    assert y.reshape(-1).tolist() == list(range(8))


def test_refuses_sizes_that_do_not_divide() -> None:
    refused("space_to_depth", {"block": 2}, [f32(1, 3, 4, 1)], [f32(1, 1, 2, 4)], "3x4, needed multiples of 2")
    refused("space_to_depth", {"block": -1}, [f32(1, 2, 2, 1)], [f32(1, 1, 1, 4)], "block is -1")
    with pytest.raises(ModelError, match="multiples of 2"):
        check("space_to_depth", {"block": 2}, [f32(1, 3, 4, 1)])
