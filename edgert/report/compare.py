"""How far two sets of tensors lie apart."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.errors import InputError
from edgert.report.console import short_name
from edgert.runtime.tensors import TensorInfo


@dataclass
class Difference:
    """Sums over all samples of one tensor in A and in B, as real numbers."""

    name: str
    values: int = 0
    different: int = 0  # values that are not the same number
    largest: float = 0.0  # of |a - b|
    signal: float = 0.0  # sum of a^2
    other: float = 0.0  # sum of b^2
    noise: float = 0.0  # sum of (a - b)^2
    product: float = 0.0  # sum of a * b

    def add(self, a: NDArray[Any], b: NDArray[Any]) -> None:
        """a and b hold real numbers; their shapes may differ in dimensions of 1."""
        if a.size != b.size:
            raise InputError(f"{self.name!r} has shape {list(a.shape)} in A and {list(b.shape)} in B")
        x, y = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
        gap = x - y
        self.values += x.size
        self.different += int(np.count_nonzero(gap))
        self.largest = float(np.maximum(self.largest, np.abs(gap).max(initial=0.0)))  # max() would lose NaN
        self.signal += _dot(x, x)
        self.other += _dot(y, y)
        self.noise += _dot(gap, gap)
        self.product += _dot(x, y)

    @property
    def sqnr_db(self) -> float:
        """Signal to noise, 10 log10(sum a^2 / sum (a - b)^2); infinite when equal."""
        if self.noise == 0:
            return math.inf
        return 10 * math.log10(self.signal / self.noise) if self.signal > 0 else -math.inf

    @property
    def cosine(self) -> float:
        """Of the angle between both, 1 when they point the same way."""
        norm = math.sqrt(self.signal * self.other)
        return self.product / norm if norm > 0 else float(self.signal == self.other)

    def as_json(self) -> dict[str, object]:
        """Infinities as None: JSON has none."""
        sqnr = self.sqnr_db
        return {
            "name": self.name,
            "values": self.values,
            "different": self.different,
            "max_abs_diff": self.largest,
            "sqnr_db": sqnr if math.isfinite(sqnr) else None,
            "cosine": self.cosine,
        }

    def row(self) -> list[str]:
        return [
            short_name(self.name),
            f"{self.sqnr_db:.1f}",
            f"{self.cosine:.6f}",
            f"{self.largest:.6g}",
            f"{self.different}/{self.values}",
        ]


def _dot(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Summed in one order: a BLAS would split the sum over threads, which on a busy machine wait for one another."""
    return float(np.einsum("i,i->", x, y))


COLUMNS = ("tensor", "SQNR dB", "cosine", "max |a-b|", "different")


def real(array: NDArray[Any], info: TensorInfo) -> NDArray[Any]:
    """What the tensor's integers stand for; the array itself where it is not quantised."""
    quantized = info.quant is not None and not info.quant.per_channel and array.dtype.kind in "iu"
    return info.dequantize(array) if quantized and array.dtype.itemsize < 4 else array
