"""Reads .params: MXNet's container of named arrays (NDArray::Save of src/ndarray/ndarray.cc), of every version.

A file may come from a stranger: no size in it is believed before the bytes are known to be there.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np

from edgert.errors import FileFormatError
from edgert.importers.builder import Array

_LIST_MAGIC = 0x112
# Before the first of these an array begins with its rank.
_V1, _V2, _V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
_TYPES = {
    0: "<f4", 1: "<f8", 2: "<f2", 3: "u1", 4: "<i4", 5: "i1", 6: "<i8", 7: "?", 8: "<i2", 9: "<u2", 10: "<u4",
    11: "<u8",
}  # fmt: skip
_MOST_DIMENSIONS = 32
_MOST_ARRAYS = 1 << 16  # the largest networks in use have some 3,000


class _Reader:
    def __init__(self, data: bytes, name: str) -> None:
        self.data, self.name, self.at = data, name, 0

    def fail(self, why: str) -> FileFormatError:
        return FileFormatError(f"{self.name}: not an MXNet parameter file, or damaged: {why} (at byte {self.at})")

    def take(self, count: int) -> memoryview:
        if count > len(self.data) - self.at:
            raise self.fail(f"it ends where {count} more bytes should be")
        self.at += count
        return memoryview(self.data)[self.at - count : self.at]

    def numbers(self, code: str, count: int = 1) -> tuple[int, ...]:
        layout = f"<{count}{code}"
        return struct.unpack(layout, self.take(struct.calcsize(layout)))

    def number(self, code: str) -> int:
        return self.numbers(code)[0]


def read_params(path: Path) -> dict[str, Array]:
    """Arrays by name: "arg:conv1_weight", "aux:bn_moving_mean", or without a prefix.

    Raises FileFormatError for what is no such file, or holds sparse arrays.
    """
    reader = _Reader(path.read_bytes(), path.name)
    magic, _, count = reader.numbers("Q", 3)
    if magic != _LIST_MAGIC:
        raise reader.fail("it begins with another number")
    if count > _MOST_ARRAYS:
        raise reader.fail(f"it has {count} arrays")
    arrays = [_array(reader) for _ in range(count)]
    if reader.number("Q") != count:
        raise reader.fail("arrays and names differ in number")
    names = []
    for _ in range(count):
        try:
            names.append(bytes(reader.take(reader.number("Q"))).decode())
        except UnicodeDecodeError:
            raise reader.fail("a name is not text") from None
    return {name: array for name, array in zip(names, arrays, strict=True) if array is not None}


def _array(reader: _Reader) -> Array | None:
    """One array; None for one that was saved empty."""
    first = reader.number("I")
    if first in (_V2, _V3):
        if (storage := reader.number("i")) not in (0, -1):
            raise reader.fail(f"an array is sparse (storage type {storage}): save it densely (tostype('default'))")
        shape = _shape(reader, reader.number("i"), "q")
    elif first == _V1:
        shape = _shape(reader, reader.number("i"), "q")
    else:
        shape = _shape(reader, first, "I")
    if shape is None or (not shape and first != _V3):
        return None
    reader.take(8)  # the device that it lay on
    flag = reader.number("i")
    if flag not in _TYPES:
        raise reader.fail(f"an array has elements of the type {flag}")
    dtype = np.dtype(_TYPES[flag])
    return np.frombuffer(reader.take(math.prod(shape) * dtype.itemsize), dtype).reshape(shape)


def _shape(reader: _Reader, rank: int, code: str) -> tuple[int, ...] | None:
    if rank == -1:
        return None
    if not 0 <= rank <= _MOST_DIMENSIONS:
        raise reader.fail(f"an array has {rank} dimensions")
    shape = reader.numbers(code, rank) if rank else ()
    if any(size < 0 for size in shape):
        raise reader.fail(f"an array has the shape {list(shape)}")
    return shape
