"""Group 8: bytes. Objects come in under /edgert/<sha256>, and that with .zst; they and the log can be read back.

A name is never made into a path: it is taken apart to 64 hex digits, and only an object that an accepted offer names is
received. The answers have exactly the keys that Zephyr's have.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from edgert.agent.fields import field, optional
from edgert.agent.refusal import FileError
from edgert.agent.session import Session
from edgert.smp.groups import FsError
from edgert.store import disk
from edgert.store.errors import DiskError

LOG_NAME = "/edgert/log"
_OBJECT_NAME = re.compile(r"/edgert/([0-9a-f]{64})(\.zst)?")
_PIECE_BYTES = 1 << 18
# Of a reply to a download: header, map, keys and numbers, with room to spare.
_OVERHEAD_BYTES = 128


def _object_name(name: str) -> tuple[bytes, bool]:
    """(SHA-256, whether compressed). Raises FileError."""
    found = _OBJECT_NAME.fullmatch(name)
    if found is None:
        raise FileError(FsError.FILE_INVALID_NAME, f"{name!r:.80} is no /edgert/<SHA-256 in 64 hex digits>")
    return bytes.fromhex(found[1]), found[2] is not None


class FsGroup:
    def __init__(self, session: Session, buf_size: int) -> None:
        self._session = session
        self._most_bytes = buf_size - _OVERHEAD_BYTES

    def upload(self, body: Mapping[str, Any]) -> dict[str, Any]:
        offset, data = field(body, "off", int), field(body, "data", bytes)
        sha256, compressed = _object_name(field(body, "name", str))
        length, entry = optional(body, "len", int), self._session.entry(sha256)
        if not compressed and length is not None and entry is not None and length != entry.size:
            raise FileError(
                FsError.FILE_OFFSET_NOT_VALID,
                f"the upload says {length} bytes; the object that was offered has {entry.size}",
            )
        return {"off": self._session.write(sha256, compressed, offset, data)}

    def download(self, body: Mapping[str, Any]) -> dict[str, Any]:
        offset, name = field(body, "off", int), field(body, "name", str)
        with self._open(name) as source:
            if offset > source.size:
                raise FileError(
                    FsError.FILE_OFFSET_LARGER_THAN_FILE, f"{name} has {source.size} bytes; {offset} was asked for"
                )
            answer: dict[str, Any] = {"off": offset, "data": source.read(offset, self._most_bytes)}
            if offset == 0:
                answer["len"] = source.size
            return answer

    def status(self, body: Mapping[str, Any]) -> dict[str, Any]:
        name = field(body, "name", str)
        if name != LOG_NAME:
            received = self._session.received(_object_name(name)[0])
            if received is not None:
                return {"len": received}
        with self._open(name) as source:
            return {"len": source.size}

    def hash(self, body: Mapping[str, Any]) -> dict[str, Any]:
        name = field(body, "name", str)
        kind, offset, length = (
            optional(body, "type", str) or "crc32",
            optional(body, "off", int) or 0,
            optional(body, "len", int),
        )
        digest = _DIGESTS.get(kind)
        if digest is None:
            raise FileError(
                FsError.CHECKSUM_HASH_NOT_FOUND, f"there is no hash {kind!r:.40}; there are {', '.join(_DIGESTS)}"
            )
        with self._open(name) as source:
            if offset > source.size:
                raise FileError(FsError.FILE_OFFSET_LARGER_THAN_FILE, f"{name} has {source.size} bytes")
            count = min(source.size - offset, source.size if length is None else length)
            output = digest(source.pieces(offset, count))
        return {"type": kind, **({"off": offset} if offset else {}), "len": count, "output": output}

    def _open(self, name: str) -> _Source:
        """What may be read: installed objects, and the log. Raises FileError."""
        home = self._session.home
        if name == LOG_NAME:
            return _Source(home.read_log())
        sha256, compressed = _object_name(name)
        if compressed:
            raise FileError(FsError.FILE_NOT_FOUND, "objects are read as they are, without .zst")
        try:
            return _Source(disk.open_file(home.object_path(sha256)))
        except FileNotFoundError as error:
            raise FileError(FsError.FILE_NOT_FOUND, f"there is no object {sha256.hex()[:12]}") from error
        except DiskError as error:
            raise FileError(FsError.FILE_OPEN_FAILED, str(error)) from error


class _Source:
    """Bytes of a file or of the log, read by offset."""

    def __init__(self, content: bytes | disk.File) -> None:
        self._content = content
        self.size = len(content) if isinstance(content, bytes) else content.size

    def __enter__(self) -> _Source:
        return self

    def __exit__(self, *_: object) -> None:
        if not isinstance(self._content, bytes):
            self._content.close()

    def read(self, offset: int, count: int) -> bytes:
        if isinstance(self._content, bytes):
            return self._content[offset : offset + count]
        try:
            return self._content.read(offset, count)
        except DiskError as error:
            raise FileError(FsError.FILE_READ_FAILED, str(error)) from error

    def pieces(self, offset: int, count: int) -> Iterator[bytes]:
        end = offset + count
        while offset < end and (piece := self.read(offset, min(_PIECE_BYTES, end - offset))):
            yield piece
            offset += len(piece)


def _sha256(pieces: Iterator[bytes]) -> bytes:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.digest()


def _crc32(pieces: Iterator[bytes]) -> int:
    value = 0
    for piece in pieces:
        value = zlib.crc32(piece, value)
    return value


_DIGESTS: dict[str, Callable[[Iterator[bytes]], int | bytes]] = {"sha256": _sha256, "crc32": _crc32}


def hash_types(_body: Mapping[str, Any]) -> dict[str, Any]:
    """format: 0 a number, 1 bytes; size in bytes."""
    return {"types": {"sha256": {"format": 1, "size": 32}, "crc32": {"format": 0, "size": 4}}}


def close(_body: Mapping[str, Any]) -> dict[str, Any]:
    """Nothing is kept open for a client's sake."""
    return {}
