"""What the store raises."""

from __future__ import annotations

from edgert.errors import EdgertError


class StoreError(EdgertError):
    """The home does not hold what was asked for, or refuses a step."""


class BusyError(StoreError):
    """Another process is at work on this home, or on this model."""


class DiskError(StoreError):
    """The disk failed; nothing was made current."""


class NoSpaceError(DiskError):
    """The disk, or the quota, is full; nothing was made current."""


class DamagedError(StoreError):
    """Bytes on the disk are not those that the manifest names."""


class ChunkError(DamagedError):
    """A chunk that came has another hash than the manifest says; nothing of it counts as received."""


class NoModelError(StoreError):
    """There is no generation of this model to open."""
