"""What is plugged in: serial adapters by their USB ids, what adb knows, and addresses that are always there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from edgert.device.address import Address, SerialAddress, parse
from edgert.device.listing import adb_devices, serial_ports


@dataclass(frozen=True)
class Plug:
    """A place where a board is. serial: the USB device's or adb's serial number, "" where nothing tells one."""

    address: Address
    serial: str = ""
    description: str = ""


@dataclass(frozen=True)
class Search:
    """usb: "vendor:product" in hex, of the adapters that boards hang on ("*": any serial port at USB). adb: options of
    the address (`home=...&agent=...`); None: adb is not asked. fixed: addresses."""

    usb: tuple[str, ...] = ()
    baud: int = 115200
    framing: str = "cobs"
    adb: str | None = None
    fixed: tuple[str, ...] = ()

    @property
    def ends(self) -> bool:
        """Whether all that it will ever find is there from the beginning."""
        return not self.usb and self.adb is None

    def look(self) -> list[Plug]:
        """Takes a moment: adb may have to start its server. Raises what edgert.device.listing raises."""
        return [*(Plug(parse(text)) for text in self.fixed), *self._serial(), *self._adb()]

    def _serial(self) -> Iterator[Plug]:
        for port in serial_ports() if self.usb else ():
            address = parse(port.address)
            if port.usb and (port.usb in self.usb or "*" in self.usb) and isinstance(address, SerialAddress):
                yield Plug(replace(address, baud=self.baud, framing=self.framing), port.serial_number, port.description)

    def _adb(self) -> Iterator[Plug]:
        for phone in adb_devices() if self.adb is not None else ():
            if phone.state == "device":  # and not one that still asks its owner for permission
                options = f"?{self.adb}" if self.adb else ""
                yield Plug(parse(phone.address + options), phone.serial_number, phone.description)
