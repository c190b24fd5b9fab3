from __future__ import annotations

import numpy as np
import pytest

from edgert.dtypes import DType
from edgert.errors import InvokeError, ModelError
from edgert.ops._enums import Activation, BinaryFunction
from ops.runner import Input, boolean, check, f32, i8, i32, i64, make_case, of_data, refused

F = BinaryFunction
LOGICAL = (F.LOGICAL_AND, F.LOGICAL_OR)
SHIFTS = (F.SHIFT_LEFT, F.SHIFT_RIGHT)
BITS = (F.BITWISE_AND, F.BITWISE_OR, F.BITWISE_XOR, *SHIFTS)
REAL = [function for function in F if function not in (*LOGICAL, *BITS)]
INTEGER = [function for function in F if function not in (*LOGICAL, F.ATAN2)]
SHAPES = [
    ((5,), (5,)),
    ((2, 3, 4), (4,)),
    ((2, 3, 4), (3, 1)),
    ((3, 1), (1, 7)),
    ((), (2, 3)),
    ((2, 1, 5, 1), (3, 1, 4)),
    ((1, 40, 30, 32), (1, 1, 1, 32)),
    ((4, 1, 130, 70), (4, 130, 1)),
]


def divisors(rng_seed: int, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Integers of both signs without zero."""
    rng = np.random.default_rng(rng_seed)
    return (rng.integers(1, 9, shape) * rng.choice([-1, 1], shape)).astype(dtype)


@pytest.mark.parametrize("function", REAL, ids=lambda f: f.name.lower())
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_float32(function: BinaryFunction, shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    low = 0.1 if function == F.POW else -4.0
    a, b = (f32(*shape, low=low) for shape in shapes)
    check("binary", {"function": function}, [a, b])


@pytest.mark.parametrize("function", INTEGER, ids=lambda f: f.name.lower())
@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_integers(function: BinaryFunction, dtype: str) -> None:
    for seed, (a_shape, b_shape) in enumerate(SHAPES):
        b = divisors(seed, b_shape, dtype)
        a = np.random.default_rng(seed).integers(-50, 50, a_shape).astype(dtype)
        if function == F.POW:
            b, a = np.abs(b), a
        check("binary", {"function": function}, [of_data(a), of_data(b)])


@pytest.mark.parametrize("function", INTEGER, ids=lambda f: f.name.lower())
@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_integer_edges(function: BinaryFunction, dtype: str) -> None:
    """The least integer over -1 wraps; nothing traps."""
    limits = np.iinfo(dtype)
    a = np.array([limits.min, limits.min, limits.max, limits.max, -7, 7, -7, 7, 0], dtype)
    b = np.array([-1, 1, -1, limits.min, 2, -2, -2, 2, limits.min], dtype)
    if function == F.POW:
        b = np.abs(np.clip(b, -9, 9))
    check("binary", {"function": function}, [of_data(a), of_data(b)])


@pytest.mark.parametrize("function", [F.DIV, F.FLOOR_DIV, F.FLOOR_MOD, F.TRUNC_MOD])
def test_integer_division_by_zero(function: BinaryFunction) -> None:
    """Stops the run with an error that Python and C agree on, and the next run works again."""
    case = make_case("binary", {"function": function}, [i32(40_000, low=1), i32(40_000, low=0, high=50)])
    with pytest.raises(InvokeError):
        case.run(threads=2)
    with pytest.raises(InvokeError):
        case.reference()


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_shifts_by_any_amount(dtype: str) -> None:
    amounts = np.array([-1, 0, 1, 7, 31, 32, 33, 62, 63, 64, 1000], dtype)
    for number in (1, -1, 12345, np.iinfo(dtype).min, np.iinfo(dtype).max):
        for function in SHIFTS:
            check("binary", {"function": function}, [of_data(np.full(11, number, dtype)), of_data(amounts)])


def test_integer_power_of_negative_exponents() -> None:
    a = np.array([1, -1, -1, 2, -3], np.int32)
    b = np.array([-5, -3, -4, -1, -2], np.int32)
    (y,) = check("binary", {"function": F.POW}, [of_data(a), of_data(b)])
    np.testing.assert_array_equal(y, [1, -1, 1, 0, 0])
    with pytest.raises(InvokeError):
        make_case("binary", {"function": F.POW}, [of_data(a * 0), of_data(b)]).run()


def test_float_specials() -> None:
    values = np.array([0, -0.0, 1, -1, 2.5, -2.5, np.inf, -np.inf, np.nan], np.float32)
    a, b = values.reshape(-1, 1), values.reshape(1, -1)
    for function in (F.DIV, F.MINIMUM, F.MAXIMUM, F.POW, F.SQUARED_DIFFERENCE, F.FLOOR_DIV):
        check("binary", {"function": function}, [of_data(a), of_data(b)])


@pytest.mark.parametrize("activation", [Activation.RELU, Activation.RELU6, Activation.RELU_N1_TO_1])
@pytest.mark.parametrize("function", [F.DIV, F.SQUARED_DIFFERENCE, F.FLOOR_MOD])
def test_activation(function: BinaryFunction, activation: Activation) -> None:
    check("binary", {"function": function, "activation": activation}, [f32(3, 700), f32(700)])


@pytest.mark.parametrize("function", [F.LOGICAL_AND, F.LOGICAL_OR])
def test_logical(function: BinaryFunction) -> None:
    check("binary", {"function": function}, [boolean(40, 30), boolean(30)])


def test_refused() -> None:
    div = {"function": F.DIV}
    refused("binary", div, [i8(4), i8(4)], [i8(4)], "inputs are int8")
    refused("binary", div, [f32(4), i32(4)], [f32(4)], "input 1 is int32, needed float32")
    refused("binary", div, [f32(4), f32(4)], [i32(4)], "output is int32")
    refused("binary", div, [f32(4), f32(3)], [f32(4)], "does not broadcast")
    refused("binary", div, [f32(4, 1), f32(3)], [f32(4)], "has shape")
    refused("binary", {"function": 16}, [f32(4), f32(4)], [f32(4)], "function is 16")
    refused("binary", {"function": F.DIV, "activation": 4}, [f32(4), f32(4)], [f32(4)], "activation is 4")
    refused("binary", {"function": F.DIV, "activation": 1}, [i64(4), i64(4)], [i64(4)], "activation on int64")
    refused("binary", {"function": F.LOGICAL_OR}, [f32(4), f32(4)], [f32(4)], "inputs are float32")


@pytest.mark.parametrize(
    ("attrs", "a", "b"),
    [
        ({"function": F.DIV}, i8(4), i8(4)),
        ({"function": F.LOGICAL_AND}, f32(4), f32(4)),
        ({"function": F.DIV}, f32(4), f32(3)),
        ({"function": F.DIV, "activation": Activation.RELU}, i32(4), i32(4)),
        ({"function": F.DIV}, f32(4), Input((4,), DType.INT64)),
    ],
)
def test_infer_refuses(attrs: dict[str, object], a: Input, b: Input) -> None:
    with pytest.raises(ModelError):
        make_case("binary", attrs, [a, b])
