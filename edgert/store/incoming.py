"""An object on its way: staging/<sha256>.part holds its bytes; .journal.0, .journal.1 and .received how far they are.

Two offsets, both at the end of a whole chunk whose hash was right:
  received   up to here bytes came and were written. They outlive the agent, and need not outlive the power; so this
             record is not synced either.
  durable    up to here they were synced, and so was the journal that says it.
Bytes beyond `durable` are read and hashed again before they count after a restart.
"""

from __future__ import annotations

import contextlib
import hashlib
import struct
import time
from types import TracebackType

from edgert.manifest.manifest import ObjectEntry
from edgert.store import disk, records
from edgert.store.errors import ChunkError, DamagedError, DiskError, StoreError
from edgert.store.home import Home, file_hash
from edgert.store.records import Records

SYNC_BYTES = 1 << 20  # received and not durable, at most: what a power cut costs on a quick line
SYNC_SECONDS = 0.5  # and on a slow one
_MAGIC = b"ERTJRNL1"
_JOURNAL = struct.Struct("<32sQIQ")  # SHA-256, size, chunk size, offset


class Incoming:
    """Takes an object's bytes in order. Opens where an earlier one ended; close it, or use `with`."""

    def __init__(self, home: Home, entry: ObjectEntry) -> None:
        """Reserves the whole space. Raises NoSpaceError before a byte is stored when the disk is full."""
        self.home, self.entry = home, entry
        self.part = home.staging / f"{entry.sha256.hex()}.part"
        self._journal = Records(home.staging, f"{entry.sha256.hex()}.journal", _MAGIC, 0o600)
        self._received = home.staging / f"{entry.sha256.hex()}.received"
        self.durable = 0  # bytes
        self._at = 0  # bytes written; those after the last whole chunk are not checked yet
        self._hash = hashlib.sha256()  # of them
        self._synced_at = time.monotonic()
        self._file: disk.File | None = None
        self.installed = home.has_object(entry)  # under its name; nothing needs to come
        if self.installed:
            self.durable = self._at = entry.size
        else:
            self._file = self._resume() or self._begin()

    def _resume(self) -> disk.File | None:
        if any(disk.is_no_file(path) for path in (self.part, *self._journal.paths, self._received)):
            return None
        durable = self._offset(self._journal.read())
        if durable is None:
            return None
        try:
            file = disk.open_for_update(self.part)
        except (FileNotFoundError, DiskError):
            return None
        if file.size != self.entry.size:
            file.close()
            return None
        self._file = file
        self._at = self.durable = durable
        received = self._offset(self._received_record()) or 0
        while self._at < received and self._chunk_holds(self._at):
            self._at += self._chunk_size(self._at)
        with contextlib.suppress(DiskError):
            self.checkpoint()
        return file

    def _offset(self, payload: bytes | None) -> int | None:
        """What a record says, if it is about these bytes in these chunks and possible."""
        if payload is None:
            return None
        sha256, size, chunk_bytes, offset = _JOURNAL.unpack_from(payload)
        entry = self.entry
        if (sha256, size, chunk_bytes) != (entry.sha256, entry.size, entry.chunk_bytes):
            return None
        at_boundary = offset == size or (offset < size and offset % chunk_bytes == 0)
        return offset if at_boundary else None

    def _received_record(self) -> bytes | None:
        try:
            found = records.decode(_MAGIC, disk.read_file(self._received, records.RECORD_BYTES) or b"")
        except DiskError:
            return None
        return found[1] if found else None

    def _chunk_size(self, start: int) -> int:
        return min(self.entry.chunk_bytes, self.entry.size - start)

    def _chunk_holds(self, start: int) -> bool:
        """Whether the chunk that begins here lies on the disk as the manifest says."""
        assert self._file is not None
        digest, end = hashlib.sha256(), start + self._chunk_size(start)
        for at in range(start, end, disk.PIECE_BYTES):
            digest.update(self._file.read(at, min(disk.PIECE_BYTES, end - at)))
        return digest.digest() == self.entry.chunks[start // self.entry.chunk_bytes]

    def _begin(self) -> disk.File:
        self.discard()
        file = disk.create_file(self.part, 0o600)
        try:
            file.reserve(self.entry.size)
            file.sync()
            with disk.create_file(self._received, 0o600):
                pass
            self._journal.create(self._record(0))
            disk.sync_folder(self.home.staging)
        except DiskError:
            file.close()
            with contextlib.suppress(DiskError):
                self.discard()
            raise
        return file

    def _record(self, offset: int) -> bytes:
        return _JOURNAL.pack(self.entry.sha256, self.entry.size, self.entry.chunk_bytes, offset)

    @property
    def received(self) -> int:
        """Where the next byte belongs."""
        return self._at

    @property
    def whole(self) -> bool:
        return self._at == self.entry.size

    def write(self, offset: int, data: bytes | memoryview) -> int:
        """Takes bytes and returns the offset where the next belong. Bytes for any other offset than `received` are not
        stored. Raises ChunkError when a chunk is whole and its hash is wrong; `received` is then its beginning. Raises
        DiskError, NoSpaceError."""
        if offset != self._at:
            return self._at
        rest = memoryview(data)
        if len(rest) > self.entry.size - self._at:
            raise StoreError(
                f"{len(rest)} bytes came at {self._at}, the object ends at {self.entry.size}; nothing of them is stored"
            )
        while rest:
            if self._file is None:
                raise StoreError(f"{self.part} is closed")
            start = self._at - self._at % self.entry.chunk_bytes
            end = start + self._chunk_size(start)
            piece = rest[: end - self._at]
            try:
                self._file.write(self._at, piece)
            except DiskError:
                self._back_to(start)
                raise
            self._hash.update(piece)
            self._at += len(piece)
            rest = rest[len(piece) :]
            if self._at == end:
                self._end_chunk(start)
        return self._at

    def put_chunk(self, index: int, data: bytes) -> int:
        """A whole chunk; what came of it before is forgotten. Raises as write does."""
        start = index * self.entry.chunk_bytes
        if start != self._at - self._at % self.entry.chunk_bytes or self.whole:
            return self._at  # another one is due
        if len(data) != self._chunk_size(start):
            raise ChunkError(f"chunk {index} has {len(data)} bytes, needed {self._chunk_size(start)}")
        self._back_to(start)
        return self.write(start, data)

    def _back_to(self, start: int) -> None:
        self._at = start
        self._hash = hashlib.sha256()

    def _end_chunk(self, start: int) -> None:
        index = start // self.entry.chunk_bytes
        found, self._hash = self._hash.digest(), hashlib.sha256()
        if found != self.entry.chunks[index]:
            self._at = start
            raise ChunkError(f"chunk {index} of {self.entry.sha256.hex()[:16]} has another hash than the manifest says")
        late = time.monotonic() - self._synced_at >= SYNC_SECONDS
        if late or self.whole or self._at - self.durable >= SYNC_BYTES:
            self.checkpoint()
        else:
            self._note()

    def _note(self) -> None:
        """Writes down what was received, so that it survives the end of the agent; syncing it is for checkpoint."""
        with contextlib.suppress(DiskError, FileNotFoundError), disk.open_for_update(self._received) as file:
            file.write(0, records.encode(_MAGIC, 0, self._record(self._at)))

    def checkpoint(self) -> None:
        """Makes every whole chunk durable. Raises DiskError; `received` then goes back to what is durable."""
        whole = self._at if self.whole else self._at - self._at % self.entry.chunk_bytes
        if self._file is None or whole == self.durable:
            return
        try:
            self._file.sync()
            self._journal.write(self._record(whole))
        except DiskError:
            self._back_to(self.durable)
            raise
        self.durable = whole
        self._synced_at = time.monotonic()

    def finish(self) -> None:
        """Gives the whole object its name in objects/. Raises StoreError when it is not whole, DamagedError when its
        bytes, read again, have another hash; `received` then goes back to the first chunk that has to come again."""
        if self.installed:
            self.discard()
            return
        if not self.whole or self._file is None:
            raise StoreError(f"{self._at} of {self.entry.size} bytes are there; send the rest")
        self.checkpoint()
        if file_hash(self._file) != self.entry.sha256:
            self._find_damage()
        self._file.set_mode(0o444)
        self._file.sync()
        disk.rename(self.part, self.home.object_path(self.entry.sha256))
        disk.sync_folder(self.home.objects)
        self.installed = True
        self.close()
        self.discard()

    def _find_damage(self) -> None:
        for start in range(0, self.entry.size, self.entry.chunk_bytes):
            if not self._chunk_holds(start):
                self._journal.write(self._record(start))
                self.durable = start
                self._back_to(start)
                raise DamagedError(
                    f"chunk {start // self.entry.chunk_bytes} of {self.entry.sha256.hex()[:16]} was damaged on the "
                    "disk; it has to be sent again"
                )
        self.close()
        self.discard()
        raise DamagedError(
            f"the chunks of {self.entry.sha256.hex()[:16]} are what the manifest says, the whole is not: the manifest "
            "contradicts itself; sign it anew"
        )

    def discard(self) -> None:
        """Removes what was staged."""
        self.close()
        for path in (*self._journal.paths, self._received, self.part):  # without a journal the rest counts for nothing
            disk.remove(path)
        disk.sync_folder(self.home.staging)

    def close(self) -> None:
        """What was received stays for the next one that opens it."""
        if self._file is not None:
            with contextlib.suppress(DiskError):
                self.checkpoint()
            self._file.close()
            self._file = None

    def __enter__(self) -> Incoming:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
