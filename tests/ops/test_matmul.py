from __future__ import annotations

import pytest

from edgert.dtypes import DType, QuantParams
from ops.runner import Input, check, f32, i8, i32, quant_i8, refused


def operand(dtype: DType, shape: tuple[int, ...], zero_point: int, constant: bool) -> Input:
    if dtype == DType.FLOAT32:
        return Input(shape, dtype, constant=constant)
    return Input(shape, dtype, quant_i8(0.05, zero_point), constant, low=-128, high=127)


def run(
    dtype: DType,
    a: tuple[int, ...],
    b: tuple[int, ...],
    constant: bool = False,
    transpose_a: bool = False,
    transpose_b: bool = False,
) -> None:
    attrs = {"transpose_a": transpose_a, "transpose_b": transpose_b}
    inputs = [operand(dtype, a, 9, False), operand(dtype, b, -20, constant)]
    quant = quant_i8(0.9, -4) if dtype == DType.INT8 else None
    check("matmul", attrs, inputs, quant=quant, relative=1e-4, absolute=1e-3)


DTYPES = [DType.FLOAT32, DType.INT8]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
@pytest.mark.parametrize(("m", "k", "n"), [(1, 1, 1), (5, 7, 3), (17, 33, 40), (70, 16, 16)])
def test_sizes(dtype: DType, constant: bool, transpose_a: bool, transpose_b: bool, m: int, k: int, n: int) -> None:
    a, b = ((k, m) if transpose_a else (m, k)), ((n, k) if transpose_b else (k, n))
    run(dtype, a, b, constant, transpose_a, transpose_b)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((2,), ()), ((), (3,)), ((2, 1), (3,)), ((2, 3), (2, 3)), ((2, 3), (1, 3)), ((2, 3), (2, 1)),
        ((1, 2), (4, 1)), ((2, 3), (1, 1)), ((1,), (2, 1, 3)),
    ],
)  # fmt: skip
def test_batches(dtype: DType, constant: bool, transpose_a: bool, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    run(dtype, (*a, *((6, 5) if transpose_a else (5, 6))), (*b, 6, 19), constant, transpose_a)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("constant", [False, True])
def test_large_enough_for_threads(dtype: DType, constant: bool) -> None:
    run(dtype, (4, 60, 64), (4, 64, 70), constant)
    run(dtype, (500, 64), (64, 70), constant)


def test_refused() -> None:
    a, b, y = i8(2, 3), i8(3, 4), i8(2, 4)
    refused("matmul", {}, [i8(3), b], [y], "inputs have 1 and 2 dimensions, needed at least 2")
    refused("matmul", {}, [a, i8(4, 3)], [y], "inner dimensions are 3 and 4")
    refused("matmul", {"transpose_b": True}, [a, b], [y], "inner dimensions are 3 and 4")
    refused("matmul", {}, [i8(2, 2, 3), i8(3, 3, 4)], [y], "leading dimension 0 is 2 and 3")
    refused("matmul", {}, [a, f32(3, 4)], [y], "second input is float32, needed int8")
    refused("matmul", {}, [i32(2, 3), i32(3, 4)], [i32(2, 4)], "input is int32, needed float32 or int8")
    per_channel = QuantParams((0.1,) * 4, (0,) * 4, 1)
    refused("matmul", {}, [a, i8(3, 4, quant=per_channel)], [y], "second input has 4 scales, needed 1")
    refused("matmul", {}, [a, b], [i8(4, 2)], "its inputs give")
