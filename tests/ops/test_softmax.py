from __future__ import annotations

import numpy as np
import pytest

from edgert.dtypes import QuantParams
from edgert.errors import ModelError
from edgert.ops.softmax import ONE, OUTPUT_QUANT, exp_table
from ops.runner import check, f32, i8, i32, make_case, of_data, quant_i8, refused

X = quant_i8(0.1, 4)


def int8_attrs(axis: int = -1, beta: float = 1.0) -> dict[str, object]:
    return {"axis": axis, "beta": beta, "exp_table": exp_table(X.scale, beta)}


@pytest.mark.parametrize(("shape", "axis"), [((10,), 0), ((3, 7), -1), ((2, 5, 3), 1), ((600, 33), 1), ((2, 9, 1), 2)])
def test_float32(shape: tuple[int, ...], axis: int) -> None:
    for beta in (1.0, 0.5):
        (y,) = check("softmax", {"axis": axis, "beta": beta}, [f32(*shape, low=-20, high=20)])
        np.testing.assert_allclose(y.sum(axis), 1, rtol=1e-5)


def test_float32_far_from_zero() -> None:
    check("softmax", {}, [of_data(np.array([[1e30, 1e30, -1e30], [-np.inf, 0, 1]], np.float32))])


@pytest.mark.parametrize(
    ("shape", "axis"),
    [((10,), 0), ((3, 7), -1), ((2, 5, 3), 1), ((1, 256), 1), ((2, 257), 1), ((2, 1001), 1), ((500, 20), 0)],
)
@pytest.mark.parametrize("beta", [1.0, 2.0])
def test_int8(shape: tuple[int, ...], axis: int, beta: float) -> None:
    """Equal to the reference, and within one step of the real function."""
    (y,) = check("softmax", int8_attrs(axis, beta), [i8(*shape, quant=X)], quant=OUTPUT_QUANT)
    x = X.scale * make_case("softmax", int8_attrs(axis, beta), [i8(*shape, quant=X)], OUTPUT_QUANT).feeds[0].astype(
        float
    )
    e = np.exp(beta * (x - x.max(axis, keepdims=True)))
    assert np.abs((y.astype(float) + 128) / 256 - e / e.sum(axis, keepdims=True)).max() <= 1 / 256


def test_int8_extremes() -> None:
    """One certain class gives 255/256, the most that int8 has; equal ones share, halves up."""
    certain = np.array([[127, -128, -128, -128], [5, 5, 5, 5], [-128, -128, -128, -128]], np.int8)
    (y,) = check("softmax", int8_attrs(), [of_data(certain, X)], quant=OUTPUT_QUANT)
    np.testing.assert_array_equal(y, [[127, -128, -128, -128], [-64] * 4, [-64] * 4])


def test_reference_computes_the_table_when_it_is_empty() -> None:
    full = make_case("softmax", int8_attrs(), [i8(4, 9, quant=X)], OUTPUT_QUANT)
    empty = make_case("softmax", {}, [i8(4, 9, quant=X)], OUTPUT_QUANT)
    np.testing.assert_array_equal(full.reference()[0], empty.reference()[0])


def test_table() -> None:
    table = exp_table(0.1, 1.0)
    assert len(table) == 256
    assert table[0] == ONE
    assert table[10] == round(ONE * np.exp(-1.0))
    assert list(table) == sorted(table, reverse=True)


def test_refused() -> None:
    x, y, good = i8(4), i8(4, quant=OUTPUT_QUANT), int8_attrs()
    refused("softmax", {}, [x], [y], "exp_table has 0 entries, needed 256")
    refused("softmax", good, [x], [i8(4)], "needed 1/256 and -128")
    refused("softmax", good, [x], [i8(4, quant=QuantParams((1 / 256,), (-127,)))], "needed 1/256 and -128")
    refused("softmax", good, [i8(4, quant=None)], [y], "input has 0 scales")
    refused("softmax", {**good, "exp_table": (0,) * 256}, [x], [y], "starts with 0")
    refused(
        "softmax", {**good, "exp_table": (ONE, *(2**31 - 1,) * 255)}, [x], [y], "entry 1 of exp_table is 2147483647"
    )
    refused("softmax", {"axis": 1}, [f32(4)], [f32(4)], "axis is 1, needed one of -1 to 0")
    refused("softmax", {"beta": np.nan}, [f32(4)], [f32(4)], "beta is -?nan")
    refused("softmax", {}, [i32(4)], [i32(4)], "input is int32")
    refused("softmax", {}, [f32(4)], [y], "output is int8")
    refused("softmax", {}, [f32()], [f32()], "axis is -1")


def test_infer_refuses() -> None:
    for attrs, spec in (({"axis": 2}, f32(2, 2)), ({}, i32(4)), ({"exp_table": (1, 2)}, i8(4))):
        with pytest.raises(ModelError):
            make_case("softmax", attrs, [spec])
