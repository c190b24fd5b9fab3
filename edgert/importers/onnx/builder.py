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

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgert.dtypes import QuantParams
from edgert.errors import ModelError
from edgert.importers.builder import Array, GraphBuilder, Operand, QuantizedConstant, RefusedError
from edgert.ir import Value

LARGEST_CONSTANT = 1 << 24  # elements of a mask or the like that a handler makes in the place of an operator


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


class Builder(GraphBuilder):
    """The graph under construction, and what stands behind every ONNX name so far."""

    folds = False

    def __init__(self, name: str, reserved: set[str]) -> None:
        """reserved: all names of the source, which only the values they mean may bear."""
        super().__init__(name, reserved)
        self.constants: dict[str, Array] = {}
        self.quantized: dict[str, QuantizedConstant] = {}
        self.values: dict[str, Value] = {}
        self.sequences: dict[str, list[str]] = {}  # names of their elements
        self.absent: set[str] = set()  # optionals that hold nothing
        self.unsigned: set[Value] = set()
        self._materialized: dict[str, Value] = {}
        self.current = SourceNode("", "", 0, (), ())

    @property
    def current(self) -> SourceNode:
        """The node at hand."""
        return self._current

    @current.setter
    def current(self, node: SourceNode) -> None:
        self._current = node
        self.begin(node.name, node.op, next((name for name in node.outputs if name), self.graph.name))

    # What a node reads

    def known(self, name: str) -> bool:
        places = (self.constants, self.quantized, self.values, self.sequences, self.absent)
        return any(name in place for place in places)

    def value(self, node: SourceNode, index: int) -> Value:
        """The input as a Value, made from a constant if it is one."""
        if not node.has(index):
            raise ModelError(f"input {index} is missing")
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
                raise ModelError(f"input {index} ({what}) is missing")
            raise RefusedError(
                f"its {what} ({node.inputs[index]!r}) depends on the data",
                "export the model with fixed shapes (constant folding on), or run onnxsim on it first",
            )
        return array

    def room(self, shape: Sequence[int]) -> Sequence[int]:
        """The shape, of which a constant is to be made; ModelError when it is too large to be one."""
        if math.prod(shape) > LARGEST_CONSTANT:
            raise ModelError(f"a constant {list(shape)}, needed at most {LARGEST_CONSTANT} elements")
        return shape

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


Outputs = Value | QuantizedConstant | Sequence[Value]
Handler = Callable[[Builder, SourceNode], Outputs]

__all__ = [
    "Array", "Builder", "Handler", "Operand", "Outputs", "QuantizedConstant", "RefusedError", "SourceNode",
]  # fmt: skip
