"""zstd, from Python's library (3.14) or from the package `zstandard`, where either is there."""

from __future__ import annotations

from collections.abc import Callable

_LEVEL = 9  # a serial line waits far longer than this compressor


def compressor() -> Callable[[bytes], bytes] | None:
    """A function that makes a zstd frame of bytes; None where nothing that can is installed."""
    try:
        from compression import zstd

        return lambda data: bytes(zstd.compress(data, _LEVEL))
    except ImportError:
        pass
    try:
        import zstandard
    except ImportError:
        return None
    compress = zstandard.ZstdCompressor(level=_LEVEL).compress
    return lambda data: bytes(compress(data))
