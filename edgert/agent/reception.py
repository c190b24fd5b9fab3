"""One object on its way in: plain bytes, or chunks that were compressed one by one.

What comes has to come in order. A piece at another offset than the expected one changes nothing; the answer says which
one is expected, so that a client that lost an answer, or repeats itself, finds its way by itself.

Compressed records (`.zst`): record k begins at k * (chunk_bytes + 4): four bytes, big-endian, whose highest bit says
whether a zstd frame or plain bytes follow, and how many; then those. After record k comes offset (k + 1) * (chunk_bytes
+ 4), wherever it ended, so that offsets can be known before anything is compressed.
"""

from __future__ import annotations

from edgert.agent.refusal import FileError
from edgert.agent.zstd import ZstdError, decompressor
from edgert.manifest.manifest import ObjectEntry
from edgert.smp.groups import FsError
from edgert.store.errors import ChunkError
from edgert.store.incoming import Incoming

HEAD_BYTES = 4
COMPRESSED = 1 << 31
# A line's CRC of 16 bits lets one damaged frame in 65,536 pass, so a wrong chunk is sent again; one that never is
# right is not what was signed.
MOST_FAILURES = 8


class ChunkGivenUpError(FileError):
    """A chunk came so often with another hash than the manifest's that it cannot be the line."""


class Reception:
    """At most one compressed record is held in memory, of chunk_bytes at most."""

    def __init__(self, entry: ObjectEntry, incoming: Incoming) -> None:
        self.entry = entry
        self.incoming = incoming
        self._record = bytearray()
        self._failures: dict[int, int] = {}

    @property
    def received(self) -> int:
        """Plain bytes."""
        return self.incoming.received

    @property
    def complete(self) -> bool:
        return self.incoming.received == self.entry.size

    @property
    def stride(self) -> int:
        return self.entry.chunk_bytes + HEAD_BYTES

    @staticmethod
    def end(entry: ObjectEntry, compressed: bool) -> int:
        """The offset that is expected when all of an object is here."""
        return len(entry.chunks) * (entry.chunk_bytes + HEAD_BYTES) if compressed else entry.size

    def restart_chunk(self) -> None:
        """Forgets what came of a chunk that is not whole: a client that offers anew goes on at a chunk's beginning."""
        self._record.clear()
        if not self.complete and self.received % self.entry.chunk_bytes:
            self.incoming.close()
            self.incoming = Incoming(self.incoming.home, self.entry)

    def close(self) -> None:
        """What is whole stays, for the next offer."""
        self._record.clear()
        self.incoming.close()

    def discard(self) -> None:
        """Gives the room back."""
        self.incoming.close()
        self.incoming.discard()

    def write(self, offset: int, data: bytes) -> int:
        """Plain bytes; the offset expected next. Raises FileError."""
        if offset != self.received or not data:
            return self.received
        if offset + len(data) > self.entry.size:
            raise FileError(
                FsError.FILE_OFFSET_LARGER_THAN_FILE,
                f"bytes up to {offset + len(data)} came of an object that has {self.entry.size}",
            )
        self._record.clear()
        try:
            return self.incoming.write(offset, data)
        except ChunkError as error:
            self._failed(self.received // self.entry.chunk_bytes, error)
            return self.received

    @property
    def expected_record_offset(self) -> int:
        if self.complete:
            return self.end(self.entry, compressed=True)
        return self.received // self.entry.chunk_bytes * self.stride + len(self._record)

    def write_record(self, offset: int, data: bytes) -> int:
        """A piece of a compressed record; the offset expected next. Raises FileError."""
        if offset != self.expected_record_offset or not data or self.complete:
            return self.expected_record_offset
        index = offset // self.stride
        self._record += data
        if len(self._record) < HEAD_BYTES:
            return self.expected_record_offset
        head = int.from_bytes(self._record[:HEAD_BYTES], "big")
        length = head & (COMPRESSED - 1)
        # Plain bytes never are more, and compressed ones would better have been sent plain.
        if length > self.entry.chunk_bytes or len(self._record) > HEAD_BYTES + length:
            held = len(self._record)
            self._record.clear()
            self._failed(index, f"record {index} says {length} bytes, and {held - HEAD_BYTES} came")
        elif len(self._record) == HEAD_BYTES + length:
            content = bytes(self._record[HEAD_BYTES:])
            self._record.clear()
            self._take(index, content, bool(head & COMPRESSED))
        return self.expected_record_offset

    def _take(self, index: int, content: bytes, compressed: bool) -> None:
        size = min(self.entry.chunk_bytes, self.entry.size - index * self.entry.chunk_bytes)
        try:
            if compressed:
                decompress = decompressor()
                if decompress is None:
                    raise FileError(FsError.FILE_WRITE_FAILED, "a compressed chunk came, and this device has no zstd")
                content = decompress(content, size)
            elif len(content) != size:
                raise ZstdError(f"a plain chunk came with {len(content)} bytes where {size} were needed")
            self.incoming.put_chunk(index, content)
        except (ZstdError, ChunkError) as error:
            self._failed(index, error)

    def _failed(self, index: int, why: object) -> None:
        count = self._failures[index] = self._failures.get(index, 0) + 1
        if count >= MOST_FAILURES:
            raise ChunkGivenUpError(
                FsError.FILE_WRITE_FAILED,
                f"chunk {index} of object {self.entry.sha256.hex()[:12]} came {count} times wrong: {why}",
            )
