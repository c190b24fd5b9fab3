"""What TensorFlow handlers share: the source's nodes, and the tensors, lists and variables that pass between them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from edgert.importers.builder import Array, GraphBuilder, Operand, QuantizedConstant, RefusedError
from edgert.importers.tensorflow.tensors import TensorReader, dtype_of, stated_shape, type_name
from edgert.ir import Node, Value

# Bytes that all constants computed while a graph is read may take together.
FOLDED_LIMIT = 256 << 20

CUT = "cut the model: outputs=[...] names tensors before it, inputs=[...] tensors after it"


@dataclass(frozen=True)
class Opaque:
    """Something that is no tensor: text, a handle. Operators that pass it on or ignore it may read it."""

    what: str


@dataclass(frozen=True)
class TensorList:
    """A TensorArray or TensorList at one moment; None where nothing is written yet. shape: of an item, as far as
    known (-1: open). source: the tensor [length, ...] whose parts the items are; items are empty then."""

    items: tuple[Value | None, ...]
    shape: tuple[int, ...] | None
    dtype: DType
    source: Value | None = None

    def __len__(self) -> int:
        return len(self.items) if self.source is None else self.source.shape[0]


@dataclass(frozen=True)
class Variable:
    """A variable's handle. Its value is what was stored with the model; Builder.state tells what was written since."""

    name: str
    value: Value | None


@dataclass(frozen=True)
class Complex:
    """A tensor of complex numbers."""

    real: Value
    imaginary: Value


@dataclass(frozen=True)
class Random:
    """Random numbers from 0 to 1, on their way to a dropout mask; bound: what was added to them."""

    shape: tuple[int, ...]
    bound: Operand | None = None


@dataclass(frozen=True)
class DropoutMask:
    """The mask that dropout multiplies by: on average `keep` of its elements are 1."""

    shape: tuple[int, ...]
    keep: Operand


class Mark:
    """DEAD: a branch that is not taken; LOST: what a refused operator would have made."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


DEAD, LOST = Mark("DEAD"), Mark("LOST")
Bound = Value | QuantizedConstant | Complex | Opaque | TensorList | Variable | Random | DropoutMask | Mark
Outputs = Bound | Sequence[Bound]


class SourceNode:
    """A node of the source, with what its inputs are bound to. name: with the functions that it stands in."""

    def __init__(self, name: str, op: str, attrs: Mapping[str, Any], inputs: Sequence[Bound]) -> None:
        self.name = name
        self.op = op
        self.inputs = tuple(inputs)
        self._attrs = attrs

    def reading(self, inputs: Sequence[Bound]) -> SourceNode:
        """The same node with other inputs."""
        return SourceNode(self.name, self.op, self._attrs, inputs)

    def attr_names(self) -> list[str]:
        return sorted(self._attrs)

    def has_attr(self, name: str) -> bool:
        return name in self._attrs

    def attr(self, name: str) -> Any:
        """The AttrValue; ModelError when there is none."""
        if name not in self._attrs:
            raise ModelError(f"its attribute {name!r} is missing")
        return self._attrs[name]

    def integer(self, name: str, default: int) -> int:
        return int(self._attrs[name].i) if name in self._attrs else default

    def number(self, name: str, default: float) -> float:
        return float(self._attrs[name].f) if name in self._attrs else default

    def flag(self, name: str, default: bool = False) -> bool:
        return bool(self._attrs[name].b) if name in self._attrs else default

    def text(self, name: str, default: str) -> str:
        return bytes(self._attrs[name].s).decode(errors="replace") if name in self._attrs else default

    def integers(self, name: str, default: Sequence[int] = ()) -> tuple[int, ...]:
        return tuple(int(item) for item in self._attrs[name].list.i) if name in self._attrs else tuple(default)

    def type(self, name: str) -> DType:
        return dtype_of(self.attr(name).type)

    def type_name(self, name: str) -> str:
        return type_name(self.attr(name).type)

    def shape(self, name: str) -> tuple[int, ...] | None:
        return stated_shape(self.attr(name).shape)


class Builder(GraphBuilder):
    """The graph under construction, and what a node's inputs are."""

    def __init__(
        self, name: str, reserved: set[str], variables: Mapping[str, Array], stateful: frozenset[str] = frozenset()
    ) -> None:
        """variables: values of the variables that the graph reads, by their (shared) names. stateful: those of them
        that it writes, which live between invokes."""
        super().__init__(name, reserved)
        self.stateful = stateful
        self.state: dict[str, Value] = {}  # variables that the graph writes -> what they hold so far
        self.lasting: dict[str, Value] = {}  # the same -> variables of the graph
        self.tensors = TensorReader()
        self.variables = variables
        self.batched: dict[Value, Any] = {}  # results of SpaceToBatchND -> what they were made from
        self._named: set[str] = set()
        self._folded_bytes = 0

    def value(self, node: SourceNode, index: int) -> Value:
        """The input as a Value; RefusedError for what is no tensor."""
        if index >= len(node.inputs):
            raise ModelError(f"its input {index} is missing")
        return self.as_value(node.inputs[index])

    def as_value(self, bound: Bound) -> Value:
        if isinstance(bound, Value):
            return bound
        if isinstance(bound, QuantizedConstant):
            return self.dequantized(bound)
        if isinstance(bound, Random | DropoutMask):
            raise RefusedError("it computes with random numbers", "freeze the graph for inference, without dropout")
        if isinstance(bound, Complex):
            raise RefusedError("it computes with complex numbers", "take their absolute value first")
        what = bound.what if isinstance(bound, Opaque) else "a list or a handle, no tensor"
        raise RefusedError(f"it reads {what}", CUT)

    def _folded(self, node: Node) -> list[Value] | None:
        """As GraphBuilder's, until what it made takes too much: a loop folds anew in every round."""
        made = sum(math.prod(value.shape) * value.dtype.itemsize for value in node.outputs)
        if self._folded_bytes + made > FOLDED_LIMIT:
            return None
        results = super()._folded(node)
        self._folded_bytes += made if results is not None else 0
        return results

    def dequantized(self, constant: QuantizedConstant) -> Value:
        """Never computed on the spot: the passes want the integers and their scales."""
        return self.emit_unfolded("dequantize", [self.const(constant.data, quant=constant.quant)], {})

    def constant(self, node: SourceNode, index: int) -> Array | None:
        """The input's elements; None when only the run knows them."""
        bound = node.inputs[index] if index < len(node.inputs) else None
        if isinstance(bound, QuantizedConstant):
            return bound.dequantized()
        return bound.data if isinstance(bound, Value) and bound.constant else None

    def need_constant(self, node: SourceNode, index: int, what: str) -> Array:
        array = self.constant(node, index)
        if array is None:
            self.value(node, index)
            raise RefusedError(
                f"its {what} depends on the data", "freeze the graph with fixed shapes, or give constants={name: array}"
            )
        return array

    def ints(self, node: SourceNode, index: int, what: str) -> tuple[int, ...]:
        return tuple(int(item) for item in self.need_constant(node, index, what).reshape(-1))

    def scalar(self, node: SourceNode, index: int, what: str) -> Any:
        """The input as one constant number."""
        array = self.need_constant(node, index, what)
        if array.size != 1:
            raise ModelError(f"its {what} has {array.size} elements, needed one")
        return array.reshape(-1)[0]

    def axis(self, axis: int, rank: int) -> int:
        if not -rank <= axis < rank:
            raise ModelError(f"axis {axis} of a tensor of {rank} dimensions")
        return axis % rank

    def number(self, array: Any, dtype: DType) -> Value:
        """A constant of the given type."""
        return self.const(np.asarray(array, dtype.numpy_name))

    def input(self, name: str, shape: Sequence[int], dtype: DType, quant: QuantParams | None = None) -> Value:
        self._named.add(name)
        return super().input(name, shape, dtype, quant)

    def bear(self, value: Value, name: str) -> None:
        """Names a value as the source does; one that loops and calls make again gets a number behind its name."""
        if name in self._named:
            name = self.unique(name)
        self._named.add(name)
        self._names.add(name)
        value.name = name


Handler = Callable[[Builder, SourceNode], Outputs]
