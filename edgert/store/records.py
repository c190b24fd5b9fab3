"""A small record in two files of 512 bytes that are overwritten in turn.

A disk writes a sector of 512 bytes whole or not at all, and where it does not, the CRC tells: the other file then holds
the record before. Nothing is allocated after the files are made, so that a full disk is no obstacle to going back.

  offset 0  magic, 8 bytes     what the record is
         8  number, u64 LE     the valid record with the higher number counts
        16  payload            its length belongs to the magic
       508  CRC-32, u32 LE     of the 508 bytes before it
"""

from __future__ import annotations

import contextlib
import struct
import zlib
from pathlib import Path

from edgert.store import disk
from edgert.store.errors import DiskError

RECORD_BYTES = 512
_HEAD, _CRC = struct.Struct("<8sQ"), struct.Struct("<I")
MAX_PAYLOAD = RECORD_BYTES - _HEAD.size - _CRC.size


def encode(magic: bytes, number: int, payload: bytes) -> bytes:
    assert len(payload) <= MAX_PAYLOAD
    head = (_HEAD.pack(magic, number) + payload).ljust(RECORD_BYTES - _CRC.size, b"\0")
    return head + _CRC.pack(zlib.crc32(head))


def decode(magic: bytes, data: bytes) -> tuple[int, bytes] | None:
    """(number, payload with the zeros after it), or None for anything that is no valid record of this kind."""
    if len(data) != RECORD_BYTES or not data.startswith(magic):
        return None
    if _CRC.unpack(data[-_CRC.size :])[0] != zlib.crc32(data[: -_CRC.size]):
        return None
    return _HEAD.unpack_from(data)[1], data[_HEAD.size : -_CRC.size]


class Records:
    """The pair <folder>/<stem>.0 and <stem>.1."""

    def __init__(self, folder: Path, stem: str, magic: bytes, mode: int = 0o644) -> None:
        self.paths = (folder / f"{stem}.0", folder / f"{stem}.1")
        self._magic, self._mode = magic, mode

    def read(self, strict: bool = False) -> bytes | None:
        """The payload that counts; None when neither file holds a valid record. No lock is needed.

        A file that cannot be read is as good as a damaged one, and the other one counts. strict: DiskError then, for
        what cannot be taken back must not be decided by the record before."""
        found = self._read(strict)
        return None if found is None else found[2]

    def _read(self, strict: bool = False) -> tuple[int, int, bytes] | None:
        """(which file, number, payload)."""
        before = None
        for _ in range(100):  # a writer may be between the two: read until twice the same was read
            data = [self._bytes(path, strict) for path in self.paths]
            if data == before:
                break
            before = data
        valid = [
            (number, which, payload)
            for which, one in enumerate(data)
            for number, payload in [decode(self._magic, one) or (-1, b"")]
            if number >= 0
        ]
        if not valid:
            return None
        number, which, payload = max(valid)
        return which, number, payload

    @staticmethod
    def _bytes(path: Path, strict: bool) -> bytes:
        try:
            with disk.open_file(path) as file:
                return file.read(0, RECORD_BYTES)
        except FileNotFoundError:
            return b""
        except DiskError:
            if strict:
                raise
            return b""

    def create(self, payload: bytes) -> None:
        """Makes both files, with this record in both; the folder's sync is the caller's."""
        for number, path in enumerate(self.paths):
            with disk.create_file(path, self._mode) as file:
                file.set_mode(self._mode)
                file.write(0, encode(self._magic, number, payload))
                file.sync()

    def next(self, payload: bytes) -> tuple[disk.File, bytes]:
        """The file that this record is to be written over, and its bytes."""
        found = self._read()
        which, number = (1 - found[0], found[1] + 1) if found else (0, 0)
        try:
            file = disk.open_for_update(self.paths[which])
        except FileNotFoundError:  # lost by damage: the pair is made whole
            file = disk.create_file(self.paths[which], self._mode)
            file.set_mode(self._mode)
        return file, encode(self._magic, number, payload)

    def write(self, payload: bytes) -> None:
        """Durable when it returns. The caller holds the lock. Raises DiskError, and then the record before counts."""
        file, data = self.next(payload)
        with file:
            before = file.read(0, RECORD_BYTES)
            try:
                file.write(0, data)
                file.sync()
            except DiskError:
                with contextlib.suppress(DiskError):  # what was refused must not be seen as current either
                    file.write(0, before.ljust(RECORD_BYTES, b"\0"))
                raise
