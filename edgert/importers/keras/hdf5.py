"""Reads HDF5 files from strangers: links out of the file, and sizes that the file has no bytes for, are refused.

A dataset that is compressed may state any shape in a few bytes, so sizes are checked against the file's before memory
is taken.
"""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from edgert.errors import FileFormatError, InputError, MissingExtraError
from edgert.importers.builder import Array
from edgert.importers.keras.heaps import damaged_heap, longest_text, viewed

# Datasets may take this many bytes in all, or so many times the file's size: trained weights compress little, those
# that were pruned several times.
FREE_BYTES, GROWTH = 64 << 20, 20
ATTRIBUTE_BYTES = 64 << 20
MOST_CHUNKS = 1 << 15  # that a dataset may lie in
SIGNATURE = b"\x89HDF\r\n\x1a\n"
FILTERS = {1, 2, 3, 32000}  # deflate, shuffle, checksums and lzf, which h5py itself has; any other would be a plugin


class Hdf5:
    """An open file; use it as a context. Paths are from its root, with slashes."""

    def __init__(self, source: Path | bytes, name: str) -> None:
        """Raises FileFormatError for what is no HDF5 file, MissingExtraError without h5py."""
        try:
            import h5py
        except ImportError:
            raise MissingExtraError("h5py", "reading a Keras model", "keras") from None
        self._h5py = h5py
        self.name = name
        self._size = len(source) if isinstance(source, bytes) else source.stat().st_size
        self._left = max(FREE_BYTES, GROWTH * self._size)
        self._open = ExitStack()
        self._view = self._open.enter_context(viewed(source))
        self._longest: dict[str, int | None] = {}
        wrong = damaged_heap(self._view)
        if wrong is not None:
            self._open.close()
            raise FileFormatError(f"{name}: damaged: {wrong}")
        try:
            self._file = h5py.File(io.BytesIO(source) if isinstance(source, bytes) else source, "r")
        except PermissionError:
            self._open.close()
            raise InputError(f"{name}: it may not be read (permissions)") from None
        except Exception as error:
            self._open.close()
            raise FileFormatError(f"{name}: not an HDF5 file, cut short or damaged ({_line(error)})") from error

    def __enter__(self) -> Hdf5:
        return self

    def __exit__(self, *unused: object) -> None:
        self._file.close()
        self._open.close()

    def _damaged(self, path: str, error: Exception) -> FileFormatError:
        return FileFormatError(f"{self.name}: damaged at {path or '/'!r} ({_line(error)})")

    def _find(self, path: str) -> Any:
        """The object at a path, or None. Links are followed step by step, and hard ones alone."""
        here: Any = self._file
        try:
            for part in filter(None, path.split("/")):
                if not isinstance(here, self._h5py.Group):
                    return None
                link = here.get(part, getlink=True)
                if link is None:
                    return None
                if not isinstance(link, self._h5py.HardLink):
                    raise FileFormatError(f"{self.name}: {path!r} is a link to elsewhere, needed the data itself")
                here = here[part]
        except (KeyError, OSError, RuntimeError, ValueError, TypeError) as error:
            raise self._damaged(path, error) from error
        return here

    def has(self, path: str) -> bool:
        return self._find(path) is not None

    def names(self, path: str) -> list[str]:
        """What a group holds; nothing when there is no such group."""
        group = self._find(path)
        try:
            return list(group) if isinstance(group, self._h5py.Group) else []
        except (OSError, RuntimeError, ValueError) as error:
            raise self._damaged(path, error) from error

    def attribute(self, path: str, name: str) -> Any:
        """An attribute as text, bytes made text, or an array; None when it is absent."""
        found = self._find(path)
        try:
            if found is None or name not in found.attrs:
                return None
            identity = found.attrs.get_id(name)
            kinds = (self._h5py.h5t.STRING, self._h5py.h5t.INTEGER, self._h5py.h5t.FLOAT)
            if identity.get_type().get_class() not in kinds:  # the library cannot be trusted with damaged lists
                raise FileFormatError(
                    f"{self.name}: the attribute {name!r} of {path or '/'!r} is neither text nor number"
                )
            if max(math.prod(identity.shape), 1) * identity.dtype.itemsize > min(ATTRIBUTE_BYTES, 16 * self._size):
                raise FileFormatError(f"{self.name}: the attribute {name!r} of {path or '/'!r} states a size beyond it")
            self._check_texts(identity, name)
            value = found.attrs[name]
        except (KeyError, OSError, RuntimeError, ValueError, TypeError) as error:
            raise self._damaged(path, error) from error
        return value.decode(errors="replace") if isinstance(value, bytes) else value

    def _check_texts(self, identity: Any, name: str) -> None:
        """Before the library takes memory for texts of varying length."""
        kind = identity.get_type()
        if kind.get_class() != self._h5py.h5t.STRING or not kind.is_variable_str():
            return
        if name not in self._longest:
            self._longest[name] = longest_text(self._view, name)
        longest = self._longest[name]
        if longest is None or longest > self._size:
            what = "in a way that is not known" if longest is None else f"with {longest} bytes, more than the file has"
            raise FileFormatError(f"{self.name}: the attribute {name!r} is stored {what}")

    def texts(self, path: str, name: str) -> list[str]:
        """A list of texts, which Keras spreads over name0, name1, ... where it is too long for one attribute."""
        found = self.attribute(path, name)
        if found is not None:
            return list(_texts(found))
        texts: list[str] = []
        for number in itertools.count():
            part = self.attribute(path, f"{name}{number}")
            if part is None:
                break
            texts.extend(_texts(part))
        return texts

    def is_dataset(self, path: str) -> bool:
        return isinstance(self._find(path), self._h5py.Dataset)

    def array(self, path: str) -> Array:
        """A dataset of numbers: float32, or integers as they are. Raises FileFormatError."""
        found = self._find(path)
        if not isinstance(found, self._h5py.Dataset):
            raise FileFormatError(f"{self.name}: the weights {path!r} are missing")
        try:
            self._check(path, found)
            data = np.asarray(found[()])
        except (KeyError, OSError, RuntimeError, ValueError, TypeError) as error:
            raise self._damaged(path, error) from error
        # bfloat16 is the upper half of a float32, which HDF5 has no type for.
        if data.dtype.kind == "V" or self.attribute(path, "dtype") == "bfloat16":
            return (data.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
        return data.astype(np.float32) if data.dtype.kind == "f" else data

    def _check(self, path: str, found: Any) -> None:
        kind, itemsize = found.dtype.kind, found.dtype.itemsize
        if kind not in "fiub" and not (kind == "V" and itemsize == 2 and found.dtype.names is None):
            raise FileFormatError(f"{self.name}: {path!r} holds {found.dtype}, needed numbers")
        if found.is_virtual or found.external:
            raise FileFormatError(f"{self.name}: {path!r} has its data in another file")
        plan = found.id.get_create_plist()
        if any(plan.get_filter(index)[0] not in FILTERS for index in range(plan.get_nfilters())):
            raise FileFormatError(f"{self.name}: {path!r} is compressed in a way that is not known; use gzip or none")
        needed = math.prod(found.shape) * itemsize
        if needed > self._left:
            raise FileFormatError(
                f"{self.name}: {path!r} states {list(found.shape)}, {needed} bytes: more than a file of {self._size} "
                f"bytes can mean"
            )
        self._left -= needed
        if found.chunks is not None:  # pieces that were never written cost time all the same
            parts = math.prod(-(-size // max(chunk, 1)) for size, chunk in zip(found.shape, found.chunks, strict=True))
            if parts > MOST_CHUNKS:
                raise FileFormatError(f"{self.name}: {path!r} lies in {parts} pieces, needed at most {MOST_CHUNKS}")


def _texts(found: Any) -> Iterator[str]:
    for item in np.asarray(found).reshape(-1).tolist():
        yield item.decode(errors="replace") if isinstance(item, bytes) else str(item)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
