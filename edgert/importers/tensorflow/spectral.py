"""TensorFlow handlers: Fourier transforms of real signals, as products with constant matrices.

A complex tensor passes between nodes as its real and its imaginary part; operators that make real numbers of it, or
move its elements about, take it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgert.errors import ModelError
from edgert.importers.builder import Array, RefusedError
from edgert.importers.tensorflow.builder import Bound, Builder, Complex, Handler, Outputs, SourceNode
from edgert.ir import Value
from edgert.ops._enums import BinaryFunction, UnaryFunction

LARGEST_MATRIX = 9 << 20  # elements; a transform of 4096 samples


def _pair(node: SourceNode, index: int) -> Complex:
    bound = node.inputs[index] if index < len(node.inputs) else None
    if not isinstance(bound, Complex):
        raise RefusedError("its input is not complex", "use the operator for real numbers")
    return bound


def _resized(b: Builder, x: Value, size: int) -> Value:
    """The last axis cut off or filled up with zeros."""
    rank, have = len(x.shape), x.shape[-1]
    if have > size:
        return b.slice(x, rank - 1, 0, size)
    return b.pad(x, (0,) * rank, (*(0,) * (rank - 1), size - have))


def _waves(rows: int, columns: int, size: int) -> tuple[Array, Array]:
    """Cosine and sine of 2 pi * row * column / size; sines that are 0 exactly so."""
    if rows * columns > LARGEST_MATRIX:
        raise RefusedError(f"a transform of {size} samples", "cut the signal into shorter frames")
    turns = np.outer(np.arange(rows), np.arange(columns)) % size
    angles = turns * (2 * np.pi / size)
    return np.cos(angles), np.where(2 * turns % size == 0, 0.0, np.sin(angles))


def rfft(b: Builder, node: SourceNode) -> Outputs:
    x, size = b.value(node, 0), int(b.scalar(node, 1, "length"))
    if not x.shape or not 1 <= size <= LARGEST_MATRIX:
        raise ModelError(f"a transform of {size} samples of {list(x.shape)}")
    x = _resized(b, x, size)
    cosine, sine = _waves(size // 2 + 1, size, size)
    matrices = (cosine.astype(np.float32), (0.0 - sine).astype(np.float32))
    return Complex(*(b.emit("fully_connected", [x, matrix]) for matrix in matrices))


def irfft(b: Builder, node: SourceNode) -> Outputs:
    """Of frequencies 0 to size / 2; those between the ends count twice, for their mirror images."""
    x, size = _pair(node, 0), int(b.scalar(node, 1, "length"))
    if not 1 <= size <= LARGEST_MATRIX:
        raise ModelError(f"a transform to {size} samples")
    count = size // 2 + 1
    cosine, sine = _waves(size, count, size)
    weights = np.full(count, 2.0)
    weights[0] = 1.0
    if size % 2 == 0:
        weights[-1] = 1.0
    parts = [
        b.emit("fully_connected", [_resized(b, part, count), (matrix * weights / size).astype(np.float32)])
        for part, matrix in ((x.real, cosine), (x.imaginary, 0.0 - sine))
    ]
    return b.add(*parts)


def absolute(b: Builder, node: SourceNode) -> Value:
    x = _pair(node, 0)
    power = b.add(*(b.unary(UnaryFunction.SQUARE, part) for part in (x.real, x.imaginary)))
    return b.unary(UnaryFunction.SQRT, power)


def of_parts(b: Builder, node: SourceNode) -> Outputs:
    return Complex(b.value(node, 0), b.value(node, 1))


def conjugate(b: Builder, node: SourceNode) -> Outputs:
    x = _pair(node, 0)
    return Complex(x.real, b.unary(UnaryFunction.NEG, x.imaginary))


def real(b: Builder, node: SourceNode) -> Outputs:
    return _pair(node, 0).real


def imaginary(b: Builder, node: SourceNode) -> Outputs:
    return _pair(node, 0).imaginary


def angle(b: Builder, node: SourceNode) -> Value:
    x = _pair(node, 0)
    return b.emit("binary", [x.imaginary, x.real], {"function": BinaryFunction.ATAN2})


HANDLERS: dict[str, Handler] = {
    "RFFT": rfft,
    "IRFFT": irfft,
    "ComplexAbs": absolute,
    "Complex": of_parts,
    "Conj": conjugate,
    "Real": real,
    "Imag": imaginary,
    "Angle": angle,
}
# What these make of a complex tensor are both parts, each for itself.
BY_PARTS = {
    "Reshape", "Squeeze", "ExpandDims", "Transpose", "Slice", "StridedSlice", "ConcatV2", "Pack", "Unpack", "Split",
    "SplitV", "GatherV2", "Pad", "Tile", "BroadcastTo", "ReverseV2", "AddV2", "Add", "Sub", "AddN", "Neg", "Sum",
    "Mean",
}  # fmt: skip


def by_parts(b: Builder, node: SourceNode, handler: Handler) -> list[Bound]:
    """Runs a handler on the real parts of a node's complex inputs, and on the imaginary ones."""
    made = []
    for part in ("real", "imaginary"):
        inputs = [getattr(item, part) if isinstance(item, Complex) else item for item in node.inputs]
        result = handler(b, node.reading(inputs))
        made.append(list(result) if isinstance(result, Sequence) else [result])
    return [Complex(b.as_value(x), b.as_value(y)) for x, y in zip(*made, strict=True)]
