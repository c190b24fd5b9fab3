"""Either framing, as the peer speaks it; answers go out in the framing of the last frame that came whole.

What lies between two 00, or after a console's lines, belongs to one framing alone, decided by its first two bytes: an
SMP header's second byte (flags) is always 0, so that COBS of a message begins with 02 and the byte of operation and
version, or with 01 01. No line of a console's frame begins so. Deciding matters: a file that is sent in COBS may hold a
console's frames, which must not be taken for requests.
"""

from __future__ import annotations

from edgert.smp.framing.cobs import Cobs
from edgert.smp.framing.console import Console
from edgert.smp.message import HEADER_BYTES, MAX_MESSAGE

# Code 2, then any version of read, its reply, write, its reply; a read of version 1 is a 00 itself.
_COBS_BEGINS = frozenset({b"\x01\x01", *(bytes((2, version << 3 | op)) for version in range(4) for op in range(4))})


class Auto:
    """Listens to both, and answers in the one heard last; before that in COBS."""

    def __init__(self, max_message: int = MAX_MESSAGE) -> None:
        self._cobs = Cobs(max_message)
        self._console = Console(max_message)
        self._heard: Cobs | Console = self._cobs
        self._begun = b""  # of what came since the last 00, as long as that is less than two bytes
        self._reader: Cobs | Console | None = None  # who reads what came since; None: not yet decided

    @property
    def dropped(self) -> int:
        return self._cobs.dropped + self._console.dropped

    @property
    def name(self) -> str:
        """The framing in which answers go out."""
        return "cobs" if self._heard is self._cobs else "console"

    def encode(self, message: bytes) -> bytes:
        return self._heard.encode(message)

    def feed(self, data: bytes) -> list[bytes]:
        *ended, begun = data.split(b"\0")
        messages: list[bytes] = []
        for piece in ended:
            if piece or self._begun or self._reader is not None:  # a run of 00 says nothing
                messages += self._read(piece, b"\0")
                self._reader = None
        messages += self._read(begun, b"")
        return messages

    def reset(self) -> None:
        self._cobs.reset()
        self._console.reset()
        self._begun = b""
        self._reader = None

    def _read(self, piece: bytes, end: bytes) -> list[bytes]:
        if self._reader is None:
            piece = self._begun + piece
            self._begun = b""
            if len(piece) < 2 and not end:
                self._begun = piece
                return []
            self._reader = self._cobs if piece[:2] in _COBS_BEGINS else self._console
        reader = self._reader
        if reader is self._console:
            messages = self._console.feed(piece)
            if self._console.between:  # a peer may go on in COBS, and not all of them begin it with a 00
                self._reader = None
        else:
            messages = self._cobs.feed(piece + end)
            if self._cobs.skipping:  # longer than any frame: no COBS after all
                self._cobs.reset()
                self._reader = self._console
        # 16 bits of CRC let noise pass now and then: it must not decide how we answer.
        if any(int.from_bytes(message[2:4], "big") == len(message) - HEADER_BYTES for message in messages):
            self._heard = reader
        return messages
