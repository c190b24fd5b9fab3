"""Reads a .tflite FlatBuffer into plain data; everything that an index or an offset could break is checked here.

The schema is that of the PyPI package `tflite`. Source: tensorflow/lite/schema/schema.fbs.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.errors import FileFormatError, MissingExtraError
from edgert.importers.tflite.sparse import dense

Array = NDArray[Any]

# Element types that can be read; the others are reported with the operator that uses them.
NUMPY_TYPES = {
    "FLOAT32": "<f4", "FLOAT16": "<f2", "FLOAT64": "<f8", "INT8": "i1", "UINT8": "u1", "INT16": "<i2",
    "INT32": "<i4", "INT64": "<i8", "UINT32": "<u4", "UINT16": "<u2", "BOOL": "?",
    "INT4": "i1", "BFLOAT16": "<u2",
}  # fmt: skip
OPTIONAL = -1  # index of an input that is absent
LARGEST_DIMENSION = 2**31 - 1

# What the flatbuffers package raises when an offset leads nowhere.
DAMAGE = (
    struct.error, LookupError, ValueError, TypeError, AttributeError, ArithmeticError, MemoryError, AssertionError
)  # fmt: skip


@dataclass(frozen=True)
class SourceQuant:
    """real = scale * (q - zero_point), as the file has it; the axis may lie outside the tensor's rank."""

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int


@dataclass(frozen=True)
class SourceTensor:
    name: str
    type: str  # name of its TensorType
    shape: tuple[int, ...]  # dynamic dimensions are 1
    dynamic: tuple[int, ...]  # which dimensions those are
    quant: SourceQuant | None
    data: Array | None  # a constant's elements
    variable: bool = False  # lives between invokes; an operator that reads it writes it too


@dataclass(frozen=True)
class SourceOp:
    """One operator. options(name) gives the accessors of its options table, e.g. options("Conv2DOptions")."""

    kind: str  # name of its BuiltinOperator, or "CUSTOM <code>"
    index: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Callable[[str], Any]
    custom: bytes = b""  # options of a custom operator, as its kernel packs them
    intermediates: tuple[int, ...] = ()  # tensors that only state the quantisation of numbers in between


@dataclass(frozen=True)
class SourceGraph:
    name: str
    tensors: tuple[SourceTensor, ...]
    ops: tuple[SourceOp, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class SourceSignature:
    """A graph under a name, with names for its inputs and outputs."""

    key: str
    graph: int
    inputs: dict[int, str]  # tensor -> its name
    outputs: dict[int, str]


@dataclass(frozen=True)
class SourceModel:
    description: str
    graphs: tuple[SourceGraph, ...]
    signatures: tuple[SourceSignature, ...]
    metadata: bytes | None = None  # the FlatBuffer of TFLite's metadata


def read_model(data: bytes) -> SourceModel:
    """The model in these bytes. FileFormatError when they are not one, MissingExtraError without the package."""
    try:
        import tflite
    except ImportError as error:
        raise MissingExtraError("tflite", "importing .tflite models") from error
    if data[4:8] != b"TFL3":
        raise FileFormatError(f"not a .tflite file: bytes 4 to 8 are {bytes(data[4:8])!r}, needed b'TFL3'")
    try:
        return _Reader(tflite, data).model()
    except FileFormatError as error:
        raise FileFormatError(f"the .tflite file is damaged: {error}") from error
    except DAMAGE as error:
        raise FileFormatError(f"the .tflite file is damaged or cut short: {error}") from error


def _empty_table() -> tuple[bytes, int]:
    """A table without fields: every accessor gives its default."""
    import flatbuffers

    builder = flatbuffers.Builder(32)
    builder.StartObject(0)
    builder.Finish(builder.EndObject())
    data = bytes(builder.Output())
    return data, int.from_bytes(data[:4], "little")


class _Reader:
    def __init__(self, tflite: Any, data: bytes) -> None:
        self.tflite = tflite
        self.data = data
        self.root = tflite.Model.GetRootAs(data, 0)
        self.types = _names(tflite.TensorType)
        self.operators = _names(tflite.BuiltinOperator)
        self.empty = _empty_table()

    def model(self) -> SourceModel:
        graphs = tuple(self.graph(self.root.Subgraphs(i)) for i in range(self.root.SubgraphsLength()))
        if not graphs:
            raise FileFormatError("it has no graph")
        signatures = []
        for i in range(self.root.SignatureDefsLength()):
            signature = self.root.SignatureDefs(i)
            if not 0 <= signature.SubgraphIndex() < len(graphs):
                raise FileFormatError(f"signature {i} is of graph {signature.SubgraphIndex()} of {len(graphs)}")
            inputs = _signature(signature.Inputs, signature.InputsLength())
            outputs = _signature(signature.Outputs, signature.OutputsLength())
            key = _text(signature.SignatureKey())
            signatures.append(SourceSignature(key, signature.SubgraphIndex(), inputs, outputs))
        return SourceModel(_text(self.root.Description()), graphs, tuple(signatures), self.metadata())

    def metadata(self) -> bytes | None:
        for i in range(self.root.MetadataLength()):
            entry = self.root.Metadata(i)
            if entry.Name() == b"TFLITE_METADATA" and 0 <= entry.Buffer() < self.root.BuffersLength():
                stored = self.root.Buffers(entry.Buffer()).DataAsNumpy()
                return stored.tobytes() if isinstance(stored, np.ndarray) else None
        return None

    def graph(self, graph: Any) -> SourceGraph:
        tensors = tuple(self.tensor(graph.Tensors(i), i) for i in range(graph.TensorsLength()))

        def indices(what: str, numbers: tuple[int, ...], optional: bool = False) -> tuple[int, ...]:
            for number in numbers:
                if not (0 <= number < len(tensors) or (optional and number == OPTIONAL)):
                    raise FileFormatError(f"{what} refers to tensor {number}, and there are {len(tensors)}")
            return numbers

        ops = []
        for i in range(graph.OperatorsLength()):
            op = graph.Operators(i)
            kind = self.kind(op, i)
            inputs = indices(f"operator {i} ({kind})", _ints(op.InputsAsNumpy()), optional=True)
            outputs = indices(f"operator {i} ({kind})", _ints(op.OutputsAsNumpy()))
            custom = op.CustomOptionsAsNumpy()
            packed = custom.tobytes() if isinstance(custom, np.ndarray) else b""
            between = indices(f"operator {i} ({kind})", _ints(op.IntermediatesAsNumpy()))
            ops.append(SourceOp(kind, i, inputs, outputs, self.options(op, i, kind), packed, between))
        return SourceGraph(
            _text(graph.Name()),
            tensors,
            tuple(ops),
            indices("an input", _ints(graph.InputsAsNumpy())),
            indices("an output", _ints(graph.OutputsAsNumpy())),
        )

    def kind(self, op: Any, index: int) -> str:
        if not 0 <= op.OpcodeIndex() < self.root.OperatorCodesLength():
            raise FileFormatError(f"operator {index} has code {op.OpcodeIndex()} of {self.root.OperatorCodesLength()}")
        code = self.root.OperatorCodes(op.OpcodeIndex())
        # Old files have the code in an 8-bit field alone; newer ones put the larger codes into a second field.
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        kind = self.operators.get(number, f"operator code {number}")
        return f"CUSTOM {_text(code.CustomCode())}" if kind == "CUSTOM" else kind

    def options(self, op: Any, index: int, kind: str) -> Callable[[str], Any]:
        def accessors(name: str) -> Any:
            table = getattr(self.tflite, name)()
            newer = hasattr(self.tflite.BuiltinOptions2, name)  # the first union is full
            stored, union = (
                (op.BuiltinOptions2Type(), op.BuiltinOptions2())
                if newer
                else (op.BuiltinOptionsType(), op.BuiltinOptions())
            )
            if stored == 0 or union is None:
                table.Init(*self.empty)
            elif stored == getattr(self.tflite.BuiltinOptions2 if newer else self.tflite.BuiltinOptions, name):
                table.Init(union.Bytes, union.Pos)
            else:
                raise FileFormatError(f"operator {index} ({kind}) has options of type {stored}, needed {name}")
            return table

        return accessors

    def tensor(self, tensor: Any, index: int) -> SourceTensor:
        name = _text(tensor.Name())
        shape = _ints(tensor.ShapeAsNumpy())
        signature = _ints(tensor.ShapeSignatureAsNumpy())
        dynamic = tuple(i for i, size in enumerate(signature) if size < 0) if len(signature) == len(shape) else ()
        if any(not 0 <= size <= LARGEST_DIMENSION for size in shape):
            raise FileFormatError(f"tensor {index} {name!r} has the shape {list(shape)}")
        kind = self.types.get(tensor.Type(), f"type {tensor.Type()}")
        data = self.elements(tensor.Buffer(), kind, shape, f"tensor {index} {name!r}", tensor.Sparsity())
        if kind == "BFLOAT16" or (kind == "INT4" and data is not None):
            kind = "FLOAT32" if kind == "BFLOAT16" else "INT8"
        return SourceTensor(name, kind, shape, dynamic, _quantization(tensor), data, bool(tensor.IsVariable()))

    def elements(
        self, buffer_index: int, kind: str, shape: tuple[int, ...], where: str, sparsity: Any = None
    ) -> Array | None:
        """A constant's elements: sparse ones dense, INT4 as int8, BFLOAT16 as float32. None for what is no constant."""
        if not 0 <= buffer_index < self.root.BuffersLength():
            raise FileFormatError(f"{where} has buffer {buffer_index}, and there are {self.root.BuffersLength()}")
        buffer = self.root.Buffers(buffer_index)
        raw = buffer.DataAsNumpy()
        if buffer.Offset() > 1:  # data that lies behind the FlatBuffer, in files beyond 2 GB
            end = buffer.Offset() + buffer.Size()
            if end > len(self.data):
                raise FileFormatError(f"{where} ends at byte {end} of {len(self.data)}")
            raw = np.frombuffer(self.data, np.uint8, buffer.Size(), buffer.Offset())
        if not isinstance(raw, np.ndarray) or buffer_index == 0 or raw.size == 0 or kind not in NUMPY_TYPES:
            return None
        dtype, count = np.dtype(NUMPY_TYPES[kind]), math.prod(shape)
        if kind == "INT4":
            if raw.size != (count + 1) // 2 or sparsity is not None:
                raise FileFormatError(f"{where} has {raw.size} bytes of data, its shape needs {(count + 1) // 2}")
            nibbles = np.stack([raw & 15, raw >> 4], axis=-1).reshape(-1)[:count]  # the lower half comes first
            return np.asarray((nibbles ^ 8).astype(np.int8) - np.int8(8)).reshape(shape)
        if sparsity is not None and raw.size % dtype.itemsize == 0:
            raw = np.frombuffer(raw.tobytes(), dtype)
            return dense(self.tflite, sparsity, _widened(raw, kind), shape, where)
        if raw.size != count * dtype.itemsize:
            raise FileFormatError(f"{where} has {raw.size} bytes of data, its shape needs {count * dtype.itemsize}")
        return _widened(np.frombuffer(raw.tobytes(), dtype), kind).reshape(shape)


def _widened(data: Array, kind: str) -> Array:
    """BFLOAT16 is the upper half of a float32."""
    return (data.astype(np.uint32) << 16).view(np.float32) if kind == "BFLOAT16" else data


def _quantization(tensor: Any) -> SourceQuant | None:
    stored = tensor.Quantization()
    if stored is None or not stored.ScaleLength():
        return None
    scales = tuple(stored.ScaleAsNumpy().tolist())
    zero_points = _ints(stored.ZeroPointAsNumpy()) or (0,) * len(scales)
    if len(zero_points) == 1:
        zero_points *= len(scales)
    if len(zero_points) != len(scales):
        raise FileFormatError(f"tensor {_text(tensor.Name())!r}: {len(scales)} scales, {len(zero_points)} zero points")
    return SourceQuant(scales, zero_points, stored.QuantizedDimension())


def _signature(entry: Callable[[int], Any], count: int) -> dict[int, str]:
    return {entry(i).TensorIndex(): _text(entry(i).Name()) for i in range(count)}


def _names(enumeration: Any) -> dict[int, str]:
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}


def _ints(array: Any) -> tuple[int, ...]:
    """The elements of a vector, which flatbuffers gives as 0 when it is absent."""
    return tuple(int(item) for item in array) if isinstance(array, np.ndarray) else ()


def _text(text: bytes | None) -> str:
    return text.decode("utf-8", "replace") if text else ""
