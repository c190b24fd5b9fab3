"""Results that took long, kept by the hash of all that they depend on.

    key = cache_key("sensitivity", package, dataset.digest, metric.spec)
    entry = cache.get(key) or cache.put(key, {"drop": 0.4}, {"ranges": array})

An entry is one .npz file of plain arrays, one of which is JSON: nothing is unpickled. Entries are written whole or not
at all; one that is damaged is as good as absent and is written anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import edgert

Array = NDArray[Any]

LIMIT_BYTES = 1 << 30
ENVIRONMENT = "EDGERT_CACHE"
_FACTS, _ARRAYS = "facts.json", "arrays/"  # in the archive
_SUFFIX = ".npz"


@dataclass(frozen=True)
class Entry:
    """facts: whatever JSON holds. arrays: by name."""

    facts: Any
    arrays: dict[str, Array] = field(default_factory=dict)


class Cache:
    """A folder of entries by key. trouble: why it cannot be written, once that happened; work goes on without it."""

    def __init__(self, folder: Path, limit_bytes: int = LIMIT_BYTES) -> None:
        self.folder = folder
        self.trouble: str | None = None
        self._limit = limit_bytes
        self._bytes: int | None = None  # of all entries, once they have been counted

    def get(self, key: str) -> Entry | None:
        """The entry, which counts as used now; None where there is none, or a damaged one."""
        path = self._path(key)
        try:
            with np.load(path, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            facts = json.loads(arrays.pop(_FACTS).tobytes())
            if facts["key"] != key:
                return None
            os.utime(path)
            return Entry(facts["value"], {name.removeprefix(_ARRAYS): array for name, array in arrays.items()})
        except Exception:  # damaged archives raise what their reader happens to stumble over
            return None

    def put(self, key: str, facts: Any, arrays: Mapping[str, Array] | None = None) -> Entry:
        """Stores an entry, and removes those that were not used for longest where all take more than the limit."""
        entry = Entry(facts, {name: np.asarray(array) for name, array in (arrays or {}).items()})
        if any(array.dtype.hasobject for array in entry.arrays.values()):
            raise TypeError("arrays of objects cannot be cached: they would have to be pickled")
        named = {_ARRAYS + name: array for name, array in entry.arrays.items()}
        text = json.dumps({"key": key, "value": facts}, sort_keys=True).encode()
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, partial = tempfile.mkstemp(dir=path.parent, suffix=".partial")
            try:
                with os.fdopen(handle, "wb") as file:
                    np.savez(file, **{_FACTS: np.frombuffer(text, np.uint8)}, **named)
                size = os.path.getsize(partial)
                os.replace(partial, path)
            except BaseException:
                Path(partial).unlink(missing_ok=True)
                raise
            self._bytes = None if self._bytes is None else self._bytes + size
            self._shrink()
        except OSError as error:
            self.trouble = f"results are not kept: {self.folder} cannot be written: {error.strerror or error}"
        return entry

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}{_SUFFIX}"

    def _shrink(self) -> None:
        if self._bytes is not None and self._bytes <= self._limit:
            return
        files = []
        for path in self.folder.glob(f"??/*{_SUFFIX}"):
            try:
                status = path.stat()
            except OSError:  # another process has removed it
                continue
            files.append((status.st_mtime_ns, str(path), status.st_size))
        self._bytes = sum(size for _, _, size in files)
        # A tenth more than needed, so that the next entries need not look again.
        target = self._limit if self._bytes <= self._limit else self._limit * 9 // 10
        for _, name, size in sorted(files):
            if self._bytes <= target:
                break
            Path(name).unlink(missing_ok=True)
            self._bytes -= size


def open_cache(setting: str | Path | None = None) -> Cache | None:
    """setting: a folder, or "off" for None. Default: what EDGERT_CACHE says, else the place where this system keeps
    caches; without the package platformdirs, which knows it, None."""
    chosen = setting if setting is not None else os.environ.get(ENVIRONMENT) or None
    if chosen is not None:
        return None if str(chosen) == "off" else Cache(Path(chosen).expanduser())
    try:
        from platformdirs import user_cache_path
    except ImportError:
        return None
    return Cache(user_cache_path("edgert", appauthor=False) / "results")


def cache_key(*parts: str | bytes | int | float | None) -> str:
    """SHA-256 (hex) of these parts and of edgert's own code: what another version computed is not used."""
    digest = hashlib.sha256(_code_digest().encode())
    for part in parts:
        data = part if isinstance(part, bytes) else repr(part).encode(errors="surrogatepass")
        digest.update(f"{type(part).__name__} {len(data)}:".encode())
        digest.update(data)
    return digest.hexdigest()


@lru_cache(maxsize=1)
def _code_digest() -> str:
    """Of the version, of every Python file and of the compiled core."""
    root = Path(edgert.__file__).parent
    digest = hashlib.sha256(edgert.__version__.encode())
    files = [path for kind in ("*.py", "_native*.so", "_native*.pyd") for path in root.rglob(kind)]
    for path in sorted(files):
        digest.update(str(path.relative_to(root)).encode(errors="surrogatepass"))
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
