"""int16 activations: every operator that has them, in C against the reference, on all instruction sets and threads.

How the reference was found is another matter: tests/importers/test_tflite_int16.py compares with LiteRT.
"""

from __future__ import annotations

import numpy as np
import pytest

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from edgert.ops import _fixed_point, _softmax_int16, _unary_int16
from edgert.ops._enums import Activation, ReduceFunction, UnaryFunction
from edgert.ops._functions import unary_function
from ops.runner import Input, check, f32, i8, i16, i32, make_case, of_data, quant_i8, quant_i16, refused

Y = quant_i16(0.01)
UNIT = quant_i16(2.0**-15)


def weights(*shape: int, axis: int) -> Input:
    scales = np.random.default_rng(1).uniform(0.001, 0.02, shape[axis]).astype(np.float32)
    quant = QuantParams(tuple(map(float, scales)), (0,) * len(scales), axis)
    return Input(shape, DType.INT8, quant, constant=True, low=-127, high=127)


def bias(channels: int, dtype: DType | None) -> Input | None:
    return None if dtype is None else Input((channels,), dtype, constant=True, low=-(10**6), high=10**6)


@pytest.mark.parametrize("kind", [DType.INT64, DType.INT32, None])
@pytest.mark.parametrize(
    ("x", "w", "attrs"),
    [
        ((1, 5, 5, 3), (8, 3, 3, 3), {}),
        ((2, 9, 7, 4), (7, 3, 2, 4), {"stride_h": 2, "pad_top": 1, "pad_left": 1, "pad_right": 2}),
        ((1, 12, 12, 6), (4, 3, 3, 3), {"groups": 2, "dilation_h": 3, "dilation_w": 2, "pad_top": 2, "pad_bottom": 9}),
        ((1, 3, 40, 300), (5, 1, 1, 300), {"stride_w": 2}),  # sums beyond int32's share of products
        ((1, 1, 1, 1), (1, 1, 1, 1), {"activation": Activation.RELU6}),
    ],
)
def test_conv2d(x: tuple[int, ...], w: tuple[int, ...], attrs: dict[str, int], kind: DType | None) -> None:
    quant = quant_i16(0.5 if x[-1] > 100 else 0.02)
    check("conv2d", attrs, [i16(*x), weights(*w, axis=0), bias(w[0], kind)], quant=quant)


@pytest.mark.parametrize("kind", [DType.INT64, DType.INT32, None])
@pytest.mark.parametrize(
    ("x", "w", "attrs"),
    [
        ((1, 9, 9, 70), (3, 3, 70), {"pad_top": 1, "pad_left": 1, "pad_bottom": 1, "pad_right": 1}),
        ((2, 6, 40, 3), (5, 1, 6), {"multiplier": 2, "pad_top": 4, "stride_w": 3, "activation": Activation.RELU}),
        ((1, 20, 20, 2), (19, 20, 2), {}),  # 380 taps
    ],
)
def test_depthwise_conv2d(x: tuple[int, ...], w: tuple[int, ...], attrs: dict[str, int], kind: DType | None) -> None:
    check("depthwise_conv2d", attrs, [i16(*x), weights(*w, axis=2), bias(w[2], kind)], quant=quant_i16(0.05))


@pytest.mark.parametrize("kind", [DType.INT64, DType.INT32, None])
def test_fully_connected(kind: DType | None) -> None:
    check("fully_connected", {}, [i16(6, 9, 77), weights(13, 77, axis=0), bias(13, kind)], quant=Y)
    check("fully_connected", {"activation": Activation.RELU_N1_TO_1}, [i16(2, 3), weights(4, 3, axis=0), None], quant=Y)


def test_sums_beyond_int32() -> None:
    """Extreme products of 2000 terms: with a 64-bit bias or none nothing wraps."""
    x, w = np.full((1, 1, 1, 2000), -32768, np.int16), np.full((3, 1, 1, 2000), 127, np.int8)
    big = Input((3,), DType.INT64, constant=True, data=np.array([2**45, -(2**45), 0]))
    inputs = [of_data(x, quant_i16()), of_data(w, quant_i8(0.01, 0), constant=True), big]
    (y,) = check("conv2d", {}, inputs, quant=quant_i16(40000.0))
    exact = (2000 * -32768 * 127 + np.array([2**45, -(2**45), 0])) * 1e-5 / 40000.0
    assert np.abs(y.reshape(-1) - exact).max() <= 1
    assert y.max() > 8000


@pytest.mark.parametrize("turned", [(False, False), (True, False), (False, True), (True, True)])
def test_matmul(turned: tuple[bool, bool]) -> None:
    a, b = (2, 1, 33, 21), (3, 21, 70)
    a, b = ((*s[:-2], s[-1], s[-2]) if turn else s for s, turn in zip((a, b), turned, strict=True))
    check("matmul", {"transpose_a": turned[0], "transpose_b": turned[1]}, [i16(*a), i16(*b)], quant=quant_i16(0.03))


@pytest.mark.parametrize("op", ["add", "sub", "mul"])
@pytest.mark.parametrize(
    ("a", "b"), [((2, 5, 7), (2, 5, 7)), ((4, 60), (60,)), ((3, 1, 5), (1, 4, 5)), ((200, 9), (1,)), ((), (8,))]
)
@pytest.mark.parametrize("scales", [(0.001, 0.0007, 0.0011), (1e-5, 0.02, 0.01), (0.001, 0.001, 1e-7)])
def test_arithmetic(op: str, a: tuple[int, ...], b: tuple[int, ...], scales: tuple[float, ...]) -> None:
    quants = [quant_i16(scale) for scale in scales]
    for activation in (Activation.NONE, Activation.RELU6):
        inputs = [i16(*a, quant=quants[0]), i16(*b, quant=quants[1])]
        check(op, {"activation": activation}, inputs, quant=quants[2])


EVERY = np.arange(-32768, 32768).astype(np.int16)


@pytest.mark.parametrize(
    ("function", "alpha", "beta"),
    [
        *((function, 0.0, 0.0) for function in sorted(_unary_int16.SLOPES - {UnaryFunction.CLIP})),
        (UnaryFunction.LEAKY_RELU, 0.17, 0.0),
        (UnaryFunction.LEAKY_RELU, -1.5, 0.0),
        (UnaryFunction.CLIP, -3.0, 2.5),
    ],
)
@pytest.mark.parametrize("scale", [0.001, 0.0007, 0.01])
def test_lines(function: UnaryFunction, alpha: float, beta: float, scale: float) -> None:
    """Within a step of the real function, for every number: what is rounded twice may be more than half a step off."""
    attrs = {"function": function, "alpha": alpha, "beta": beta}
    (y,) = check("unary", attrs, [of_data(EVERY, quant_i16())], quant=quant_i16(scale))
    x, scale = EVERY * quant_i16().scale, quant_i16(scale).scale
    real = np.clip(unary_function(function, np.float32(alpha), beta)(x) / scale, -32768, 32767)
    assert np.abs(y - real).max() <= 0.75


@pytest.mark.parametrize("function", [UnaryFunction.SIGMOID, UnaryFunction.TANH])
@pytest.mark.parametrize("scale", [0.0007, 2.0**-12, 0.01, 1e-6, 30.0, 1e30])
def test_curves(function: UnaryFunction, scale: float) -> None:
    """Within 13 of 32768 of the real function, for every number: the interpolation's error."""
    quant = quant_i16(scale)
    (y,) = check("unary", {"function": function}, [of_data(EVERY, quant)], quant=UNIT)
    real = np.clip(unary_function(function)(np.clip(EVERY * quant.scale, -50, 50)) * 32768, -32768, 32767)
    assert np.abs(y - real).max() <= 13


def test_tables() -> None:
    quant = quant_i16(0.0003)
    for function in (UnaryFunction.GELU, UnaryFunction.SILU, UnaryFunction.EXP, UnaryFunction.SIN):
        real = unary_function(function)
        out = quant_i16(0.7 if function == UnaryFunction.EXP else 0.0003)
        table = _unary_int16.table_of(real, quant, out)
        (y,) = check("lut", {}, [of_data(EVERY, quant), of_data(table, constant=True)], quant=out)
        wanted = np.clip(real(EVERY * quant.scale) / out.scale, -32768, 32767)
        assert np.abs(y - wanted).max() <= (12 if function == UnaryFunction.EXP else 4), function


@pytest.mark.parametrize(("shape", "axis"), [((3, 10), -1), ((2, 7, 5), 1), ((1, 3000), -1), ((4, 1), -1)])
@pytest.mark.parametrize(("scale", "beta"), [(0.001, 1.0), (0.01, 0.5), (1e-5, 1.0)])
def test_softmax(shape: tuple[int, ...], axis: int, scale: float, beta: float) -> None:
    attrs = {"axis": axis, "beta": beta, "exp_table": _softmax_int16.tables()}
    x = i16(*shape, quant=quant_i16(scale))
    (y,) = check("softmax", attrs, [x], quant=_softmax_int16.OUTPUT_QUANT)
    real = make_case("softmax", attrs, [x], _softmax_int16.OUTPUT_QUANT).feeds[0] * quant_i16(scale).scale * beta
    e = np.exp(real - real.max(axis, keepdims=True))
    assert np.abs(y / 32768 - e / e.sum(axis, keepdims=True)).max() <= 2e-3


@pytest.mark.parametrize("op", ["max_pool2d", "average_pool2d"])
def test_pools(op: str) -> None:
    window = {"kernel_h": 3, "kernel_w": 2, "stride_h": 2, "stride_w": 1, "pad_top": 1, "pad_left": 1}
    for more in ({}, {"activation": Activation.RELU6}):
        check(op, {**window, **more}, [i16(2, 9, 8, 140)], quant=quant_i16())
    if op == "average_pool2d":
        check(op, {**window, "count_include_pad": True}, [i16(1, 9, 8, 3)], quant=quant_i16())


@pytest.mark.parametrize("function", [f for f in ReduceFunction if f in (0, 1, 2, 3)])
@pytest.mark.parametrize("axes", [(1,), (0, 2), (2,), (0, 1, 2)])
@pytest.mark.parametrize("scale", [0.001, 0.0007])
def test_reduce(function: ReduceFunction, axes: tuple[int, ...], scale: float) -> None:
    scale *= 20 if function == ReduceFunction.SUM else 1
    check("reduce", {"function": function, "axes": axes}, [i16(5, 13, 70)], quant=quant_i16(scale))


@pytest.mark.parametrize("to", [DType.INT8, DType.INT16, DType.INT32])
@pytest.mark.parametrize("of", [DType.INT8, DType.INT16, DType.INT32])
@pytest.mark.parametrize("scale", [0.003, 0.0007, 1e-6])
def test_quantize_integers(of: DType, to: DType, scale: float) -> None:
    if of == to == DType.INT8:
        return  # becomes a lut
    limit = min(np.iinfo(of.numpy_name).max, 10**6)
    zero = 5 if of == DType.INT8 else 0
    x = Input((3, 700), of, quant_i8(0.001, zero), low=-limit - 1 if limit < 10**6 else -limit, high=limit)
    check("quantize", {}, [x], quant=quant_i8(scale, -7 if to == DType.INT8 else 0), dtype=to)


def test_quantize_and_dequantize_floats() -> None:
    check("quantize", {}, [f32(3, 50)], quant=quant_i16(0.0001), dtype=DType.INT16)
    check("dequantize", {}, [i16(3, 50)])


def test_numbers_that_only_move() -> None:
    x = i16(2, 5, 6)
    check("pad", {"before": (0, 1, 2), "after": (1, 0, 0)}, [x], quant=quant_i16())
    check("slice", {"begin": (0, 4, 0), "end": (2, 0, 6), "strides": (1, -2, 3)}, [x], quant=quant_i16())
    check("transpose", {"perm": (2, 0, 1)}, [x], quant=quant_i16())
    check("concat", {"axis": 1}, [x, i16(2, 3, 6)], quant=quant_i16())
    check("select", {}, [Input((2, 1, 6), DType.BOOL), x, i16(6)], quant=quant_i16())
    check("gather", {"axis": 1}, [x, of_data(np.array([3, 0, -1], np.int32), constant=True)], quant=quant_i16())
    check("compare", {"function": 0}, [x, i16(6)])
    check("depth_to_space", {"block": 2}, [i16(1, 3, 3, 8)], quant=quant_i16())


@pytest.mark.parametrize("coordinates", [0, 1, 2])
@pytest.mark.parametrize(("out_h", "out_w"), [(11, 13), (3, 4), (1, 1), (14, 9), (200, 3)])
def test_resize(coordinates: int, out_h: int, out_w: int) -> None:
    attrs = {"out_h": out_h, "out_w": out_w, "mode": 1, "coordinates": coordinates}
    check("resize", attrs, [i16(2, 7, 9, 3)], quant=quant_i16())


def test_refuses() -> None:
    x, w, y = i16(1, 4, 4, 3), i8(2, 3, 3, 3, constant=True, quant=quant_i8(0.01, 0)), i16(1, 2, 2, 2)
    refused("conv2d", {}, [i16(1, 4, 4, 3, quant=quant_i8(0.1, 3)), w], [y], "zero point 3, needed 0")
    refused("conv2d", {}, [x, i8(2, 3, 3, 3, constant=True)], [y], "zero point 3, needed 0")
    refused("conv2d", {}, [x, i8(2, 3, 3, 3, quant=quant_i8(0.01, 0))], [y], "constant")
    refused("conv2d", {}, [x, w, of_data(np.array([2**50, 0]), constant=True)], [y], "2\\^46")
    refused("conv2d", {}, [x, w, of_data(np.array([0], np.int64), constant=True)], [y], "bias has 1 elements")
    refused("conv2d", {}, [x, w, f32(2, constant=True)], [y], "int32 or int64")
    refused("conv2d", {}, [x, w], [i16(1, 2, 2, 2, quant=quant_i16(1e-9))], "ratio of scales")
    refused("add", {}, [i16(4), i16(4, quant=quant_i8(0.1, 1))], [i16(4)], "zero point 1")
    refused("mul", {}, [i16(4), i16(4)], [i16(4, quant=quant_i16(1e-30))], "ratio of scales")
    refused("unary", {"function": UnaryFunction.EXP}, [i16(4)], [i16(4)], "lut or float32")
    refused("unary", {"function": UnaryFunction.TANH}, [i16(4)], [i16(4)], "2\\^-15")
    refused("lut", {}, [i16(4), i8(256, constant=True)], [i16(4)], "table is int8")
    refused("lut", {}, [i16(4), i16(512, constant=True)], [i16(4)], "512 entries, needed 513")
    refused("softmax", {"exp_table": (0,) * 1026}, [i16(4)], [i16(4, quant=UNIT)], "exp\\(0\\)")
    refused("softmax", {"exp_table": (40000,) * 1026}, [i16(4)], [i16(4, quant=UNIT)], "at most 32767")
    refused("softmax", {"exp_table": ()}, [i16(4)], [i16(4, quant=UNIT)], "0 entries")
    refused("quantize", {}, [i32(4)], [i16(4)], "scales")
    refused("reduce", {"function": 0, "axes": (0,)}, [i16(70000)], [i16()], "70000 int16 elements")
    refused("matmul", {}, [i16(1, 70000), i16(70000, 1)], [i16(1, 1)], "70000 terms")
    with pytest.raises(ModelError, match="no scale"):
        make_case("add", {}, [i16(4, quant=None), i16(4)], Y)


def test_rescaling_is_exact_where_it_says_so() -> None:
    """The 64-bit product by halves equals Python's integers."""
    rng = np.random.default_rng(3)
    for shift in (-31, -9, -1, 0, 7):
        x, multiplier = rng.integers(-(2**46), 2**46, 200), int(rng.integers(2**30, 2**31))
        wanted = [(int(value) * multiplier + (1 << (30 - shift))) >> (31 - shift) for value in x]
        np.testing.assert_array_equal(_fixed_point.rescale_exact(x, multiplier, shift), wanted)
