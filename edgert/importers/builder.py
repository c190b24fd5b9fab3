"""What importers build a graph with: GraphBuilder emits nodes of the IR; layers/ emits whole layers through it.

An importer walks its source's nodes. Before each it calls `begin`, which gives the nodes and values to come their
names; then it emits. Shapes and dtypes come from each OpDef's infer. It raises RefusedError for what cannot be
converted; `Refusals` collects those, so that a user sees all of them at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.custom import CustomOp, encode_options
from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError, Unsupported, UnsupportedError
from edgert.ir import Graph, Names, Node, Value
from edgert.ops import OPS_BY_NAME
from edgert.ops._enums import ReduceFunction, UnaryFunction

Array = NDArray[Any]
Operand = Value | Array | float

# Bytes of a constant that folding may make: this many, or so many times its inputs (int8 to float32 is 4). A broadcast
# constant is better broadcast at run time, and a hostile file could ask for any size.
FOLD_LIMIT, FOLD_GROWTH = 1 << 20, 4
FOLD_WORK = 1 << 26  # multiply-adds, or elements of pools' windows, for one constant


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


def foldable(node: Node, most_work: int = FOLD_WORK) -> bool:
    """Whether a node is to be computed on the spot: it reads only constants, and neither makes nor takes too much."""
    if node.op == "custom" or any(value is not None and not value.constant for value in node.inputs):
        return False
    given = sum(value.data.nbytes for value in node.inputs if value is not None and value.data is not None)
    made = sum(math.prod(value.shape) * value.dtype.itemsize for value in node.outputs)
    return made <= max(FOLD_LIMIT, FOLD_GROWTH * given) and _work(node) <= most_work


def _work(node: Node) -> int:
    """What computing a node takes beyond its elements: multiply-adds, or elements of a pool's windows."""
    inputs = [value.shape for value in node.inputs if value is not None]
    outputs = [value.shape for value in node.outputs]
    macs = OPS_BY_NAME[node.op].macs
    window = int(node.attrs.get("kernel_h", 0) * node.attrs.get("kernel_w", 0))
    return (macs(inputs, outputs) if macs is not None else 0) + window * sum(math.prod(shape) for shape in outputs)


class Refusals:
    """What cannot be converted so far. Nodes that hang on a refused one are passed over: they may be fine."""

    def __init__(self) -> None:
        self.items: list[Unsupported] = []
        self.lost: set[str] = set()  # names that refused nodes would have written, and all that hangs on them

    def add(self, node: str, operator: str, reason: str, fix: str, outputs: Sequence[str]) -> None:
        self.items.append(Unsupported(node, operator, reason, fix))
        self.lose(outputs)

    def lose(self, outputs: Sequence[str]) -> None:
        self.lost.update(name for name in outputs if name)

    def depends(self, inputs: Sequence[str]) -> bool:
        return any(name in self.lost for name in inputs)

    def check(self) -> None:
        """Raises UnsupportedError when there are any."""
        if self.items:
            raise UnsupportedError(self.items)


class GraphBuilder:
    """The graph under construction.

    folds: whether a node that reads only constants is computed on the spot, by its operator's reference. (Importers of
    quantised formats keep such nodes: a dequantize of constant weights is theirs to keep.)
    """

    folds = True

    def __init__(self, name: str, reserved: set[str] | None = None) -> None:
        """reserved: all names of the source, which only the values they mean may bear."""
        self.graph = Graph(name=name)
        self.node_name = ""  # of the source's node at hand
        self.node_kind = ""
        self.label = name  # what the values to come are named after
        self._names = Names(reserved or ())

    def begin(self, name: str, kind: str, label: str = "") -> None:
        """The source's node at hand: its name, what the source calls its operator, the name of its first output."""
        self.node_name, self.node_kind, self.label = name, kind, label or name

    def input(self, name: str, shape: Sequence[int], dtype: DType, quant: QuantParams | None = None) -> Value:
        """A new input of the graph, under the source's name."""
        value = Value(name, tuple(int(size) for size in shape), dtype, quant)
        self._names.add(name)
        self.graph.inputs.append(value)
        return value

    def variable(self, name: str, initial: Array, quant: QuantParams | None = None) -> Value:
        """A new tensor that lives between invokes; `assign` writes it."""
        data = np.ascontiguousarray(initial).reshape(np.shape(initial))  # a scalar stays one
        return Value(self.unique(name), tuple(data.shape), DType.of(data.dtype), quant, data, variable=True)

    def output(self, name: str, value: Value) -> None:
        """Makes a value an output of the graph under the source's name; a copy of one that cannot bear it."""
        bears_a_name = value in self.graph.inputs or value in self.graph.outputs or value.constant or value.variable
        if bears_a_name:
            self.begin(name, "output")
            value = self.emit_unfolded("copy", [value], {}, value.quant)
        value.name = name
        self._names.add(name)
        self.graph.outputs.append(value)

    def name(self, value: Value, name: str) -> Value:
        """Gives a value that a node has just made the source's name for it; others keep theirs."""
        made = any(value in node.outputs for node in self.graph.nodes[-1:])
        if made and value not in self.graph.outputs:
            value.name = name
            self._names.add(name)
        return value

    def unique(self, wanted: str) -> str:
        return self._names.unique(wanted)

    def const(self, array: Array | float, name: str | None = None, quant: QuantParams | None = None) -> Value:
        """A constant of the graph; Python floats become float32. A name is the source's own, used as it is."""
        data = np.asarray(array, np.float32) if isinstance(array, float) else np.ascontiguousarray(array)
        if not isinstance(array, float):
            data = data.reshape(np.shape(array))  # ascontiguousarray makes a scalar one-dimensional
        label = name or self.unique(f"{self.label}/constant")
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
        """The output of a new node of one output; of a constant, when the node reads only constants and `folds` holds.

        quant: of an int8 output; by default that of an int8 input, for operators that only move or pick values.
        dtype: where the operator's own attributes leave it open (cast, quantize).
        """
        (output,) = self.emit_all(op, inputs, attrs, [quant], dtype)
        return output

    def emit_all(
        self,
        op: str,
        inputs: Sequence[Operand | None],
        attrs: Mapping[str, Any] | None = None,
        quants: Sequence[QuantParams | None] = (),
        dtype: DType | None = None,
    ) -> list[Value]:
        """All outputs of a new node; see emit. quants: of the outputs, in order, as many as there are to state."""
        values = [None if item is None else self.operand(item) for item in inputs]
        node = self._node(op, values, attrs or {}, quants, dtype)
        folded = self._folded(node) if self.folds else None
        if folded is not None:
            return folded
        self.graph.nodes.append(node)
        return node.outputs

    def emit_unfolded(
        self, op: str, inputs: Sequence[Value | None], attrs: Mapping[str, Any], quant: QuantParams | None = None
    ) -> Value:
        """As emit, and never computed on the spot."""
        node = self._node(op, list(inputs), attrs, [quant], None)
        self.graph.nodes.append(node)
        return node.output

    def _node(
        self,
        op: str,
        values: list[Value | None],
        attrs: Mapping[str, Any],
        quants: Sequence[QuantParams | None],
        dtype: DType | None,
    ) -> Node:
        definition = OPS_BY_NAME[op]
        complete = definition.complete(attrs)
        for key, stated in complete.items():
            numbers = stated if isinstance(stated, tuple) else (stated,)
            if any(isinstance(number, int) and not -(2**31) <= number < 2**31 for number in numbers):
                raise ModelError(f"{key} is {stated}, needed numbers of 32 bits")
        chosen = {"dtype": dtype} if dtype is not None and definition.out_dtypes else {}
        outputs = []
        for index, spec in enumerate(definition.infer(values, {**complete, **chosen})):
            quant = quants[index] if index < len(quants) else None
            first = values[0] if values else None
            if quant is None and first is not None and first.dtype == spec.dtype == DType.INT8:
                quant = first.quant
            outputs.append(Value(self.unique(f"{self.label}/{op}"), spec.shape, spec.dtype, quant))
        return Node(op, values, outputs, complete, self.node_name, self.node_kind)

    def _folded(self, node: Node) -> list[Value] | None:
        """What the node computes, as constants; None where that is left to the graph."""
        if not foldable(node):
            return None
        with np.errstate(all="ignore"):
            results = OPS_BY_NAME[node.op].run(node, [None if value is None else value.data for value in node.inputs])
        return [
            Value(value.name, value.shape, value.dtype, value.quant, np.ascontiguousarray(array).reshape(value.shape))
            for value, array in zip(node.outputs, results, strict=True)
        ]

    def custom(self, op: CustomOp, inputs: Sequence[Operand], attrs: Mapping[str, Any]) -> list[Value]:
        """The outputs of an operator from outside, with the source's attributes."""
        return self.emit_all("custom", inputs, {"name": op.name, "options": encode_options(attrs)})

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
