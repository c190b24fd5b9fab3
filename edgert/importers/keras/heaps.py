"""Checks the heaps of an HDF5 file in which texts of varying length lie, before the HDF5 library reads them.

The library walks the objects of a heap by the sizes that they state, and loops or reads beyond the heap where those are
damaged. Layout: HDF5 File Format Specification, III.E Disk Format: Level 1E - Global Heap.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

START = b"GCOL\x01\x00\x00\x00"  # signature, version, reserved
HEADER = struct.Struct("<HHIQ")  # of an object: index, references, reserved, size
MOST_OBJECTS = 1 << 16


def damaged_heap(source: Path | bytes) -> str | None:
    """What is wrong with a heap of the file; None where all are sound."""
    if isinstance(source, bytes):
        return _check(source)
    with source.open("rb") as file:
        if source.stat().st_size == 0:
            return None
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
            return _check(view)


def _check(view: bytes | mmap.mmap) -> str | None:
    at = view.find(START)
    while at >= 0:
        wrong = _walk(view, at)
        if wrong is not None:
            return f"the heap at byte {at}: {wrong}"
        at = view.find(START, at + 1)
    return None


def _walk(view: bytes | mmap.mmap, begin: int) -> str | None:
    if begin + 16 > len(view):
        return "cut short"
    (size,) = struct.unpack("<Q", view[begin + 8 : begin + 16])
    if size < 16 or size > len(view) - begin:
        return f"states {size} bytes"
    at, end = begin + 16, begin + size
    seen: set[int] = set()
    while at + HEADER.size <= end:
        index, _, _, length = HEADER.unpack(view[at : at + HEADER.size])
        # Object 0 is what is free, header included; the others are padded to 8 bytes.
        needed = length if index == 0 else HEADER.size + (length + 7) // 8 * 8
        if needed < HEADER.size or needed > end - at:
            return f"object {index} states {length} bytes"
        if index in seen or len(seen) > MOST_OBJECTS:
            return f"object {index} is there twice"
        seen.add(index)
        at += needed
    return None
