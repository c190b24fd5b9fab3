from __future__ import annotations

import numpy as np
import pytest

from edgert.errors import ModelError
from edgert.ops._enums import UnaryFunction
from edgert.ops._functions import unary_function
from edgert.ops._table import build_table
from ops.runner import boolean, check, f32, i8, i32, i64, make_case, of_data, quant_i8, refused

F = UnaryFunction
PARAMETERS = {
    F.LEAKY_RELU: (0.2, 0.0),
    F.ELU: (1.3, 0.0),
    F.CELU: (0.7, 0.0),
    F.SELU: (1.67326, 1.0507),
    F.HARD_SIGMOID: (0.2, 0.5),
    F.CLIP: (-1.25, 2.5),
}
POSITIVE = (F.LOG, F.SQRT, F.RSQRT)
RANGES = {F.ASIN: (-1, 1), F.ACOS: (-1, 1), F.ATANH: (-0.99, 0.99), F.ACOSH: (1, 6), F.TAN: (-1.5, 1.5)}
REAL = [function for function in F if function != F.LOGICAL_NOT]
INTEGER = [F.RELU, F.RELU6, F.RELU_N1_TO_1, F.CLIP, F.ABS, F.NEG, F.SQUARE, F.SIGN]
SPECIAL = np.array(
    [0, -0.0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, 6, 7, 88, -88, 1e-30, np.inf, -np.inf, np.nan], np.float32
)


def attrs_of(function: UnaryFunction) -> dict[str, object]:
    alpha, beta = PARAMETERS.get(function, (0.0, 0.0))
    return {"function": function, "alpha": alpha, "beta": beta}


@pytest.mark.parametrize("function", REAL, ids=lambda f: f.name.lower())
def test_float32(function: UnaryFunction) -> None:
    low, high = RANGES.get(function, (1e-3 if function in POSITIVE else -6.0, 6.0))
    for size in (1, 7, 4097, 70_001):
        check("unary", attrs_of(function), [f32(size, low=low, high=high)])


@pytest.mark.parametrize("function", REAL, ids=lambda f: f.name.lower())
def test_special_values(function: UnaryFunction) -> None:
    """Infinities and NaN come out where the formula in float64 has them; NaN is never swallowed."""
    (y,) = check("unary", attrs_of(function), [of_data(SPECIAL)])
    assert np.isnan(y[-1])


@pytest.mark.parametrize("function", INTEGER, ids=lambda f: f.name.lower())
def test_integers(function: UnaryFunction) -> None:
    for dtype, spec in ((np.int32, i32(3, 50)), (np.int64, i64(3, 50))):
        limits = np.iinfo(dtype)
        edges = np.array([limits.min, limits.min + 1, -1, 0, 1, 6, 7, limits.max], dtype)
        check("unary", attrs_of(function), [spec])
        check("unary", attrs_of(function), [of_data(edges)])
    check("unary", {"function": F.CLIP, "alpha": -np.inf, "beta": np.inf}, [of_data(edges)])


def test_logical_not() -> None:
    check("unary", {"function": F.LOGICAL_NOT}, [boolean(300)])


@pytest.mark.parametrize("function", REAL, ids=lambda f: f.name.lower())
def test_int8_table(function: UnaryFunction) -> None:
    """The int8 reference is the table, which lies within half a step of the function."""
    x, y = quant_i8(0.04, -10), quant_i8(0.06, 5)
    every = np.arange(-128, 128).astype(np.int8)
    case = make_case("unary", attrs_of(function), [of_data(every, x)], quant=y)
    (result,) = case.reference()
    real = unary_function(function, *PARAMETERS.get(function, (0.0, 0.0)))
    np.testing.assert_array_equal(result, build_table(real, x, y))
    with np.errstate(all="ignore"):
        wanted = real(x.scale * (every.astype(np.float64) + 10))
    inside = np.isfinite(wanted) & (np.abs(wanted / y.scale + 5) < 127)
    assert np.all(np.abs(y.scale * (result[inside].astype(int) - 5) - wanted[inside]) <= y.scale * 0.500001)
    assert np.all(result[np.isnan(wanted)] == 5)
    assert np.all(result[wanted == np.inf] == 127)


def test_refused() -> None:
    relu = {"function": F.RELU}
    refused("unary", relu, [i8(4)], [i8(4)], "input is int8")
    refused("unary", relu, [f32(4)], [i32(4)], "output is int32, needed float32")
    refused("unary", relu, [f32(4)], [f32(5)], "has shape")
    refused("unary", {"function": 43}, [f32(4)], [f32(4)], "function is 43")
    refused("unary", {"function": F.EXP}, [i32(4)], [i32(4)], "input is int32")
    refused("unary", {"function": F.LOGICAL_NOT}, [f32(4)], [f32(4)], "input is float32")
    refused("unary", {"function": F.CELU}, [f32(4)], [f32(4)], "alpha is 0")
    refused("unary", {"function": F.CLIP, "alpha": 2, "beta": 1}, [f32(4)], [f32(4)], "needed a lower bound")
    refused("unary", {"function": F.ELU, "alpha": np.nan}, [f32(4)], [f32(4)], "NaN")


def test_infer_refuses() -> None:
    for attrs, spec in (
        ({"function": F.EXP}, i32(4)),
        ({"function": F.LOGICAL_NOT}, f32(4)),
        ({"function": F.CLIP, "alpha": 1.0, "beta": 0.0}, f32(4)),
        ({}, f32(4)),
    ):
        with pytest.raises(ModelError):
            make_case("unary", attrs, [spec])
