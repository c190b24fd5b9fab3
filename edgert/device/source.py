"""What an upload takes its pieces from: bytes as they are, or records of compressed chunks."""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

Data = bytes | memoryview

_RECORD_HEADER_BYTES = 4
_IS_COMPRESSED = 1 << 31
_RECORDS_KEPT = 4  # sending goes back by less than a window; more are compressed again
_SAMPLED_CHUNKS = 4
_WORTHWHILE = 0.98  # of the size: less gain is not worth the device's time


class Source(Protocol):
    """What is uploaded, by offsets of its own from 0 to `end`."""

    end: int

    def ready(self, offset: int) -> bool:
        """Whether `piece` answers at once for this offset."""

    def prepare(self, offset: int) -> None:
        """Makes it ready; called in a thread."""

    def piece(self, offset: int, most: int) -> tuple[Data, int]:
        """At most `most` bytes from this offset, and the offset that the receiver expects after them."""

    def payload_before(self, offset: int) -> int:
        """How much of the payload stands before this offset: what progress counts."""

    def start(self, payload: int) -> int:
        """The offset at which this much of the payload stands before it: the beginning of a chunk."""


class PlainSource:
    """Bytes as they are."""

    def __init__(self, data: Data) -> None:
        self._data = memoryview(data)
        self.end = len(data)

    def ready(self, offset: int) -> bool:
        return True

    def prepare(self, offset: int) -> None:
        pass

    def piece(self, offset: int, most: int) -> tuple[Data, int]:
        data = self._data[offset : offset + most]
        return data, offset + len(data)

    def payload_before(self, offset: int) -> int:
        return offset

    def start(self, payload: int) -> int:
        return payload


class CompressedSource:
    """Chunks, each in a record of its own, so that a receiver can take any chunk as the first and check each one.

    Record k begins at offset k * (chunk_bytes + 4): four bytes big-endian, whose top bit says whether a zstd frame
    or plain bytes follow and whose others say how many. After a whole record comes the next one's offset, so that the
    offsets do not depend on how well a chunk was compressed, or by which version.
    """

    def __init__(self, data: Data, chunk_bytes: int, compress: Callable[[bytes], bytes]) -> None:
        self._data = memoryview(data)
        self._chunk_bytes = chunk_bytes
        self._stride = chunk_bytes + _RECORD_HEADER_BYTES
        self._compress = compress
        self._records: OrderedDict[int, bytes] = OrderedDict()
        self.end = -(-len(data) // chunk_bytes) * self._stride

    def ready(self, offset: int) -> bool:
        return offset // self._stride in self._records

    def prepare(self, offset: int) -> None:
        self._record(offset // self._stride)

    def piece(self, offset: int, most: int) -> tuple[Data, int]:
        index, begin = divmod(offset, self._stride)
        record = self._record(index)
        data = memoryview(record)[begin : begin + most]
        whole = begin + len(data) >= len(record)
        return data, (index + 1) * self._stride if whole else offset + len(data)

    def payload_before(self, offset: int) -> int:
        index, begin = divmod(offset, self._stride)
        chunk = len(self._data[index * self._chunk_bytes :][: self._chunk_bytes])
        record = self._records.get(index)
        part = chunk * min(begin, len(record)) // len(record) if record else 0
        return min(index * self._chunk_bytes, len(self._data)) + part

    def start(self, payload: int) -> int:
        return payload // self._chunk_bytes * self._stride if payload < len(self._data) else self.end

    def _record(self, index: int) -> bytes:
        record = self._records.get(index)
        if record is None:
            plain = bytes(self._data[index * self._chunk_bytes :][: self._chunk_bytes])
            frame = self._compress(plain)
            short = len(frame) < len(plain)
            header = _IS_COMPRESSED | len(frame) if short else len(plain)
            record = struct.pack(">I", header) + (frame if short else plain)
            self._records[index] = record
            while len(self._records) > _RECORDS_KEPT:
                self._records.popitem(last=False)
        return record


def worth_compressing(data: Data, chunk_bytes: int, compress: Callable[[bytes], bytes]) -> bool:
    """Whether a few chunks from all over the data come out shorter; weights of a trained int8 model hardly do."""
    view = memoryview(data)
    count = -(-len(view) // chunk_bytes)
    step = max(1, count // _SAMPLED_CHUNKS)
    plain = [bytes(view[index * chunk_bytes :][:chunk_bytes]) for index in range(0, count, step)][:_SAMPLED_CHUNKS]
    return sum(len(compress(chunk)) for chunk in plain) < _WORTHWHILE * sum(map(len, plain))
