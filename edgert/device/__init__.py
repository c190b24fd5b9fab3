"""Pushing models to devices, and asking after them.

    from edgert import device
    result = device.push("model.ert", "serial:/dev/ttyUSB0?baud=921600", "key.pem")

Addresses: edgert.device.address. Everything that waits has an `_async` form for programs with an event loop.
"""

from __future__ import annotations

from edgert.device.control import (
    activate,
    activate_async,
    confirm,
    confirm_async,
    log,
    log_async,
    rollback,
    rollback_async,
    status,
    status_async,
)
from edgert.device.errors import AgentMissingError, DeviceError, LinkError, RefusedError, RejectedError
from edgert.device.listing import Found, Listing, list_devices
from edgert.device.options import PushOptions
from edgert.device.push import push, push_all, push_all_async, push_async
from edgert.device.results import DeviceInfo, DeviceStatus, ModelState, PushResult

__all__ = [
    "AgentMissingError", "DeviceError", "DeviceInfo", "DeviceStatus", "Found", "LinkError", "Listing", "ModelState",
    "PushOptions", "PushResult", "RefusedError", "RejectedError", "activate", "activate_async", "confirm",
    "confirm_async", "list_devices", "log", "log_async", "push", "push_all", "push_all_async", "push_async", "rollback",
    "rollback_async", "status", "status_async",
]  # fmt: skip
