"""What the agent answers instead of doing what it was asked."""

from __future__ import annotations

from edgert.errors import EdgertError


class _NumberedError(EdgertError):
    def __init__(self, rc: int, reason: str) -> None:
        super().__init__(reason)
        self.rc = rc


class RefusedError(_NumberedError):
    """A request of edgert's own group that is not done: `rc` is a RefusalCode of edgert.smp.groups."""


class FileError(_NumberedError):
    """A request of the group fs that is not done; `rc` is one of Zephyr's fs_mgmt errors."""


class ProtocolError(_NumberedError):
    """A request that makes no sense to its group: a field is missing, or has another type. `rc` is a MgmtError."""
