"""Decompression with bounds: Python 3.14's own zstd, or the package zstandard, or none.

A frame says in its header how long its content is, and may lie. So nothing is allocated by what it says: a stream is
read until the bound, and one byte more is an error. The window, which a decoder must keep, is bounded too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from edgert.errors import EdgertError

# Every decoder has to support windows of 8 MiB (RFC 8878, section 3.1.1.1.2); chunks are compressed one by one, and few
# are larger.
LARGEST_WINDOW_LOG = 23

Decompress = Callable[[bytes, int], bytes]


class ZstdError(EdgertError):
    """Compressed bytes that are damaged, or longer or shorter than they have to be."""


@cache
def decompressor() -> Decompress | None:
    """(frame, bytes that it must give) -> those bytes, raising ZstdError; None where this Python has no zstd."""
    try:
        from compression import zstd
    except ImportError:
        return _from_package()
    options = {zstd.DecompressionParameter.window_log_max: LARGEST_WINDOW_LOG}

    def decompress(frame: bytes, size: int) -> bytes:
        try:
            stream = zstd.ZstdDecompressor(options=options)
            data: bytes = stream.decompress(frame, max_length=size + 1)
        except zstd.ZstdError as error:
            raise ZstdError(f"a compressed chunk is damaged: {error}") from error
        return _checked(data, size)

    return decompress


def _from_package() -> Decompress | None:
    try:
        import zstandard
    except ImportError:
        return None

    def decompress(frame: bytes, size: int) -> bytes:
        stream: Any = zstandard.ZstdDecompressor(max_window_size=1 << LARGEST_WINDOW_LOG)
        try:
            with stream.stream_reader(frame) as reader:
                data: bytes = reader.read(size + 1)
        except (zstandard.ZstdError, MemoryError) as error:
            raise ZstdError(f"a compressed chunk is damaged: {error}") from error
        return _checked(data, size)

    return decompress


def _checked(data: bytes, size: int) -> bytes:
    if len(data) != size:
        more = "more than " if len(data) > size else ""
        raise ZstdError(f"a compressed chunk gives {more}{min(len(data), size)} bytes where {size} were needed")
    return data
