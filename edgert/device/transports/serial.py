"""A serial line, by pyserial, read and written through the event loop. A pty serves as well."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import termios
from collections.abc import Callable
from typing import Any

from edgert.device.errors import DeviceError, LinkError
from edgert.errors import InputError, MissingExtraError

_READ_BYTES = 65536
_BITS_PER_BYTE = 10  # a start bit, eight of data, a stop bit


class SerialStream:
    """A ByteStream over an open port of pyserial, which it owns."""

    lossy = True

    def __init__(self, port: Any, name: str, baud: int, framing: str) -> None:
        self._port: Any | None = port
        self._fd: int = port.fileno()
        self._name = name
        self._baud = baud
        self.framing = framing
        self.bytes_per_second: float | None = baud / _BITS_PER_BYTE

    async def read(self) -> bytes:
        loop = asyncio.get_running_loop()
        while True:
            self._check_open()
            try:
                data = os.read(self._fd, _READ_BYTES)
            except BlockingIOError:
                await self._until_ready(loop.add_reader, loop.remove_reader)
                continue
            except OSError as error:
                raise self._lost(error) from error
            if not data:  # VMIN is 1: no bytes means that the line hung up
                raise self._lost(None)
            return data

    async def write(self, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        rest = memoryview(data)
        while rest:
            self._check_open()
            try:
                rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:
                await self._until_ready(loop.add_writer, loop.remove_writer)
            except OSError as error:
                raise self._lost(error) from error

    async def close(self) -> None:
        if self._port is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._fd)
        loop.remove_writer(self._fd)
        # Nobody waits for what was not sent yet, and closing a port blocks until it is, or half a minute.
        with contextlib.suppress(OSError, termios.error):
            termios.tcflush(self._fd, termios.TCOFLUSH)
        with contextlib.suppress(OSError):
            self._port.close()
        self._port = None

    def describe(self) -> str:
        console = " (console framing)" if self.framing == "console" else ""
        return f"serial:{self._name} at {self._baud} baud{console}"

    def error_text(self) -> str:
        return ""

    async def _until_ready(self, add: Callable[..., Any], remove: Callable[[int], Any]) -> None:
        ready = asyncio.get_running_loop().create_future()
        add(self._fd, lambda: None if ready.done() else ready.set_result(None))
        try:
            await ready
        finally:
            if self._port is not None:
                remove(self._fd)

    def _check_open(self) -> None:
        if self._port is None:
            raise LinkError(f"{self.describe()}: closed")

    def _lost(self, error: OSError | None) -> LinkError:
        reason = "hung up" if error is None or error.errno == errno.EIO else str(error.strerror)
        return LinkError(f"{self.describe()}: the line is gone ({reason}); plug it in and call again to resume")


async def open_serial(device: str, baud: int, framing: str) -> SerialStream:
    """Opens the port for this program alone, 8 data bits, no parity, no flow control.

    Raises DeviceError when it is not there, in use, or not this user's to open; InputError for a speed that it does
    not have.
    """
    try:
        import serial
    except ImportError as error:
        raise MissingExtraError("pyserial", "pushing over a serial line", "device") from error
    try:
        port = serial.Serial(device, baudrate=baud, timeout=0, write_timeout=0, exclusive=True)
    except ValueError as error:
        raise InputError(f"serial:{device} cannot be set to {baud} baud: {error}") from error
    except serial.SerialException as error:
        raise _cannot_open(device, error) from error
    # pyserial sets VMIN to 0: a read of a line that hung up would look like one that has nothing yet.
    attributes = termios.tcgetattr(port.fileno())
    attributes[6][termios.VMIN], attributes[6][termios.VTIME] = 1, 0
    termios.tcsetattr(port.fileno(), termios.TCSANOW, attributes)
    os.set_blocking(port.fileno(), False)
    return SerialStream(port, device, baud, framing)


def _cannot_open(device: str, error: Any) -> DeviceError:
    hints = {
        errno.ENOENT: "there is no such port; `edgert devices` lists those that there are",
        errno.EACCES: "this user may not open it; join the group that owns it (on most systems: dialout)",
        errno.EAGAIN: "another program has it open; close that one first",
        errno.EBUSY: "another program has it open; close that one first",
        errno.EIO: "the port has no hardware behind it, or that was unplugged",
    }
    # What can be opened and not be set up has no number of its own: pyserial wraps termios' error into a text.
    kind = "it is no serial port" if error.errno in (None, errno.ENOTTY, errno.EISDIR) else str(error)
    return DeviceError(f"serial:{device} cannot be opened: {hints.get(error.errno, kind)}")
