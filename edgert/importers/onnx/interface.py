"""Inputs and outputs of an ONNX graph: shapes settled, names, layout and uint8 kept as the source has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.errors import InputError, ModelError, Unsupported, UnsupportedError
from edgert.importers.interface import Named, check_names, check_none_open, fits, given_shape
from edgert.importers.onnx.builder import Array, Builder, SourceNode
from edgert.importers.onnx.constants import plain
from edgert.ir import Value
from edgert.ops._move import check_shape


def give_constants(builder: Builder, source: Any, constants: Mapping[str, Array]) -> None:
    """Makes inputs of the graph constants; InputError for what is none of them, or has another type or shape."""
    inputs = {value.name: value for value in source.input}
    check_names(constants, inputs, "constants")
    for name, given in constants.items():
        info = inputs[name]
        stated = _stated_shape(info)
        array = plain(np.asarray(given))
        if not fits(array.shape, stated):
            raise InputError(
                f"constants gives {name!r} the shape {list(array.shape)}, the model states {list(stated or ())}"
            )
        dtype = _input_dtype(info, [])
        if dtype != DType.of(array.dtype):
            raise InputError(f"constants gives {name!r} as {array.dtype.name}, the model states {dtype.name.lower()}")
        builder.constants[name] = array
        builder.graph.notes.append(f"Input {name!r}: a constant here.")


def add_inputs(builder: Builder, source: Any, input_shapes: dict[str, tuple[int, ...]]) -> None:
    """Makes the graph's inputs; initializers that are listed as inputs too (before IR version 4) are none."""
    inputs = [value for value in source.input if value.name not in builder.constants]
    check_names(input_shapes, [value.name for value in inputs])
    open_inputs: dict[str, Named] = {}
    for info in inputs:
        stated = _stated_shape(info)
        shape = _settle(info.name, stated, input_shapes.get(info.name), builder.graph.notes)
        if shape is None:
            open_inputs[info.name] = stated
            continue
        value = Value(info.name, shape, _input_dtype(info, builder.graph.notes))
        builder.graph.inputs.append(value)
        builder.values[info.name] = value
    check_none_open(open_inputs)


def _stated_shape(info: Any) -> tuple[int | str, ...] | None:
    """Sizes and names of dimensions; None when not even the rank is known."""
    if not info.type.HasField("tensor_type"):
        fix = "export the model with tensors only"
        raise UnsupportedError([Unsupported(info.name, "input", "it is no tensor", fix)])
    if not info.type.tensor_type.HasField("shape"):
        return None
    dims = info.type.tensor_type.shape.dim
    return tuple(dim.dim_value if dim.dim_value > 0 else (dim.dim_param or "?") for dim in dims)


def _settle(
    name: str, stated: tuple[int | str, ...] | None, given: tuple[int, ...] | None, notes: list[str]
) -> tuple[int, ...] | None:
    """The input's shape; None when a dimension stays open."""
    shape = _settled(name, stated, given, notes)
    try:
        return None if shape is None else check_shape(shape)
    except ModelError as error:
        raise ModelError(f"the input {name!r}: {error}") from None


def _settled(
    name: str, stated: tuple[int | str, ...] | None, given: tuple[int, ...] | None, notes: list[str]
) -> tuple[int, ...] | None:
    if given is not None:
        return given_shape(name, given, stated)
    if stated is None or any(isinstance(size, str) for size in stated[1:]):
        return None
    if stated and isinstance(stated[0], str):
        notes.append(f"Input {name!r}: the first dimension is dynamic ({stated[0]}), 1 is assumed.")
        stated = (1, *stated[1:])
    return tuple(int(size) for size in stated)


def _input_dtype(info: Any, notes: list[str]) -> DType:
    from onnx import helper

    fix = "use float32, int8, uint8, int32 or int64"
    number = info.type.tensor_type.elem_type
    try:
        dtype = np.dtype(helper.tensor_dtype_to_np_dtype(number))
    except KeyError:
        raise UnsupportedError([Unsupported(info.name, "input", f"its type has the number {number}", fix)]) from None
    if dtype.name in ("float64", "float16", "bfloat16"):
        notes.append(f"Input {info.name!r}: {dtype.name} in the source, float32 here.")
        return DType.FLOAT32
    try:
        return DType.of(dtype)
    except KeyError:
        raise UnsupportedError([Unsupported(info.name, "input", f"its type is {dtype.name}", fix)]) from None


def add_outputs(builder: Builder, source: Any) -> None:
    """Makes the graph's outputs: each its own value, with the source's name; uint8 again where the source says so."""
    graph = builder.graph
    taken = set(graph.inputs)
    for info in source.output:
        builder.current = SourceNode(info.name, "output", 0, (), (info.name,))
        if not builder.known(info.name):
            raise ModelError(f"the graph's output {info.name!r} is written by no node")
        if info.name in builder.sequences or info.name in builder.absent:
            fix = "export the model with tensors only"
            raise UnsupportedError([Unsupported(info.name, "output", "it is no tensor", fix)])
        value = builder.value_of(info.name)
        if value in builder.unsigned and value.quant is not None:
            quant = QuantParams(value.quant.scales, tuple(zero + 128 for zero in value.quant.zero_points))
            _free_name(value, builder)
            value = builder.emit("quantize", [value], quant=quant, dtype=DType.UINT8)
        elif value in taken or value.constant:
            _free_name(value, builder)
            value = builder.emit("copy", [value])
        if value.name != info.name:
            value.name = info.name
        taken.add(value)
        graph.outputs.append(value)


def _free_name(value: Value, builder: Builder) -> None:
    """Takes an output's name from a value that has to stand behind another one, unless it is an interface's own."""
    if value.name == builder.current.name and value not in builder.graph.inputs:
        value.name = builder.unique(f"{value.name}/source")
