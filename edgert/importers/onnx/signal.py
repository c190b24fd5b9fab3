"""ONNX handlers: Fourier transforms, as products with matrices of cosines and sines."""

from __future__ import annotations

import numpy as np

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.layers.conv import convolution
from edgert.importers.layers.window import window
from edgert.importers.onnx.builder import Array, Builder, Handler, RefusedError, SourceNode
from edgert.ir import Value

LONGEST = 4096  # elements of a transform, whose matrices are the square of it


def waves(length: int, bins: int, sign: float) -> tuple[Array, Array]:
    """cos and sin of sign * 2 pi k n / length, [bins, length] each."""
    steps = (np.arange(bins)[:, np.newaxis] * np.arange(length)[np.newaxis]) % length
    angles = sign * 2.0 * np.pi * steps / length
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def _length(stated: int) -> int:
    if not 1 <= stated <= LONGEST:
        raise RefusedError(f"a transform of {stated} elements", f"at most {LONGEST} are taken")
    return stated


def _parts(b: Builder, x: Value) -> tuple[Value, Value | None]:
    """Real and imaginary part of [..., 1] or [..., 2]."""
    last = len(x.shape) - 1
    if x.dtype != DType.FLOAT32 or x.shape[last] not in (1, 2):
        raise ModelError(f"its input is {x.dtype.name.lower()}{list(x.shape)}, needed float32[..., 1 or 2]")
    real = b.reshape(b.slice(x, last, 0, 1), x.shape[:-1])
    return real, b.reshape(b.slice(x, last, 1, 2), x.shape[:-1]) if x.shape[last] == 2 else None


def _transformed(b: Builder, real: Value, imaginary: Value | None, bins: int, sign: float) -> tuple[Value, Value]:
    """Along the last axis."""
    cosines, sines = waves(real.shape[-1], bins, sign)
    y_real, y_imaginary = b.emit("fully_connected", [real, cosines]), b.emit("fully_connected", [real, sines])
    if imaginary is not None:
        y_real = b.sub(y_real, b.emit("fully_connected", [imaginary, sines]))
        y_imaginary = b.add(y_imaginary, b.emit("fully_connected", [imaginary, cosines]))
    return y_real, y_imaginary


def _joined(b: Builder, parts: tuple[Value, Value]) -> Value:
    """[...] and [...] as [..., 2]."""
    apart = [b.reshape(part, (*part.shape, 1)) for part in parts]
    return b.emit("concat", apart, {"axis": len(apart[0].shape) - 1})


def fourier(b: Builder, node: SourceNode) -> Value:
    """DFT of [..., n, ..., 1 or 2] along an axis (an attribute before operator set 20)."""
    x = b.value(node, 0)
    axis = node.integer("axis", 1 if node.opset < 20 else -2)
    axis = (b.ints(node, 2, "axis")[0] if node.has(2) else axis) % len(x.shape)
    if axis == len(x.shape) - 1:
        raise ModelError("the axis of a transform cannot be that of the real and imaginary parts")
    inverse, onesided = bool(node.integer("inverse", 0)), bool(node.integer("onesided", 0))
    length = _length(b.ints(node, 1, "length")[0] if node.has(1) else x.shape[axis])
    if inverse and onesided:
        return _inverse_onesided(b, node, x, axis)
    have = x.shape[axis]
    if length < have:
        x = b.slice(x, axis, 0, length)
    elif length > have:
        after = tuple(length - have if at == axis else 0 for at in range(len(x.shape)))
        x = b.pad(x, (0,) * len(x.shape), after)
    real, imaginary = _parts(b, x)
    order = [at for at in range(len(real.shape)) if at != axis] + [axis]
    back = [int(at) for at in np.argsort(order)]
    turned = [None if part is None else _rows(b, b.transpose(part, order)) for part in (real, imaginary)]
    assert turned[0] is not None
    bins = length // 2 + 1 if onesided else length
    results = _transformed(b, turned[0], turned[1], bins, 1.0 if inverse else -1.0)
    shape = [real.shape[at] for at in order[:-1]] + [bins]
    parts = [b.transpose(b.reshape(part, shape), back) for part in results]
    if inverse:
        parts = [b.mul(part, 1.0 / length) for part in parts]
    return _joined(b, (parts[0], parts[1]))


def _rows(b: Builder, x: Value) -> Value:
    return b.reshape(x, (1, *x.shape)) if len(x.shape) == 1 else x


def _inverse_onesided(b: Builder, node: SourceNode, x: Value, axis: int) -> Value:
    """Real numbers of half a spectrum: every bin but the first, and the last of an even length, counts twice."""
    real, imaginary = _parts(b, x)
    bins = x.shape[axis]
    length = _length(b.ints(node, 1, "length")[0] if node.has(1) else 2 * (bins - 1))
    if imaginary is None or bins != length // 2 + 1:
        raise ModelError(f"{bins} complex bins do not make {length} real numbers")
    weights = np.full(bins, 2.0 / length)
    weights[0] = 1.0 / length
    if length % 2 == 0:
        weights[-1] = 1.0 / length
    angles = 2.0 * np.pi * ((np.arange(length)[:, np.newaxis] * np.arange(bins)) % length) / length
    order = [at for at in range(len(real.shape)) if at != axis] + [axis]
    turned = [_rows(b, b.transpose(part, order)) for part in (real, imaginary)]
    total = b.sub(
        b.emit("fully_connected", [turned[0], (np.cos(angles) * weights).astype(np.float32)]),
        b.emit("fully_connected", [turned[1], (np.sin(angles) * weights).astype(np.float32)]),
    )
    shape = [real.shape[at] for at in order[:-1]] + [length]
    y = b.transpose(b.reshape(total, shape), [int(at) for at in np.argsort(order)])
    return b.reshape(y, (*y.shape, 1))


def short_time_fourier(b: Builder, node: SourceNode) -> Value:
    """STFT of [B, L, 1] or [B, L, 2]: with a constant window a convolution whose channels are bins."""
    x, step = b.value(node, 0), b.ints(node, 1, "frame step")[0]
    if len(x.shape) == 2:
        x = b.reshape(x, (*x.shape, 1))
    if node.has(3):
        length = b.ints(node, 3, "frame length")[0]
    elif node.has(2):
        length = b.value(node, 2).shape[0]
    else:
        length = x.shape[1]
    length = _length(length)
    if len(x.shape) != 3 or step < 1 or x.shape[1] < length:
        raise ModelError(f"frames of {length} every {step} do not fit an input {list(x.shape)}")
    bins = length // 2 + 1 if node.integer("onesided", 1) else length
    real, imaginary = _parts(b, x)
    shape = b.constant(node, 2) if node.has(2) else np.ones(length, np.float32)
    if shape is None or imaginary is not None:
        return _framed(b, node, real, imaginary, (length, step, bins))
    if shape.shape != (length,):
        raise ModelError(f"a window {list(shape.shape)} does not fit frames of {length}")
    kernel = np.concatenate(waves(length, bins, -1.0))[:, np.newaxis] * shape.astype(np.float32)
    batch, count = real.shape
    place = window([count], [length], stride=[step])
    y = convolution(b, b.reshape(real, (batch, 1, count)), np.ascontiguousarray(kernel), None, place)
    y = b.reshape(y, (batch, 2, bins, y.shape[2]))
    return b.transpose(y, (0, 3, 2, 1))


def _framed(b: Builder, node: SourceNode, real: Value, imaginary: Value | None, frames: tuple[int, int, int]) -> Value:
    length, step, bins = frames
    starts = np.arange(0, real.shape[1] - length + 1, step)
    b.room((len(starts), length))
    indices = (starts[:, np.newaxis] + np.arange(length)).astype(np.int32)
    parts = []
    for part in (real, imaginary):
        cut = None if part is None else b.emit("gather", [part, indices], {"axis": 1})
        if cut is not None and node.has(2):
            cut = b.mul(cut, b.value(node, 2))
        parts.append(cut)
    assert parts[0] is not None
    return _joined(b, _transformed(b, parts[0], parts[1], bins, -1.0))


HANDLERS: dict[str, Handler] = {"DFT": fourier, "STFT": short_time_fourier}
