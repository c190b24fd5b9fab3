"""Builds small TFLite models in memory, operator by operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

Array = NDArray[Any]
Quant = tuple[float, int]  # scale, zero point

TYPES = {
    "float32": 0, "float16": 1, "int32": 2, "uint8": 3, "int64": 4, "bool": 6, "int16": 7, "int8": 9,
    "float64": 10, "complex64": 8, "resource": 13, "variant": 14,
}  # fmt: skip


@dataclass(frozen=True)
class Tensor:
    """A tensor of the model: a constant when it has data. scales: per channel, along axis."""

    shape: tuple[int, ...] = ()
    dtype: str = "float32"
    quant: Quant | None = None
    data: Array | None = None
    scales: tuple[float, ...] = ()
    axis: int = 0
    variable: bool = False  # keeps what an operator writes into it


def constant(
    data: object, dtype: str = "float32", quant: Quant | None = None, scales: Sequence[float] = (), axis: int = 0
) -> Tensor:
    array = np.array(data, dtype)
    return Tensor(array.shape, dtype, quant, array, tuple(scales), axis)


@dataclass(frozen=True)
class Op:
    """kind: a BuiltinOperator, or "CUSTOM" and a name. inputs, outputs: indices into the model's tensors. options:
    fields of its table, or what a custom operator packs into a map of FlexBuffers. intermediates: tensors too."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options_table: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    intermediates: tuple[int, ...] = ()


@dataclass(frozen=True)
class GraphSpec:
    """One graph of a model: its tensors, operators, and the indices of its inputs and outputs."""

    tensors: Sequence[Tensor]
    ops: Sequence[Op]
    inputs: Sequence[int]
    outputs: Sequence[int]


def build(tensors: Sequence[Tensor], ops: Sequence[Op], inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
    """A .tflite file; tensor i is called "t<i>"."""
    return build_graphs([GraphSpec(tensors, ops, inputs, outputs)])


def build_graphs(graphs: Sequence[GraphSpec], change: Callable[[Any, Any], None] | None = None) -> bytes:
    """A .tflite file of several graphs, whose tensors are called "t<i>", "g1_t<i>" ...; change: (model, schema) edits
    the object tree (ModelT of the TFLite schema) before it is written."""
    flatbuffers = pytest.importorskip("flatbuffers")
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    model = schema.ModelT()
    model.version = 3
    model.buffers, model.operatorCodes, model.subgraphs = [schema.BufferT()], [], []
    for number, spec in enumerate(graphs):
        model.subgraphs.append(_graph(schema, model, spec, f"g{number}_" if number else ""))
    if change is not None:
        change(model, schema)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _graph(schema: Any, model: Any, spec: GraphSpec, prefix: str) -> Any:
    graph = schema.SubGraphT()
    graph.name, graph.tensors = f"{prefix}graph", []
    for i, tensor in enumerate(spec.tensors):
        made = schema.TensorT()
        made.name, made.shape, made.type = f"{prefix}t{i}", list(tensor.shape), TYPES[tensor.dtype]
        made.isVariable = tensor.variable
        if tensor.quant is not None or tensor.scales:
            made.quantization = schema.QuantizationParametersT()
            scale, zero_point = tensor.quant or (0.0, 0)
            made.quantization.scale = list(tensor.scales) or [scale]
            made.quantization.zeroPoint = [zero_point] * max(len(tensor.scales), 1)
            made.quantization.quantizedDimension = tensor.axis
        if tensor.data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(tensor.data.tobytes(), np.uint8)
            made.buffer = len(model.buffers)
            model.buffers.append(buffer)
        graph.tensors.append(made)
    graph.operators = []
    for op in spec.ops:
        code = schema.OperatorCodeT()
        kind, _, custom = op.kind.partition(" ")
        code.builtinCode = getattr(schema.BuiltinOperator, kind)
        code.customCode = custom or None
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = 2 if op.kind == "BROADCAST_TO" else 1  # the oldest that LiteRT has; kernels do not ask
        node = schema.OperatorT()
        node.opcodeIndex = len(model.operatorCodes)
        node.inputs, node.outputs, node.intermediates = list(op.inputs), list(op.outputs), list(op.intermediates)
        if custom:
            node.customOptions = np.frombuffer(_flexbuffer(op.options), np.uint8)
        elif op.options_table:
            options = getattr(schema, f"{op.options_table}T")()
            if hasattr(schema.BuiltinOptions, op.options_table):
                node.builtinOptionsType = getattr(schema.BuiltinOptions, op.options_table)
                node.builtinOptions = options
            else:
                node.builtinOptions2Type = getattr(schema.BuiltinOptions2, op.options_table)
                node.builtinOptions2 = options
            for name, value in op.options.items():
                assert hasattr(options, name), name
                setattr(options, name, value)
        model.operatorCodes.append(code)
        graph.operators.append(node)
    graph.inputs, graph.outputs = list(spec.inputs), list(spec.outputs)
    return graph


def _flexbuffer(options: Mapping[str, Any]) -> bytes:
    flexbuffers = pytest.importorskip("flatbuffers.flexbuffers")
    builder = flexbuffers.Builder()
    with builder.Map():
        for name, value in options.items():
            builder.Key(name)
            builder.Bool(value) if isinstance(value, bool) else builder.Add(value)
    return bytes(builder.Finish())


def one_op(
    kind: str,
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    options_table: str = "",
    options: Mapping[str, Any] | None = None,
    intermediates: Sequence[Tensor] = (),
) -> bytes:
    """A model of one operator; inputs that are no constants or variables are the model's, None an absent one."""
    tensors = [tensor for tensor in (*inputs, *outputs, *intermediates) if tensor is not None]
    numbers, at = [], 0
    for tensor in inputs:
        numbers.append(-1 if tensor is None else at)
        at += tensor is not None
    produced = tuple(range(at, at + len(outputs)))
    between = tuple(range(at + len(outputs), len(tensors)))
    op = Op(kind, tuple(numbers), produced, options_table, options or {}, between)
    fed = [i for i in range(at) if tensors[i].data is None and not tensors[i].variable]
    return build(tensors, [op], fed, produced)
