"""What the TFLite handlers work with: the builder that turns source tensors into Values and collects the graph.

A handler is a function (builder, op) -> Value or Values, in the order of the operator's outputs. It emits nodes of
the IR, whose shapes come from each OpDef's infer and not from the file. It raises RefusedError for what cannot be
converted. A node whose inputs are all constant is computed on the spot and leaves no trace: this takes care of
shape arithmetic, of float16 weights behind DEQUANTIZE, and of constants in general.

uint8 tensors that carry quantised numbers become int8: elements and zero point less 128.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError, Unsupported
from edgert.importers.builder import QuantizedConstant, RefusedError, foldable
from edgert.importers.tflite.read import OPTIONAL, SourceGraph, SourceOp, SourceQuant, SourceTensor
from edgert.ir import Graph, Names, Node, Value
from edgert.ops import OPS_BY_NAME, QuantRule
from edgert.ops._enums import Activation, UnaryFunction

Array = NDArray[Any]

FOLD_WORK = 1 << 24  # multiply-adds for one constant: less than elsewhere, as loops may fold over and over
COUNTER = 1 << 12  # bytes
FOLD_TOTAL = 1 << 26  # bytes of all constants that are folded within called graphs, each round of a loop counted
LARGEST = 1 << 31  # bytes of a tensor that an operator makes
SHIFT = 128  # from uint8 to int8
# Types that quantised numbers may have, and the zero points that these may have in the graph.
_LIMITS = {"INT8": (-128, 127), "UINT8": (-128, 127), "INT16": (-(2**15), 2**15 - 1), "INT32": (-(2**31), 2**31 - 1)}
_SCALED = (DType.INT8, DType.UINT8, DType.INT16)  # types of the graph that may have a scale wherever they come
FIX_THE_SHAPES = "export the model with fixed shapes, so that this is a constant"


@dataclass(frozen=True)
class Batched:
    """A SPACE_TO_BATCH_ND: its input, and block and padding for each spatial dimension."""

    x: Value
    block: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Scope:
    """A source graph under conversion: what stands behind its tensors so far."""

    source: SourceGraph
    values: dict[int, Value]
    variables: dict[int, Value]
    complex: dict[int, tuple[Value, Value]]
    tensor_names: list[str]


class Builder:
    """The graph under construction, and what stands behind every source tensor so far.

    graphs: all graphs of the source, which some operators call. convert: converts the operators of one of them.
    """

    def __init__(
        self,
        source: SourceGraph,
        name: str,
        graphs: Sequence[SourceGraph] = (),
        convert: Callable[[Builder, SourceGraph], list[Unsupported]] | None = None,
    ) -> None:
        self.graphs = graphs
        self.convert = convert or (lambda builder, graph: [])
        self.scopes: list[Scope] = []  # of the graphs that have called the one at hand, the outermost first
        self.laid_out = 0  # operators of called graphs so far
        self._folded_bytes = 0
        self.variable_names: dict[str, Value] = {}
        self.complex: dict[int, tuple[Value, Value]] = {}  # source tensor of complex numbers -> both parts
        self._constants: dict[tuple[int, int], Value] = {}  # of called graphs, by graph and tensor: made once
        self.source = source
        self.graph = Graph(name=name)
        self.values: dict[int, Value] = {}
        self.variables: dict[int, Value] = {}  # source tensor of type RESOURCE -> the variable it names
        self.current: SourceOp | None = None
        self._fresh: set[Value] = set()  # what the operator at hand has made
        self.batched: dict[Value, Batched] = {}  # what SPACE_TO_BATCH_ND has made
        self._names = Names()
        self.tensor_names = [self.unique(tensor.name or f"tensor_{i}") for i, tensor in enumerate(source.tensors)]

    # What an operator reads

    def tensor(self, op: SourceOp, index: int) -> SourceTensor:
        return self.source.tensors[self._input(op, index)]

    def has(self, op: SourceOp, index: int) -> bool:
        return index < len(op.inputs) and op.inputs[index] != OPTIONAL

    def value(self, op: SourceOp, index: int) -> Value:
        """The input as a Value; constants become Values of the graph."""
        return self.value_of(self._input(op, index))

    def optional(self, op: SourceOp, index: int) -> Value | None:
        return self.value(op, index) if self.has(op, index) else None

    def value_of(self, number: int) -> Value:
        if number not in self.values:
            tensor = self.source.tensors[number]
            if tensor.data is None:
                raise ModelError(f"tensor {tensor.name!r} is read before anything writes it")
            key = (id(self.source), number)
            if key not in self._constants:
                data, quant = self.elements(tensor)
                self._constants[key] = Value(self.tensor_names[number], data.shape, DType.of(data.dtype), quant, data)
            self.values[number] = self._constants[key]
        return self.values[number]

    # Graphs that other graphs call

    def enter(self, graph: SourceGraph, arguments: Sequence[int | Value]) -> None:
        """Goes on with another graph of the source, whose inputs are these: values, or tensors of the one at hand."""
        outer = Scope(self.source, self.values, self.variables, self.complex, self.tensor_names)
        inner: dict[int, Value] = {}
        variables: dict[int, Value] = {}
        for number, argument in zip(graph.inputs, arguments, strict=True):
            if isinstance(argument, Value):
                (variables if argument.variable else inner)[number] = argument
            elif argument in outer.variables:
                variables[number] = outer.variables[argument]
            elif argument != OPTIONAL:
                inner[number] = self.value_of(argument)
        self.scopes.append(outer)
        self.source, self.values, self.variables, self.complex = graph, inner, variables, {}
        names = [tensor.name or f"tensor_{i}" for i, tensor in enumerate(graph.tensors)]
        self.tensor_names = [self.unique(name) for name in names]

    def leave(self) -> None:
        """Back to the graph that called the one at hand."""
        outer = self.scopes.pop()
        self.source, self.values = outer.source, outer.values
        self.variables, self.complex, self.tensor_names = outer.variables, outer.complex, outer.tensor_names

    def rename(self, values: Sequence[Value]) -> None:
        """Lets values that called graphs have made take the names of the tensors that they become."""
        known = {*self.graph.inputs, *self.values.values()}
        self._fresh.update(value for value in values if value not in known and not value.variable)

    def constant(self, op: SourceOp, index: int, what: str) -> Array:
        """The input's elements; RefusedError when they are only known at run time."""
        value = self.value(op, index)
        if value.data is None or value.variable:
            raise RefusedError(f"its {what} ({value.name!r}) depends on the data", FIX_THE_SHAPES)
        return value.data

    def ints(self, op: SourceOp, index: int, what: str) -> tuple[int, ...]:
        """The input as constant integers."""
        return tuple(int(item) for item in self.constant(op, index, what).reshape(-1))

    def shape(self, op: SourceOp, index: int) -> tuple[int, ...]:
        """The output's shape, which an input gives: where that is known only at run time, the one that the file states
        for the output, unless it is open."""
        value, stated = self.value(op, index), self.source.tensors[self._output(op, 0)]
        if value.constant or stated.dynamic or value.shape != (len(stated.shape),):
            return self.ints(op, index, "output shape")
        note = f"{self.label()!r} always has the shape {list(stated.shape)}, whatever {value.name!r} says."
        self.graph.notes.append(note)
        return stated.shape

    def scalar(self, op: SourceOp, index: int, what: str) -> int:
        numbers = self.ints(op, index, what)
        if len(numbers) != 1:
            raise ModelError(f"its {what} has {len(numbers)} elements, needed 1")
        return numbers[0]

    def axis(self, axis: int, rank: int) -> int:
        """axis in [-rank, rank) made non-negative."""
        if not -rank <= axis < rank:
            raise ModelError(f"axis {axis} of a tensor with {rank} dimensions")
        return axis % rank

    def _input(self, op: SourceOp, index: int) -> int:
        if not self.has(op, index):
            raise ModelError(f"input {index} is missing ({len(op.inputs)} given)")
        return op.inputs[index]

    # Elements and quantisation of source tensors

    def dtype(self, tensor: SourceTensor) -> DType:
        """The element type in the graph."""
        if tensor.type == "UINT8" and tensor.quant is not None:
            return DType.INT8
        try:
            return DType[tensor.type]
        except KeyError:
            raise RefusedError(
                f"{tensor.name!r} has elements of type {tensor.type}", "use float32 or int8 for this part of the model"
            ) from None

    def quant(self, tensor: SourceTensor, channel_axis: int | None = None) -> QuantParams | None:
        """Quantisation in the graph; None for what is not a quantised number.

        channel_axis: where per-channel scales must lie. The file's own axis is a hint alone: some exporters
        left it out of step with the weights' layout, and the number of scales says which axis is meant.
        """
        if tensor.quant is None or tensor.type not in _LIMITS or (tensor.type == "INT32" and tensor.data is not None):
            return None  # of a constant, an int32 scale is that of a bias
        scales, zero_points = tensor.quant.scales, tensor.quant.zero_points
        bad = [scale for scale in scales if not (math.isfinite(scale) and scale > 0)]
        if bad:
            raise ModelError(f"tensor {tensor.name!r} has the scale {bad[0]}, needed a positive number")
        if tensor.type == "UINT8":
            zero_points = tuple(zero_point - SHIFT for zero_point in zero_points)
        lowest, highest = _LIMITS[tensor.type]
        outside = [zero_point for zero_point in zero_points if not lowest <= zero_point <= highest]
        if outside:
            raise ModelError(f"tensor {tensor.name!r} has a zero point that its numbers cannot have: {outside[0]}")
        if len(scales) == 1 or (len(set(scales)) == 1 and len(set(zero_points)) == 1):
            return QuantParams(scales[:1], zero_points[:1])
        axis = _channel_axis(tensor, tensor.quant, channel_axis)
        if len(set(zero_points)) > 1:
            raise RefusedError(
                f"{tensor.name!r} has a zero point for every channel", "quantise weights symmetrically (zero point 0)"
            )
        return QuantParams(scales, zero_points, axis)

    def elements(self, tensor: SourceTensor, channel_axis: int | None = None) -> tuple[Array, QuantParams | None]:
        """A constant as the graph holds it: float16 as float32, quantised uint8 as int8."""
        assert tensor.data is not None
        dtype, quant = self.dtype(tensor), self.quant(tensor, channel_axis)
        if dtype == DType.FLOAT16:
            return tensor.data.astype(np.float32), None
        if tensor.type == "UINT8" and dtype == DType.INT8:
            return (tensor.data.astype(np.int16) - SHIFT).astype(np.int8), quant
        return tensor.data.astype(dtype.numpy_name), quant

    def weights(self, op: SourceOp, index: int, channel_axis: int, floats: bool) -> tuple[Array, QuantParams | None]:
        """Constant weights with scales along channel_axis.

        floats: the activations are float32. Quantised weights (a dynamic-range model) are dequantised then: their
        meaning is the same, and the run-time quantisation of the activations, an approximation, is left out.
        """
        number = self._input(op, index)
        tensor = self.source.tensors[number]
        if tensor.data is None:
            value = self.value(op, index)
            if value.data is None or value.variable:
                raise RefusedError(f"its weights ({value.name!r}) depend on the data", "use constant weights")
            data, quant = value.data, value.quant
        else:
            data, quant = self.elements(tensor, channel_axis)
        if floats and quant is not None:
            return QuantizedConstant(data, quant).dequantized(), None
        return data, quant

    def out_quant(self, op: SourceOp, index: int = 0) -> QuantParams | None:
        return self.quant(self.source.tensors[self._output(op, index)])

    def out_dtype(self, op: SourceOp, index: int = 0) -> DType:
        return self.dtype(self.source.tensors[self._output(op, index)])

    def _output(self, op: SourceOp, index: int) -> int:
        if index >= len(op.outputs):
            raise ModelError(f"output {index} is missing ({len(op.outputs)} given)")
        return op.outputs[index]

    # What a handler emits

    def unique(self, wanted: str) -> str:
        return self._names.unique(wanted)

    def const(self, data: Array, quant: QuantParams | None = None, name: str = "constant") -> Value:
        data = np.asarray(data)
        value = Value(self.unique(f"{self.label()}/{name}"), data.shape, DType.of(data.dtype), quant, data)
        self._fresh.add(value)
        return value

    def label(self) -> str:
        """Name of the operator at hand: that of its first output tensor."""
        return self.op_label(self.current) if self.current is not None else self.graph.name

    def op_label(self, op: SourceOp) -> str:
        return self.tensor_names[op.outputs[0]] if op.outputs else f"operator {op.index}"

    def emit(
        self,
        op: str,
        inputs: Sequence[Value | None],
        attrs: Mapping[str, Any] | None = None,
        quant: QuantParams | None = None,
        dtype: DType | None = None,
    ) -> Value:
        """Appends a node with one output and returns that output.

        quant: of an int8 output; without it, operators that only move values take that of their first input.
        dtype: where the node and not its inputs decides (cast, quantize, arg_max).
        Operators without an integer form run in float32 between dequantize and quantize.
        """
        definition = OPS_BY_NAME[op]
        complete = definition.complete(attrs or {})
        known = {**complete, "dtype": dtype} if definition.out_dtypes and dtype is not None else complete
        try:
            (spec,) = definition.infer(inputs, known)
        except ModelError:
            kinds = {value.dtype for value in inputs if value is not None and _quantized(value)}
            if not kinds or (definition.quant is not QuantRule.FLOAT and DType.INT16 not in kinds):
                raise
            result = self.emit(op, [value and self.real(value) for value in inputs], attrs, None, dtype)
            scaled = quant is not None and result.dtype == DType.FLOAT32
            return self.quantized(result, quant, max(kinds)) if scaled and quant is not None else result
        if math.prod(spec.shape) * spec.dtype.itemsize > LARGEST:
            raise ModelError(f"a tensor {list(spec.shape)} of {spec.dtype.name.lower()}: more than {LARGEST} bytes")
        first = inputs[0]
        if quant is None and first is not None and definition.quant in (QuantRule.SAME, QuantRule.SHARED):
            quant = first.quant
        moves = op == "quantize" or definition.quant in (QuantRule.SAME, QuantRule.SHARED)
        quant = quant if spec.dtype in _SCALED or (spec.dtype == DType.INT32 and moves) else None
        output = Value(self.unique(f"{self.label()}/{op}"), spec.shape, spec.dtype, quant)
        node = Node(op, list(inputs), [output], complete, self.label(), self.current.kind if self.current else "")
        if self._folds(node):
            (output.data,) = definition.run(node, [None if value is None else value.data for value in inputs])
        else:
            self.graph.nodes.append(node)
        self._fresh.add(output)
        return output

    def _folds(self, node: Node) -> bool:
        """Whether a node is computed here. Loops may fold over and over: what they have folded is counted, but for what
        they count with."""
        if not foldable(node, FOLD_WORK):
            return False
        size = math.prod(node.output.shape) * node.output.dtype.itemsize
        if not self.scopes or size <= COUNTER:
            return True
        self._folded_bytes += size
        return self._folded_bytes <= FOLD_TOTAL

    def emit_all(
        self,
        op: str,
        inputs: Sequence[Value | None],
        attrs: Mapping[str, Any] | None = None,
        quants: Sequence[QuantParams | None] = (),
    ) -> list[Value]:
        """All outputs of a new node. Never folded.

        quants: of the outputs; without them, those of the first input's type have its quantisation.
        """
        complete = OPS_BY_NAME[op].complete(attrs or {})
        specs = OPS_BY_NAME[op].infer(inputs, complete)
        first = inputs[0]
        known = quants or [first.quant if first is not None and first.dtype == spec.dtype else None for spec in specs]
        outputs = [
            Value(self.unique(f"{self.label()}/{op}"), spec.shape, spec.dtype, quant)
            for spec, quant in zip(specs, known, strict=True)
        ]
        kind = self.current.kind if self.current else ""
        self.graph.nodes.append(Node(op, list(inputs), outputs, complete, self.label(), kind))
        self._fresh.update(outputs)
        return outputs

    def unary(self, function: UnaryFunction, x: Value, quant: QuantParams | None, alpha: float = 0.0) -> Value:
        return self.emit("unary", [x], {"function": function, "alpha": alpha}, quant)

    def activated(self, x: Value, activation: int, quant: QuantParams | None) -> Value:
        """x after an activation that the operator itself cannot fuse."""
        functions = {
            Activation.RELU: UnaryFunction.RELU,
            Activation.RELU6: UnaryFunction.RELU6,
            Activation.RELU_N1_TO_1: UnaryFunction.RELU_N1_TO_1,
        }
        return x if activation == Activation.NONE else self.unary(functions[Activation(activation)], x, quant)

    def reshape(self, x: Value, shape: Sequence[int], quant: QuantParams | None = None) -> Value:
        wanted = tuple(int(size) for size in shape)
        return x if wanted == x.shape else self.emit("reshape", [x], {"shape": wanted}, quant)

    def transpose(self, x: Value, perm: Sequence[int]) -> Value:
        order = tuple(perm)
        return x if order == tuple(range(len(order))) else self.emit("transpose", [x], {"perm": order})

    def slice(self, x: Value, begin: Sequence[int], end: Sequence[int], strides: Sequence[int] | None = None) -> Value:
        """NumPy's x[begin:end:stride] on every axis, with bounds already normalised."""
        strides = tuple(strides) if strides is not None else (1,) * len(x.shape)
        if tuple(begin) == (0,) * len(x.shape) and tuple(end) == x.shape and set(strides) <= {1}:
            return x
        return self.emit("slice", [x], {"begin": tuple(begin), "end": tuple(end), "strides": strides})

    def real(self, x: Value) -> Value:
        """x as float32."""
        return self.emit("dequantize", [x]) if _quantized(x) else x

    def quantized(self, x: Value, quant: QuantParams, dtype: DType | None = None) -> Value:
        """x, float32 or quantised, with these parameters; by default of its own type, or int8 for float32."""
        wanted = dtype or (x.dtype if _quantized(x) else DType.INT8)
        return x if x.quant == quant and x.dtype == wanted else self.emit("quantize", [x], quant=quant, dtype=wanted)

    # What becomes of an operator's outputs

    def begin(self, op: SourceOp) -> None:
        self.current = op
        self._fresh.clear()

    def bind(self, number: int, value: Value) -> None:
        """Lets a source tensor mean a value; a new value takes the tensor's name."""
        if value.variable and self.source.tensors[number].type == "RESOURCE":
            self.variables[number] = value  # a handle that a called graph has passed through
            return
        if value in self._fresh:
            self._fresh.discard(value)
            value.name = self.tensor_names[number]
        self.values[number] = value


def _quantized(value: Value | None) -> bool:
    return value is not None and value.dtype in (DType.INT8, DType.INT16) and value.quant is not None


def _channel_axis(tensor: SourceTensor, quant: SourceQuant, wanted: int | None) -> int:
    count, shape = len(quant.scales), tensor.shape
    candidates = [axis for axis, size in enumerate(shape) if size == count]
    for axis in (wanted, quant.axis, candidates[0] if len(candidates) == 1 else None):
        if axis in candidates:
            return axis
    raise ModelError(f"tensor {tensor.name!r} of shape {list(shape)} has {count} scales along axis {quant.axis}")


Outputs = Value | Sequence[Value]
Handler = Callable[[Builder, SourceOp], Outputs]

__all__ = ["SHIFT", "Batched", "Builder", "Handler", "Outputs", "RefusedError"]
