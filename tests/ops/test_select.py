from __future__ import annotations

import pytest

from edgert.dtypes import DType
from edgert.errors import ModelError
from ops.runner import Input, boolean, check, f32, i8, i32, make_case, quant_i8, refused

SHAPES = [
    ((6,), (6,), (6,)),
    ((2, 3, 1), (4,), (3, 4)),
    ((), (5,), (5,)),
    ((3, 1, 2), (1, 4, 1), ()),
    ((100, 1), (100, 300), (300,)),
]


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", list(DType), ids=lambda d: d.name.lower())
def test_select(shapes: tuple[tuple[int, ...], ...], dtype: DType) -> None:
    condition, a, b = shapes
    low = 0 if dtype == DType.UINT8 else -100
    check("select", {}, [boolean(*condition), Input(a, dtype, low=low, high=100), Input(b, dtype, low=low, high=100)])


def test_quantised() -> None:
    check("select", {}, [boolean(8), i8(8), i8(8)], quant=quant_i8())


def test_refused() -> None:
    c = boolean(4)
    refused("select", {}, [f32(4), f32(4), f32(4)], [f32(4)], "condition is float32, needed bool")
    refused("select", {}, [c, f32(4), i32(4)], [f32(4)], "input 2 is int32")
    refused("select", {}, [c, f32(4), f32(4)], [i32(4)], "output is int32")
    refused("select", {}, [c, i8(4), i8(4, quant=quant_i8(0.5))], [i8(4)], "differ in quantisation")
    refused("select", {}, [c, f32(3), f32(4)], [f32(4)], "does not broadcast")
    with pytest.raises(ModelError, match="condition"):
        make_case("select", {}, [f32(4), f32(4), f32(4)])
    with pytest.raises(ModelError, match="third input"):
        make_case("select", {}, [c, f32(4), i32(4)])
