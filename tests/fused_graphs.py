"""Random chains of operators that may run together, or only look like it."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.ir import Graph, Node, Value
from edgert.ops import OPS_BY_NAME
from edgert.ops._enums import Activation
from edgert.pack.writer import write

QUANT = QuantParams((float(np.float32(0.05)),), (3,))


class ChainBuilder:
    """A graph that grows by one node at a time, each on the value before it or an earlier one."""

    def __init__(self, rng: np.random.Generator, dtype: DType, shape: tuple[int, ...]) -> None:
        self.rng = rng
        self.dtype = dtype
        self.quant = QUANT if dtype == DType.INT8 else None
        self.last = Value("x", shape, dtype, self.quant)
        self.graph = Graph("chain", [self.last])
        self.values = [self.last]

    def constant(self, shape: tuple[int, ...], dtype: DType, quant: QuantParams | None = None) -> Value:
        name = f"constant{len(self.graph.nodes)}_{len(shape)}"
        if dtype == DType.FLOAT32:
            return Value(name, shape, dtype, None, self.rng.normal(size=shape).astype(np.float32))
        return Value(name, shape, dtype, quant, self.rng.integers(-100, 100, shape).astype(dtype.numpy_name))

    def weights(self, shape: tuple[int, ...], zero: bool = False) -> Value:
        if self.dtype == DType.FLOAT32:
            return self.constant(shape, DType.FLOAT32)
        return self.constant(shape, DType.INT8, QuantParams((float(np.float32(0.01)),), (7 if zero else 0,)))

    def bias(self, channels: int) -> Value:
        return self.constant((channels,), DType.INT32 if self.dtype == DType.INT8 else DType.FLOAT32)

    def node(self, op: str, *inputs: Value, name: str = "", **attrs: Any) -> Value:
        definition = OPS_BY_NAME[op]
        (spec,) = definition.infer(list(inputs), definition.complete(attrs))
        name = name or f"{op}{len(self.graph.nodes)}"
        self.last = Value(name, spec.shape, spec.dtype, self.quant)
        self.graph.nodes.append(Node(op, list(inputs), [self.last], attrs, name))
        self.values.append(self.last)
        return self.last

    def conv(self, out_channels: int, kernel: int = 1, stride: int = 1, pad: int = 0, name: str = "") -> Value:
        channels = self.last.shape[3]
        return self.node(
            "conv2d", self.last, self.weights((out_channels, kernel, kernel, channels)), self.bias(out_channels),
            name=name, stride_h=stride, stride_w=stride, pad_top=pad, pad_left=pad, pad_bottom=pad, pad_right=pad,
            activation=Activation.RELU6,
        )  # fmt: skip

    def depthwise(self, kernel: int = 3, stride: int = 1, dilation: int = 1, multiplier: int = 1, pad: int = 1,
                  zero: bool = False, name: str = "") -> Value:  # fmt: skip
        channels = self.last.shape[3] * multiplier
        return self.node(
            "depthwise_conv2d", self.last, self.weights((kernel, kernel, channels), zero), self.bias(channels),
            name=name, stride_h=stride, stride_w=stride, dilation_h=dilation, dilation_w=dilation, pad_top=pad,
            pad_left=pad, pad_bottom=pad, pad_right=pad, multiplier=multiplier,
        )  # fmt: skip

    def lut(self, name: str = "") -> Value:
        return self.node("lut", self.last, self.constant((256,), DType.INT8), name=name)

    def package(self) -> bytes:
        return write(self.graph)


def random_chain(rng: np.random.Generator, dtype: DType) -> bytes:
    """Up to a dozen operators on an image of some pixels; some values have two readers or are outputs."""
    shape = (int(rng.integers(1, 3)), *(int(n) for n in rng.integers(5, 30, 2)), int(rng.integers(1, 40)))
    b = ChainBuilder(rng, dtype, shape)
    for _ in range(int(rng.integers(2, 13))):
        _grow(b, rng)
    others = [value for value in b.values[1:-1] if rng.random() < 0.05]
    b.graph.outputs = [b.last, *others]
    return b.package()


def _grow(b: ChainBuilder, rng: np.random.Generator) -> None:
    height, width = b.last.shape[1:3]
    kind = rng.integers(0, 10)
    if kind < 3:
        b.conv(int(rng.integers(1, 40)))
    elif kind < 5 and min(height, width) >= 7:
        kernel = int(rng.choice([3, 5]))
        b.depthwise(kernel, stride=int(rng.integers(1, 3)), dilation=int(rng.integers(1, 3)) if kernel == 3 else 1,
                    multiplier=int(rng.choice([1, 1, 1, 2])), pad=int(rng.integers(0, 3)),
                    zero=bool(rng.integers(0, 2)))  # fmt: skip
    elif kind == 5 and min(height, width) >= 5:
        b.conv(int(rng.integers(1, 20)), kernel=3, stride=int(rng.integers(1, 3)), pad=int(rng.integers(0, 2)))
    elif kind == 6 and b.dtype == DType.INT8:
        b.lut()
    elif kind == 7:
        b.node("mul", b.last, b.weights((1, 1, 1, b.last.shape[3])))
    else:
        alike = [value for value in b.values if value.shape == b.last.shape]
        other = alike[int(rng.integers(0, len(alike)))]
        operands = (b.last, other) if rng.integers(0, 2) else (other, b.last)
        b.node(str(rng.choice(["add", "sub"])), *operands)
