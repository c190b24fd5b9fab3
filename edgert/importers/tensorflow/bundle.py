"""Variables of a SavedModel: a TensorBundle, read without TensorFlow.

variables.index is a table of sorted keys (the format of LevelDB: tensorflow/core/lib/io/format.cc); each key is a
tensor's name, and its value a BundleEntryProto that says where its bytes lie in variables.data-?????-of-?????
(tensorflow/core/util/tensor_bundle). The key "" holds the header.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgert.errors import FileFormatError, Unsupported, UnsupportedError
from edgert.importers.builder import Array, RefusedError
from edgert.importers.tensorflow.messages import message, parse
from edgert.importers.tensorflow.tensors import KEPT, plain, type_name

FOOTER_BYTES, TRAILER_BYTES = 48, 5
MAGIC = 0xDB4775248B80FB57
OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
STRING = 7


class Bundle:
    """The tensors of one bundle; they are read when they are asked for."""

    def __init__(self, prefix: Path) -> None:
        """prefix: folder and name, less ".index". FileFormatError when it is no bundle."""
        self._prefix = prefix
        index = prefix.with_name(f"{prefix.name}.index")
        if not index.is_file():
            raise FileFormatError(f"{index.name}: there is no such file beside the model")
        self.entries: dict[str, Any] = {}
        header = message("BundleHeaderProto")()
        for key, value in _table(index.read_bytes(), index.name):
            if key:
                self.entries[key.decode(errors="replace")] = parse("BundleEntryProto", value, index.name)
            else:
                header = parse("BundleHeaderProto", value, index.name)
        self._shards = int(header.num_shards)
        if header.endianness:
            raise FileFormatError(f"{index.name}: its numbers are big-endian")

    def _bytes(self, name: str) -> bytes:
        entry = self.entries[name]
        path = self._prefix.with_name(f"{self._prefix.name}.data-{entry.shard_id:05d}-of-{self._shards:05d}")
        size = path.stat().st_size if path.is_file() else 0
        if entry.size < 0 or entry.offset < 0 or entry.offset + entry.size > size:
            raise FileFormatError(f"{path.name}: the variable {name!r} lies outside of the file")
        with path.open("rb") as file:
            file.seek(entry.offset)
            return file.read(entry.size)

    def array(self, name: str) -> Array:
        """A tensor's elements, in a type that the runtime has."""
        entry = self.entries[name]
        kind = type_name(entry.dtype)
        if kind not in KEPT or entry.slices:
            what = "is stored in slices" if entry.slices else f"is of type {kind}"
            raise UnsupportedError([Unsupported(name, "variable", f"it {what}", "save the model in one piece")])
        shape = tuple(int(dim.size) for dim in entry.shape.dim)
        stored = np.dtype("uint16" if kind == "bfloat16" else kind)
        if min(shape, default=0) < 0 or math.prod(shape) * stored.itemsize != entry.size:
            raise FileFormatError(f"the variable {name!r} of the shape {list(shape)} has {entry.size} bytes")
        flat: Array = np.frombuffer(self._bytes(name), stored.newbyteorder("<")).astype(stored)
        if kind == "bfloat16":
            flat = (flat.astype(np.uint32) << 16).view(np.float32)
        try:
            return plain(flat).reshape(shape)
        except RefusedError as error:
            raise UnsupportedError([Unsupported(name, "variable", error.reason, error.fix)]) from None

    def variable_keys(self) -> dict[str, str]:
        """Names of variables (as VarHandleOp's shared_name has them) -> keys. The bundle of a model of objects
        (TensorFlow 2) tells them in a graph of its own; older bundles have the names for keys."""
        keys = {name: name for name in self.entries}
        if OBJECT_GRAPH in self.entries and self.entries[OBJECT_GRAPH].dtype == STRING:
            for node in parse("TrackableObjectGraph", self._text(OBJECT_GRAPH), OBJECT_GRAPH).nodes:
                for attribute in node.attributes:
                    if attribute.name == "VARIABLE_VALUE" and attribute.checkpoint_key in self.entries:
                        keys[attribute.full_name] = attribute.checkpoint_key
        return keys

    def _text(self, name: str) -> bytes:
        """The one string of a text tensor: lengths as varints, a checksum of them, then the strings."""
        data = self._bytes(name)
        length, at = _varint(data, 0)
        return data[at + 4 : at + 4 + length]


class Variables(Mapping[str, Array]):
    """Variables by name, read when they are used."""

    def __init__(self, bundle: Bundle, restored: Mapping[str, str]) -> None:
        """restored: what is said to belong to a name by the graph itself."""
        self._bundle = bundle
        known = {name: key for name, key in restored.items() if key in bundle.entries}
        self._keys = {**bundle.variable_keys(), **known}

    def __getitem__(self, name: str) -> Array:
        return self._bundle.array(self._keys[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


def _table(data: bytes, file: str) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a table, in order."""
    if len(data) < FOOTER_BYTES or int.from_bytes(data[-8:], "little") != MAGIC:
        raise FileFormatError(f"{file}: not an index of variables, or cut short")
    try:
        at = len(data) - FOOTER_BYTES
        for _ in range(2):  # offset and size of an index of other kinds, which stays unread
            _, at = _varint(data, at)
        offset, at = _varint(data, at)
        size, _ = _varint(data, at)
        for _, place in _block(data, offset, size, file):
            begin, at = _varint(place, 0)
            length, _ = _varint(place, at)
            yield from _block(data, begin, length, file)
    except IndexError as error:
        raise FileFormatError(f"{file}: an index of variables that is damaged") from error


def _block(data: bytes, offset: int, size: int, file: str) -> Iterator[tuple[bytes, bytes]]:
    """Entries of a block: each key shares its beginning with the one before. The last 4 bytes count the restarts."""
    if offset + size + TRAILER_BYTES > len(data) or size < 4:
        raise FileFormatError(f"{file}: an index of variables that is cut short")
    if data[offset + size] != 0:
        raise FileFormatError(f"{file}: an index of variables that is compressed")
    block = data[offset : offset + size]
    end = size - 4 - 4 * int.from_bytes(block[-4:], "little")
    at, key = 0, b""
    while at < end:
        shared, at = _varint(block, at)
        own, at = _varint(block, at)
        length, at = _varint(block, at)
        if shared > len(key) or at + own + length > end:
            raise FileFormatError(f"{file}: an index of variables that is damaged")
        key = key[:shared] + block[at : at + own]
        yield key, block[at + own : at + own + length]
        at += own + length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of 7 bits a byte, the lowest first, and where it ends; IndexError at the end of the data."""
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
        shift += 7
        if shift > 63:
            raise IndexError("a number of more than 64 bits")
