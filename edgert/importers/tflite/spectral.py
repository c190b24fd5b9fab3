"""Fourier transforms of real numbers as matrix products. A tensor of complex numbers is two of real ones."""

from __future__ import annotations

import numpy as np

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.tflite.builder import Array, Builder, Handler, RefusedError
from edgert.importers.tflite.read import SourceOp
from edgert.ir import Value
from edgert.ops._enums import UnaryFunction

LONGEST = 1 << 12  # of a transform: its matrix has 16 million elements then


def rfft2d(b: Builder, op: SourceOp) -> list[Value]:
    """The last two dimensions, cut or padded to fft_length; the last one keeps its first half and one more."""
    x, lengths = b.real(b.value(op, 0)), b.ints(op, 1, "length")
    if len(x.shape) < 2 or len(lengths) != 2 or x.dtype != DType.FLOAT32:
        raise ModelError(f"lengths {list(lengths)} for an input {list(x.shape)}, needed 2 and at least 2 dimensions")
    if not all(1 <= length <= LONGEST for length in lengths):
        raise RefusedError(f"a transform of {list(lengths)} numbers", f"use transforms of 1 to {LONGEST}")
    for axis, length in zip((-2, -1), lengths, strict=True):
        x = _fitted(b, x, len(x.shape) + axis, length)
    cosine, sine = _matrix(lengths[1], lengths[1] // 2 + 1)
    real, imaginary = (b.emit("matmul", [x, b.const(matrix)]) for matrix in (cosine, sine))
    if lengths[0] > 1:
        even, odd = (b.const(np.ascontiguousarray(matrix.T)) for matrix in _matrix(lengths[0], lengths[0]))
        real, imaginary = (
            b.emit("sub", [b.emit("matmul", [even, real]), b.emit("matmul", [odd, imaginary])]),
            b.emit("add", [b.emit("matmul", [odd, real]), b.emit("matmul", [even, imaginary])]),
        )
    b.complex[op.outputs[0]] = (real, imaginary)
    return []


def _matrix(length: int, kept: int) -> tuple[Array, Array]:
    """[length, kept]: the real and imaginary parts of exp(-2 pi i n k / length)."""
    turns = np.outer(np.arange(length), np.arange(kept)) % length
    angle = -2 * np.pi * turns / length
    return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)


def _fitted(b: Builder, x: Value, axis: int, length: int) -> Value:
    """x cut at its end along one axis, or padded with zeros there."""
    size = x.shape[axis]
    if size > length:
        end = list(x.shape)
        end[axis] = length
        return b.slice(x, [0] * len(end), end)
    after = [length - size if at == axis else 0 for at in range(len(x.shape))]
    return b.emit("pad", [x], {"before": (0,) * len(after), "after": tuple(after)}) if length > size else x


def _parts(b: Builder, op: SourceOp) -> tuple[Value, Value]:
    number = op.inputs[0] if op.inputs else -1
    if number not in b.complex:
        raise RefusedError("its complex input is no transform's result", "feed the real and imaginary parts apart")
    return b.complex[number]


def real(b: Builder, op: SourceOp) -> Value:
    return _parts(b, op)[0]


def imag(b: Builder, op: SourceOp) -> Value:
    return _parts(b, op)[1]


def complex_abs(b: Builder, op: SourceOp) -> Value:
    squares = [b.unary(UnaryFunction.SQUARE, part, None) for part in _parts(b, op)]
    return b.unary(UnaryFunction.SQRT, b.emit("add", squares), None)


def moved(b: Builder, op: SourceOp, handler: Handler) -> bool:
    """Lets an operator that only moves numbers work on both parts of a complex input; False when that is not so."""
    at = next((index for index, number in enumerate(op.inputs) if number in b.complex), None)
    if at is None or op.kind not in MOVES:
        return False
    number, made = op.inputs[at], []
    for part in b.complex[number]:
        b.values[number] = part
        result = handler(b, op)
        made.append(result if isinstance(result, Value) else result[0])
    del b.values[number]
    b.complex[op.outputs[0]] = (made[0], made[1])
    return True


MOVES = (
    "RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "SLICE", "STRIDED_SLICE", "GATHER", "REVERSE_V2", "PAD",
)  # fmt: skip

HANDLERS: dict[str, Handler] = {
    "RFFT2D": rfft2d,
    "REAL": real,
    "IMAG": imag,
    "COMPLEX_ABS": complex_abs,
}
