"""Sparse constants made dense (SparsityParameters of the TFLite schema, after the TACO format).

Dimensions are traversed in an order of the file's own, those of blocks last; each is dense (all its positions are
there) or compressed (segments of stored positions).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.errors import FileFormatError

Array = NDArray[Any]

COMPRESSED = 1  # DimensionType.SPARSE_CSR
# A dense tensor may be so many times as large as what is stored of it, or this many elements: a file of a few bytes
# must not claim gigabytes.
GROWTH, SMALL = 256, 1 << 22


def dense(tflite: Any, parameters: Any, stored: Array, shape: Sequence[int], where: str) -> Array:
    """The tensor of `shape` whose stored elements are these; FileFormatError when they do not fit."""
    if math.prod(shape) > max(GROWTH * stored.size, SMALL):
        raise FileFormatError(f"{where} has {math.prod(shape)} elements, of which {stored.size} are stored")
    order, blocks = _ints(parameters.TraversalOrderAsNumpy()), _ints(parameters.BlockMapAsNumpy())
    rank = len(shape)
    if sorted(order) != list(range(rank + len(blocks))) or parameters.DimMetadataLength() != len(order):
        raise FileFormatError(f"{where} is sparse in the order {order} over {rank} dimensions")
    if any(not 0 <= axis < rank for axis in blocks) or len(set(blocks)) != len(blocks):
        raise FileFormatError(f"{where} has blocks along {blocks} of {rank} dimensions")
    places = _places(tflite, parameters, len(stored), where)
    coordinates = dict(zip(order, places, strict=True))
    index = []
    for axis in range(rank):
        position = coordinates[axis]
        if axis in blocks:
            inner = coordinates[rank + blocks.index(axis)]
            level = order.index(rank + blocks.index(axis))
            position = position * parameters.DimMetadata(level).DenseSize() + inner
        if position.size and (position.min() < 0 or position.max() >= shape[axis]):
            raise FileFormatError(f"{where} stores an element outside dimension {axis} of {shape[axis]}")
        index.append(position)
    result = np.zeros(shape, stored.dtype)
    result[tuple(index)] = stored
    return result


def _places(tflite: Any, parameters: Any, count: int, where: str) -> list[Array]:
    """For every traversed dimension the position of each stored element."""
    places: list[Array] = []
    nodes = 1  # positions that the dimensions so far lead to
    for level in range(parameters.DimMetadataLength()):
        metadata = parameters.DimMetadata(level)
        if metadata.Format() == COMPRESSED:
            segments, indices = _vector(tflite, metadata, "ArraySegments"), _vector(tflite, metadata, "ArrayIndices")
            lengths = np.diff(segments)
            if segments.size != nodes + 1 or segments[0] != 0 or (lengths < 0).any() or segments[-1] != indices.size:
                raise FileFormatError(f"{where} has segments that do not fit its dimension {level}")
            places = [np.repeat(place, lengths) for place in places]
            places.append(indices)
        else:
            size = metadata.DenseSize()
            if size < 1 or nodes * size > count:
                raise FileFormatError(f"{where} has {count} stored elements, its dimensions more")
            places = [np.repeat(place, size) for place in places]
            places.append(np.tile(np.arange(size), nodes))
        nodes = int(places[-1].size)
    if nodes != count:
        raise FileFormatError(f"{where} has {count} stored elements and places for {nodes}")
    return places


def _vector(tflite: Any, metadata: Any, name: str) -> Array:
    """A vector of 32, 16 or 8-bit integers, which the schema keeps in a union."""
    kind, union = getattr(metadata, f"{name}Type")(), getattr(metadata, name)()
    names = {number: text for text, number in vars(tflite.SparseIndexVector).items() if isinstance(number, int)}
    if union is None or names.get(kind) not in ("Int32Vector", "Uint16Vector", "Uint8Vector"):
        return np.zeros(0, np.int64)
    vector = getattr(tflite, names[kind])()
    vector.Init(union.Bytes, union.Pos)
    return np.asarray(_ints(vector.ValuesAsNumpy()), np.int64)


def _ints(array: Any) -> list[int]:
    return [int(item) for item in array] if isinstance(array, np.ndarray) else []
