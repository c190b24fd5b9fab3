"""Samples for two models at once: one model's inputs as the other takes them, and some of many samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgert.errors import InputError
from edgert.report.compare import real
from edgert.runtime.tensors import TensorInfo

T = TypeVar("T")


class Spread(Generic[T]):
    """Samples that can be gone through again and again, evenly spread over all that there are.

    read: begins anew, and gives the same samples each time. count: how many it gives, where that is known; they are
    counted otherwise. most: how many are used.
    """

    def __init__(self, read: Callable[[], Iterable[T]], count: int | None = None, most: int | None = None) -> None:
        self._read = read
        self._all = sum(1 for _ in read()) if count is None else count
        self.count = self._all if most is None else min(most, self._all)

    def __iter__(self) -> Iterator[T]:
        return self.some(self.count)

    def some(self, wanted: int) -> Iterator[T]:
        """At most so many of those used, evenly spread in their turn."""
        used = np.linspace(0, self._all - 1, self.count).round().astype(int)
        numbers = used[np.linspace(0, self.count - 1, min(wanted, self.count)).round().astype(int)]
        taken = set(numbers.tolist())
        return (item for number, item in enumerate(self._read()) if number in taken)


def as_input(array: NDArray[Any], given: TensorInfo, needed: TensorInfo) -> NDArray[Any]:
    """A tensor of one model as the other's input: the same integers where both agree, else the same real numbers.
    NHWC and NCHW images are turned into each other. Raises InputError where the shapes do not fit."""
    if given.dtype == needed.dtype and given.quant == needed.quant:
        converted = array
    else:
        numbers = real(array, given)
        quantize = needed.quant is not None and numbers.dtype.kind == "f"
        converted = needed.quantize(numbers) if quantize else numbers.astype(needed.dtype.numpy_name)
    if _fits(converted.shape, needed.shape):
        return converted
    if converted.ndim == 4:
        for order in ((0, 3, 1, 2), (0, 2, 3, 1)):
            if _fits(converted.transpose(order).shape, needed.shape):
                return converted.transpose(order)
    if converted.size == math.prod(needed.shape):
        return converted.reshape(needed.shape)
    raise InputError(f"A's input {given} does not fit B's input {needed}")


def _fits(shape: tuple[int, ...], needed: tuple[int, ...]) -> bool:
    return len(shape) == len(needed) and all(b in (a, -1) for a, b in zip(shape, needed, strict=True))


def paired(
    left: tuple[TensorInfo, ...], right: tuple[TensorInfo, ...], what: str
) -> list[tuple[TensorInfo, TensorInfo]]:
    """By name where the names agree, else in order. what: "inputs" or "outputs", for the InputError when one side has
    more."""
    if len(left) != len(right):
        raise InputError(f"A has {len(left)} {what} and B has {len(right)}")
    by_name = {info.name: info for info in right}
    if all(info.name in by_name for info in left):
        return [(info, by_name[info.name]) for info in left]
    return list(zip(left, right, strict=True))
