"""What a .tflite file says of its model beside the network: the TFLite metadata FlatBuffer in the buffer that is called
TFLITE_METADATA, and the label files in a zip archive that is appended to the file.

Source: tensorflow_lite_support/metadata/metadata_schema.fbs (file identifier M001). Fields are read by their place in
the tables. Damaged metadata is no reason to refuse a model: it is left out, and a note says so.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

from edgert.importers.tflite.read import DAMAGE
from edgert.ir import About

IDENTIFIER = b"M001"
AXIS_LABELS, VALUE_LABELS = 2, 3  # AssociatedFileType: names of an axis's positions, of the values themselves
NORMALISATION = 1  # ProcessUnitOptions
# Bounds of what is read: bytes of a label file once unpacked, of a text, and elements of a list.
LARGEST_FILE, LONGEST_TEXT, MOST_ITEMS = 1 << 22, 1 << 16, 1 << 12


class _Table:
    """A table of a FlatBuffer, its fields by their place in the schema."""

    def __init__(self, table: Any) -> None:
        self._table = table

    @classmethod
    def root(cls, data: bytes) -> _Table:
        from flatbuffers import encode, packer, table

        return cls(table.Table(bytearray(data), encode.Get(packer.uoffset, data, 0)))

    def _offset(self, place: int) -> int:
        return int(self._table.Offset(4 + 2 * place))

    def text(self, place: int) -> str:
        offset = self._offset(place)
        if not offset:
            return ""
        at = self._table.Pos + offset
        text: bytes = self._table.String(at)
        return text[:LONGEST_TEXT].decode("utf-8", "replace")

    def byte(self, place: int) -> int:
        from flatbuffers import number_types

        offset = self._offset(place)
        return int(self._table.Get(number_types.Uint8Flags, self._table.Pos + offset)) if offset else 0

    def _count(self, offset: int, size: int) -> int:
        count = int(self._table.VectorLen(offset))
        if count > MOST_ITEMS or count * size > len(self._table.Bytes):
            raise ValueError(f"a list of {count}")
        return count

    def tables(self, place: int) -> Iterator[_Table]:
        from flatbuffers import table

        offset = self._offset(place)
        if not offset:
            return
        start = self._table.Vector(offset)
        for i in range(self._count(offset, 4)):
            yield _Table(table.Table(self._table.Bytes, self._table.Indirect(start + 4 * i)))

    def floats(self, place: int) -> tuple[float, ...]:
        from flatbuffers import number_types

        offset = self._offset(place)
        if not offset:
            return ()
        start = self._table.Vector(offset)
        flags = number_types.Float32Flags
        return tuple(float(self._table.Get(flags, start + 4 * i)) for i in range(self._count(offset, 4)))

    def union(self, place: int) -> _Table | None:
        """The table of a union; the place before it holds the kind."""
        from flatbuffers import table

        offset = self._offset(place)
        if not offset:
            return None
        return _Table(table.Table(self._table.Bytes, self._table.Indirect(self._table.Pos + offset)))


def about(data: bytes, stored: bytes | None) -> tuple[About, str]:
    """What the file says, and a note on what of it was left out ("" for nothing).

    data: the whole file. stored: the metadata FlatBuffer, if there is one.
    """
    try:
        return _about(data, stored), ""
    except (*DAMAGE, zipfile.BadZipFile, NotImplementedError, OSError, RuntimeError, EOFError) as error:
        return About(), f"The file's metadata is damaged and was left out: {error}."


def _about(data: bytes, stored: bytes | None) -> About:
    files = _label_files(data)
    if stored is None or stored[4:8] != IDENTIFIER:
        only = list(files) if len(files) == 1 else []
        return About(labels=_labels(data, files, only[0]) if only else ())
    root = _Table.root(stored)
    texts = {"name": root.text(0), "version": root.text(2), "author": root.text(4)}
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    candidates: list[tuple[int, bool, str]] = []
    for graph in list(root.tables(3))[:1]:
        for tensor in graph.tables(2):
            if not mean:
                mean, std = _normalisation(tensor)
        for tensor in graph.tables(3):
            for file in tensor.tables(6):
                if file.byte(2) in (AXIS_LABELS, VALUE_LABELS):
                    candidates.append((file.byte(2), file.text(3) not in ("", "en"), file.text(0)))
    names = [name for _, _, name in sorted(candidates, key=lambda item: item[:2])]
    found = next((name for name in names if name in files), None)
    return About(
        description=root.text(1),
        licence=root.text(5),
        labels=_labels(data, files, found) if found is not None else (),
        mean=mean,
        std=std,
        entries=tuple((f"model_{key}", text) for key, text in texts.items() if text),
    )


def _normalisation(tensor: _Table) -> tuple[tuple[float, ...], tuple[float, ...]]:
    for unit in tensor.tables(4):
        options = unit.union(1) if unit.byte(0) == NORMALISATION else None
        if options is not None:
            mean, std = options.floats(0), options.floats(1)
            usable = len(mean) == len(std) > 0 and all(map(math.isfinite, mean + std)) and 0.0 not in std
            return (mean, std) if usable else ((), ())
    return (), ()


def _label_files(data: bytes) -> Mapping[str, zipfile.ZipInfo]:
    """Text files in the appended archive that are small enough, by name."""
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {
            info.filename: info
            for info in archive.infolist()[:MOST_ITEMS]
            if info.file_size <= LARGEST_FILE
            and info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
            and not info.flag_bits & 1
            and info.filename.endswith((".txt", ".csv"))
        }


def _labels(data: bytes, files: Mapping[str, zipfile.ZipInfo], name: str) -> tuple[str, ...]:
    """The lines of a file; never more of it than LARGEST_FILE bytes, whatever the archive says."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive, archive.open(files[name]) as file:
        raw = file.read(LARGEST_FILE + 1)
    if len(raw) > LARGEST_FILE:
        raise ValueError(f"{name} is larger than {LARGEST_FILE} bytes")
    lines = raw.decode("utf-8", "replace").splitlines()
    while lines and not lines[-1].strip():
        lines.pop()
    return tuple(line.strip() for line in lines)
