"""Samples with what is known of them, and their division into calibration and measurement."""

from __future__ import annotations

import hashlib
import math
import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from functools import cached_property
from pathlib import PurePath
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from edgert.data import Sample
from edgert.errors import InputError

Array = NDArray[Any]

_KEPT_BYTES = 256 << 20  # of samples that a data set keeps decoded; what is beyond is read again each time


@dataclass(frozen=True, eq=False)
class Item:
    """One sample that is read when it is needed.

    content: gives the SHA-256 (hex) of what it is read from, which tells samples apart whatever they are called.
    sequence: samples with the same number are successive moments of one recording. read: may raise InputError.
    """

    name: str
    sequence: int
    content: Callable[[], str]
    read: Callable[[], Sample]


class _Shelf:
    """Keeps the samples that were read first, within a number of bytes, and the hashes of all."""

    def __init__(self) -> None:
        self._samples: dict[Item, Sample] = {}
        self._hashes: dict[Item, str] = {}
        self._bytes = 0

    def hash_of(self, item: Item) -> str:
        if item not in self._hashes:
            self._hashes[item] = item.content()
        return self._hashes[item]

    def take(self, item: Item) -> Sample:
        sample = self._samples.get(item)
        if sample is None:
            sample = item.read()
            size = sum(array.nbytes for array in sample.inputs.values())
            if self._bytes + size <= _KEPT_BYTES:
                self._samples[item] = sample
                self._bytes += size
        return sample


class Dataset(Sequence[Sample]):
    """Samples in a fixed order, read when they are asked for.

    source: what was loaded, for people. targets: one a sample, as a metric takes them (the index of a class, Boxes, a
    mask, an array), or None without labels. form: says how samples are made of their files (the model's inputs, the
    normalisation); it is part of the digest.
    """

    def __init__(
        self,
        source: str,
        items: Sequence[Item],
        targets: Sequence[Any] | None = None,
        form: str = "",
        _shelf: _Shelf | None = None,
    ) -> None:
        if targets is not None and len(targets) != len(items):
            raise InputError(f"{source} has {len(items)} samples and {len(targets)} targets; needed one for each")
        self.source = source
        self.targets: tuple[Any, ...] | None = None if targets is None else tuple(targets)
        self._items, self._form = tuple(items), form
        self._shelf = _shelf or _Shelf()

    @classmethod
    def of(
        cls, samples: Iterable[Mapping[str, Array]], targets: Sequence[Any] | None = None, source: str = "samples"
    ) -> Dataset:
        """Of arrays by input name, which are kept; every sample is independent of the others."""
        items = []
        for i, arrays in enumerate(samples):
            sample = Sample(f"{source}[{i}]", {name: np.asarray(array) for name, array in arrays.items()})
            items.append(item_of(sample, i))
        return cls(source, items, targets)

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Dataset: ...
    def __getitem__(self, index: int | slice) -> Sample | Dataset:
        """A sample, or a part. Raises InputError, which names the file, when it cannot be read."""
        if isinstance(index, slice):
            return self.subset(range(len(self))[index])
        return self._shelf.take(self._items[index])

    @property
    def title(self) -> str:
        """The source without its folders, for what must not depend on where files lie."""
        return PurePath(self.source).name or self.source

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(item.name for item in self._items)

    @property
    def sequences(self) -> tuple[int, ...]:
        """The recording that every sample belongs to; equal numbers stand together."""
        return tuple(item.sequence for item in self._items)

    @property
    def begins(self) -> tuple[bool, ...]:
        """Whether a sample is the first of its recording that is here."""
        numbers = self.sequences
        return tuple(i == 0 or numbers[i - 1] != number for i, number in enumerate(numbers))

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """SHA-256 (hex) of every sample's content, whatever model it is read for."""
        return tuple(map(self._shelf.hash_of, self._items))

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of all samples, in order, of how they are read, and of the targets."""
        return hashlib.sha256(f"{self.samples_digest} {digest_of(self.targets)}".encode()).hexdigest()

    @cached_property
    def samples_digest(self) -> str:
        """The same of the samples alone."""
        parts = [self._form, *(f"{key} {int(first)}" for key, first in zip(self.keys, self.begins, strict=True))]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def subset(self, indices: Iterable[int]) -> Dataset:
        """These samples with their targets, in this order."""
        chosen = list(indices)
        targets = None if self.targets is None else [self.targets[i] for i in chosen]
        return Dataset(self.source, [self._items[i] for i in chosen], targets, self._form, self._shelf)

    def with_targets(self, targets: Sequence[Any]) -> Dataset:
        return Dataset(self.source, self._items, targets, self._form, self._shelf)


def item_of(sample: Sample, sequence: int) -> Item:
    """Of a sample in memory."""

    def content() -> str:
        return digest_of({name: np.asarray(array) for name, array in sample.inputs.items()})

    return Item(sample.name, sequence, content, lambda: sample)


@dataclass(frozen=True)
class Split:
    """Two parts of a data set that share no sample, and the rule by which it was divided, in words."""

    calibration: Dataset
    measurement: Dataset
    rule: str


def split(dataset: Dataset, calibration: float | int = 0.5) -> Split:
    """Divides a data set. calibration: how many samples (int), or which share of all (float between 0 and 1).

    The samples whose content has the lowest SHA-256 calibrate: neither names nor order nor chance matter, and a sample
    that is there twice is on one side only. Successive moments of one recording stay together. Both parts keep the
    data set's order. Raises InputError when a part would be empty.
    """
    count = len(dataset)
    wanted = calibration if isinstance(calibration, int) else calibration * count
    if isinstance(calibration, bool) or not math.isfinite(wanted) or not 0 < wanted < count:
        needed = f"needed more than 0 and fewer than all {count}, or a share between 0 and 1"
        raise InputError(f"{dataset.source}: {calibration} samples for calibration cannot be set apart; {needed}")
    units: dict[str, list[int]] = {}
    recordings: dict[int, list[int]] = {}
    for i, sequence in enumerate(dataset.sequences):
        recordings.setdefault(sequence, []).append(i)
    for indices in recordings.values():
        together = hashlib.sha256(" ".join(dataset.keys[i] for i in indices).encode()).hexdigest()
        units.setdefault(together, []).extend(indices)
    chosen: set[int] = set()
    for key in sorted(units):
        # As near to the wanted number as whole units come, but at least one.
        if chosen and abs(len(chosen) - wanted) <= abs(len(chosen) + len(units[key]) - wanted):
            break
        chosen.update(units[key])
    if len(chosen) == count:
        raise InputError(
            f"{dataset.source} cannot be divided: all of its samples are the same, or moments of one recording"
        )
    parts = [i for i in range(count) if i in chosen], [i for i in range(count) if i not in chosen]
    what = "samples" if len(recordings) == count else f"samples, whole recordings ({len(recordings)}),"
    rule = f"{len(parts[0])} of {count} {what} with the lowest SHA-256 calibrate, the other {len(parts[1])} measure"
    return Split(dataset.subset(parts[0]), dataset.subset(parts[1]), rule)


def digest_of(value: object) -> str:
    """SHA-256 (hex) of numbers, text, arrays and what holds them; equal values have equal digests in any process."""
    digest = hashlib.sha256()
    _update(digest.update, value)
    return digest.hexdigest()


def _update(add: Callable[[bytes], None], value: object) -> None:
    if isinstance(value, np.ndarray) and value.dtype != object:
        add(f"array {value.dtype.str} {value.shape}:".encode())
        add(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, Mapping):
        add(f"mapping {len(value)}:".encode())
        for key in value:
            _update(add, key)
            _update(add, value[key])
    elif isinstance(value, (list, tuple)):
        add(f"{type(value).__name__} {len(value)}:".encode())
        for item in value:
            _update(add, item)
    elif is_dataclass(value) and not isinstance(value, type):
        add(f"{type(value).__qualname__}:".encode())
        _update(add, vars(value))
    elif isinstance(value, (bytes, bytearray)):
        add(f"bytes {len(value)}:".encode() + bytes(value))
    elif value is None or isinstance(value, (bool, int, float, str, np.generic)):
        text = repr(value.item() if isinstance(value, np.generic) else value)
        add(f"{type(value).__name__} {len(text)}:{text}".encode(errors="surrogatepass"))
    else:  # a target of the user's own kind
        add(pickle.dumps(value, protocol=4))
