"""slice: NumPy's x[begin:end:stride] on every axis, with bounds already normalised (schemas/ert.fbs)."""

from __future__ import annotations

from edgert.errors import ModelError
from edgert.ops._def import Array, Attrs
from edgert.ops._enums import OpCode
from edgert.ops._move import check_length, mover


def _shape(shape: tuple[int, ...], attrs: Attrs) -> list[int]:
    begins, ends, strides = (check_length(attrs, name, len(shape)) for name in ("begin", "end", "strides"))
    sizes = []
    for axis, (size, begin, end, stride) in enumerate(zip(shape, begins, ends, strides, strict=True)):
        if stride == 0:
            raise ModelError(f"strides[{axis}] is 0")
        least, most = (0, size) if stride > 0 else (-1, size - 1)
        if not 0 <= begin <= most:
            raise ModelError(f"begin[{axis}] is {begin}, needed 0 to {most}")
        if not least <= end <= size:
            raise ModelError(f"end[{axis}] is {end}, needed {least} to {size}")
        sizes.append(len(range(begin, end, stride)))
    return sizes


def _move(x: Array, attrs: Attrs) -> Array:
    index = zip(attrs["begin"], attrs["end"], attrs["strides"], strict=True)
    # Python reads an end of -1 as the last element; here it is the place before the first.
    return x[tuple(slice(begin, None if end < 0 else end, stride) for begin, end, stride in index)]


SLICE = mover("slice", OpCode.SLICE, {"begin": ..., "end": ..., "strides": ...}, _shape, _move)
