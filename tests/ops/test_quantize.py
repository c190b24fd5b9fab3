from __future__ import annotations

import numpy as np
import pytest

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from ops.runner import Input, check, f32, i8, i32, make_case, of_data, quant_i8, refused

TARGETS = [
    (DType.INT8, quant_i8(0.03, -5)),
    (DType.UINT8, QuantParams((0.0625,), (131,))),
    (DType.INT16, QuantParams((0.000244140625,), (0,))),
    (DType.INT16, QuantParams((0.5,), (-32768,))),
]


@pytest.mark.parametrize(("dtype", "quant"), TARGETS, ids=str)
def test_quantize(dtype: DType, quant: QuantParams) -> None:
    for size in (1, 33, 1000, 70_001):
        check("quantize", {}, [f32(size, low=-9, high=9)], quant=quant, dtype=dtype)


@pytest.mark.parametrize(("dtype", "quant"), TARGETS, ids=str)
def test_ties_and_specials(dtype: DType, quant: QuantParams) -> None:
    """Halves go to even, infinities saturate, NaN becomes the zero point."""
    steps = np.arange(-600, 600, dtype=np.float32) / 2
    x = np.concatenate([steps * np.float32(quant.scale), np.float32([np.inf, -np.inf, 3e38, -3e38, np.nan])])
    (y,) = check("quantize", {}, [of_data(x)], quant=quant, dtype=dtype)
    limits = np.iinfo(dtype.numpy_name)
    assert list(y[-5:]) == [limits.max, limits.min, limits.max, limits.min, quant.zero_point]


def test_int8_to_int8_is_the_reference_of_a_table() -> None:
    x, y = quant_i8(0.02, 7), quant_i8(0.03, -20)
    every = np.arange(-128, 128).astype(np.int8)
    (result,) = make_case("quantize", {}, [of_data(every, x)], quant=y).reference()
    exact = np.rint(x.scale * (every.astype(np.float64) - 7) / y.scale) - 20
    np.testing.assert_array_equal(result, np.clip(exact, -128, 127))


def test_shift_between_int8_and_uint8() -> None:
    """The same number under another name: q xor 128."""
    every, signed, unsigned = np.arange(256).astype(np.uint8), quant_i8(0.5, -7), QuantParams((0.5,), (121,))
    (y,) = check("quantize", {}, [of_data(every, unsigned)], quant=signed, dtype=DType.INT8)
    np.testing.assert_array_equal(y, every.astype(int) - 128)
    (back,) = check("quantize", {}, [of_data(y, signed)], quant=unsigned, dtype=DType.UINT8)
    np.testing.assert_array_equal(back, every)


def test_refused() -> None:
    refused("quantize", {}, [i8(4)], [i8(4)], "from int8 to int8")
    refused("quantize", {}, [i32(4)], [i8(4)], "input has 0 scales, needed 1")
    u8 = Input((4,), DType.UINT8, QuantParams((0.5,), (131,)))
    refused("quantize", {}, [i8(4, quant=quant_i8(0.25, 3))], [u8], "needed equal scales and zero points 128 apart")
    refused("quantize", {}, [i8(4, quant=quant_i8(0.5, 2))], [u8], "needed equal scales and zero points 128 apart")
    refused("quantize", {}, [i8(4, quant=None)], [u8], "input has 0 scales")
    refused("quantize", {}, [f32(4)], [i32(4)], "output is int32")
    refused("quantize", {}, [f32(4)], [i8(4, quant=None)], "output has 0 scales, needed 1")
    per_channel = QuantParams((0.5, 0.25, 0.5, 1.0), (0, 0, 0, 0), 0)
    refused("quantize", {}, [f32(4)], [i8(4, quant=per_channel)], "output has 4 scales, needed 1")
    refused("quantize", {}, [f32(4)], [i8(5)], "has shape")


@pytest.mark.parametrize(
    ("x", "dtype"),
    [(Input((4,), DType.UINT8, low=0), DType.INT16), (i32(4), DType.INT8), (Input((4,), DType.INT64), None)],
)
def test_infer_refuses(x: Input, dtype: DType | None) -> None:
    with pytest.raises(ModelError):
        make_case("quantize", {}, [x], dtype=dtype)


def test_output_dtype_is_checked() -> None:
    case = make_case("quantize", {}, [f32(4)], quant=quant_i8())
    case.node.output.dtype = DType.INT32
    with pytest.raises(ModelError, match="needed int8, uint8 or int16"):
        case.graph.verify()
