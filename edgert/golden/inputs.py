"""What golden runs are fed: numbers of a seed, the same on every machine.

Element i of input k in step s of a run is made of byte i of SHAKE256("edgert golden 1" | seed | s | k), the three as
unsigned little-endian integers of 8, 4 and 4 bytes. A byte b gives

    float32, float16               (b - 128) / 128
    int8, uint8, int16, quantised  the type's range in 256 even steps: b - 128, b, 257 b - 32768
    bool                           b mod 2
    other integers                 b mod `span`: indices, lengths and masks must be in a range that the model knows

There is no arithmetic to differ in, and nothing but the standard library: a device does not need NumPy for it.
"""

from __future__ import annotations

import hashlib
import struct
from functools import cache

from edgert.dtypes import DType

SPANS = (128, 16, 2, 1)  # of integers that may be indices, the widest that a model takes: int8 holds it, too
_FORMATS = {
    DType.FLOAT32: "f", DType.INT8: "b", DType.UINT8: "B", DType.INT16: "h", DType.INT32: "i", DType.INT64: "q",
    DType.BOOL: "?", DType.FLOAT16: "e",
}  # fmt: skip


def unpack(dtype: DType, data: bytes | memoryview) -> tuple[float, ...]:
    """Elements as numbers."""
    return struct.unpack(f"<{len(data) // dtype.itemsize}{_FORMATS[dtype]}", data)


def elements(seed: int, step: int, index: int, dtype: DType, quantized: bool, span: int, count: int) -> bytearray:
    """`count` elements for input `index`, as they lie in the tensor."""
    source = hashlib.shake_256(b"edgert golden 1" + struct.pack("<QII", seed, step, index)).digest(count)
    planes = _planes(dtype, quantized, span)
    if len(planes) == 1:
        return bytearray(source.translate(planes[0]))
    data = bytearray(count * len(planes))
    for k, plane in enumerate(planes):  # byte k of every element
        if any(plane):
            data[k :: len(planes)] = source.translate(plane)
    return data


@cache
def _planes(dtype: DType, quantized: bool, span: int) -> tuple[bytes, ...]:
    """Plane k holds byte k of the element of every source byte."""
    encoded = [struct.pack(f"<{_FORMATS[dtype]}", _value(dtype, quantized, span, b)) for b in range(256)]
    return tuple(bytes(element[k] for element in encoded) for k in range(dtype.itemsize))


def _value(dtype: DType, quantized: bool, span: int, b: int) -> float:
    if dtype in (DType.FLOAT32, DType.FLOAT16):
        return (b - 128) / 128
    if dtype == DType.BOOL:
        return b % 2
    if quantized and dtype == DType.INT8:
        return b - 128
    if quantized and dtype == DType.UINT8:
        return b
    if quantized and dtype == DType.INT16:
        return 257 * b - 32768
    return b % span
