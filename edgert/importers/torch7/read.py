"""Reads .t7 and .net: what Torch7's torch.save writes, binary or ASCII.

The format: lib/File.lua and the read functions of Tensor and Storage in torch7. The package torchfile reads it too, but
makes views of memory with sizes and strides that it does not check. Here a file may come from a stranger: nothing in it
is run, Lua functions are passed over, and no size is believed before the bytes are known to be there.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgert.errors import FileFormatError
from edgert.importers.builder import Array

DEEPEST = 1 << 14  # objects inside one another
MOST_OBJECTS = 1 << 18  # the largest networks in use have some 20,000

_NIL, _NUMBER, _STRING, _TABLE, _TORCH, _BOOLEAN, _FUNCTION, _OLD_FUNCTION, _NEW_FUNCTION = range(9)
_ELEMENTS = {
    "Byte": "u1", "Char": "i1", "Short": "<i2", "Int": "<i4", "Long": "<i8", "Float": "<f4", "Double": "<f8",
    "Half": "<f2", "Cuda": "<f4", "CudaByte": "u1", "CudaChar": "i1", "CudaShort": "<i2", "CudaInt": "<i4",
    "CudaLong": "<i8", "CudaDouble": "<f8", "CudaHalf": "<f2",
}  # fmt: skip


class Table:
    """A Lua table. Keys are texts, whole numbers where they are whole, or objects."""

    def __init__(self) -> None:
        self.items: dict[Any, Any] = {}

    def sequence(self) -> list[Any]:
        """What stands under 1, 2, 3, ..."""
        found: list[Any] = []
        while len(found) + 1 in self.items:
            found.append(self.items[len(found) + 1])
        return found


@dataclass(eq=False)
class TorchObject:
    """An object of a class that is no tensor: a module, with its fields."""

    kind: str  # "nn.SpatialConvolution"
    fields: dict[Any, Any] = field(default_factory=dict)


@dataclass(eq=False)
class Tensor:
    """A view of a storage, checked when it is used: files are full of buffers that nobody needs."""

    storage: Array | None
    offset: int
    sizes: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self) -> Array:
        """Its elements, as they lie in the file. ValueError for a view of what is not there."""
        if self.storage is None or not self.sizes:
            return np.zeros(0, np.float32)
        last = self.offset + sum((size - 1) * step for size, step in zip(self.sizes, self.strides, strict=True))
        inside = min(self.sizes) > 0 and min(self.strides) >= 0 and self.offset >= 0 and last < self.storage.size
        if not inside or math.prod(self.sizes) > self.storage.size:
            raise ValueError(f"a tensor of the sizes {list(self.sizes)} does not fit its {self.storage.size} elements")
        width = self.storage.itemsize
        view = np.lib.stride_tricks.as_strided(
            self.storage[self.offset :], self.sizes, [step * width for step in self.strides], writeable=False
        )
        return np.ascontiguousarray(view)


def read_t7(path: Path) -> Any:
    """The object in a file: None, bool, float, str, Table, TorchObject, Tensor or a storage (an array).

    Raises FileFormatError for what is no such file.
    """
    data = path.read_bytes()
    reader = (_Ascii if data[:1].isdigit() else _Binary)(data, path.name)
    try:
        return reader.object()
    except (struct.error, ValueError, OverflowError) as error:
        raise reader.fail(str(error)) from error


_Part = Generator[Any, Any, Any]


class _Binary:
    """Little-endian numbers: int 4 bytes, long 8, double 8."""

    def __init__(self, data: bytes, name: str) -> None:
        self.data, self.name, self.at = data, name, 0
        self.seen: dict[int, Any] = {}
        self.count = 0

    def fail(self, why: str) -> FileFormatError:
        return FileFormatError(f"{self.name}: not a Torch7 file, or damaged: {why} (at byte {self.at})")

    # Primitives

    def take(self, count: int) -> bytes:
        if not 0 <= count <= len(self.data) - self.at:
            raise self.fail(f"it ends where {count} more bytes should be")
        self.at += count
        return self.data[self.at - count : self.at]

    def whole(self) -> int:
        return int(struct.unpack("<i", self.take(4))[0])

    def longs(self, count: int) -> tuple[int, ...]:
        return struct.unpack(f"<{count}q", self.take(8 * count))

    def double(self) -> float:
        return float(struct.unpack("<d", self.take(8))[0])

    def raw(self) -> bytes:
        return self.take(self.whole())

    def elements(self, count: int, dtype: np.dtype[Any]) -> Array:
        if not 0 <= count <= (len(self.data) - self.at) // dtype.itemsize:
            raise self.fail(f"it ends where {count} more elements should be")
        self.at += count * dtype.itemsize
        return np.frombuffer(self.data, dtype, count, self.at - count * dtype.itemsize)

    # Objects. Those that hold others are generators, which ask for one after the other and wait for it: a graph of
    # modules nests as deep as it is long.

    def object(self) -> Any:
        item = self.start()
        waiting: list[_Part] = []
        while True:
            if isinstance(item, Generator):
                waiting.append(item)
                item = None
                if len(waiting) > DEEPEST:
                    raise self.fail(f"more than {DEEPEST} objects inside one another")
            elif not waiting:
                return item
            try:
                item = waiting[-1].send(item)
            except StopIteration as done:
                waiting.pop()
                item = done.value

    def start(self) -> Any:
        """The next object, or the generator of one that holds others."""
        self.count += 1
        if self.count > MOST_OBJECTS:
            raise self.fail("too many objects")
        kind = self.whole()
        if kind == _NIL:
            return None
        if kind == _NUMBER:
            return self.double()
        if kind == _STRING:
            return self.text()
        if kind == _BOOLEAN:
            return self.whole() == 1
        if kind not in (_TABLE, _TORCH, _FUNCTION, _OLD_FUNCTION, _NEW_FUNCTION):
            raise self.fail(f"an object of the kind {kind}")
        index = self.whole()
        if index in self.seen:
            return self.seen[index]
        if kind == _TORCH:
            return self.torch(index)
        if kind == _TABLE:
            return self.table(index)
        return self.function(index)

    def text(self) -> str:
        raw = self.raw()
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return raw.decode("latin-1")

    def function(self, index: int) -> _Part:
        """Its code and what it closes over are passed over."""
        self.seen[index] = None
        self.raw()
        yield self.start()

    def table(self, index: int) -> _Part:
        table = self.seen[index] = Table()
        for _ in range(self.whole()):
            key = yield self.start()
            if isinstance(key, float) and key.is_integer():
                key = int(key)
            if isinstance(key, np.ndarray):
                raise self.fail("a table's key is a storage")
            table.items[key] = yield self.start()
        return table

    def torch(self, index: int) -> _Part:
        version = self.text()
        name = self.text() if version.startswith("V ") else version  # old files have no version
        if not name.isprintable() or len(name) > 200:
            raise self.fail("the name of a class is no text")
        short = name.removeprefix("torch.")
        self.seen[index] = None
        if short.endswith("Storage") and short.removesuffix("Storage") in _ELEMENTS:
            made: Any = self.elements(self.longs(1)[0], np.dtype(_ELEMENTS[short.removesuffix("Storage")]))
        elif short.endswith("Tensor") and short.removesuffix("Tensor") in _ELEMENTS:
            made = yield self.tensor()
        else:
            made = self.seen[index] = TorchObject(name)
            content = yield self.start()
            if isinstance(content, Table):
                made.fields = content.items
        self.seen[index] = made
        return made

    def tensor(self) -> _Part:
        rank = self.whole()
        if not 0 <= rank <= 32:
            raise self.fail(f"a tensor of {rank} dimensions")
        sizes, strides = self.longs(rank), self.longs(rank)
        offset = self.longs(1)[0] - 1
        storage = yield self.start()
        if storage is not None and not isinstance(storage, np.ndarray):
            raise self.fail("a tensor's storage is something else")
        return Tensor(storage, offset, sizes, strides)


class _Ascii(_Binary):
    """The same as text: numbers apart by white space, a text in a line of its own after its length."""

    def word(self) -> bytes:
        while self.at < len(self.data) and self.data[self.at : self.at + 1].isspace():
            self.at += 1
        begin = self.at
        while self.at < len(self.data) and not self.data[self.at : self.at + 1].isspace():
            self.at += 1
        if begin == self.at or self.at - begin > 64:
            raise self.fail("a number is missing")
        return self.data[begin : self.at]

    def whole(self) -> int:
        return int(self.word())

    def longs(self, count: int) -> tuple[int, ...]:
        return tuple(int(self.word()) for _ in range(count))

    def double(self) -> float:
        return float(self.word())

    def raw(self) -> bytes:
        count = self.whole()
        self.take(1)
        return self.take(count)

    def elements(self, count: int, dtype: np.dtype[Any]) -> Array:
        if not 0 <= count <= len(self.data) - self.at:
            raise self.fail(f"it ends where {count} more elements should be")
        if count == 0:
            return np.zeros(0, dtype)
        if dtype.itemsize == 1 and dtype.kind in "ui":  # characters, as they are
            self.take(1)
            return np.frombuffer(self.take(count), dtype)
        self.take(1)
        end = self.data.find(b"\n", self.at)
        line = self.data[self.at : len(self.data) if end < 0 else end]
        self.at += len(line)
        words = line.split()
        if len(words) != count:
            raise self.fail(f"{len(words)} elements, needed {count}")
        return np.array(words).astype(np.float64).astype(dtype)
