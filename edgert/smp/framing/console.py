"""SMP over a console: lines of base64 between which people and kernels may write, as Zephyr's devices speak it.

A frame is base64([length, 16 bits][message][CRC16]) cut into lines: the first begins with 06 09, those that continue it
with 04 14, each ends with a newline and has 127 bytes at most; length counts message and CRC; all big-endian. Source:
Zephyr's "SMP transport specification". A line is base64 by itself (Zephyr decodes line by line), so that 124 characters
of it, which is 93 bytes, are the most that we put on one. We accept longer lines.
"""

from __future__ import annotations

from binascii import Error, a2b_base64, b2a_base64, crc_hqx

from edgert.smp.message import MAX_MESSAGE, MessageError

_FIRST, _NEXT = b"\x06\x09", b"\x04\x14"
_LINE_CHARACTERS = 124  # of base64; with the two markers' bytes and the newline 127
_MAX_MESSAGE = 0xFFFF - 2  # the length's 16 bits count the CRC, too
_BREAK = b"\n" + _NEXT


def _last_marker(line: bytes | bytearray) -> int:
    return max(line.rfind(_FIRST), line.rfind(_NEXT))


class Console:
    """Frames of a console. Whatever is on no line of a frame is ignored. `max_message` bounds what is kept."""

    def __init__(self, max_message: int = MAX_MESSAGE) -> None:
        self.dropped = 0
        self._max_message = min(max_message, _MAX_MESSAGE)
        self._max_line = (self._max_message + 4 + 2) // 3 * 4 + 4  # the whole frame on one line, with CR
        self._line = bytearray()  # of the line that has begun, when it may belong to a frame
        self._frame = bytearray()  # what the lines of the frame so far decode to
        self._needed = 0  # bytes of the whole frame; 0: none has begun

    def encode(self, message: bytes) -> bytes:
        if len(message) > _MAX_MESSAGE:
            raise MessageError(f"a message of {len(message)} bytes: a console's frames hold {_MAX_MESSAGE} at most")
        length = len(message) + 2
        frame = length.to_bytes(2, "big") + message + crc_hqx(message, 0).to_bytes(2, "big")
        text = b2a_base64(frame, newline=False)
        lines = [text[at : at + _LINE_CHARACTERS] for at in range(0, len(text), _LINE_CHARACTERS)]
        return _FIRST + _BREAK.join(lines) + b"\n"

    def feed(self, data: bytes) -> list[bytes]:
        first, *rest = data.split(b"\n")
        self._begin(first)
        if not rest:
            return []
        lines = [bytes(self._line), *rest[:-1]]
        self._line.clear()
        self._begin(rest[-1])
        return [message for line in lines if len(line) > 2 and (message := self._add(line)) is not None]

    def reset(self) -> None:
        self._line.clear()
        self._drop()

    @property
    def between(self) -> bool:
        """Whether no line and no frame has begun that we would go on with."""
        return not self._line and not self._needed

    def _begin(self, piece: bytes) -> None:
        """Add to the line that has begun: keep it from a marker on, or the byte that may be a marker's first."""
        line = self._line
        line += piece
        if not line.startswith((_FIRST, _NEXT)):
            at = _last_marker(line)
            if at >= 0:
                del line[:at]
            else:
                del line[: -1 if line.endswith((_FIRST[:1], _NEXT[:1])) else len(line)]
        if len(line) > self._max_line:
            line.clear()
            self.dropped += 1

    def _add(self, line: bytes) -> bytes | None:
        """The message that this line completes."""
        if not line.startswith((_FIRST, _NEXT)):
            at = _last_marker(line)
            if at < 0:
                return None
            line = line[at:]
        marker = line[:2]
        if marker == _NEXT and not self._needed:
            return None  # the rest of a frame whose beginning was lost, and counted
        try:
            piece = a2b_base64(line[2:].rstrip(b"\r"), strict_mode=True)
        except Error:
            self._drop(begun=True)
            # Base64 has no marker's bytes: where one is, the newline before it was lost.
            at = _last_marker(line[2:])
            return self._add(line[2 + at :]) if at >= 0 else None
        if marker == _FIRST:
            self._drop()
            self._needed = int.from_bytes(piece[:2], "big") + 2
            if not 4 < self._needed <= self._max_message + 4:
                self._drop(begun=True)
                return None
        self._frame += piece
        if len(self._frame) < self._needed:
            return None
        checked = bytes(self._frame[2:])
        whole = len(self._frame) == self._needed and not crc_hqx(checked, 0)  # the CRC of all with the CRC is 0
        self._needed = 0
        self._frame.clear()
        if not whole:
            self.dropped += 1
            return None
        return checked[:-2]

    def _drop(self, begun: bool = False) -> None:
        """Forget the frame that has begun, if one has."""
        if begun or self._needed:
            self.dropped += 1
        self._needed = 0
        self._frame.clear()
