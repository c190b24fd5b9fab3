"""Evidence that is kept in the cache."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from edgert.cache import Cache, Entry, cache_key
from edgert.evaluation.dataset import Array, Dataset
from edgert.metrics import Evidence, Sampler
from edgert.runtime import _native


def evidence_key(package: bytes, dataset: Dataset, metric: Sampler) -> str:
    """Of what evidence depends on. The processor is part of it: float sums may differ between instruction sets."""
    processor = " ".join((*_native.cpu_isas(), os.environ.get("ERT_ISA_MAX", "")))
    return cache_key("evidence", package, dataset.digest, metric.spec, processor)


def find(cache: Cache, key: str) -> list[Evidence] | None:
    entry = cache.get(key)
    if entry is None:
        return None
    columns = [_unpacked(entry, i) for i in range(entry.facts)]
    return list(zip(*columns, strict=True))


def keep(cache: Cache, key: str, evidence: Sequence[Evidence]) -> None:
    """As one flat array, and the shapes of all samples, for every place in the evidence."""
    arrays: dict[str, Array] = {}
    places = len(evidence[0]) if evidence else 0
    for i in range(places):
        parts = [np.asarray(item[i]) for item in evidence]
        if len({(part.ndim, part.dtype) for part in parts}) != 1:
            return  # evidence of a kind of its own, which is computed again
        arrays[f"{i} values"] = np.concatenate([part.ravel() for part in parts])
        arrays[f"{i} shapes"] = np.array([part.shape for part in parts], np.int64).reshape(len(parts), -1)
    cache.put(key, places, arrays)


def _unpacked(entry: Entry, place: int) -> list[Array]:
    values, shapes = entry.arrays[f"{place} values"], entry.arrays[f"{place} shapes"]
    ends = np.cumsum(shapes.prod(1))[:-1]
    return [part.reshape(shape) for part, shape in zip(np.split(values, ends), shapes, strict=True)]
