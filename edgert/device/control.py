"""What can be asked of a device, or told to it, beside a push. Each opens the way, asks, and closes it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from edgert.device.client import PATIENCE_S, Client
from edgert.device.connect import open_stream
from edgert.device.errors import DeviceError
from edgert.device.push import Where, as_device
from edgert.device.results import DeviceStatus, ModelState, Waiting, field
from edgert.device.statuses import read_twice
from edgert.smp.groups import EdgertCommand, Group
from edgert.smp.message import Op

LOG = "/edgert/log"
_MOST_LOG_BYTES = 1 << 24


async def _client(where: Where, patience: float) -> Client:
    return Client(await open_stream(as_device(where).address), patience)


async def status_async(where: Where, patience: float = PATIENCE_S) -> DeviceStatus:
    """What the device is and has. Raises LinkError and its children."""
    async with await _client(where, patience) as client:
        return await read_twice(client)


async def activate_async(
    where: Where,
    manifest: bytes | None = None,
    name: str | None = None,
    counter: int | None = None,
    patience: float = PATIENCE_S,
) -> ModelState:
    """Switches to what was pushed and verified before; what the device then has.

    manifest: its SHA-256, as a push's result tells it; None: the newest verified generation of the model called
    `name`, or the one with this counter. name: None is the only one that waits.

    Raises DeviceError when nothing such waits, RefusedError when the device refuses."""
    async with await _client(where, patience) as client:
        if manifest is None:
            manifest = _waiting(await read_twice(client), name, counter, client).sha256
        body = {"manifest": manifest}
        await client.request(Op.WRITE, Group.EDGERT, EdgertCommand.ACTIVATE, body, _state)
        found = await read_twice(client)
        active = next((model for model in found.models if model.sha256 == manifest), None)
        if active is None:
            raise DeviceError(f"{client.stream.describe()}: another generation was activated since; ask for the status")
        return active


async def confirm_async(where: Where, name: str | None = None, patience: float = PATIENCE_S) -> ModelState:
    """Says that the pending generation of a model does well, before its trials are over. name: None is the only one.
    What the device then has."""
    async with await _client(where, patience) as client:
        model = _model(await read_twice(client), name, client)
        await client.request(Op.WRITE, Group.EDGERT, EdgertCommand.CONFIRM, {"name": model.name}, _state)
        return _model(await read_twice(client), model.name, client)


async def rollback_async(
    where: Where, name: str | None = None, counter: int | None = None, patience: float = PATIENCE_S
) -> ModelState:
    """Goes back to the previous generation of a model. name: None is the only one; counter: of the generation to
    leave, None the current one. What the device then has.

    Raises RefusedError when there is no previous generation."""
    async with await _client(where, patience) as client:
        model = _model(await read_twice(client), name, client)
        body = {"name": model.name, "counter": model.counter if counter is None else counter}
        await client.request(Op.WRITE, Group.EDGERT, EdgertCommand.ROLLBACK, body, _state)
        return _model(await read_twice(client), model.name, client)


async def log_async(where: Where, patience: float = PATIENCE_S) -> str:
    """The agent's log."""
    async with await _client(where, patience) as client:
        return (await client.download(LOG, _MOST_LOG_BYTES)).decode("utf-8", "replace")


def status(where: Where, patience: float = PATIENCE_S) -> DeviceStatus:
    """`status_async`, for programs without an event loop."""
    return asyncio.run(status_async(where, patience))


def activate(
    where: Where,
    manifest: bytes | None = None,
    name: str | None = None,
    counter: int | None = None,
    patience: float = PATIENCE_S,
) -> ModelState:
    """`activate_async`, for programs without an event loop."""
    return asyncio.run(activate_async(where, manifest, name, counter, patience))


def confirm(where: Where, name: str | None = None, patience: float = PATIENCE_S) -> ModelState:
    """`confirm_async`, for programs without an event loop."""
    return asyncio.run(confirm_async(where, name, patience))


def rollback(
    where: Where, name: str | None = None, counter: int | None = None, patience: float = PATIENCE_S
) -> ModelState:
    """`rollback_async`, for programs without an event loop."""
    return asyncio.run(rollback_async(where, name, counter, patience))


def log(where: Where, patience: float = PATIENCE_S) -> str:
    """`log_async`, for programs without an event loop."""
    return asyncio.run(log_async(where, patience))


def _state(body: Mapping[str, Any]) -> str:
    return str(field(body, "state", str))


def _waiting(found: DeviceStatus, name: str | None, counter: int | None, client: Client) -> Waiting:
    fitting = [one for one in found.verified if name in (None, one.name) and counter in (None, one.counter)]
    if not fitting or len({one.name for one in fitting}) > 1:
        there = ", ".join(f"{one.name} {one.counter}" for one in found.verified) or "none"
        which = "several models; say which" if fitting else "nothing of that kind; push it with --no-activate"
        raise DeviceError(f"{client.stream.describe()}: to be activated there is {which} (verified there: {there})")
    return max(fitting, key=lambda one: one.counter)


def _model(found: DeviceStatus, name: str | None, client: Client) -> ModelState:
    names = [model.name for model in found.models]
    wanted = names[0] if name is None and len(names) == 1 else name
    model = found.model(wanted) if wanted is not None else None
    if model is None:
        which = f"no model {name!r}" if name is not None else f"{len(names)} models; say which"
        raise DeviceError(f"{client.stream.describe()}: the device has {which} (it has {', '.join(names) or 'none'})")
    return model
