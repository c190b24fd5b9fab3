"""Pushing a package to a device, or to many: offer, send, verify, activate.

Doing it again is always right: what a device has is not sent twice, whatever became of the first time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from edgert.device.address import Address, FileAddress
from edgert.device.bundle import push_bundle
from edgert.device.client import Client
from edgert.device.connect import open_stream
from edgert.device.devices_file import Device, resolve
from edgert.device.errors import DeviceError
from edgert.device.installation import Installation
from edgert.device.options import PushOptions
from edgert.device.package import Package, prepare
from edgert.device.results import PushResult
from edgert.errors import EdgertError
from edgert.manifest.keys import PrivateKey, default_key_path
from edgert.progress import Progress, silent

Where = str | Address | Device
Key = PrivateKey | str | Path | None
ManyProgress = Callable[[str, str, int, int | None], None]
"""Progress of one of several devices: its name or address first."""
Finished = Callable[[str, PushResult | EdgertError], None]
"""What the push to one of several devices came to: its name or address first."""

DEFAULTS = PushOptions()


def push(
    package: str | Path, where: Where, key: Key = None, options: PushOptions = DEFAULTS, progress: Progress = silent
) -> PushResult:
    """Pushes a package (.ert) to a device and waits until it is installed there.

    where: an address (edgert.device.address) or a name of edgert-devices.toml. key: what signs; None: that of
    edgert-devices.toml, or the user's default one. Stages of progress: "prepare", "connect", "offer", "send" (bytes
    of the package that are there), "verify", "activate".

    Raises LinkError when the way breaks (call again to resume), RefusedError when the device refuses, RejectedError
    when the model fails its checks there, other children of EdgertError for what is wrong on this side.
    """
    return asyncio.run(push_async(package, where, key, options, progress))


async def push_async(
    package: str | Path, where: Where, key: Key = None, options: PushOptions = DEFAULTS, progress: Progress = silent
) -> PushResult:
    """`push` within a running event loop."""
    device = as_device(where)
    progress("prepare", 0, None)
    prepared = await asyncio.to_thread(prepare, Path(package), options)
    return await push_package(prepared, device, key, options, progress)


def push_all(
    package: str | Path,
    places: Sequence[Where],
    key: Key = None,
    options: PushOptions = DEFAULTS,
    progress: ManyProgress | None = None,
    parallel: int = 16,
    finished: Finished | None = None,
) -> list[PushResult | EdgertError]:
    """Pushes one package to several devices, at most `parallel` at once; what each came to, in their order.

    A device that fails gives its error in place of its result, and does not stop the others. `finished` is told of each
    as soon as it is done. Raises what is wrong with the package or the places.
    """
    return asyncio.run(push_all_async(package, places, key, options, progress, parallel, finished))


async def push_all_async(
    package: str | Path,
    places: Sequence[Where],
    key: Key = None,
    options: PushOptions = DEFAULTS,
    progress: ManyProgress | None = None,
    parallel: int = 16,
    finished: Finished | None = None,
) -> list[PushResult | EdgertError]:
    """`push_all` within a running event loop."""
    devices = [as_device(where) for where in places]
    prepared = await asyncio.to_thread(prepare, Path(package), options)
    turns = asyncio.Semaphore(max(1, parallel))

    async def one(device: Device) -> PushResult | EdgertError:
        def tell(stage: str, done: int, total: int | None) -> None:
            if progress is not None:
                progress(device.name, stage, done, total)

        async with turns:
            result: PushResult | EdgertError
            try:
                result = await push_package(prepared, device, key, options, tell)
            except EdgertError as error:
                result = error
            except OSError as error:  # of this machine, as processes that cannot be started
                result = DeviceError(f"{device.name}: {error.strerror or error}")
            if finished is not None:
                finished(device.name, result)
            return result

    outcomes = await asyncio.gather(*(one(device) for device in devices), return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, EdgertError):
            raise outcome  # a fault of ours; the others were let finish
    return [outcome for outcome in outcomes if isinstance(outcome, (PushResult, EdgertError))]


async def push_package(
    package: Package, device: Device, key: Key, options: PushOptions, progress: Progress
) -> PushResult:
    """Pushes what `prepare` made of a package."""
    began = time.monotonic()
    signer = _signer(key, device)
    if isinstance(device.address, FileAddress):
        return await asyncio.to_thread(push_bundle, package, device, device.address, signer, options, progress)
    progress("connect", 0, None)
    stream = await open_stream(device.address)
    async with Client(stream, options.patience) as client:
        return await Installation(client, package, device, signer, options, progress, began).run()


def as_device(where: Where) -> Device:
    """The device of a name, of an address or of edgert-devices.toml. Raises InputError."""
    if isinstance(where, Device):
        return where
    return resolve(where) if isinstance(where, str) else Device(str(where), where)


def _signer(key: Key, device: Device) -> PrivateKey:
    if isinstance(key, PrivateKey):
        return key
    return PrivateKey.load(Path(key) if key is not None else device.key or default_key_path())
