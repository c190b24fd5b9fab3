"""int8 operators that follow XNNPACK's rounding: the integers of LiteRT's default (XNNPACK) result, bit for bit.

Scales are chosen as small ratios of one another, which makes ties and near ties frequent: the places where another
rounding rule, or another order of the float32 operations, would show.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from importers._tflite_models import Tensor, one_op
from numpy.typing import NDArray

from edgert.dtypes import QuantParams
from edgert.ops._enums import Activation, ReduceFunction
from ops.runner import Input, i8, make_case, of_data

Array = NDArray[Any]
interpreter_module = pytest.importorskip("ai_edge_litert.interpreter")

SEEDS = range(12)


class Draw:
    """Random shapes and parameters of one case."""

    def __init__(self, *key: object) -> None:
        self.rng = np.random.default_rng(zlib.crc32(repr(key).encode()))
        self.unit = np.float32(self.rng.uniform(0.003, 0.01))

    def integer(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high, endpoint=True))

    def quant(self, factor: float = 1.0) -> QuantParams:
        scale = np.float32(np.float32(self.integer(1, 7)) * self.unit) * np.float32(factor)
        return QuantParams((float(scale),), (self.integer(-128, 127),))

    def weights(self, shape: tuple[int, ...], axis: int) -> tuple[Array, QuantParams]:
        scales = (self.rng.integers(1, 8, shape[axis]) / np.float32(1024)).astype(np.float32)
        data = self.rng.integers(-127, 127, shape, dtype=np.int8, endpoint=True)
        return data, QuantParams(tuple(float(scale) for scale in scales), (0,) * len(scales), axis)


def per_tensor(spec: Input) -> Tensor:
    assert spec.quant is not None
    return Tensor(spec.shape, "int8", (spec.quant.scale, spec.quant.zero_point), spec.data)


def per_channel(data: Array, quant: QuantParams, axis: int) -> Tensor:
    return Tensor(data.shape, "int8", None, data, quant.scales, axis)


def int32(data: Array, scales: Sequence[float] = ()) -> Tensor:
    return Tensor(data.shape, "int32", None, data, tuple(scales))


def compare(
    op: str,
    attrs: Mapping[str, Any],
    inputs: Sequence[Input],
    quant: QuantParams,
    kind: str,
    peer_inputs: Sequence[Tensor],
    options: tuple[str, Mapping[str, Any]],
) -> None:
    """Runs the node here and the same as a .tflite under LiteRT."""
    case = make_case(op, attrs, inputs, quant)
    (ours,) = case.run()
    output = Tensor(ours.shape, "int8", (quant.scale, quant.zero_point))
    peer = interpreter_module.Interpreter(model_content=one_op(kind, peer_inputs, [output], *options), num_threads=1)
    peer.allocate_tensors()
    for details, array in zip(peer.get_input_details(), case.feeds, strict=True):
        peer.set_tensor(details["index"], array)
    peer.invoke()
    np.testing.assert_array_equal(ours, peer.get_tensor(peer.get_output_details()[0]["index"]))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("activation", [Activation.NONE, Activation.RELU6])
def test_conv2d(seed: int, activation: Activation) -> None:
    draw = Draw("conv2d", seed, activation)
    channels, outputs, stride = draw.integer(1, 40), draw.integer(1, 40), draw.integer(1, 2)
    kernel = (draw.integer(1, 3), draw.integer(1, 3))
    x, quant = i8(1, 9, 8, channels, quant=draw.quant()), draw.quant(0.7 * np.sqrt(channels))
    w, w_quant = draw.weights((outputs, *kernel, channels), 0)
    b = draw.rng.integers(-3000, 3000, outputs, dtype=np.int32)
    assert x.quant is not None
    compare(
        "conv2d", {"stride_h": stride, "stride_w": stride, "activation": activation},
        [x, of_data(w, w_quant, constant=True), of_data(b, constant=True)], quant,
        "CONV_2D", [per_tensor(x), per_channel(w, w_quant, 0), int32(b, [s * x.quant.scale for s in w_quant.scales])],
        ("Conv2DOptions", {
            "padding": 1, "strideH": stride, "strideW": stride, "fusedActivationFunction": (0, 1, 3)[activation],
        }),
    )  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("stride", [1, 2])
def test_depthwise_conv2d(seed: int, stride: int) -> None:
    draw = Draw("depthwise_conv2d", seed, stride)
    channels, size = draw.integer(1, 40), (5, 7)[draw.integer(0, 1)]  # odd: SAME pads 1 on both sides
    x, quant = i8(1, size, size, channels, quant=draw.quant()), draw.quant(2)
    w, w_quant = draw.weights((3, 3, channels), 2)
    b = draw.rng.integers(-3000, 3000, channels, dtype=np.int32)
    assert x.quant is not None
    pads = dict.fromkeys(("pad_top", "pad_left", "pad_bottom", "pad_right"), 1)
    compare(
        "depthwise_conv2d", {"stride_h": stride, "stride_w": stride, **pads},
        [x, of_data(w, w_quant, constant=True), of_data(b, constant=True)], quant,
        "DEPTHWISE_CONV_2D", [
            per_tensor(x), per_channel(w[None], w_quant, 3), int32(b, [s * x.quant.scale for s in w_quant.scales]),
        ],
        ("DepthwiseConv2DOptions", {"padding": 0, "strideH": stride, "strideW": stride, "depthMultiplier": 1}),
    )  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
def test_fully_connected(seed: int) -> None:
    draw = Draw("fully_connected", seed)
    k, n, rows = draw.integer(1, 200), draw.integer(1, 60), draw.integer(1, 9)
    x, quant = i8(rows, k, quant=draw.quant()), draw.quant(np.sqrt(k))
    w, w_quant = draw.weights((n, k), 0)
    w_quant = QuantParams(w_quant.scales[:1], (0,))
    assert x.quant is not None
    peer_w = Tensor(w.shape, "int8", (w_quant.scale, 0), w)
    compare(
        "fully_connected", {}, [x, of_data(w, w_quant, constant=True)], quant,
        "FULLY_CONNECTED", [per_tensor(x), peer_w], ("FullyConnectedOptions", {}),
    )  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("op", ["add", "sub", "mul"])
@pytest.mark.parametrize("shape", [(2, 5, 33), (33,), (1,)])
def test_arithmetic(seed: int, op: str, shape: tuple[int, ...]) -> None:
    draw = Draw(op, seed, shape)
    a, b = i8(2, 5, 33, quant=draw.quant()), i8(*shape, quant=draw.quant())
    quant = draw.quant(0.3 if op == "mul" else 1.0)
    options = (f"{op.capitalize()}Options", {})
    compare(op, {}, [a, b], quant, op.upper(), [per_tensor(a), per_tensor(b)], options)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("function", [ReduceFunction.MEAN, ReduceFunction.SUM])
@pytest.mark.parametrize("axes", [(1, 2), (3,)])
def test_reduce(seed: int, function: ReduceFunction, axes: tuple[int, ...]) -> None:
    draw = Draw("reduce", seed, function, axes)
    x = i8(1, draw.integer(3, 9), draw.integer(3, 9), draw.integer(8, 64), quant=draw.quant())
    count = float(np.prod([x.shape[axis] for axis in axes]))
    quant = draw.quant(count if function == ReduceFunction.SUM else 1.0)
    compare(
        "reduce", {"function": function, "axes": axes, "keep_dims": True}, [x], quant,
        function.name, [per_tensor(x), int32(np.array(axes, np.int32))], ("ReducerOptions", {"keepDims": True}),
    )  # fmt: skip
