"""A push into a folder: a bundle that `edgert agent --once` installs on whatever device the folder is carried to."""

from __future__ import annotations

import hashlib
import time

from edgert.device.address import FileAddress
from edgert.device.devices_file import Device
from edgert.device.options import PushOptions
from edgert.device.package import Package
from edgert.device.results import PushResult
from edgert.device.transports.file import write_bundle
from edgert.manifest.keys import PrivateKey
from edgert.progress import Progress


def push_bundle(
    package: Package, device: Device, address: FileAddress, key: PrivateKey, options: PushOptions, progress: Progress
) -> PushResult:
    """Signs and writes the bundle. Nothing is known of the device but what edgert-devices.toml says; the counter is
    the time, where none is given."""
    began = time.monotonic()
    counter = options.counter if options.counter is not None else int(time.time())
    devices = options.devices or ((device.device_id,) if device.device_id else ())
    manifest = package.manifest(key, counter, options, devices, device.target).to_bytes()
    written = 0

    def sent(count: int) -> None:
        nonlocal written
        written += count
        progress("send", written, package.entry.size)

    write_bundle(address.folder, manifest, key.sign(manifest), {package.entry.sha256.hex(): package.path}, sent)
    return PushResult(
        target=device.name,
        device=devices[0] if len(devices) == 1 else "",
        name=package.name,
        counter=counter,
        sha256=package.entry.sha256.hex(),
        manifest=hashlib.sha256(manifest).hexdigest(),
        state="written",
        bytes_sent=written,
        bytes_total=package.entry.size,
        resumed_from=0,
        retries=0,
        seconds=time.monotonic() - began,
    )
