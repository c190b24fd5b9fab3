"""From an address to an open way: one table of kinds of addresses and what opens them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from edgert.device.address import AdbAddress, Address, SerialAddress, SshAddress, parse
from edgert.device.stream import ByteStream
from edgert.device.transports.adb import open_adb
from edgert.device.transports.serial import open_serial
from edgert.device.transports.ssh import open_ssh
from edgert.errors import InputError


async def _serial(address: SerialAddress) -> ByteStream:
    return await open_serial(address.device, address.baud, address.framing)


_OPENERS: dict[type, Callable[[Any], Awaitable[ByteStream]]] = {
    SerialAddress: _serial,
    SshAddress: open_ssh,
    AdbAddress: open_adb,
}


async def open_stream(address: str | Address) -> ByteStream:
    """An open way to what is at this address. Raises InputError for an address that is none of an agent's."""
    parsed = parse(address) if isinstance(address, str) else address
    opener = _OPENERS.get(type(parsed))
    if opener is None:
        raise InputError(f"{parsed} is no way to an agent that runs; a bundle can be pushed there, and nothing asked")
    return await opener(parsed)
