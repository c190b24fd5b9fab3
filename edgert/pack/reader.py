"""Reads an .ert file back as plain data, for looking at it. To run one, use edgert.load or edgert.Interpreter."""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.dtypes import DType, QuantParams
from edgert.errors import FileFormatError
from edgert.ops import ALL_OPS
from edgert.pack.metadata import Metadata
from edgert.pack.writer import attrs_table, camel, load_schema

KINDS = ("activation", "constant", "variable")


@dataclass(frozen=True)
class TensorInfo:
    name: str
    dtype: DType
    kind: str  # one of KINDS
    shape: tuple[int, ...]
    quant: QuantParams | None
    buffer: int
    arena_offset: int  # -1: none


@dataclass(frozen=True)
class OpInfo:
    type: str  # name of its OpDef
    name: str  # the source node's name
    inputs: tuple[int, ...]  # tensor indices; -1: absent
    outputs: tuple[int, ...]
    attrs: dict[str, Any]


@dataclass(frozen=True)
class ModelInfo:
    tensors: tuple[TensorInfo, ...]
    ops: tuple[OpInfo, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    buffers: tuple[NDArray[np.uint8], ...]  # views of the file
    arena_bytes: int
    metadata: Metadata
    golden: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]  # buffer indices of inputs and outputs

    def array(self, tensor: int) -> NDArray[Any]:
        """The elements of a constant, or a variable's initial ones."""
        info = self.tensors[tensor]
        return self.buffers[info.buffer].view(info.dtype.numpy_name).reshape(info.shape)


def read(data: bytes) -> ModelInfo:
    """The model in these bytes. FileFormatError when they are not one (the C core checks far more)."""
    _, schema = load_schema()
    if data[4:8] != b"ERT1":
        raise FileFormatError(f"not an .ert file: bytes 4 to 8 are {bytes(data[4:8])!r}, needed b'ERT1'")
    try:
        return _Reader(schema).model(schema.Model.GetRootAs(data, 0))
    except (struct.error, IndexError, KeyError, ValueError, TypeError, UnicodeDecodeError, OverflowError) as error:
        raise FileFormatError(f"the .ert file is damaged or cut short: {error}") from error


class _Reader:
    def __init__(self, schema: ModuleType) -> None:
        self.schema = schema
        self.ops = {op.code: op for op in ALL_OPS}

    def model(self, model: Any) -> ModelInfo:
        return ModelInfo(
            tensors=tuple(self.tensor(model.Tensors(i)) for i in range(model.TensorsLength())),
            ops=tuple(self.op(model.Ops(i)) for i in range(model.OpsLength())),
            inputs=_numbers(model, "Inputs"),
            outputs=_numbers(model, "Outputs"),
            buffers=tuple(_bytes(model.Buffers(i)) for i in range(model.BuffersLength())),
            arena_bytes=model.ArenaBytes(),
            metadata=_metadata(model.Metadata()),
            golden=tuple(
                (_numbers(model.Golden(i), "Inputs"), _numbers(model.Golden(i), "Outputs"))
                for i in range(model.GoldenLength())
            ),
        )

    def tensor(self, tensor: Any) -> TensorInfo:
        stored = tensor.Quantization()
        quant = None
        if stored is not None:
            quant = QuantParams(_numbers(stored, "Scales"), _numbers(stored, "ZeroPoints"), stored.Axis())
        return TensorInfo(
            name=_text(tensor.Name()),
            dtype=DType(tensor.Dtype()),
            kind=KINDS[tensor.Kind()],
            shape=_numbers(tensor, "Shape"),
            quant=quant,
            buffer=tensor.Buffer(),
            arena_offset=tensor.ArenaOffset(),
        )

    def op(self, op: Any) -> OpInfo:
        definition = self.ops.get(op.Code())
        attrs: dict[str, Any] = {}
        if definition is None:
            kind = f"code {op.Code()}"
        else:
            kind = definition.name
            table = getattr(self.schema, attrs_table(self.schema, definition.code))()
            union = op.Attrs()
            if union is not None and op.AttrsType() == definition.code:
                table.Init(union.Bytes, union.Pos)
                attrs = {name: _attribute(table, name, default) for name, default in definition.attrs.items()}
        return OpInfo(kind, _text(op.Name()), _numbers(op, "Inputs"), _numbers(op, "Outputs"), attrs)


def _attribute(table: Any, name: str, default: object) -> Any:
    accessor = camel(name)
    if hasattr(table, f"{accessor}Length"):
        return _numbers(table, accessor)
    value = getattr(table, accessor)()
    return type(default)(value) if isinstance(default, enum.IntEnum) else value


def _numbers(table: Any, accessor: str) -> tuple[Any, ...]:
    array = getattr(table, f"{accessor}AsNumpy")()
    return tuple(array.tolist()) if isinstance(array, np.ndarray) else ()


def _bytes(buffer: Any) -> NDArray[np.uint8]:
    array = buffer.DataAsNumpy()
    return array if isinstance(array, np.ndarray) else np.empty(0, np.uint8)


def _text(text: bytes | None) -> str:
    return text.decode("utf-8") if text else ""


def _metadata(stored: Any) -> Metadata:
    if stored is None:
        return Metadata()
    entries = [stored.Entries(i) for i in range(stored.EntriesLength())]
    return Metadata(
        name=_text(stored.Name()),
        description=_text(stored.Description()),
        licence=_text(stored.Licence()),
        labels=tuple(_text(stored.Labels(i)) for i in range(stored.LabelsLength())),
        input_mean=_numbers(stored, "InputMean"),
        input_std=_numbers(stored, "InputStd"),
        source_sha256=_text(stored.SourceSha256()),
        calibration_sha256=_text(stored.CalibrationSha256()),
        toolchain=_text(stored.Toolchain()),
        entries=tuple((_text(entry.Key()), _text(entry.Value())) for entry in entries),
    )
