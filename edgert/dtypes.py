"""Element types and quantisation parameters. Standard library only: `import edgert` stays quick."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class DType(enum.IntEnum):
    """Element types, with the values of DType in schemas/ert.fbs."""

    FLOAT32 = 0
    INT8 = 1
    UINT8 = 2
    INT16 = 3
    INT32 = 4
    INT64 = 5
    BOOL = 6
    FLOAT16 = 7

    @property
    def numpy_name(self) -> str:
        """Name that numpy.dtype understands ("float32")."""
        return self.name.lower()

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return _SIZES[self]

    @classmethod
    def of(cls, dtype: object) -> DType:
        """The DType of a NumPy dtype, or of anything whose `name` or text is one; KeyError when there is none."""
        return cls[str(getattr(dtype, "name", dtype)).upper()]


_SIZES = {
    DType.FLOAT32: 4,
    DType.INT8: 1,
    DType.UINT8: 1,
    DType.INT16: 2,
    DType.INT32: 4,
    DType.INT64: 8,
    DType.BOOL: 1,
    DType.FLOAT16: 2,
}


@dataclass(frozen=True)
class QuantParams:
    """real = scale * (q - zero_point); one entry per tensor, or one for each index of `axis`.

    Scales are the exact float32 values of the file, as Python floats.
    """

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int = 0

    @property
    def per_channel(self) -> bool:
        return len(self.scales) > 1

    @property
    def scale(self) -> float:
        """The only scale; ValueError for per-channel parameters."""
        (scale,) = self.scales
        return scale

    @property
    def zero_point(self) -> int:
        (zero_point,) = self.zero_points
        return zero_point
