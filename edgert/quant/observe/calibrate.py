"""Runs a float model on samples through the runtime and remembers the range of every tensor."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.cache import Cache, cache_key
from edgert.dtypes import DType
from edgert.errors import InputError
from edgert.quant.observe.histogram import KINDS, Histogram
from edgert.quant.observe.samples import held_back
from edgert.runtime.model import Model
from edgert.runtime.tensors import tensor_array, tensor_info

_NO_SAMPLE = "the calibration data hold no sample; give at least one, better 100 to 500"
_ENOUGH = 8  # samples, to hold some of them back
_BLOCK, _BLOCK_BYTES = 64, 64 << 20  # samples that are kept by one entry of a cache, at most
_MOST_LANES = 4  # each has its own activations in memory


def calibrate(
    package: bytes,
    samples: Iterable[Mapping[str, NDArray[Any]]],
    progress: Callable[[int], None] | None = None,
    threads: int | None = None,
) -> dict[str, Histogram]:
    """Histograms of every float32 tensor that is not constant, by name.

    package: a float model as an .ert file. samples: inputs by name, one run each. progress: called with the number of
    samples done. threads: samples that are run at once, None for one a processor; the histograms do not depend on it.
    The model runs operator by operator; each output is looked at as soon as it is written.
    Raises InputError when there is no sample, when one does not fit, or when a tensor is not finite.
    """
    merged: dict[str, Histogram] = {}
    done = 0
    copies = (sample for block in _blocks(samples) for sample in block)
    for done, seen in enumerate(_Lanes(package, threads).observed(copies, 0), 1):
        merge(merged, seen)
        if progress is not None:
            progress(done)
    if done == 0:
        raise InputError(_NO_SAMPLE)
    return merged


@dataclass(frozen=True)
class Calibration:
    """Histograms by tensor name, of all samples and of those shown: not held back (samples.held_back). They are the
    same object where there are too few samples to hold any back."""

    whole: Mapping[str, Histogram] = field(default_factory=dict)
    shown: Mapping[str, Histogram] = field(default_factory=dict)

    def rescaled(self, again: Mapping[str, Histogram], factors: Mapping[str, NDArray[np.float64]]) -> Calibration:
        """What an equalised graph gave on some samples, with the ends that all others reach there: they follow from the
        ends of the channels and what each is divided by."""

        def widened(seen: Mapping[str, Histogram]) -> dict[str, Histogram]:
            return {
                name: histogram.widened(seen[name].channel_ends() / factors.get(name, 1.0))
                for name, histogram in again.items()
            }

        shown = widened(self.shown)
        return Calibration(shown if self.whole is self.shown else widened(self.whole), shown)


def calibrate_apart(
    package: bytes,
    samples: Iterable[Mapping[str, NDArray[Any]]],
    progress: Callable[[int], None] | None = None,
    cache: Cache | None = None,
) -> Calibration:
    """Calibrates on all samples, and on those shown; see calibrate. cache: keeps what blocks of samples gave, so that
    another run, or one that was cut off, resumes; the result is the same."""
    parts: tuple[dict[str, Histogram], dict[str, Histogram]] = {}, {}  # shown, held back
    lanes = _Lanes(package)
    if lanes.has_variables:
        cache = None
    count = 0
    for block in _blocks(samples):
        key = None if cache is None else _block_key(package, count, block)
        made = None if cache is None or key is None else _recalled(cache, key)
        if made is None:
            made = {}, {}
            for index, seen in enumerate(lanes.observed(block, count), count):
                merge(made[held_back(index)], seen)
                if progress is not None:
                    progress(index + 1)
            if cache is not None and key is not None:
                _remember(cache, key, made)
        elif progress is not None:
            progress(count + len(block))
        count += len(block)
        for part, more in zip(parts, made, strict=True):
            merge(part, more)
    if count == 0:
        raise InputError(_NO_SAMPLE)
    shown, held = parts
    whole: dict[str, Histogram] = {}
    merge(whole, shown)
    merge(whole, held)
    return Calibration(whole, shown if count >= _ENOUGH else whole)


def _blocks(samples: Iterable[Mapping[str, NDArray[Any]]]) -> Iterator[list[dict[str, NDArray[Any]]]]:
    """Samples in lists, copied: whoever gives them may use their memory again."""
    block: list[dict[str, NDArray[Any]]] = []
    size = 0
    for sample in samples:
        block.append({name: np.array(array) for name, array in sample.items()})
        size += sum(array.nbytes for array in block[-1].values())
        if len(block) == _BLOCK or size > _BLOCK_BYTES:
            yield block
            block, size = [], 0
    if block:
        yield block


def _block_key(package: bytes, first: int, block: list[dict[str, NDArray[Any]]]) -> str:
    digest = hashlib.sha256()
    for sample in block:
        for name in sorted(sample):
            array = np.ascontiguousarray(sample[name])
            digest.update(f"{name!r} {array.dtype.str} {array.shape}".encode())
            digest.update(array.tobytes())
    return cache_key("calibration", package, first, digest.digest())


def _remember(cache: Cache, key: str, parts: tuple[Mapping[str, Histogram], ...]) -> None:
    arrays = {
        f"{part}/{number}/{kind}": array
        for part, histograms in enumerate(parts)
        for number, histogram in enumerate(histograms.values())
        for kind, array in histogram.arrays().items()
    }
    cache.put(key, [list(histograms) for histograms in parts], arrays)


def _recalled(cache: Cache, key: str) -> tuple[dict[str, Histogram], dict[str, Histogram]] | None:
    entry = cache.get(key)
    if entry is None:
        return None

    def histograms(part: int) -> dict[str, Histogram]:
        return {
            name: Histogram.of_arrays({kind: entry.arrays[f"{part}/{number}/{kind}"] for kind in KINDS})
            for number, name in enumerate(entry.facts[part])
        }

    return histograms(0), histograms(1)


def merge(histograms: dict[str, Histogram], later: Mapping[str, Histogram]) -> None:
    """Adds to each histogram what was seen later."""
    for name, seen in later.items():
        histograms.setdefault(name, Histogram()).merge(seen)


class _Lanes:
    """Sessions that run samples at once, one a processor, and give what they saw in order."""

    def __init__(self, package: bytes, threads: int | None = None) -> None:
        self._lanes = [_Lane(package)]
        self.has_variables = self._lanes[0].has_variables
        if not self.has_variables:  # their values go from one sample to the next
            wanted = min(threads or os.cpu_count() or 1, _MOST_LANES)
            self._lanes += [_Lane(package) for _ in range(wanted - 1)]

    def observed(self, samples: Iterable[Mapping[str, NDArray[Any]]], before: int) -> Iterator[dict[str, Histogram]]:
        """The histograms of every sample by itself. before: how many samples there were."""
        running: deque[Future[dict[str, Histogram]]] = deque()
        with ThreadPoolExecutor(len(self._lanes)) as pool:
            for number, sample in enumerate(samples):
                if len(running) == len(self._lanes):
                    yield running.popleft().result()
                lane = self._lanes[number % len(self._lanes)]
                running.append(pool.submit(lane.run, sample, before + number + 1))
            while running:
                yield running.popleft().result()


class _Lane:
    """A session of its own, which runs one sample at a time."""

    def __init__(self, package: bytes) -> None:
        self._model = Model(package)
        self._session = self._model.session
        native = self._session.model
        infos = [tensor_info(self._session, index) for index in range(native.tensor_count)]
        self.has_variables = any(info.kind == "variable" for info in infos)

        def watched(indices: Iterable[int]) -> list[tuple[str, NDArray[np.float32]]]:
            return [
                (infos[index].name, tensor_array(self._session, index))
                for index in indices
                if infos[index].dtype == DType.FLOAT32
            ]

        self._inputs = watched(native.inputs)
        self._written = [watched(native.op(op)[3]) for op in range(native.op_count)]

    def run(self, sample: Mapping[str, NDArray[Any]], number: int) -> dict[str, Histogram]:
        """What this sample, of this number, gives every tensor."""
        self._feed(sample, f"calibration sample {number}")
        seen: dict[str, Histogram] = {}
        self._session.rewind()
        self._look(self._inputs, seen, number)
        while (step := self._session.step()) is not None:
            self._look(self._written[step], seen, number)
        return seen

    def _feed(self, sample: Mapping[str, NDArray[Any]], what: str) -> None:
        for info in self._model.inputs:
            if info.name not in sample:
                raise InputError(
                    f"{what} has no input {info.name!r} (it has: {', '.join(sample)}); "
                    f"the model needs {', '.join(str(i) for i in self._model.inputs)}"
                )
            array = info.checked(sample[info.name], f"{what}: input")
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                bad = "NaN" if np.isnan(array).any() else "infinity"
                raise InputError(f"{what}: input {info.name!r} holds {bad}; remove that sample")
            self._model.view(info.name)[...] = array

    @staticmethod
    def _look(pairs: Iterable[tuple[str, NDArray[np.float32]]], seen: dict[str, Histogram], number: int) -> None:
        for name, array in pairs:
            if not seen.setdefault(name, Histogram()).add(array):
                raise InputError(
                    f"calibration sample {number}: tensor {name!r} is not finite; "
                    "the float model itself overflows on this sample"
                )
