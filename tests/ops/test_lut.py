from __future__ import annotations

import numpy as np
import pytest

from ops.runner import check, f32, i8, of_data, quant_i8, refused

TABLE = np.random.default_rng(1).integers(-128, 128, 256).astype(np.int8)


@pytest.mark.parametrize("size", [1, 15, 64, 257, 70_000])
def test_lut(size: int) -> None:
    check("lut", {}, [i8(size), of_data(TABLE, constant=True)], quant=quant_i8(0.1, -7))


def test_every_entry() -> None:
    every = np.arange(-128, 128).astype(np.int8)
    (y,) = check("lut", {}, [of_data(every, quant_i8()), of_data(TABLE, constant=True)], quant=quant_i8())
    np.testing.assert_array_equal(y, TABLE)


def test_refused() -> None:
    x, table, y = i8(4), of_data(TABLE, constant=True), i8(4)
    refused("lut", {}, [x, of_data(TABLE[:255], constant=True)], [y], "table has 255 entries, needed 256")
    refused("lut", {}, [x, of_data(TABLE)], [y], "table is computed, needed a constant")
    refused("lut", {}, [f32(4), table], [y], "input is float32, needed int8")
    refused("lut", {}, [x, table], [f32(4)], "output is float32")
    refused("lut", {}, [x, table], [i8(5)], r"has shape")
