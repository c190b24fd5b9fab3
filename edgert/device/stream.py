"""What every way to a device gives: bytes in both directions, and enough about the line to pace them."""

from __future__ import annotations

from typing import Protocol


class ByteStream(Protocol):
    """An open way to an agent: a serial line, an ssh or an adb process.

    Errors: `read` and `write` raise edgert.device.errors.LinkError when the line breaks; the end of it is not an
    error: `read` gives b"" then. All methods are called from one event loop; `read` and `write` may be in progress
    at once, each once.
    """

    framing: str
    """The name of its framing in edgert.smp.framing: "cobs" or "console"."""

    bytes_per_second: float | None
    """What the line carries at most in each direction, where that is known (a serial line's baud / 10)."""

    lossy: bool
    """Whether bytes may be lost or altered on the way (a serial line) or never are (ssh, adb)."""

    async def read(self) -> bytes:
        """The bytes that came, at least one; waits for them. b"" at the end of the stream."""

    async def write(self, data: bytes) -> None:
        """Hands all of data to the line; waits while the line's buffer is full."""

    async def close(self) -> None:
        """Gives the line back; ends processes that belong to it. May be called twice."""

    def describe(self) -> str:
        """The way in words, as an error names it: "serial:/dev/ttyUSB0 at 115200 baud"."""

    def error_text(self) -> str:
        """What the way itself complained about so far (ssh's or adb's stderr), or ""."""
