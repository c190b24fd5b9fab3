"""What the ONNX handlers work with: a source node made readable, and the builder that collects the graph.

A handler is a function (builder, node) -> Value or Values, in the order of the node's outputs. It emits nodes of the
IR; shapes and dtypes come from each OpDef's infer. It raises RefusedError for what cannot be converted.

Three kinds of thing stand behind an ONNX name: a constant (a NumPy array), a quantised constant (integers with scale
and zero point: what DequantizeLinear makes of an initializer, kept so that weights can be rearranged before they are
dequantised), or a Value that is computed at run time.

uint8 tensors that carry quantised numbers become int8: data and zero point less 128. `Builder.unsigned` holds the
int8 Values that the source calls uint8.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from edgert.ir import Graph, Node, Value
from edgert.ops import OPS_BY_NAME
from edgert.ops._enums import ReduceFunction, UnaryFunction

Array = NDArray[Any]
Operand = Value | Array | float


class RefusedError(Exception):
    """A node cannot be converted: the reason, and what its author can do about it."""

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.fix = fix


@dataclass(frozen=True)
class QuantizedConstant:
    """An int8 or int32 constant with its quantisation."""

    data: Array
    quant: QuantParams

    def dequantized(self) -> Array:
        """float32 elements, scale * (q - zero_point)."""
        shape = [1] * self.data.ndim
        if self.quant.per_channel:
            shape[self.quant.axis] = -1
        scales = np.asarray(self.quant.scales, np.float32).reshape(shape)
        zeros = np.asarray(self.quant.zero_points, np.int64).reshape(shape)
        return np.asarray((self.data.astype(np.int64) - zeros).astype(np.float32) * scales, np.float32)

    def transposed(self, perm: Sequence[int]) -> QuantizedConstant:
        axis = list(perm).index(self.quant.axis) if self.quant.per_channel else 0
        quant = QuantParams(self.quant.scales, self.quant.zero_points, axis)
        return QuantizedConstant(np.ascontiguousarray(self.data.transpose(perm)), quant)


@dataclass(frozen=True)
class SourceNode:
    """An ONNX node: attributes as Python values, the version of its operator set."""

    name: str
    op: str  # with its domain when that is not the default one: "com.microsoft.QLinearAdd"
    opset: int
    inputs: tuple[str, ...]  # "" for an absent one
    outputs: tuple[str, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)

    def has(self, index: int) -> bool:
        """Whether the input is given."""
        return index < len(self.inputs) and self.inputs[index] != ""

    def integer(self, name: str, default: int) -> int:
        return int(self.attrs.get(name, default))

    def number(self, name: str, default: float) -> float:
        return float(self.attrs.get(name, default))

    def text(self, name: str, default: str) -> str:
        value = self.attrs.get(name, default)
        return value.decode() if isinstance(value, bytes) else str(value)

    def integers(self, name: str) -> tuple[int, ...] | None:
        """A list of integers; None when it is absent."""
        value = self.attrs.get(name)
        return None if value is None else tuple(int(item) for item in value)


class Builder:
    """The graph under construction, and what stands behind every ONNX name so far."""

    def __init__(self, name: str, reserved: set[str]) -> None:
        """reserved: all names of the source, which only the values they mean may bear."""
        self.graph = Graph(name=name)
        self.constants: dict[str, Array] = {}
        self.quantized: dict[str, QuantizedConstant] = {}
        self.values: dict[str, Value] = {}
        self.unsigned: set[Value] = set()
        self.current = SourceNode("", "", 0, (), ())
        self._names = set(reserved)
        self._materialized: dict[str, Value] = {}

    # What a node reads

    def known(self, name: str) -> bool:
        return name in self.constants or name in self.quantized or name in self.values

    def value(self, node: SourceNode, index: int) -> Value:
        """The input as a Value, made from a constant if it is one."""
        if not node.has(index):
            raise ModelError(f"{node.op} {node.name!r}: input {index} is missing")
        return self.value_of(node.inputs[index])

    def value_of(self, name: str) -> Value:
        if name in self.values:
            return self.values[name]
        if name not in self._materialized:
            if name in self.quantized:
                self._materialized[name] = self.dequantized(self.quantized[name])
            else:
                self._materialized[name] = self.const(self.constants[name], name)
        return self._materialized[name]

    def optional(self, node: SourceNode, index: int) -> Value | None:
        return self.value(node, index) if node.has(index) else None

    def constant(self, node: SourceNode, index: int) -> Array | None:
        """The input's elements when it is a constant (a quantised one is not), else None."""
        return self.constants.get(node.inputs[index]) if node.has(index) else None

    def is_constant(self, node: SourceNode, index: int) -> bool:
        return node.has(index) and (node.inputs[index] in self.constants or node.inputs[index] in self.quantized)

    def need_constant(self, node: SourceNode, index: int, what: str) -> Array:
        """The input's elements, dequantised if need be; RefusedError when only the run knows them."""
        array = self.constant(node, index)
        if array is None:
            if node.has(index) and node.inputs[index] in self.quantized:
                return self.quantized[node.inputs[index]].dequantized()
            if not node.has(index):
                raise ModelError(f"{node.op} {node.name!r}: input {index} ({what}) is missing")
            raise RefusedError(
                f"its {what} ({node.inputs[index]!r}) depends on the data",
                "export the model with fixed shapes (constant folding on), or run onnxsim on it first",
            )
        return array

    def ints(self, node: SourceNode, index: int, what: str) -> tuple[int, ...]:
        """The input as constant integers."""
        return tuple(int(item) for item in self.need_constant(node, index, what).reshape(-1))

    def rearranged(self, node: SourceNode, index: int, what: str, perm: Sequence[int], scale: float = 1.0) -> Value:
        """Constant weights, transposed (and multiplied by scale), as a constant or as one behind a dequantize."""
        name = node.inputs[index]
        if name in self.quantized:
            quantized = self.quantized[name].transposed(perm)
            if scale != 1.0:
                old = quantized.quant
                quant = QuantParams(tuple(float(np.float32(s * scale)) for s in old.scales), old.zero_points, old.axis)
                quantized = QuantizedConstant(quantized.data, quant)
            return self.dequantized(quantized)
        array = self.need_constant(node, index, what).transpose(perm)
        if scale != 1.0:
            array = array * np.float32(scale)
        return self.const(np.ascontiguousarray(array))

    # What a handler emits

    def unique(self, wanted: str) -> str:
        name, count = wanted, 0
        while name in self._names:
            count += 1
            name = f"{wanted}_{count}"
        self._names.add(name)
        return name

    def const(self, array: Array | float, name: str | None = None, quant: QuantParams | None = None) -> Value:
        """A constant of the graph; Python floats become float32. A name is the source's own, used as it is."""
        data = np.asarray(array, np.float32) if isinstance(array, float) else np.ascontiguousarray(array)
        if not isinstance(array, float):
            data = data.reshape(np.shape(array))  # ascontiguousarray makes a scalar one-dimensional
        label = name or self.unique(f"{self._base()}/constant")
        return Value(label, tuple(data.shape), DType.of(data.dtype), quant, data)

    def dequantized(self, constant: QuantizedConstant) -> Value:
        """The float32 Value of a quantised constant: a dequantize node that later passes fold."""
        return self.emit("dequantize", [self.const(constant.data, quant=constant.quant)])

    def operand(self, operand: Operand) -> Value:
        return operand if isinstance(operand, Value) else self.const(operand)

    def emit(
        self,
        op: str,
        inputs: Sequence[Operand | None],
        attrs: Mapping[str, Any] | None = None,
        quant: QuantParams | None = None,
        dtype: DType | None = None,
    ) -> Value:
        """Appends a node with one output and returns that output.

        quant: of an int8 output; by default that of an int8 input, for operators that only move or pick values.
        dtype: where the operator's own attributes leave it open (cast, quantize).
        """
        definition = OPS_BY_NAME[op]
        values = [None if item is None else self.operand(item) for item in inputs]
        complete = definition.complete(attrs or {})
        chosen = {"dtype": dtype} if dtype is not None and definition.out_dtypes else {}
        (spec,) = definition.infer(values, {**complete, **chosen})
        first = values[0]
        if quant is None and first is not None and first.dtype == spec.dtype == DType.INT8:
            quant = first.quant
        output = Value(self.unique(f"{self._base()}/{op}"), spec.shape, spec.dtype, quant)
        node = Node(op, list(values), [output], complete, self.current.name, self.current.op)
        self.graph.nodes.append(node)
        return output

    def _base(self) -> str:
        return next((name for name in self.current.outputs if name), self.graph.name)

    # Shorthand for operators that many handlers use

    def add(self, a: Operand, b: Operand) -> Value:
        return self.emit("add", [a, b])

    def sub(self, a: Operand, b: Operand) -> Value:
        return self.emit("sub", [a, b])

    def mul(self, a: Operand, b: Operand) -> Value:
        return self.emit("mul", [a, b])

    def unary(self, function: UnaryFunction, x: Operand, alpha: float = 0.0, beta: float = 0.0) -> Value:
        return self.emit("unary", [x], {"function": function, "alpha": alpha, "beta": beta})

    def reduce(self, function: ReduceFunction, x: Value, axes: Sequence[int], keep_dims: bool = True) -> Value:
        """Reduction over axes (negative ones count from the end); x itself when there are none."""
        normal = tuple(sorted({axis % len(x.shape) for axis in axes}))
        if not normal:
            return x
        return self.emit("reduce", [x], {"function": function, "axes": normal, "keep_dims": keep_dims})

    def mean(self, x: Value, axes: Sequence[int]) -> Value:
        return self.reduce(ReduceFunction.MEAN, x, axes)

    def reshape(self, x: Value, shape: Sequence[int]) -> Value:
        wanted = tuple(int(size) for size in shape)
        return x if wanted == x.shape else self.emit("reshape", [x], {"shape": wanted})

    def transpose(self, x: Value, perm: Sequence[int]) -> Value:
        order = tuple(int(axis) for axis in perm)
        return x if order == tuple(range(len(order))) else self.emit("transpose", [x], {"perm": order})

    def slice(self, x: Value, axis: int, begin: int, end: int, stride: int = 1) -> Value:
        """x[begin:end:stride] on one axis, with bounds already normalised."""
        begins, ends, strides = [0] * len(x.shape), list(x.shape), [1] * len(x.shape)
        begins[axis], ends[axis], strides[axis] = begin, end, stride
        return self.slices(x, begins, ends, strides)

    def slices(self, x: Value, begin: Sequence[int], end: Sequence[int], strides: Sequence[int]) -> Value:
        if all(b == 0 and e == size and s == 1 for b, e, s, size in zip(begin, end, strides, x.shape, strict=True)):
            return x
        attrs = {"begin": tuple(begin), "end": tuple(end), "strides": tuple(strides)}
        return self.emit("slice", [x], attrs)

    def pad(self, x: Value, before: Sequence[int], after: Sequence[int], value: float = 0.0) -> Value:
        if not any(before) and not any(after):
            return x
        return self.emit("pad", [x], {"before": tuple(before), "after": tuple(after), "value": value})

    # Image tensors

    def to_nhwc(self, x: Value) -> Value:
        """[N,C,H,W] -> [N,H,W,C]; [N,C,L] -> [N,1,L,C]."""
        if len(x.shape) == 4:
            return self.transpose(x, (0, 2, 3, 1))
        batch, channels, length = x.shape
        return self.reshape(self.transpose(x, (0, 2, 1)), (batch, 1, length, channels))

    def from_nhwc(self, x: Value, rank: int) -> Value:
        """The inverse of to_nhwc, to a tensor of the given rank (3 or 4)."""
        if rank == 4:
            return self.transpose(x, (0, 3, 1, 2))
        batch, _, length, channels = x.shape
        return self.transpose(self.reshape(x, (batch, length, channels)), (0, 2, 1))


Outputs = Value | QuantizedConstant | Sequence[Value]
Handler = Callable[[Builder, SourceNode], Outputs]
