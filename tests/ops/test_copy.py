from __future__ import annotations

import pytest

from edgert.dtypes import DType
from ops.runner import Input, check, f32, i8, i32, quant_i8, refused


@pytest.mark.parametrize("dtype", list(DType), ids=lambda d: d.name.lower())
def test_copy(dtype: DType) -> None:
    for shape in ((), (7,), (3, 100_001)):
        check("copy", {}, [Input(shape, dtype, low=0, high=100)], relative=0, absolute=0)


def test_quantised() -> None:
    check("copy", {}, [i8(9)], quant=quant_i8())


def test_refused() -> None:
    refused("copy", {}, [f32(4)], [i32(4)], "output is int32, needed float32")
    refused("copy", {}, [i8(4)], [i8(4, quant=None)], "differ in quantisation")
    refused("copy", {}, [f32(4)], [f32(2, 2)], "has shape")
