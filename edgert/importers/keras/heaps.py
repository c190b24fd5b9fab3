"""Checks texts of varying length in an HDF5 file, before the HDF5 library reads them.

They lie in heaps, whose objects the library walks by the sizes that they state: it loops or reads beyond the heap where
those are damaged. Attributes state the length of each text, and the library takes that much memory before it looks.
Layout: HDF5 File Format Specification, III.E (global heap), IV.A.2.m (attribute message), IV.A.2.b (dataspace).
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

View = bytes | mmap.mmap

START = b"GCOL\x01\x00\x00\x00"  # signature, version, reserved
HEADER = struct.Struct("<HHIQ")  # of an object: index, references, reserved, size
MOST_OBJECTS = 1 << 16


@contextmanager
def viewed(source: Path | bytes) -> Iterator[View]:
    """The bytes of a file, mapped."""
    if isinstance(source, bytes):
        yield source
        return
    with source.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        yield view


def damaged_heap(view: View) -> str | None:
    """What is wrong with a heap of the file; None where all are sound."""
    at = view.find(START)
    while at >= 0:
        wrong = _walk(view, at)
        if wrong is not None:
            return f"the heap at byte {at}: {wrong}"
        at = view.find(START, at + 1)
    return None


def _walk(view: View, begin: int) -> str | None:
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


VARIABLE_LENGTH = 9  # class of a datatype
REFERENCE = 16  # bytes of a reference to a text: length, address of the heap, index


def longest_text(view: View, name: str) -> int | None:
    """The length of the longest text that an attribute of this name states, anywhere in the file; None where no such
    attribute is found."""
    longest = None
    wanted = name.encode() + b"\0"
    at = view.find(wanted)
    while at >= 0:
        for length in _stated(view, at, len(wanted)):
            longest = max(longest or 0, length)
        at = view.find(wanted, at + 1)
    return longest


def _stated(view: View, at: int, name_size: int) -> Iterator[int]:
    """Lengths of the texts of an attribute message whose name begins at a byte, if there is one."""
    for version, header in ((1, 8), (2, 8), (3, 9)):
        start = at - header
        if start < 0 or view[start] != version:
            continue
        sizes = struct.unpack("<HHH", view[start + 2 : start + 8])
        if sizes[0] != name_size:
            continue
        step = 8 if version == 1 else 1  # parts are padded in version 1
        kind = at + -(-sizes[0] // step) * step
        space = kind + -(-sizes[1] // step) * step
        data = space + -(-sizes[2] // step) * step
        if data > len(view) or view[kind] & 15 != VARIABLE_LENGTH:
            continue
        for place in range(data, min(data + REFERENCE * _elements(view, space), len(view) - 3), REFERENCE):
            yield int.from_bytes(view[place : place + 4], "little")


def _elements(view: View, space: int) -> int:
    """How many elements a dataspace message has."""
    version, rank = view[space], view[space + 1]
    first = space + (8 if version == 1 else 4)
    dims = view[first : first + 8 * rank]
    return math.prod(struct.unpack(f"<{len(dims) // 8}Q", dims[: len(dims) // 8 * 8]))
