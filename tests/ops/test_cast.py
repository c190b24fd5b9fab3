from __future__ import annotations

import numpy as np
import pytest

from edgert.dtypes import DType
from edgert.ops.cast import cast
from ops.runner import check, f32, of_data, refused

EDGES = [
    0,
    1,
    -1,
    127,
    128,
    -128,
    -129,
    255,
    256,
    32767,
    32768,
    65535,
    65536,
    2**24 + 1,
    2**31 - 1,
    2**31,
    -(2**31),
    2**62,
]
REALS = [0.0, -0.0, 0.4, -0.4, 0.5, 1.5, -1.5, 127.9, -128.9, 255.9, 65504.0, 65520.0, 6e-8, 1e-8, 2.0**31, -(2.0**31),
         2.0**63, -(2.0**63), 3e38, np.inf, -np.inf, np.nan]  # fmt: skip


def values(dtype: DType) -> np.ndarray:
    if dtype == DType.BOOL:
        return np.array([True, False, True])
    if dtype in (DType.FLOAT32, DType.FLOAT16):
        with np.errstate(over="ignore"):
            random = np.random.default_rng(0).uniform(-300, 300, 500)
            return np.concatenate([REALS, random]).astype(np.float32).astype(dtype.numpy_name)
    random = np.random.default_rng(0).integers(-(2**40), 2**40, 500)
    return np.concatenate([np.array(EDGES, np.int64), random]).astype(dtype.numpy_name)


@pytest.mark.parametrize("to", list(DType), ids=lambda d: d.name.lower())
@pytest.mark.parametrize("of", list(DType), ids=lambda d: d.name.lower())
def test_cast(of: DType, to: DType) -> None:
    check("cast", {}, [of_data(values(of))], dtype=to, relative=0, absolute=0)


def test_rule() -> None:
    """What the docstring promises, on values that a reader can check."""
    x = np.array([np.nan, 1e10, -1e10, 2.9, -2.9], np.float32)
    np.testing.assert_array_equal(cast(x, DType.INT8), [0, 127, -128, 2, -2])
    np.testing.assert_array_equal(cast(x, DType.UINT8), [0, 255, 0, 2, 0])
    np.testing.assert_array_equal(cast(x, DType.BOOL), [True] * 5)
    np.testing.assert_array_equal(cast(np.array([300, -1]), DType.UINT8), [44, 255])
    assert cast(np.array([3e38], np.float32), DType.INT64)[0] == 2**63 - 1


def test_large() -> None:
    check("cast", {}, [f32(3, 40_000, low=-200, high=200)], dtype=DType.INT8)


def test_refused() -> None:
    refused("cast", {}, [f32(4)], [f32(5)], "has shape")


def test_float16_rounds_to_nearest_even_everywhere() -> None:
    """Every float16, the middle between it and the next, and the float32 on either side of that middle."""
    halves = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float32)
    above = np.concatenate([halves[1:], [np.float32(65536)]])
    middles = (halves + above) / 2
    around = [np.nextafter(middles, np.float32(end)) for end in (0, np.inf)]
    x = np.concatenate([halves, middles, *around]).astype(np.float32)
    check("cast", {}, [of_data(np.concatenate([x, -x]))], dtype=DType.FLOAT16, relative=0, absolute=0)
