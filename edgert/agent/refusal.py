"""What the agent answers instead of doing what it was asked."""

from __future__ import annotations

from edgert.errors import EdgertError


class RefusedError(EdgertError):
    """A request of edgert's own group that is not done: `rc` is a RefusalCode of edgert.smp.groups."""

    def __init__(self, rc: int, reason: str) -> None:
        super().__init__(reason)
        self.rc = rc


class FileError(EdgertError):
    """A request of the group fs that is not done; `rc` is one of Zephyr's fs_mgmt errors."""

    def __init__(self, rc: int, reason: str) -> None:
        super().__init__(reason)
        self.rc = rc


class ProtocolError(EdgertError):
    """A request that makes no sense to its group: a field is missing, or has another type. `rc` is a MgmtError."""

    def __init__(self, rc: int, reason: str) -> None:
        super().__init__(reason)
        self.rc = rc
