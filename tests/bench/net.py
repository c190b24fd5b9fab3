"""Builds the benchmark's networks: random weights, float32, and from them int8 with measured ranges, as .tflite files.

A Net grows operator by operator, as TensorFlow's converter would write it (activations fused, weights int8 per channel,
activations int8 per tensor), so that LiteRT, OpenVINO and edgert all run the same file. TensorFlow is not needed.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from importers._tflite_models import Op, Quant, Tensor, build
from reference_executor import ReferenceExecutor

from edgert.importers import tflite

Array = NDArray[Any]
SAME, VALID = 0, 1
ACTIVATIONS = {"": 0, "relu": 1, "relu6": 3}
SAMPLES = 2  # inputs that ranges are measured on
BYTES_256 = {"SOFTMAX": (1 / 256, -128), "LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0)}  # as LiteRT demands


@dataclass(frozen=True)
class _Weights:
    """What a weight tensor belongs to: the tensor whose scale its bias shares, and the axis of its channels."""

    data: Array
    axis: int
    input: int
    bias: int


class Net:
    """Tensors are numbers. Images are [1, H, W, C]. There is one input, for values of mean 0 and deviation 1."""

    def __init__(self, shape: tuple[int, ...], seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)
        self._shapes: list[tuple[int, ...]] = []
        self._constants: dict[int, Array] = {}
        self._weights: dict[int, _Weights] = {}
        self._alike: dict[int, int] = {}  # a tensor and one whose scale it must have
        self._fixed: dict[int, Quant] = {}
        self._ops: list[Op] = []
        self.input = self._tensor(shape)

    def shape(self, tensor: int) -> tuple[int, ...]:
        return self._shapes[tensor]

    def channels(self, tensor: int) -> int:
        return self._shapes[tensor][-1]

    # Operators with weights. gain: of the variance of the output over that of the input; 2 makes up for a ReLU.

    def conv(
        self, x: int, channels: int, kernel: int | tuple[int, int] = 1, stride: int | tuple[int, int] = 1,
        act: str = "relu6", groups: int = 1, dilation: int = 1, padding: int = SAME,
    ) -> int:  # fmt: skip
        (kh, kw), (sh, sw) = _pair(kernel), _pair(stride)
        _, h, w, c = self.shape(x)
        y = self._tensor((1, *_window((h, w), (kh, kw), (sh, sw), dilation, padding), channels))
        weights = self._random((channels, kh, kw, c // groups), kh * kw * c // groups, act)
        options = {
            "padding": padding, "strideH": sh, "strideW": sw, "dilationHFactor": dilation if kh > 1 else 1,
            "dilationWFactor": dilation if kw > 1 else 1, "fusedActivationFunction": ACTIVATIONS[act],
        }  # fmt: skip
        return self._weighted("CONV_2D", "Conv2DOptions", options, x, weights, 0, channels, y)

    def depthwise(
        self, x: int, kernel: int | tuple[int, int] = 3, stride: int | tuple[int, int] = 1, act: str = "relu6",
        dilation: int = 1,
    ) -> int:  # fmt: skip
        (kh, kw), (sh, sw) = _pair(kernel), _pair(stride)
        _, h, w, c = self.shape(x)
        y = self._tensor((1, *_window((h, w), (kh, kw), (sh, sw), dilation, SAME), c))
        weights = self._random((1, kh, kw, c), kh * kw, act)
        options = {
            "padding": SAME, "strideH": sh, "strideW": sw, "depthMultiplier": 1,
            "dilationHFactor": dilation if kh > 1 else 1, "dilationWFactor": dilation if kw > 1 else 1,
            "fusedActivationFunction": ACTIVATIONS[act],
        }  # fmt: skip
        return self._weighted("DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions", options, x, weights, 3, c, y)

    def dense(self, x: int, channels: int, act: str = "") -> int:
        *outer, k = self.shape(x)
        y = self._tensor((*outer, channels))
        weights = self._random((channels, k), k, act)
        options = {"fusedActivationFunction": ACTIVATIONS[act], "keepNumDims": len(outer) > 1}
        return self._weighted("FULLY_CONNECTED", "FullyConnectedOptions", options, x, weights, 0, channels, y)

    # Operators without weights.

    def add(self, a: int, b: int, act: str = "") -> int:
        y = self._tensor(np.broadcast_shapes(self.shape(a), self.shape(b)))
        return self._op("ADD", (a, b), y, "AddOptions", {"fusedActivationFunction": ACTIVATIONS[act]})

    def mul(self, a: int, b: int) -> int:
        y = self._tensor(np.broadcast_shapes(self.shape(a), self.shape(b)))
        return self._op("MUL", (a, b), y, "MulOptions", {"fusedActivationFunction": 0})

    def number(self, value: float) -> int:
        """An operand of add and mul."""
        tensor = self._constant(np.array(value, np.float32))
        self._fixed[tensor] = (float(np.float32(value / 127)), 0)
        return tensor

    def unary(self, kind: str, x: int) -> int:
        """HARD_SWISH, LOGISTIC, TANH, RELU."""
        return self._op(kind, (x,), self._tensor(self.shape(x)))

    def softmax(self, x: int) -> int:
        return self._op("SOFTMAX", (x,), self._tensor(self.shape(x)), "SoftmaxOptions", {"beta": 1.0})

    def mean(self, x: int) -> int:
        """Over height and width, [1, 1, 1, C]."""
        axes = self._constant(np.array((1, 2), np.int32))
        y = self._tensor((1, 1, 1, self.channels(x)))
        return self._op("MEAN", (x, axes), y, "ReducerOptions", {"keepDims": True})

    def max_pool(self, x: int, kernel: int, stride: int) -> int:
        _, h, w, c = self.shape(x)
        y = self._tensor((1, *_window((h, w), (kernel, kernel), (stride, stride), 1, SAME), c))
        self._alike[y] = x
        options = {
            "padding": SAME, "strideH": stride, "strideW": stride, "filterHeight": kernel, "filterWidth": kernel,
        }  # fmt: skip
        return self._op("MAX_POOL_2D", (x,), y, "Pool2DOptions", options)

    def reshape(self, x: int, shape: tuple[int, ...]) -> int:
        y = self._tensor(shape)
        self._alike[y] = x
        return self._op("RESHAPE", (x, self._constant(np.array(shape, np.int32))), y)

    def transpose(self, x: int, order: tuple[int, ...]) -> int:
        y = self._tensor(tuple(self.shape(x)[axis] for axis in order))
        self._alike[y] = x
        return self._op("TRANSPOSE", (x, self._constant(np.array(order, np.int32))), y)

    def concat(self, parts: Sequence[int], axis: int) -> int:
        shape = list(self.shape(parts[0]))
        shape[axis] = sum(self.shape(part)[axis] for part in parts)
        y = self._tensor(tuple(shape))
        for part in parts:
            self._alike[self._same(part)] = y
        return self._op("CONCATENATION", tuple(parts), y, "ConcatenationOptions", {"axis": axis})

    def upsample(self, x: int) -> int:
        """Twice the height and width, nearest."""
        _, h, w, c = self.shape(x)
        y = self._tensor((1, 2 * h, 2 * w, c))
        self._alike[y] = x
        size = self._constant(np.array((2 * h, 2 * w), np.int32))
        return self._op("RESIZE_NEAREST_NEIGHBOR", (x, size), y, "ResizeNearestNeighborOptions", {})

    def matmul(self, a: int, b: int, transpose_b: bool = False) -> int:
        columns = self.shape(b)[-2 if transpose_b else -1]
        y = self._tensor((*self.shape(a)[:-1], columns))
        return self._op("BATCH_MATMUL", (a, b), y, "BatchMatMulOptions", {"adjY": transpose_b})

    # The files.

    def float_model(self, outputs: Sequence[int]) -> bytes:
        tensors = []
        for number, shape in enumerate(self._shapes):
            data = self._constants.get(number)
            tensors.append(Tensor(shape, "float32" if data is None else str(data.dtype), None, data))
        return build(tensors, self._ops, [self.input], outputs)

    def int8_model(self, outputs: Sequence[int]) -> bytes:
        quants = self._quants(self._ranges())
        biases = {weights.bias: weights for weights in self._weights.values()}
        tensors = []
        for number, shape in enumerate(self._shapes):
            data = self._constants.get(number)
            if number in self._weights:
                own = self._weights[number]
                tensors.append(Tensor(shape, "int8", None, *_int8_weights(own.data, own.axis)))
            elif number in biases:
                own = biases[number]
                scales = np.float32(quants[own.input][0]) * np.float32(_int8_weights(own.data, own.axis)[1])
                assert data is not None
                tensors.append(Tensor(shape, "int32", None, np.rint(data / scales).astype(np.int32), tuple(scales)))
            elif number in self._fixed and data is not None:
                scale, zero_point = self._fixed[number]
                stored = np.array(np.rint(data / scale) + zero_point, np.int8)
                tensors.append(Tensor(shape, "int8", self._fixed[number], stored))
            elif data is not None:
                tensors.append(Tensor(shape, str(data.dtype), None, data))
            else:
                tensors.append(Tensor(shape, "int8", quants[number]))
        return build(tensors, self._ops, [self.input], outputs)

    def _quants(self, ranges: Mapping[int, tuple[float, float]]) -> dict[int, Quant]:
        quants = {}
        united: dict[int, tuple[float, float]] = {}
        for number, (low, high) in ranges.items():
            most = united.get(self._same(number), (0.0, 0.0))
            united[self._same(number)] = (min(low, most[0]), max(high, most[1]))
        for number in ranges:
            low, high = united[self._same(number)]
            # Three digits: another processor's rounding of the float values gives the same file.
            scale = float(np.float32(f"{(high - low) / 255:.2e}"))
            quants[number] = self._fixed.get(
                self._same(number), (scale, int(np.clip(np.rint(-128 - low / scale), -128, 127)))
            )
        return quants

    def _ranges(self) -> dict[int, tuple[float, float]]:
        """Least and greatest value of every tensor that is computed."""
        made = [op.outputs[0] for op in self._ops]
        graph = tflite.load(self.float_model(made))
        executor = ReferenceExecutor(graph)
        ranges = dict.fromkeys((self.input, *made), (0.0, 0.0))
        rng = np.random.default_rng(1)
        for _ in range(SAMPLES):
            x = rng.standard_normal(self.shape(self.input)).astype(np.float32)
            for number, values in zip((self.input, *made), (x, *executor.run(x)), strict=True):
                low, high = ranges[number]
                ranges[number] = (min(low, float(values.min())), max(high, float(values.max())))
        return ranges

    def _same(self, tensor: int) -> int:
        while tensor in self._alike:
            tensor = self._alike[tensor]
        return tensor

    def _tensor(self, shape: tuple[int, ...]) -> int:
        self._shapes.append(shape)
        return len(self._shapes) - 1

    def _constant(self, data: Array) -> int:
        tensor = self._tensor(data.shape)
        self._constants[tensor] = data
        return tensor

    def _random(self, shape: tuple[int, ...], fan_in: int, act: str) -> Array:
        gain = 2.0 if act else 1.0
        return (self._rng.standard_normal(shape) * np.sqrt(gain / fan_in)).astype(np.float32)

    def _op(
        self, kind: str, inputs: tuple[int, ...], output: int, table: str = "", options: Mapping[str, Any] | None = None
    ) -> int:
        self._ops.append(Op(kind, inputs, (output,), table, options or {}))
        if kind in BYTES_256:
            self._fixed[output] = BYTES_256[kind]
        return output

    def _weighted(
        self, kind: str, table: str, options: Mapping[str, Any], x: int, data: Array, axis: int, channels: int, y: int
    ) -> int:
        weights = self._constant(data)
        bias = self._constant((0.2 * self._rng.standard_normal(channels)).astype(np.float32))
        self._weights[weights] = _Weights(data, axis, x, bias)
        return self._op(kind, (x, weights, bias), y, table, options)


def _int8_weights(data: Array, axis: int) -> tuple[Array, tuple[float, ...], int]:
    """Values, scales and axis, as Tensor takes them."""
    others = tuple(i for i in range(data.ndim) if i != axis)
    scales = (np.abs(data).max(axis=others, keepdims=True) / np.float32(127)).astype(np.float32)
    return np.rint(data / scales).astype(np.int8), tuple(map(float, scales.ravel())), axis


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


def _window(
    size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], dilation: int, padding: int
) -> tuple[int, int]:
    """Height and width of what a window makes of `size`."""
    reach = [dilation * (k - 1) if padding == VALID else 0 for k in kernel]
    h, w = (-(-(n - r) // s) for n, r, s in zip(size, reach, stride, strict=True))
    return h, w
