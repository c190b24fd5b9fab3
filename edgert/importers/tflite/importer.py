"""TFLite models -> Graph: float, int8, legacy uint8 (asymmetric weights), float16 weights, dynamic-range weights.

The handlers stand in one table a theme: linear, elementwise, movement,
reduce, state. Quantised models keep their integers.

A graph input or output that is uint8 in the source stays uint8: a `quantize` node with equal scales and zero points
128 apart, which is exact (q - 128), stands behind it or in front of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from edgert.dtypes import DType, QuantParams
from edgert.errors import FileFormatError, ModelError, Unsupported, UnsupportedError
from edgert.importers.interface import settle_shapes
from edgert.importers.tflite import (
    control,
    detection,
    dynamic,
    elementwise,
    indices,
    linear,
    movement,
    recurrent,
    reduce,
    spatial,
    spectral,
    stablehlo,
    state,
)
from edgert.importers.tflite.advice import ADVICE, GENERAL_ADVICE, UNKNOWN
from edgert.importers.tflite.builder import SHIFT, Builder, Handler, RefusedError
from edgert.importers.tflite.described import about
from edgert.importers.tflite.outside import from_outside
from edgert.importers.tflite.read import (
    DAMAGE,
    OPTIONAL,
    SourceGraph,
    SourceModel,
    SourceOp,
    SourceTensor,
    read_model,
)
from edgert.importers.tflite.signature import chosen, entries
from edgert.ir import Graph, Value

HANDLERS: dict[str, Handler] = {
    **linear.HANDLERS,
    **elementwise.HANDLERS,
    **movement.HANDLERS,
    **reduce.HANDLERS,
    **state.HANDLERS,
    **control.HANDLERS,
    **dynamic.HANDLERS,
    **spatial.HANDLERS,
    **spectral.HANDLERS,
    **stablehlo.HANDLERS,
    **indices.HANDLERS,
    **detection.HANDLERS,
    **recurrent.HANDLERS,
}


def load(
    data: bytes,
    name: str = "",
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
    signature: str | None = None,
) -> Graph:
    """The graph of a .tflite file's bytes, or of one of its signatures.

    Inputs and outputs keep the source's names, order and types. Open dimensions become what input_shapes says for an
    input's name; a first one 1 otherwise, and the graph's notes say so.

    Raises FileFormatError (not TFLite, or damaged), InputError (input_shapes that do not fit), UnsupportedError (all
    operators that cannot be converted) and ModelError (a model that means something impossible).
    """
    model = read_model(data)
    wanted = chosen(model, signature)
    source = model.graphs[wanted.graph if wanted is not None else 0]
    builder = Builder(source, name or source.name or "model", model.graphs, _convert_operators)
    try:
        _make_inputs(builder, source, input_shapes or {})
        unsupported = _declare_variables(builder, model)
        unsupported += _convert_operators(builder, source)
        if unsupported:
            raise UnsupportedError(unsupported)
        _make_outputs(builder, source)
    except RefusedError as error:
        raise ModelError(f"{error.reason}; {error.fix}") from error
    graph = builder.graph
    graph.verify()
    described, note = about(data, model.metadata)
    graph.about = replace(described, entries=(*entries(model, wanted).items(), *described.entries))
    if note:
        graph.notes.append(note)
    if signature is None and len(model.signatures) > 1:
        keys, own = ", ".join(repr(other.key) for other in model.signatures), wanted.key if wanted else ""
        graph.notes.append(f"The model has the signatures {keys}; this is {own!r}.")
    return graph


def load_file(
    path: Path, input_shapes: Mapping[str, tuple[int, ...]] | None = None, signature: str | None = None
) -> Graph:
    """As load, of a file."""
    return load(path.read_bytes(), path.stem, input_shapes, signature)


def _make_inputs(b: Builder, source: SourceGraph, input_shapes: Mapping[str, tuple[int, ...]]) -> None:
    numbers = {b.tensor_names[number]: number for number in source.inputs}
    stated = {name: _stated(source.tensors[number], name in input_shapes) for name, number in numbers.items()}
    shapes = settle_shapes(stated, input_shapes, b.graph.notes)
    for name, number in numbers.items():
        tensor, shape = source.tensors[number], shapes[name]
        quant = b.quant(tensor)
        if tensor.type == "UINT8" and quant is not None:
            stored = Value(name, shape, DType.UINT8, _unsigned(quant))
            b.graph.inputs.append(stored)
            b.values[number] = _shifted(b, stored, f"{name}/int8", quant, DType.INT8)
        else:
            value = Value(name, shape, b.dtype(tensor), quant)
            b.graph.inputs.append(value)
            b.values[number] = value


def _stated(tensor: SourceTensor, given: bool) -> tuple[int, ...]:
    """The shape with -1 where it is open. An open dimension beyond the first may have a size in the file, which holds
    unless the caller gives another (given)."""
    return tuple(
        -1 if axis in tensor.dynamic and (given or axis == 0 or size <= 1) else size
        for axis, size in enumerate(tensor.shape)
    )


def _shifted(b: Builder, value: Value, name: str, quant: QuantParams, dtype: DType) -> Value:
    """The same numbers in the other type of byte."""
    result = b.emit("quantize", [value], quant=quant, dtype=dtype)
    result.name = name
    b.graph.nodes[-1].name = name
    return result


def _unsigned(quant: QuantParams) -> QuantParams:
    return QuantParams(quant.scales, tuple(zero_point + SHIFT for zero_point in quant.zero_points))


def _declare_variables(b: Builder, model: SourceModel) -> list[Unsupported]:
    try:
        state.declare_variables(b, model)
    except RefusedError as error:
        return [Unsupported("initial values", "CALL_ONCE", error.reason, error.fix)]
    except DAMAGE as error:
        raise FileFormatError(f"the .tflite file's variables are damaged: {error}") from error
    return []


def _convert_operators(b: Builder, source: SourceGraph) -> list[Unsupported]:
    """Converts all operators; returns those that cannot be, each told once and not again for what depends on it."""
    unsupported: list[Unsupported] = []
    unknown: set[int] = set()  # tensors that an operator which cannot be converted would have written
    for op in source.ops:
        label = b.op_label(op)
        handler = from_outside(op.kind) or HANDLERS.get(op.kind)
        depends = any(number in unknown for number in op.inputs if number != OPTIONAL)
        if handler is None:
            reason, fix = ADVICE.get(op.kind, (UNKNOWN, GENERAL_ADVICE))
            unsupported.append(Unsupported(label, op.kind, reason, fix))
        elif not depends:
            try:
                _convert(b, op, handler)
                continue
            except control.NestedError as error:
                unsupported += error.items
            except RefusedError as error:
                unsupported.append(Unsupported(label, op.kind, error.reason, error.fix))
            except ModelError as error:
                unsupported.append(Unsupported(label, op.kind, str(error), GENERAL_ADVICE))
        unknown.update(op.outputs)
    return unsupported


def _convert(b: Builder, op: SourceOp, handler: Handler) -> None:
    b.begin(op)
    try:
        if spectral.moved(b, op, handler):
            return
        made = handler(b, op)
    except DAMAGE as error:  # attribute values that no converter writes
        raise FileFormatError(f"{op.kind} {b.op_label(op)!r} is damaged: {error}") from error
    values = [made] if isinstance(made, Value) else list(made)
    for number, value in zip(op.outputs, values, strict=False):
        b.bind(number, _as_stated(b, number, value))


def _as_stated(b: Builder, number: int, value: Value) -> Value:
    """What an operator without an integer form has computed in float32, at the scale that the source states for it."""
    tensor = b.source.tensors[number]
    if value.dtype != DType.FLOAT32 or tensor.quant is None or tensor.type not in ("INT8", "UINT8", "INT16"):
        return value
    quant = b.quant(tensor)
    return value if quant is None or quant.per_channel else b.quantized(value, quant, b.dtype(tensor))


def _make_outputs(b: Builder, source: SourceGraph) -> None:
    """Outputs under the source's names; one that only renames another value becomes a copy of it."""
    for number in source.outputs:
        tensor, name, value = source.tensors[number], b.tensor_names[number], b.value_of(number)
        if tensor.type == "UINT8" and value.dtype == DType.INT8 and value.quant is not None:
            if value.name == name:
                value.name = b.unique(f"{name}/int8")
            value = _shifted(b, value, name, _unsigned(value.quant), DType.UINT8)
        elif value in b.graph.inputs or value in b.graph.outputs or value.name != name or value.variable:
            value = b.emit("copy", [value], {}, value.quant)
            value.name = name if value.name != name and name not in {v.name for v in b.graph.values()} else value.name
        b.graph.outputs.append(value)
