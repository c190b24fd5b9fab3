"""Variables that live between runs: VAR_HANDLE names one, READ_VARIABLE and ASSIGN_VARIABLE use it.

CALL_ONCE runs a graph that assigns the initial values, which must be constants.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgert.errors import ModelError
from edgert.importers.tflite.builder import Builder, Handler, RefusedError
from edgert.importers.tflite.control import reachable
from edgert.importers.tflite.read import SourceGraph, SourceModel, SourceOp, SourceTensor
from edgert.ir import Node, Value


def declare_variables(b: Builder, model: SourceModel) -> None:
    """Makes a Value of every variable before the first operator is converted.

    A variable's shape and type are those of the tensors read from it or written to it, for the file does not state
    them with the handle.
    """
    initial: dict[str, Value] = {}
    for op in (op for graph in reachable(model.graphs, b.source) for op in graph.ops):
        if op.kind == "CALL_ONCE":
            number = op.options("CallOnceOptions").InitSubgraphIndex()
            if not 0 <= number < len(model.graphs):
                raise ModelError(f"CALL_ONCE calls graph {number} of {len(model.graphs)}")
            initial |= _initial_values(model.graphs[number])
    by_name = b.variable_names
    running = reachable(model.graphs, b.source)
    for name in dict.fromkeys(name for graph in running for name in _handles(graph).values()):
        if name not in by_name:
            tensor = next((found for graph in running if (found := _stored_tensor(graph, name)) is not None), None)
            if tensor is None:
                continue  # neither read nor written
            data = initial[name].data if name in initial else _zeros(b, tensor)
            assert data is not None
            if data.shape != tensor.shape:
                raise ModelError(f"variable {name!r} has the shape {list(tensor.shape)} and starts as {data.shape}")
            by_name[name] = Value(
                b.unique(name or "variable"), tensor.shape, b.dtype(tensor), b.quant(tensor), data, variable=True
            )


def _handles(graph: SourceGraph) -> dict[int, str]:
    """The tensors of type RESOURCE, and the name of the variable behind each."""
    names = {}
    for op in graph.ops:
        if op.kind == "VAR_HANDLE" and op.outputs:
            options = op.options("VarHandleOptions")
            container, name = (text or b"" for text in (options.Container(), options.SharedName()))
            names[op.outputs[0]] = b"/".join(part for part in (container, name) if part).decode("utf-8", "replace")
    return names


def _initial_values(graph: SourceGraph) -> dict[str, Value]:
    names, values = _handles(graph), {}
    constants = Builder(graph, "initial values")
    for op in graph.ops:
        if op.kind == "ASSIGN_VARIABLE" and len(op.inputs) == 2 and op.inputs[0] in names:
            if constants.tensor(op, 1).data is None:
                raise RefusedError(
                    f"variable {names[op.inputs[0]]!r} starts from a computed value", "start from a constant"
                )
            values[names[op.inputs[0]]] = constants.value(op, 1)
    return values


def _stored_tensor(graph: SourceGraph, name: str) -> SourceTensor | None:
    handles = [handle for handle, other in _handles(graph).items() if other == name]
    for op in graph.ops:
        if op.kind == "READ_VARIABLE" and op.inputs[:1] and op.inputs[0] in handles and op.outputs:
            return graph.tensors[op.outputs[0]]
        if op.kind == "ASSIGN_VARIABLE" and len(op.inputs) == 2 and op.inputs[0] in handles and op.inputs[1] >= 0:
            return graph.tensors[op.inputs[1]]
    return None


def _zeros(b: Builder, tensor: SourceTensor) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    quant = b.quant(tensor)
    zero = quant.zero_point if quant is not None else 0
    return np.full(tensor.shape, zero, b.dtype(tensor).numpy_name)


def _variable(b: Builder, op: SourceOp) -> Value:
    handle = op.inputs[0] if op.inputs else -1
    if handle not in b.variables:
        raise ModelError("its first input is no variable")
    return b.variables[handle]


def var_handle(b: Builder, op: SourceOp) -> Sequence[Value]:
    """Nothing comes of it but the meaning of its output; declare_variables has made the variable."""
    for handle, name in _handles(b.source).items():
        if name in b.variable_names and handle in op.outputs:
            b.variables[handle] = b.variable_names[name]
    return []


def call_once(b: Builder, op: SourceOp) -> Sequence[Value]:
    """declare_variables has taken the initial values."""
    return []


def read_variable(b: Builder, op: SourceOp) -> Value:
    """A copy: a later assignment must not change what was read."""
    variable = _variable(b, op)
    return b.emit("copy", [variable], {}, variable.quant)


def assign_variable(b: Builder, op: SourceOp) -> Sequence[Value]:
    variable, value = _variable(b, op), b.value(op, 1)
    if value.shape != variable.shape or value.dtype != variable.dtype:
        raise ModelError(f"assigns {value} to {variable}")
    if variable.quant is not None and value.quant is not None:
        value = b.quantized(value, variable.quant)
    b.graph.nodes.append(Node("assign", [variable, value], [], {}, variable.name, op.kind))
    return []


HANDLERS: dict[str, Handler] = {
    "VAR_HANDLE": var_handle,
    "CALL_ONCE": call_once,
    "READ_VARIABLE": read_variable,
    "ASSIGN_VARIABLE": assign_variable,
}
