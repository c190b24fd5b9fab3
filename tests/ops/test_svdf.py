"""svdf."""

from __future__ import annotations

import numpy as np
import pytest

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from edgert.ir import Graph, Node, Value
from edgert.ops import OPS_BY_NAME
from edgert.ops._enums import Activation
from edgert.pack.writer import write
from ops.recurrent_inputs import weights
from ops.runner import THREADS, Input, check, f32, quant_i8, refused, run_package

# batch, width of x, units, rank, memory
SIZES = [(1, 1, 1, 1, 1), (2, 5, 3, 2, 4), (1, 40, 17, 1, 10), (3, 33, 8, 3, 7)]


@pytest.mark.parametrize("activation", [Activation.NONE, Activation.RELU6])
@pytest.mark.parametrize("size", SIZES)
def test_float(size: tuple[int, ...], activation: Activation) -> None:
    batch, width, units, rank, memory = size
    filters = units * rank
    attrs = {"rank": rank, "activation": activation}
    inputs = [f32(batch, width), weights(filters, width), weights(filters, memory), f32(batch, filters, memory)]
    check("svdf", attrs, inputs, absolute=1e-5)
    check("svdf", attrs, [*inputs, weights(units)], absolute=1e-5)
    check("svdf", attrs, [inputs[0], weights(filters, width, constant=False), *inputs[2:]], absolute=1e-5)


@pytest.mark.parametrize("kept", [DType.INT16, DType.INT8])
@pytest.mark.parametrize("size", SIZES)
def test_int8(size: tuple[int, ...], kept: DType) -> None:
    batch, width, units, rank, memory = size
    filters = units * rank
    rng = np.random.default_rng(width)
    state_quant = QuantParams((2.0**-9 if kept == DType.INT16 else 0.5,), (0 if kept == DType.INT16 else -7,))
    time_quant = quant_i8(2.0**-15 if kept == DType.INT16 else 0.01, 0)
    values = [
        Value("x", (batch, width), DType.INT8, quant_i8(0.1, 5)),
        Value("features", (filters, width), DType.INT8, quant_i8(0.02, 0)),
        Value("times", (filters, memory), kept, time_quant),
        Value("state", (batch, filters, memory), kept, state_quant),
        Value("bias", (units,), DType.INT32),
    ]
    arrays = []
    for value in values:
        limits = np.iinfo(value.dtype.numpy_name) if value.dtype != DType.INT32 else (-5000, 5000)
        low, high = (limits.min, limits.max) if isinstance(limits, np.iinfo) else limits
        arrays.append(rng.integers(low, high, value.shape, value.dtype.numpy_name, endpoint=True))
    for value, array in zip(values, arrays, strict=True):
        value.data = array if value.name in ("features", "times", "bias") else None
    specs = OPS_BY_NAME["svdf"].infer(values, {"rank": rank, "activation": Activation.RELU})
    quants = (quant_i8(0.3, -100), state_quant)
    outputs = [
        Value(f"y{i}", spec.shape, spec.dtype, quant) for i, (spec, quant) in enumerate(zip(specs, quants, strict=True))
    ]
    node = Node("svdf", list(values), outputs, {"rank": rank, "activation": Activation.RELU}, "filter")
    package = write(Graph("svdf", [values[0], values[3]], outputs, [node]))
    expected = OPS_BY_NAME["svdf"].run(node, arrays)
    assert np.unique(expected[0]).size > 1 or expected[0].size == 1
    for threads in THREADS:
        results = run_package(package, [arrays[0], arrays[3]], threads=threads)
        for result, wanted in zip(results, expected, strict=True):
            np.testing.assert_array_equal(result, wanted)


def test_state_moves_on() -> None:
    x, one = Input((1, 1), data=np.array([[5.0]])), Input((1, 1), data=np.array([[2.0]]), constant=True)
    times = Input((1, 3), data=np.array([[1.0, 10.0, 100.0]]), constant=True)
    y, state = check("svdf", {}, [x, one, times, Input((1, 1, 3), data=np.array([[[1.0, 2.0, 3.0]]]))])
    assert (y.item(), state.ravel().tolist()) == (1032.0, [2.0, 3.0, 10.0])


def test_refuses_what_does_not_fit() -> None:
    x, features, times, state = f32(1, 3), weights(4, 3), weights(4, 5), f32(1, 4, 5)
    outputs = [f32(1, 4), f32(1, 4, 5)]
    refused("svdf", {"rank": 3}, [x, features, times, state], outputs, "4 filters of rank 3")
    refused("svdf", {"rank": 0}, [x, features, times, state], outputs, "4 filters of rank 0")
    refused("svdf", {}, [x, weights(4, 2), times, state], outputs, "feature weights has the shape")
    refused("svdf", {}, [x, features, times, f32(1, 4, 6)], outputs, "state has another shape")
    refused("svdf", {}, [x, features, times, state, weights(3)], outputs, "bias has the shape")
    with pytest.raises(ModelError, match="4 filters of rank 3"):
        check("svdf", {"rank": 3}, [x, features, times, state])
