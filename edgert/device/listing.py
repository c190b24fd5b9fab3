"""What could be pushed to from here: serial ports, what adb knows, and the names of edgert-devices.toml."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgert.device.address import AdbAddress, SerialAddress
from edgert.device.devices_file import load
from edgert.device.errors import LinkError
from edgert.device.transports.adb import adb_program
from edgert.device.words import plain
from edgert.errors import MissingExtraError

ADB_SECONDS = 15.0  # it may have to start its server first
BY_ID = Path("/dev/serial/by-id")


@dataclass(frozen=True)
class Found:
    """address: what `edgert push` takes. kind: "name", "serial" or "adb". state: of adb alone ("device" is ready).

    usb: "vendor:product" in hex, for a port at USB; serial_number: the USB device's or adb's; stable: a path to the
    same port that stays when others are plugged in; name: that of edgert-devices.toml.
    """

    kind: str
    address: str
    description: str = ""
    state: str = ""
    usb: str = ""
    serial_number: str = ""
    stable: str = ""
    name: str = ""


@dataclass(frozen=True)
class Listing:
    """notes: what could not be looked through, and why."""

    found: tuple[Found, ...]
    notes: tuple[str, ...]


def list_devices(devices_file: Path | None = None) -> Listing:
    """Looks through all three. Raises InputError for a damaged edgert-devices.toml."""
    notes: list[str] = []
    found = _configured(devices_file)
    for look in (serial_ports, adb_devices):
        try:
            found += look()
        except (LinkError, MissingExtraError) as error:
            notes.append(str(error))
    return Listing(tuple(found), tuple(notes))


def _configured(path: Path | None) -> list[Found]:
    file = load(path)
    if file is None:
        return []
    return [Found("name", str(one.address), one.target or "", name=name) for name, one in file.devices.items()]


def serial_ports() -> list[Found]:
    """Serial ports that are there, those at USB with what the USB device says of itself."""
    try:
        from serial.tools.list_ports import comports
    except ImportError as error:
        raise MissingExtraError("pyserial", "listing serial ports", "device") from error
    links = _stable_names()
    return [_port(info, links) for info in sorted(comports(), key=lambda info: _natural(info.device))]


def _port(info: Any, links: dict[Path, Path]) -> Found:
    known = info.vid is not None and info.pid is not None
    makers = [part for part in (info.manufacturer, info.product) if part]
    words = " ".join(makers) or ("" if info.description in (None, "n/a") else info.description)
    stable = links.get(Path(info.device).resolve())
    return Found(
        "serial",
        str(SerialAddress(info.device)),
        _plain(words),
        usb=f"{info.vid:04x}:{info.pid:04x}" if known else "",
        serial_number=_plain(info.serial_number or ""),
        stable=str(stable) if stable else "",
    )


def _natural(device: str) -> tuple[str, int]:
    """ttyUSB10 comes after ttyUSB9."""
    head = device.rstrip("0123456789")
    return head, int(device[len(head) :] or 0)


def _stable_names() -> dict[Path, Path]:
    """udev names a port after the USB device it belongs to."""
    if sys.platform != "linux" or not BY_ID.is_dir():
        return {}
    return {link.resolve(): link for link in sorted(BY_ID.iterdir())}


def adb_devices() -> list[Found]:
    """What `adb devices` lists. Raises LinkError when adb is not there or says nothing."""
    program = adb_program()
    if program is None:
        raise LinkError("adb devices are not listed: there is no adb on this machine (Android's platform-tools)")
    null, pipe = (
        subprocess.DEVNULL,
        subprocess.PIPE,
    )  # its complaints go nowhere: a server that it starts keeps them open
    try:
        asked = subprocess.run(
            [program, "devices", "-l"], stdin=null, stdout=pipe, stderr=null, timeout=ADB_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise LinkError(f"adb devices are not listed: adb did not answer within {ADB_SECONDS:.0f} s") from None
    if asked.returncode != 0:
        raise LinkError(f"adb devices are not listed: adb ended with code {asked.returncode}; try `adb devices`")
    return list(_adb_lines(asked.stdout.decode(errors="replace").splitlines()))


def _adb_lines(lines: Iterable[str]) -> Iterable[Found]:
    """Lines such as "emulator-5554  device product:sdk model:Pixel_8 device:x transport_id:1"."""
    for line in lines:
        words = line.split()
        if len(words) < 2 or line.startswith(("List of devices", "*", "adb ")):
            continue
        facts = dict(word.split(":", 1) for word in words[2:] if ":" in word)
        # "no permissions (...)" is a state of two words
        state = words[1] if words[1] != "no" else "no permissions"
        model = _plain(facts.get("model", facts.get("product", ""))).replace("_", " ")
        yield Found("adb", str(AdbAddress(words[0])), model, state, serial_number=words[0])


def _plain(text: str) -> str:
    """Cut to a table's width."""
    return plain(text.strip(), 60)
