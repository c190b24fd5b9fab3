"""How messages lie on a line of bytes, and are found in it again whatever else is there.

All work on whole frames (split, join, find), since a loop over bytes in Python would be slower than the line.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from edgert.errors import InputError
from edgert.smp.framing.auto import Auto
from edgert.smp.framing.cobs import Cobs
from edgert.smp.framing.console import Console
from edgert.smp.message import MAX_MESSAGE


class Framing(Protocol):
    """One end of a line. Not for several threads at once, except that encode() may run beside feed()."""

    @property
    def dropped(self) -> int:
        """Damaged or oversized frames so far."""

    def encode(self, message: bytes) -> bytes:
        """The bytes to send for a message. Raises MessageError when it is longer than the framing can say."""

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that these received bytes complete, in order. Never raises; keeps at most one frame."""

    def reset(self) -> None:
        """Forget a frame that has begun: the line was opened anew, or nothing has come for longer than a gap takes."""


FRAMINGS: dict[str, Callable[[int], Framing]] = {"console": Console, "cobs": Cobs, "auto": Auto}


def framing(name: str, max_message: int = MAX_MESSAGE) -> Framing:
    """A new framing by name: "console", "cobs" or "auto".

    `max_message`: longer messages are dropped as they come in, which bounds memory. Raises InputError.
    """
    kind = FRAMINGS.get(name)
    if kind is None:
        raise InputError(f"no framing {name!r}: there are {', '.join(FRAMINGS)}")
    return kind(max_message)
