"""edgert-devices.toml: the devices of a project, by name.

    [devices]
    bench = "serial:/dev/ttyUSB0?baud=921600"

    [devices.kitchen]
    address = "ssh://pi@kitchen.local"
    for = "raspberry-pi-4"      # what it is, where it cannot be asked (file:) or where it must be just this
    device_id = "d1f0..."       # push to no other device, whoever answers at the address
    key = "keys/kitchen.pem"    # signs what is pushed there

It is looked for in the working folder and in those above it. Paths in it are relative to the folder that it lies in.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgert.device.address import Address, FileAddress, is_address, parse
from edgert.errors import InputError

FILE_NAME = "edgert-devices.toml"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_OPTIONS = {"address", "for", "device_id", "key"}
MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class Device:
    """name: that of the file, or the address as it was given. What is None, the file does not say."""

    name: str
    address: Address
    target: str | None = None
    device_id: str | None = None
    key: Path | None = None


@dataclass(frozen=True)
class DevicesFile:
    path: Path
    devices: dict[str, Device]


def find(start: Path | None = None) -> Path | None:
    """The file that counts in this folder: its own, or that of the nearest folder above."""
    folder = (start or Path.cwd()).resolve()
    return next((path for at in (folder, *folder.parents) if (path := at / FILE_NAME).is_file()), None)


def read(path: Path) -> DevicesFile:
    """Raises InputError for a file that cannot be read or says what it must not, naming the device and the key."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise ValueError(f"it holds more than {MOST_BYTES} bytes")
        content: dict[str, Any] = tomllib.loads(data.decode())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise InputError(f"{path} cannot be read: {reason}") from error
    table = content.get("devices")
    if not isinstance(table, dict) or set(content) != {"devices"}:
        raise InputError(f'{path} needs one table, [devices], of lines such as kitchen = "ssh://pi@kitchen.local"')
    return DevicesFile(path, {name: _device(path, name, value) for name, value in table.items()})


def _device(path: Path, name: str, value: object) -> Device:
    where = f"{path}, device {name!r}"
    if not _NAME.fullmatch(name):
        raise InputError(f"{where}: a name is of letters, digits, '.', '_' and '-', at most 64 of them")
    facts = {"address": value} if isinstance(value, str) else value
    if not isinstance(facts, dict) or "address" not in facts:
        raise InputError(f'{where}: there is no address; write {name} = "ssh://user@host"')
    for key, text in facts.items():
        if key not in _OPTIONS:
            raise InputError(f"{where}: there is no option {key!r}; there are {', '.join(sorted(_OPTIONS))}")
        if not isinstance(text, str) or not text:
            raise InputError(f"{where}: {key} is {text!r}; it must be text")
    try:
        address = parse(facts["address"])
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    if isinstance(address, FileAddress):
        address = replace(address, folder=path.parent / address.folder)
    key_path = facts.get("key")
    return Device(
        name,
        address,
        facts.get("for"),
        facts.get("device_id"),
        _below(path.parent, key_path) if key_path is not None else None,
    )


def _below(folder: Path, text: str) -> Path:
    return Path.home() / text[2:] if text.startswith("~/") else folder / text


def load(path: Path | None = None) -> DevicesFile | None:
    """The file given, or the one found from the working folder; None where there is none."""
    chosen = path or find()
    return read(chosen) if chosen is not None else None


def resolve(text: str, path: Path | None = None) -> Device:
    """The device of a name or an address; `path`: the file to look in instead of the one that is found."""
    return resolve_all([text], path)[0]


def resolve_all(texts: Iterable[str], path: Path | None = None) -> list[Device]:
    """The same for several, with one look at the file. A device that is named twice comes once."""
    file: DevicesFile | None = None
    found: dict[str, Device] = {}
    for text in texts:
        if is_address(text):
            device = Device(text, parse(text))
        else:
            file = file or load(path)
            device = _look_up(text, file)
        found.setdefault(str(device.address), device)
    return list(found.values())


def _look_up(name: str, file: DevicesFile | None) -> Device:
    if file is None:
        raise InputError(
            f"there is no {FILE_NAME} in this folder or above it, in which the device {name!r} could stand; "
            "give an address, as ssh://user@host or serial:/dev/ttyUSB0, or the file with --devices"
        )
    if name not in file.devices:
        raise InputError(f"{file.path} has no device {name!r}; it has {', '.join(file.devices) or 'none'}")
    return file.devices[name]
