"""What goes wrong between this machine and a device. Each error is one line: what was found, and how to mend it."""

from __future__ import annotations

from edgert.errors import EdgertError


class DeviceError(EdgertError):
    """Base of all that a device, or the way to it, can refuse or lose."""


class LinkError(DeviceError):
    """The way to the device broke, or is too bad to get anything across; what arrived stays there."""


class AgentMissingError(LinkError):
    """Nothing that speaks SMP answered: no agent runs there, or not at this address, speed or framing."""


class RefusedError(DeviceError):
    """The device said no. `group` and `rc` are its numbers (edgert.smp.groups), `reason` its text."""

    def __init__(self, message: str, group: int, rc: int, reason: str = "") -> None:
        super().__init__(message)
        self.group = group
        self.rc = rc
        self.reason = reason


class RejectedError(DeviceError):
    """The device took every byte and found at its own checks that the model does not do: `reason` says why."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason
