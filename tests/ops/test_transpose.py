"""transpose."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from edgert.dtypes import DType
from edgert.errors import ModelError
from ops.runner import Input, check, f32, i8, i64, quant_i8, refused


@pytest.mark.parametrize("perm", list(permutations(range(4))))
def test_every_permutation(perm: tuple[int, ...]) -> None:
    check("transpose", {"perm": perm}, [i8(2, 9, 17, 33)], quant=quant_i8())


@pytest.mark.parametrize("shape", [(8, 8), (7, 9), (31, 33), (64, 65), (1, 40), (3, 1000)])
def test_matrices_around_the_block_sizes(shape: tuple[int, int]) -> None:
    check("transpose", {"perm": (1, 0)}, [i8(*shape)], quant=quant_i8())
    check("transpose", {"perm": (1, 0)}, [f32(*shape)])


@pytest.mark.parametrize("dtype", list(DType))
def test_every_dtype(dtype: DType) -> None:
    quant = quant_i8() if dtype == DType.INT8 else None
    check("transpose", {"perm": (2, 0, 1)}, [Input((5, 6, 19), dtype, quant, low=0, high=100)], quant=quant)


def test_large_on_several_threads() -> None:
    check("transpose", {"perm": (0, 3, 1, 2)}, [i8(1, 96, 96, 64)], quant=quant_i8())
    check("transpose", {"perm": (1, 0, 2)}, [i64(130, 120, 9)])


def test_eight_dimensions_and_none() -> None:
    check("transpose", {"perm": (7, 0, 6, 1, 5, 2, 4, 3)}, [f32(2, 3, 2, 1, 3, 2, 2, 3)])
    check("transpose", {"perm": ()}, [f32()])


def test_moves_what_it_says() -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    (y,) = check("transpose", {"perm": (1, 0)}, [Input((2, 3), data=x)])
    assert y.tolist() == [[0, 3], [1, 4], [2, 5]]


def test_refuses_impossible_axes() -> None:
    refused("transpose", {"perm": (0, 0)}, [f32(2, 3)], [f32(2, 2)], "perm.*needed every axis")
    refused("transpose", {"perm": (0, 2)}, [f32(2, 3)], [f32(2, 2)], "perm.*needed every axis")
    refused("transpose", {"perm": (0,)}, [f32(2, 3)], [f32(2, 3)], "perm has 1 values, needed 2")
    with pytest.raises(ModelError, match="perm"):
        check("transpose", {"perm": (1, 1)}, [f32(2, 3)])


def test_refuses_another_quantisation() -> None:
    refused("transpose", {"perm": (1, 0)}, [i8(2, 3)], [i8(3, 2, quant=quant_i8(0.1))], "scale or zero point")
