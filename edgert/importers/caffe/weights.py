"""Reads the weights of a .caffemodel: the names of its layers and their blobs, of both generations of the format.

The file is a protobuf message, of which only a few fields are wanted. They are found here one by one and taken over as
they lie: weights of hundreds of megabytes are not copied, and a hostile file cannot make much of few bytes, as it could
of objects for every field.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edgert.errors import FileFormatError
from edgert.importers.builder import Array

MOST_FIELDS = 1 << 16  # the largest networks in use have some 5,000
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types
# Field numbers of caffe.proto: NetParameter's layers of either generation, in these their names and blobs.
_LAYERS = {2: (4, 6), 100: (1, 7)}
_RAW_TYPES = {0: "<f8", 1: "<f4", 2: "<f2"}  # BlobProto.raw_data_type of NVIDIA's fork


class _Field(NamedTuple):
    number: int
    wire: int
    value: int  # of a varint
    data: memoryview  # of all else


class _Reader:
    def __init__(self, data: bytes, name: str) -> None:
        self.view, self.name, self.count = memoryview(data), name, 0

    def fail(self, why: str) -> FileFormatError:
        return FileFormatError(f"{self.name}: not a .caffemodel, or cut short: {why}")

    def varint(self, data: memoryview, at: int) -> tuple[int, int]:
        """(number, where it ends)"""
        number = 0
        for shift in range(0, 70, 7):
            if at >= len(data):
                break
            byte = data[at]
            at += 1
            number |= (byte & 127) << shift
            if byte < 128:
                return number, at
        raise self.fail("a number has no end")

    def fields(self, data: memoryview) -> Iterator[_Field]:
        at = 0
        while at < len(data):
            self.count += 1
            if self.count > MOST_FIELDS:
                raise self.fail("it has too many fields")
            key, at = self.varint(data, at)
            number, wire, size, value = key >> 3, key & 7, 0, 0
            if wire == _VARINT:
                value, at = self.varint(data, at)
            elif wire == _BYTES:
                size, at = self.varint(data, at)
            elif wire in (_FIXED64, _FIXED32):
                size = 8 if wire == _FIXED64 else 4
            else:
                raise self.fail(f"a field of the kind {wire}")
            if size > len(data) - at:
                raise self.fail(f"it ends where {size} more bytes should be")
            yield _Field(number, wire, value, data[at : at + size])
            at += size

    def integers(self, data: memoryview) -> list[int]:
        """A packed list of them."""
        numbers, at = [], 0
        while at < len(data):
            number, at = self.varint(data, at)
            numbers.append(number if number < 1 << 63 else number - (1 << 64))
            if len(numbers) > 64:
                raise self.fail("a shape of more than 64 dimensions")
        return numbers


def read_weights(path: Path) -> dict[str, tuple[Array, ...]]:
    """Blobs (float32) by the name of their layer.

    Raises FileFormatError for what is no such file, and for shapes that do not fit the weights.
    """
    reader = _Reader(path.read_bytes(), path.name)
    stored: dict[str, tuple[Array, ...]] = {}
    layers = 0
    for field in reader.fields(reader.view):
        if field.number in _LAYERS and field.wire == _BYTES:
            layers += 1
            name, blobs = _layer(reader, field.data, *_LAYERS[field.number])
            if blobs:
                stored[name] = blobs
    if not layers:
        raise reader.fail("it has no layers")
    return stored


def _layer(reader: _Reader, data: memoryview, name_field: int, blobs_field: int) -> tuple[str, tuple[Array, ...]]:
    name, blobs = "", []
    for field in reader.fields(data):
        if field.number == name_field and field.wire == _BYTES:
            name = bytes(field.data).decode(errors="replace")
        elif field.number == blobs_field and field.wire == _BYTES:
            blobs.append(field.data)
    return name, tuple(_blob(reader, blob, name) for blob in blobs)


def _blob(reader: _Reader, data: memoryview, layer: str) -> Array:
    """A BlobProto: floats, doubles or raw numbers, with a shape or the older num, channels, height and width."""
    old = [0, 0, 0, 0]
    shape: list[int] | None = None
    parts: dict[int, list[memoryview]] = {5: [], 8: [], 12: []}
    raw_type = 1
    for field in reader.fields(data):
        if field.number in (1, 2, 3, 4) and field.wire == _VARINT:
            old[field.number - 1] = field.value
        elif field.number in parts and field.wire != _VARINT:
            parts[field.number].append(field.data)
        elif field.number == 7 and field.wire == _BYTES:
            shape = _dimensions(reader, field.data)
        elif field.number == 10 and field.wire == _VARINT:
            raw_type = field.value
    kind = _RAW_TYPES.get(raw_type) if parts[12] else "<f8" if parts[8] else "<f4"
    chunks = parts[12] or parts[8] or parts[5]
    where = f"{reader.name}: layer {layer!r}"
    if kind is None:
        raise FileFormatError(f"{where}: its weights are of the raw type {raw_type}")
    dtype = np.dtype(kind)
    if any(len(chunk) % dtype.itemsize for chunk in chunks):
        raise FileFormatError(f"{where}: its weights are cut short")
    arrays = [np.frombuffer(chunk, dtype) for chunk in chunks]
    array = arrays[0] if len(arrays) == 1 else np.concatenate([np.zeros(0, dtype), *arrays])
    if shape is None:
        shape = old if any(old) else list(array.shape)
    if any(size < 0 for size in shape) or math.prod(shape) != array.size:
        raise FileFormatError(f"{where}: weights of the shape {shape} have {array.size} elements")
    return np.asarray(array.reshape(shape), np.float32)


def _dimensions(reader: _Reader, data: memoryview) -> list[int]:
    """A BlobShape's."""
    shape: list[int] = []
    for field in reader.fields(data):
        if field.number == 1:
            shape += [field.value] if field.wire == _VARINT else reader.integers(field.data)
    return shape
