"""slice."""

from __future__ import annotations

import numpy as np
import pytest

from edgert.dtypes import DType
from edgert.errors import ModelError
from ops.runner import Input, check, f32, i8, quant_i8, refused


def cut(begin: tuple[int, ...], end: tuple[int, ...], strides: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    return {"begin": begin, "end": end, "strides": strides}


CUTS = [
    cut((0, 0, 0), (6, 7, 8), (1, 1, 1)),
    cut((2, 0, 0), (5, 7, 8), (1, 1, 1)),
    cut((0, 3, 0), (6, 4, 8), (1, 1, 1)),
    cut((0, 0, 1), (6, 7, 8), (1, 1, 3)),
    cut((5, 6, 7), (-1, -1, -1), (-1, -1, -1)),
    cut((5, 0, 7), (0, 7, -1), (-2, 2, -3)),
    cut((5, 6, 7), (6, 7, 8), (1, 5, 1000)),
]


@pytest.mark.parametrize("attrs", CUTS)
def test_cuts(attrs: dict[str, tuple[int, ...]]) -> None:
    check("slice", attrs, [f32(6, 7, 8)])
    check("slice", attrs, [i8(6, 7, 8)], quant=quant_i8())
    check("slice", attrs, [Input((6, 7, 8), DType.INT16, low=-9, high=9)])


def test_large_on_several_threads() -> None:
    check("slice", cut((0, 119, 0, 0), (1, -1, 200, 15), (1, -1, 2, 1)), [f32(1, 120, 200, 16)])


def test_end_before_the_first_element() -> None:
    x = np.arange(4, dtype=np.float32)
    (y,) = check("slice", cut((3,), (-1,), (-2,)), [Input((4,), data=x)])
    assert y.tolist() == [3, 1]


@pytest.mark.parametrize(
    ("attrs", "message"),
    [
        (cut((0,), (4,), (0,)), "strides.0. is 0"),
        (cut((5,), (4,), (1,)), "begin.0. is 5"),
        (cut((-1,), (4,), (1,)), "begin.0. is -1"),
        (cut((4,), (-1,), (-1,)), "begin.0. is 4"),
        (cut((0,), (5,), (1,)), "end.0. is 5"),
        (cut((0,), (-1,), (1,)), "end.0. is -1"),
        (cut((0, 0), (4, 1), (1, 1)), "begin has 2 values, needed 1"),
    ],
)
def test_refuses_bounds_outside(attrs: dict[str, tuple[int, ...]], message: str) -> None:
    refused("slice", attrs, [f32(4)], [f32(4)], message)
    with pytest.raises(ModelError, match=message):
        check("slice", attrs, [f32(4)])
