from __future__ import annotations

import numpy as np
import pytest

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from ops.runner import Input, check, f32, i8, make_case, of_data, quant_i8, refused

EXACT = {"relative": 0.0, "absolute": 0.0}  # every instruction set gives the reference's bits


@pytest.mark.parametrize(
    ("dtype", "quant"),
    [
        (DType.INT8, quant_i8(0.03, -5)),
        (DType.UINT8, QuantParams((0.0625,), (131,))),
        (DType.INT16, QuantParams((0.001,), (0,))),
        (DType.INT32, QuantParams((float(np.float32(1e-7)),), (0,))),
    ],
    ids=str,
)
@pytest.mark.parametrize("size", [1, 33, 1000, 70_001])
def test_per_tensor(dtype: DType, quant: QuantParams, size: int) -> None:
    quant = QuantParams((float(np.float32(quant.scale)),), quant.zero_points)
    limits = np.iinfo(dtype.numpy_name)
    check("dequantize", {}, [Input((size,), dtype, quant, low=limits.min, high=limits.max)], **EXACT)


@pytest.mark.parametrize("dtype", [DType.INT8, DType.INT32])
@pytest.mark.parametrize("axis", [0, 1, 2, 3])
def test_per_channel(dtype: DType, axis: int) -> None:
    shape = (4, 3, 5, 6)
    scales = tuple(0.5 ** (i + 1) for i in range(shape[axis]))
    zero_points = tuple(range(shape[axis])) if dtype == DType.INT8 else (0,) * shape[axis]
    quant = QuantParams(scales, zero_points, axis)
    check("dequantize", {}, [Input(shape, dtype, quant, constant=True, low=-128, high=127)], **EXACT)


def test_per_channel_larger_than_a_chunk() -> None:
    quant = QuantParams((0.5, 0.25, 0.125), (1, 2, 3), 0)
    check("dequantize", {}, [i8(3, 40_000, quant=quant)], **EXACT)


@pytest.mark.parametrize("shape", [(5, 1000), (20_000, 3), (3, 3, 65), (2, 40_000)], ids=str)
def test_the_last_axis(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(len(shape))
    scales = tuple(float(scale) for scale in rng.uniform(0.001, 0.1, shape[-1]).astype(np.float32))
    quant = QuantParams(scales, tuple(rng.integers(-128, 128, shape[-1]).tolist()), len(shape) - 1)
    check("dequantize", {}, [i8(*shape, quant=quant)], **EXACT)


def test_every_float16() -> None:
    """All 65536 of them, subnormals, infinities and NaN included."""
    every = np.arange(65536, dtype=np.uint16).view(np.float16)
    check("dequantize", {}, [of_data(every)], **EXACT)


def test_refused() -> None:
    refused("dequantize", {}, [f32(4)], [f32(4)], "input is float32")
    refused("dequantize", {}, [i8(4, quant=None)], [f32(4)], "input has no scale")
    refused("dequantize", {}, [i8(4)], [i8(4)], "output is int8, needed float32")
    refused("dequantize", {}, [i8(4)], [f32(2, 2)], "has shape")
    with pytest.raises(ModelError, match="no scale"):
        make_case("dequantize", {}, [i8(4, quant=None)])
    with pytest.raises(ModelError, match="2 scales along axis 1"):
        make_case("dequantize", {}, [i8(4, 3, quant=QuantParams((1.0, 2.0), (0, 0), 1))])
