"""Graphs whose weights are stored in fewer bytes than they are computed with, beside the same graphs with the weights
as they are computed with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.dtypes import DType, QuantParams
from edgert.ir import Graph, Node, Value
from edgert.ops import OPS_BY_NAME
from edgert.ops._enums import Activation, ReduceFunction
from edgert.ops.unpack_int4 import BLOCK, pack_int4

Array = NDArray[Any]
FLOAT_FORMS = ("float16", "int8", "int4", "int4-block")  # that dequantize brings back to float32
INTEGER_FORMS = ("int4", "int4-block")
Q = QuantParams((0.0625,), (3,))
Q16 = QuantParams((2.0**-12,), (0,))


class Pair:
    """Two graphs in the making: `compact`, and `plain`, whose constants are what those of the other expand to."""

    def __init__(self, name: str, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.compact, self.plain = Graph(name), Graph(name)
        self._expanding: list[Node] = []
        self._twins: dict[Value, Value] = {}  # of the compact graph's values
        self._count = 0

    def input(self, shape: tuple[int, ...], dtype: DType = DType.FLOAT32, quant: QuantParams | None = None) -> Value:
        value = Value(self._name("x"), shape, dtype, quant)
        self._twins[value] = Value(value.name, shape, dtype, quant)
        self.compact.inputs.append(value)
        self.plain.inputs.append(self._twins[value])
        return value

    def constant(self, data: Array, quant: QuantParams | None = None) -> Value:
        """Stored as it is."""
        value = Value(self._name("c"), data.shape, DType.of(data.dtype), quant, data)
        self._twins[value] = value
        return value

    def weights(self, shape: tuple[int, ...], form: str, axis: int = 0, real: bool = True) -> Value:
        """Weights of this form, which expand to float32, or to int8 with a scale for every index of `axis`."""
        if form == "float16":
            return self.expand("dequantize", self.constant(self.rng.normal(size=shape).astype(np.float16)))
        scales = self.rng.uniform(0.001, 0.02, shape[axis]).astype(np.float32)
        quant = QuantParams(tuple(float(scale) for scale in scales), (0,) * len(scales), axis)
        if form == "int8":
            value = self.constant(self.rng.integers(-127, 128, shape, np.int8), quant)
        else:
            packed = self.constant(pack_int4(self.rng.integers(-7, 8, shape)))
            blocks = -(-int(np.prod(shape[1:])) // BLOCK)
            multipliers = [self.constant(self.rng.integers(1, 19, (shape[0], blocks), np.uint8))]
            value = self.expand("unpack_int4", packed, *multipliers * (form == "int4-block"), quant=quant, shape=shape)
        return self.expand("dequantize", value) if real else value

    def expand(self, op: str, *inputs: Value, quant: QuantParams | None = None, **attrs: Any) -> Value:
        """Adds a node on constants; its twin is a constant with its result."""
        definition = OPS_BY_NAME[op]
        (spec,) = definition.infer(list(inputs), definition.complete(attrs))
        value = Value(self._name("w"), spec.shape, spec.dtype, quant)
        node = Node(op, list(inputs), [value], attrs, value.name)
        self._expanding.append(node)
        (data,) = definition.run(node, [self._twins[source].data for source in inputs])
        self._twins[value] = Value(value.name, spec.shape, spec.dtype, quant, np.ascontiguousarray(data))
        return value

    def add(self, op: str, *inputs: Value | None, quant: QuantParams | None = None, **attrs: Any) -> Value:
        """Adds an operator to both graphs; the first of its outputs."""
        definition = OPS_BY_NAME[op]
        specs = definition.infer(list(inputs), definition.complete(attrs))
        name = self._name(op)
        made = [Value(f"{name}/{i}", spec.shape, spec.dtype, quant) for i, spec in enumerate(specs)]
        twins = [Value(value.name, value.shape, value.dtype, quant) for value in made]
        self._twins.update(zip(made, twins, strict=True))
        self.compact.nodes.append(Node(op, list(inputs), made, attrs, name))
        self.plain.nodes.append(Node(op, [value and self._twins[value] for value in inputs], twins, dict(attrs), name))
        return made[0]

    def end(self, *outputs: Value) -> Pair:
        """Expanding nodes stand in front of all others."""
        self.compact.nodes[:0] = self._expanding
        self.compact.outputs = list(outputs)
        self.plain.outputs = [self._twins[value] for value in outputs]
        return self

    def feeds(self, seed: int = 0) -> list[Array]:
        rng = np.random.default_rng(seed)
        return [
            rng.normal(size=value.shape).astype(np.float32)
            if value.dtype == DType.FLOAT32
            else rng.integers(-100, 101, value.shape).astype(value.dtype.numpy_name)
            for value in self.compact.inputs
        ]

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"{kind}{self._count}"


def image_net(form: str) -> Pair:
    """conv2d, grouped conv2d, depthwise_conv2d (and with one input channel), fully_connected and matmul, in float32."""
    p = Pair(f"images-{form}")
    x = p.input((1, 9, 8, 3))
    relu6 = {"activation": Activation.RELU6}
    pads = {"pad_top": 1, "pad_left": 1, "pad_bottom": 1, "pad_right": 1}
    y = p.add("conv2d", x, p.weights((16, 3, 3, 3), form), p.weights((16,), form), **relu6, **pads)
    y = p.add("depthwise_conv2d", y, p.weights((3, 3, 16), form, axis=2), p.weights((16,), "float16"), **pads)
    y = p.add("conv2d", y, p.weights((24, 1, 1, 16), form), None, **relu6)
    y = p.add("conv2d", y, p.weights((12, 3, 3, 8), form), None, groups=3)
    one = p.add("reduce", y, function=ReduceFunction.MEAN, axes=(3,), keep_dims=True)
    four = p.add("depthwise_conv2d", one, p.weights((3, 3, 4), form, axis=2), None, multiplier=4, **pads)
    y = p.add("concat", y, four, axis=3)
    y = p.add("fully_connected", y, p.weights((40, 16), form), p.weights((40,), form), **relu6)
    y = p.add("matmul", y, p.weights((40, 11), form, axis=1))
    y = p.add("matmul", y, p.weights((7, 11), form), transpose_b=True)
    y = p.add("add", y, p.weights((6, 7), form))  # read in place
    return p.end(y)


def sequence_net(form: str) -> Pair:
    """lstm, gru, rnn and svdf in float32."""
    p = Pair(f"sequences-{form}")
    x = p.input((5, 2, 12))
    lstm = [p.weights((40, 12), form), p.weights((40, 6), form), p.weights((40,), form)]
    rest = [None, None, p.weights((3, 10), form), p.weights((6, 10), form), p.weights((6,), "float16")]
    y = p.add("lstm", x, *lstm, *rest)
    y = p.add("gru", y, p.weights((24, 6), form), p.weights((24, 8), form), p.weights((24,), form),
              p.weights((24,), form), reset_after=True)  # fmt: skip
    y = p.add("gru", y, p.weights((24, 8), form), p.weights((24, 8), form), p.weights((24,), form), reverse=True)
    y = p.add("rnn", y, p.weights((9, 8), form), p.weights((9, 9), form), p.weights((9,), form))
    normed = [p.weights((20, 9), form), p.weights((20, 5), form), p.weights((20,), form)]
    y = p.add("lstm", y, *normed, *[None] * 6, p.weights((4, 5), form))
    frame = p.add("reshape", y, shape=(10, -1))
    state = p.input((10, 8, 3))
    z = p.add("svdf", frame, p.weights((8, 5), form), p.weights((8, 3), form), state, p.weights((4,), form), rank=2)
    return p.end(z)


def integer_net(form: str, activations: DType = DType.INT8) -> Pair:
    """conv2d, grouped and pointwise, depthwise_conv2d and fully_connected on int8 or int16."""
    wide = activations == DType.INT16
    quant = Q16 if wide else Q
    p = Pair(f"{activations.name}-{form}".lower())

    def bias(channels: int) -> Value:
        return p.constant(p.rng.integers(-500, 500, channels, np.int64 if wide else np.int32))

    x = p.input((1, 9, 8, 3), activations, quant)
    y = p.add("conv2d", x, p.weights((16, 3, 3, 3), form, real=False), bias(16), quant=quant, stride_h=2)
    y = p.add("conv2d", y, p.weights((40, 1, 1, 16), form, real=False), bias(40), quant=quant)
    depthwise = p.rng.integers(-127, 128, (3, 3, 40), np.int8)
    weights = p.constant(depthwise, QuantParams((0.01,) * 40, (0,) * 40, 2))
    y = p.add("depthwise_conv2d", y, weights, bias(40), quant=quant)
    y = p.add("conv2d", y, p.weights((40, 1, 1, 4), form, real=False), bias(40), quant=quant, groups=10)
    y = p.add("fully_connected", y, p.weights((33, 40), form, real=False), bias(33), quant=quant)
    return p.end(y)


def mixed_net() -> Pair:
    """Every form once, in a small net of float32 and one of int8: a package to damage."""
    p = Pair("mixed")
    x = p.input((1, 6, 5, 4))
    y = p.add("conv2d", x, p.weights((8, 3, 3, 4), "float16"), p.weights((8,), "int8"))
    y = p.add("depthwise_conv2d", y, p.weights((3, 3, 8), "int8", axis=2), None)
    y = p.add("fully_connected", y, p.weights((12, 8), "int4"), None)
    y = p.add("matmul", y, p.weights((12, 5), "int4-block"))
    y = p.add("add", y, p.weights((2, 5), "float16"))
    q = p.input((1, 6, 5, 4), DType.INT8, Q)
    z = p.add("conv2d", q, p.weights((8, 3, 3, 4), "int4", real=False), None, quant=Q)
    z = p.add("fully_connected", z, p.weights((6, 8), "int4-block", real=False), None, quant=Q)
    sequence = p.input((3, 2, 4))
    gates = [p.weights((20, 4), "float16"), p.weights((20, 5), "int4"), p.weights((20,), "float16")]
    return p.end(y, z, p.add("lstm", sequence, *gates), p.weights((3, 4), "int8"))


NETS: dict[str, Callable[[], Pair]] = {
    **{f"images-{form}": lambda form=form: image_net(form) for form in FLOAT_FORMS},
    **{f"sequences-{form}": lambda form=form: sequence_net(form) for form in FLOAT_FORMS},
    **{f"int8-{form}": lambda form=form: integer_net(form) for form in INTEGER_FORMS},
    **{f"int16-{form}": lambda form=form: integer_net(form, DType.INT16) for form in INTEGER_FORMS},
}
