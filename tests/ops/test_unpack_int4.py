from __future__ import annotations

import numpy as np
import pytest

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.ops.unpack_int4 import pack_int4, unpack_int4
from ops.runner import Input, check, f32, i8, make_case, of_data, refused


def bytes_of(*shape: int, low: int = 0, high: int = 255, constant: bool = False) -> Input:
    return Input(shape, DType.UINT8, low=low, high=high, constant=constant)


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize(
    "shape",
    [(1,), (5,), (1, 1), (3, 2), (4, 31), (2, 32), (3, 33), (2, 65), (7, 1000), (2, 3, 3, 5), (40_000, 3), (2, 70_001)],
    ids=str,
)
def test_any_bytes(shape: tuple[int, ...], constant: bool) -> None:
    """Halves of -8, multipliers of 0 and products beyond int8 too."""
    rows, columns = shape[0], int(np.prod(shape[1:]))
    packed = bytes_of(rows, -(-columns // 2), constant=constant)
    multipliers = bytes_of(rows, -(-columns // 32), constant=constant)
    check("unpack_int4", {"shape": shape}, [packed])
    check("unpack_int4", {"shape": shape}, [packed, multipliers])


def test_packed_numbers_come_back() -> None:
    rng = np.random.default_rng(1)
    weights = rng.integers(-7, 8, (6, 3, 3, 7), np.int8)
    multipliers = rng.integers(1, 19, (6, 2), np.uint8)
    (plain,) = check("unpack_int4", {"shape": weights.shape}, [of_data(pack_int4(weights))])
    np.testing.assert_array_equal(plain, weights)
    (scaled,) = check("unpack_int4", {"shape": weights.shape}, [of_data(pack_int4(weights)), of_data(multipliers)])
    factors = np.repeat(multipliers, 32, axis=1)[:, :63].reshape(weights.shape).astype(np.int32)
    np.testing.assert_array_equal(scaled, weights * factors)


def test_the_layout() -> None:
    """The even element lies in the low half, and an odd row ends with an empty half."""
    weights = np.array([[1, -2, 7], [-8, 0, 5]], np.int8)
    packed = pack_int4(weights)
    np.testing.assert_array_equal(packed, np.array([[0xE1, 0x07], [0x08, 0x05]], np.uint8))
    np.testing.assert_array_equal(unpack_int4(packed, weights.shape), [[1, -2, 7], [-8, 0, 5]])
    np.testing.assert_array_equal(unpack_int4(packed, weights.shape, np.array([[20], [16]], np.uint8)),
                                  [[20, -40, 127], [-127, 0, 80]])  # fmt: skip


def test_numbers_of_more_bits_are_not_packed() -> None:
    with pytest.raises(ValueError, match="-9 to 3 do not fit"):
        pack_int4(np.array([[3, -9]]))


def test_refused() -> None:
    attrs = {"shape": (4, 10)}
    refused("unpack_int4", attrs, [i8(4, 5)], [i8(4, 10)], "input is int8, needed uint8")
    refused("unpack_int4", attrs, [bytes_of(4, 5)], [f32(4, 10)], "output is float32, needed int8")
    refused("unpack_int4", attrs, [bytes_of(4, 6)], [i8(4, 10)], r"input has shape \[4, 6\], needed \[4, 5\]")
    refused("unpack_int4", attrs, [bytes_of(20)], [i8(4, 10)], "input has 1 dimensions")
    refused("unpack_int4", attrs, [bytes_of(4, 5), bytes_of(4, 2)], [i8(4, 10)], r"multipliers has shape \[4, 2\]")
    refused("unpack_int4", attrs, [bytes_of(4, 5), i8(4, 1)], [i8(4, 10)], "multipliers is int8")
    refused("unpack_int4", attrs, [bytes_of(4, 5)], [i8(4, 9)], "has shape")
    refused("unpack_int4", {"shape": (4, 0)}, [bytes_of(4, 5)], [i8(4, 10)], r"shape\[1\] is 0")
    refused("unpack_int4", {"shape": (4, -10)}, [bytes_of(4, 5)], [i8(4, 10)], r"shape\[1\] is -10")
    refused("unpack_int4", {"shape": ()}, [bytes_of(4, 5)], [i8(4, 10)], "shape has 0 dimensions")
    huge = {"shape": (4, *(2**31 - 1,) * 7)}
    refused("unpack_int4", huge, [bytes_of(4, 5)], [i8(4, 10)], "shape is too large")
    with pytest.raises(ModelError, match="needed uint8"):
        make_case("unpack_int4", attrs, [i8(4, 5)])
    with pytest.raises(ModelError, match="needed \\[4, 1\\]"):
        make_case("unpack_int4", attrs, [bytes_of(4, 5), bytes_of(4, 2)])
    with pytest.raises(ModelError, match="needed 1 to 8 dimensions"):
        make_case("unpack_int4", {"shape": ()}, [bytes_of(4, 5)])
