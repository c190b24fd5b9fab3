"""add, sub and mul: one set of shapes for all three."""

from __future__ import annotations

import pytest

from edgert.dtypes import DType, QuantParams
from edgert.ops._enums import Activation
from ops.runner import Input, check, f32, i8, i32, i64, quant_i8, refused

OPERATORS = ["add", "sub", "mul"]
DTYPES = [DType.FLOAT32, DType.INT8, DType.INT32, DType.INT64]
OUTPUT_QUANT = quant_i8(0.3, -6)
SHAPES = [
    ((3, 4, 5), (3, 4, 5)), ((3, 4, 5), (5,)), ((5,), (3, 4, 5)), ((2, 3, 70), (1,)), ((1,), (2, 70)), ((), (4,)),
    ((2, 1, 5), (1, 3, 1)), ((4, 1), (1, 6)), ((2, 3, 4, 8), (2, 1, 1, 8)), ((2, 3, 1), (2, 3, 50)), ((), ()),
    ((1, 1), (1,)), ((2, 40_000), (2, 1)), ((3, 20_000), (3, 20_000)),
    ((4, 2, 9), (9,)), ((1, 24), (2500, 24)), ((70, 511), (1, 511)), ((70, 513), (513,)),
]  # fmt: skip


def operand(dtype: DType, shape: tuple[int, ...], quant: QuantParams, constant: bool = False) -> Input:
    if dtype == DType.INT8:
        return Input(shape, dtype, quant, constant, low=-128, high=127)
    return Input(shape, dtype, None, constant, low=-50, high=50)


def run(op: str, dtype: DType, a: Input, b: Input, activation: Activation = Activation.NONE) -> None:
    check(op, {"activation": activation}, [a, b], quant=OUTPUT_QUANT if dtype == DType.INT8 else None)


@pytest.mark.parametrize("op", OPERATORS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("a", "b"), SHAPES)
def test_shapes(op: str, dtype: DType, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    run(op, dtype, operand(dtype, a, quant_i8(0.11, 7)), operand(dtype, b, quant_i8(0.05, -90)))


@pytest.mark.parametrize("op", OPERATORS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", list(Activation))
def test_activation(op: str, dtype: DType, activation: Activation) -> None:
    quant = quant_i8(0.02, 3)
    run(op, dtype, operand(dtype, (5, 70), quant), operand(dtype, (70,), quant, constant=True), activation)


@pytest.mark.parametrize("op", OPERATORS)
@pytest.mark.parametrize("scales", [(1.0, 0.001), (0.001, 1.0), (0.5, 0.5), (0.0004, 0.0003), (60.0, 3.0)])
@pytest.mark.parametrize("zero_points", [(-128, 127), (0, 0), (127, -128)])
def test_scales(op: str, scales: tuple[float, float], zero_points: tuple[int, int]) -> None:
    a, b = (quant_i8(scale, zero) for scale, zero in zip(scales, zero_points, strict=True))
    run(op, DType.INT8, operand(DType.INT8, (300,), a), operand(DType.INT8, (300,), b))


def test_integers_wrap() -> None:
    for op in OPERATORS:
        check(op, {}, [i32(50, low=-(2**31), high=2**31 - 1), i32(50, low=-(2**31), high=2**31 - 1)])
        check(op, {}, [i64(50, low=-(2**62), high=2**62), i64(50, low=-(2**62), high=2**62)])


@pytest.mark.parametrize("op", OPERATORS)
def test_refused(op: str) -> None:
    refused(op, {}, [f32(2, 3), f32(4)], [f32(2, 3)], "does not broadcast")
    refused(op, {}, [f32(2, 3), i32(3)], [f32(2, 3)], "second input is int32, needed float32")
    refused(op, {}, [f32(3), f32(3)], [i32(3)], "output is int32, needed float32")
    refused(op, {}, [Input((3,), DType.BOOL), Input((3,), DType.BOOL)], [f32(3)], "first input is bool")
    refused(op, {}, [f32(3), f32(3)], [f32(4)], "its inputs give")
    refused(op, {"activation": 77}, [f32(3), f32(3)], [f32(3)], "activation is 77, needed one of 0 to 3")
    refused(op, {}, [i8(3), i8(3, quant=None)], [i8(3)], "second input has 0 scales, needed 1")
    refused(op, {}, [i8(3), i8(3)], [i8(3, quant=QuantParams((0.1,) * 3, (0,) * 3))], "output has 3 scales, needed 1")


def test_scales_out_of_proportion() -> None:
    tiny, huge = i8(3, quant=quant_i8(1e-30)), i8(3, quant=quant_i8(1e30))
    for op in ("add", "sub"):
        refused(op, {}, [i8(3), i8(3)], [huge], "out of proportion to the output's 1e[+]30")
        refused(op, {}, [huge, i8(3)], [i8(3)], "out of proportion")
    refused("mul", {}, [huge, huge], [tiny], "overflow, needed a finite ratio")
