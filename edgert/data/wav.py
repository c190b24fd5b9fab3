"""Uncompressed .wav files. The standard library's reader takes integers only, and WAVE_FORMAT_EXTENSIBLE only from
Python 3.12 on; recorders write both floats and that."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

_INTEGERS, _FLOATS, _EXTENSIBLE = 1, 3, 0xFFFE  # format tags of RIFF WAVE


def decode_wav(data: bytes) -> NDArray[np.float32]:
    """[frames, channels] from -1 to 1, of integers with 8, 16, 24 or 32 bits or floats with 32 or 64.

    Raises ValueError, which says why, for anything else. What is cut short ends with the last whole frame.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise ValueError("it does not begin with RIFF and WAVE")
    chunks: dict[bytes, bytes] = {}
    at = 12
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        chunks.setdefault(name, data[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
    header, sound = chunks.get(b"fmt ", b""), chunks.get(b"data")
    if len(header) < 16 or sound is None:
        raise ValueError("it is cut short, before its sound begins")
    tag, channels, _rate, _bytes_a_second, frame_bytes, _bits = struct.unpack_from("<HHIIHH", header)
    if tag == _EXTENSIBLE and len(header) >= 26:
        (tag,) = struct.unpack_from("<H", header, 24)
    if channels == 0 or frame_bytes == 0 or frame_bytes % channels:
        raise ValueError(f"it has {channels} channels in frames of {frame_bytes} bytes")
    whole = sound[: len(sound) // frame_bytes * frame_bytes]
    return _real(whole, tag, frame_bytes // channels).reshape(-1, channels)


def _real(data: bytes, tag: int, width: int) -> NDArray[np.float32]:
    numbers: NDArray[Any]
    if tag == _INTEGERS and width == 1:
        return (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / np.float32(128)
    if tag == _INTEGERS and width == 3:
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        numbers, width = wide.view("<i4").ravel(), 4
    elif tag == _INTEGERS and width in (2, 4):
        numbers = np.frombuffer(data, f"<i{width}")
    elif tag == _FLOATS and width in (4, 8):
        return np.frombuffer(data, f"<f{width}").astype(np.float32)
    else:
        kind = {_INTEGERS: "integers", _FLOATS: "floats"}.get(tag, f"sound of format {tag},")
        raise ValueError(f"it has {kind} of {8 * width} bits; needed integers of 8, 16, 24 or 32 or floats of 32 or 64")
    return numbers.astype(np.float32) / np.float32(1 << (8 * width - 1))
