"""Writes a graph into the bytes of an .ert file (schemas/ert.fbs)."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.dtypes import QuantParams
from edgert.errors import MissingExtraError, ModelError
from edgert.ir import Graph, Node, Value
from edgert.ops import OPS_BY_NAME
from edgert.pack.metadata import Metadata
from edgert.pack.packed import Packed, PackedWeights
from edgert.pack.plan import ALIGNMENT, plan_arena

__all__ = ["Metadata", "write"]

Golden = tuple[Sequence[NDArray[Any]], Sequence[NDArray[Any]]]
_FILE_LIMIT = 2**31 - 2**16  # offsets in a FlatBuffer are 32 bits, signed in vtables


def write(
    graph: Graph,
    metadata: Metadata | None = None,
    golden: Iterable[Golden] = (),
    packed: PackedWeights | None = None,
) -> bytes:
    """The bytes of the file. The same graph gives the same bytes.

    golden: recorded runs, each the arrays of all inputs and of all outputs in the graph's order. packed: weights that
    were packed for targets from the file that this graph gives without them; its operators have the same numbers.
    Raises ModelError when the graph is not sound or too large for one file, MissingExtraError without flatbuffers.
    """
    graph.verify()
    return _Writer(packed).model(graph, metadata or Metadata(), golden)


def load_schema() -> tuple[ModuleType, ModuleType]:
    """The packages flatbuffers and ert_generated; MissingExtraError when flatbuffers is not installed."""
    try:
        import flatbuffers
    except ImportError as error:
        raise MissingExtraError("flatbuffers", "writing and reading .ert files in Python") from error
    from edgert.pack._schema import ert_generated

    return flatbuffers, ert_generated


def camel(name: str) -> str:
    """pad_top -> PadTop, as flatc names the accessors of a field."""
    return "".join(part.capitalize() for part in name.split("_"))


def attrs_table(schema: ModuleType, code: int) -> str:
    """Name of an operator's attribute table: member k of the union OpAttrs belongs to OpCode k."""
    members: dict[str, int] = vars(schema.OpAttrs)
    for name, member in members.items():
        if member == code and not name.startswith("_"):
            return name
    raise ModelError(f"the schema has no attribute table for operator code {code}")


class _Writer:
    """One file in the making. FlatBuffers are written back to front: parts first, what refers to them after."""

    def __init__(self, packed: PackedWeights | None = None) -> None:
        flatbuffers, self.schema = load_schema()
        self.packed = packed
        self.builder = flatbuffers.Builder(1 << 16)
        self.vectors: dict[tuple[str, bytes], int] = {}  # equal ones stand once: most zero points are all 0
        self.buffers: list[bytes] = [b""]  # buffer 0 is empty
        self.buffer_index: dict[bytes, int] = {b"": 0}

    def model(self, graph: Graph, metadata: Metadata, golden: Iterable[Golden]) -> bytes:
        plan = plan_arena(graph)
        values = list(graph.values())
        index = {value: i for i, value in enumerate(values)}
        buffer_of = [0 if value.data is None else self.buffer(value.data) for value in values]
        runs = [
            ([self.buffer(array) for array in inputs], [self.buffer(array) for array in outputs])
            for inputs, outputs in golden
        ]
        entries = self.packed.entries if self.packed else ()
        total = sum(len(data) for data in self.buffers) + sum(len(entry.data) for entry in entries)
        if total > _FILE_LIMIT:
            raise ModelError(f"constants take {total} bytes, and one file holds at most {_FILE_LIMIT}")

        # All data before all tables: what a loader walks through lies together at the front of the file. The table of
        # the empty buffer alone ends it, so that a file that is cut short anywhere lacks a table.
        empty = self.table("Buffer", {})
        packed_at = [self.bytes(entry.data) for entry in reversed(entries)][::-1]  # in the file in their order
        data_at = [self.bytes(data) for data in reversed(self.buffers[1:])][::-1]
        packed = [self.packed_entry(entry, at) for entry, at in zip(entries, packed_at, strict=True)]
        buffers = [empty] + [
            self.table("Buffer", {"data": at, "hash": self.buffer_hash(data)})
            for data, at in zip(self.buffers[1:], data_at, strict=True)
        ]
        tensors = [
            self.tensor(value, buffer, plan.offsets.get(value, -1))
            for value, buffer in zip(values, buffer_of, strict=True)
        ]
        ops = [self.op(node, index) for node in graph.nodes]
        goldens = [self.table("Golden", {"inputs": self.uints(a), "outputs": self.uints(b)}) for a, b in runs]
        root = self.table(
            "Model",
            {
                "tensors": self.offsets(tensors),
                "buffers": self.offsets(buffers),
                "ops": self.offsets(ops),
                "inputs": self.uints([index[value] for value in graph.inputs]),
                "outputs": self.uints([index[value] for value in graph.outputs]),
                "arena_bytes": plan.arena_bytes,
                "metadata": self.metadata(graph, metadata),
                "golden": self.offsets(goldens) if goldens else None,
                "packed": self.offsets(packed) if packed else None,
                "targets": self.targets(),
            },
        )
        self.builder.Finish(root, file_identifier=b"ERT1")
        return bytes(self.builder.Output())

    def buffer(self, array: NDArray[Any]) -> int:
        """Index of the buffer with these elements; equal ones are stored once."""
        data = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()
        if data not in self.buffer_index:
            self.buffer_index[data] = len(self.buffers)
            self.buffers.append(data)
        return self.buffer_index[data]

    def buffer_hash(self, data: bytes) -> int | None:
        return self.packed.buffer_hash(data) if self.packed and data else None

    def packed_entry(self, entry: Packed, data: int | None) -> int:
        return self.table(
            "Packed",
            {
                "op": entry.op,
                "kernel": self.string(entry.kernel),
                "layout": entry.layout,
                "source": entry.source,
                "checksum": entry.checksum,
                "targets": self.uints(entry.targets),
                "data": data,
            },
        )

    def targets(self) -> int | None:
        if self.packed is None:
            return None
        return self.offsets(
            [
                self.table("Target", {field: self.string(value) for field, value in asdict(target).items()})
                for target in self.packed.targets
            ]
        )

    def tensor(self, value: Value, buffer: int, arena_offset: int) -> int:
        kinds = self.schema.TensorKind
        kind = kinds.VARIABLE if value.variable else kinds.CONSTANT if value.constant else kinds.ACTIVATION
        return self.table(
            "Tensor",
            {
                "name": self.string(value.name),
                "dtype": int(value.dtype),
                "kind": kind,
                "shape": self.ints(value.shape),
                "quantization": self.quantization(value.quant),
                "buffer": buffer,
                "arena_offset": arena_offset,
            },
        )

    def quantization(self, quant: QuantParams | None) -> int | None:
        if quant is None:
            return None
        scales, zero_points = self.floats(quant.scales), self.ints(quant.zero_points)
        return self.table("Quantization", {"scales": scales, "zero_points": zero_points, "axis": quant.axis})

    def op(self, node: Node, index: dict[Value, int]) -> int:
        definition = OPS_BY_NAME[node.op]
        table = attrs_table(self.schema, definition.code)
        attrs = {name: self.attribute(value) for name, value in definition.complete(node.attrs).items()}
        return self.table(
            "Op",
            {
                "code": definition.code,
                "name": self.string(node.name),
                "inputs": self.ints([-1 if value is None else index[value] for value in node.inputs]),
                "outputs": self.ints([index[value] for value in node.outputs]),
                "attrs_type": definition.code,
                "attrs": self.table(table, attrs),
            },
        )

    def attribute(self, value: object) -> object:
        """An attribute as a table takes it: a scalar as it is, a tuple as the offset of its vector."""
        if isinstance(value, tuple):
            return self.ints(value)
        if isinstance(value, str):
            return self.string(value)
        return int(value) if isinstance(value, enum.IntEnum | np.integer) else value

    def metadata(self, graph: Graph, metadata: Metadata) -> int:
        entries = [
            self.table("KeyValue", {"key": self.string(key), "value": self.string(value)})
            for key, value in metadata.entries
        ]
        labels = [self.builder.CreateString(label) for label in metadata.labels]
        return self.table(
            "Metadata",
            {
                "name": self.string(metadata.name or graph.name),
                "description": self.string(metadata.description),
                "licence": self.string(metadata.licence),
                "labels": self.offsets(labels) if labels else None,
                "input_mean": self.floats(metadata.input_mean),
                "input_std": self.floats(metadata.input_std),
                "source_sha256": self.string(metadata.source_sha256),
                "calibration_sha256": self.string(metadata.calibration_sha256),
                "toolchain": self.string(metadata.toolchain),
                "entries": self.offsets(entries) if entries else None,
            },
        )

    def table(self, name: str, fields: dict[str, Any]) -> int:
        """Writes a table whose vectors, strings and tables stand already; None: an absent field."""
        getattr(self.schema, f"{name}Start")(self.builder)
        for field, value in fields.items():
            if value is not None:
                add: Callable[[Any, Any], None] = getattr(self.schema, f"{name}Add{camel(field)}")
                add(self.builder, value)
        return int(getattr(self.schema, f"{name}End")(self.builder))

    def string(self, text: str) -> int | None:
        return int(self.builder.CreateSharedString(text)) if text else None

    def ints(self, items: Iterable[int]) -> int:
        """A vector of int, or of uint below 2^31."""
        return self.numbers(items, np.int32)

    def uints(self, items: Iterable[int]) -> int:
        return self.numbers(items, np.uint32)

    def floats(self, items: Iterable[float]) -> int | None:
        items = tuple(items)
        return self.numbers(items, np.float32) if items else None

    def numbers(self, items: Iterable[float], dtype: type[np.generic]) -> int:
        items = tuple(items)
        array = np.array(items, dtype=dtype)
        if dtype is not np.float32 and tuple(array.tolist()) != items:
            raise ModelError(f"{items} does not fit into {np.dtype(dtype).name}")
        key = (array.dtype.name, array.tobytes())
        if key not in self.vectors:
            self.vectors[key] = int(self.builder.CreateNumpyVector(array))
        return self.vectors[key]

    def offsets(self, items: Sequence[int]) -> int:
        self.builder.StartVector(4, len(items), 4)
        for item in reversed(items):
            self.builder.PrependUOffsetTRelative(item)
        return int(self.builder.EndVector())

    def bytes(self, data: bytes) -> int | None:
        """A vector of bytes whose first one is aligned in the file."""
        if not data:
            return None
        self.builder.StartVector(1, len(data), ALIGNMENT)
        self.builder.head -= len(data)
        self.builder.Bytes[self.builder.head : self.builder.head + len(data)] = data
        return int(self.builder.EndVector())
