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
        try:
            return self.buffers[info.buffer].view(info.dtype.numpy_name).reshape(info.shape)
        except (IndexError, ValueError) as error:
            raise FileFormatError(f"tensor {info.name!r} of shape {info.shape} has no such data: {error}") from error


def read(data: bytes) -> ModelInfo:
    """The model in these bytes. FileFormatError when they are not one (the C core checks far more)."""
    _, schema = load_schema()
    if data[4:8] != b"ERT1":
        raise FileFormatError(f"not an .ert file: bytes 4 to 8 are {bytes(data[4:8])!r}, needed b'ERT1'")
    try:
        return _Reader(schema, len(data)).model(schema.Model.GetRootAs(data, 0))
    except (struct.error, LookupError, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise FileFormatError(f"the .ert file is damaged or cut short: {error}") from error


_SHARING = 16  # tables may share strings and vectors, but not so much that reading them costs far more than the file


class _Reader:
    def __init__(self, schema: ModuleType, file_bytes: int) -> None:
        self.schema = schema
        self.budget = _SHARING * file_bytes  # bytes that may still be copied
        self.ops = {op.code: op for op in ALL_OPS}

    def model(self, model: Any) -> ModelInfo:
        return ModelInfo(
            tensors=tuple(self.tensor(model.Tensors(i)) for i in range(model.TensorsLength())),
            ops=tuple(self.op(model.Ops(i)) for i in range(model.OpsLength())),
            inputs=self.numbers(model, "Inputs"),
            outputs=self.numbers(model, "Outputs"),
            buffers=tuple(_bytes(model.Buffers(i)) for i in range(model.BuffersLength())),
            arena_bytes=model.ArenaBytes(),
            metadata=self.metadata(model.Metadata()),
            golden=tuple(
                (self.numbers(model.Golden(i), "Inputs"), self.numbers(model.Golden(i), "Outputs"))
                for i in range(model.GoldenLength())
            ),
        )

    def tensor(self, tensor: Any) -> TensorInfo:
        stored = tensor.Quantization()
        quant = None
        if stored is not None:
            quant = QuantParams(self.numbers(stored, "Scales"), self.numbers(stored, "ZeroPoints"), stored.Axis())
        return TensorInfo(
            name=self.text(tensor.Name()),
            dtype=DType(tensor.Dtype()),
            kind=KINDS[tensor.Kind()],
            shape=self.numbers(tensor, "Shape"),
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
                attrs = {name: self.attribute(table, name, default) for name, default in definition.attrs.items()}
        return OpInfo(kind, self.text(op.Name()), self.numbers(op, "Inputs"), self.numbers(op, "Outputs"), attrs)

    def attribute(self, table: Any, name: str, default: object) -> Any:
        accessor = camel(name)
        if hasattr(table, f"{accessor}Length"):
            return self.numbers(table, accessor)
        value = getattr(table, accessor)()
        if isinstance(default, str):
            return self.text(value)
        return type(default)(value) if isinstance(default, enum.IntEnum) else value

    def numbers(self, table: Any, accessor: str) -> tuple[Any, ...]:
        array = getattr(table, f"{accessor}AsNumpy")()
        if not isinstance(array, np.ndarray):
            return ()
        self.spend(array.nbytes)
        return tuple(array.tolist())

    def text(self, text: bytes | None) -> str:
        if not text:
            return ""
        self.spend(len(text))
        return text.decode("utf-8")

    def spend(self, copied_bytes: int) -> None:
        self.budget -= copied_bytes
        if self.budget < 0:
            raise ValueError("its tables repeat more strings and numbers than a file of this size holds")

    def metadata(self, stored: Any) -> Metadata:
        if stored is None:
            return Metadata()
        entries = [stored.Entries(i) for i in range(stored.EntriesLength())]
        return Metadata(
            name=self.text(stored.Name()),
            description=self.text(stored.Description()),
            licence=self.text(stored.Licence()),
            labels=tuple(self.text(stored.Labels(i)) for i in range(stored.LabelsLength())),
            input_mean=self.numbers(stored, "InputMean"),
            input_std=self.numbers(stored, "InputStd"),
            source_sha256=self.text(stored.SourceSha256()),
            calibration_sha256=self.text(stored.CalibrationSha256()),
            toolchain=self.text(stored.Toolchain()),
            entries=tuple((self.text(entry.Key()), self.text(entry.Value())) for entry in entries),
        )


def _bytes(buffer: Any) -> NDArray[np.uint8]:
    array = buffer.DataAsNumpy()
    return array if isinstance(array, np.ndarray) else np.empty(0, np.uint8)
