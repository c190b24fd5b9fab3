"""COBS with a CRC: the framing for lines that carry nothing else. One byte in 254 is spent, so that it is the fast one.

A frame is 00, COBS([message][CRC16, big-endian]), 00. The CRC is CRC-16/XMODEM, as in SMP's console framing. The first
00 ends whatever noise came before; receivers skip the empty frame that it makes between two frames. COBS: S. Cheshire
and M. Baker, "Consistent Overhead Byte Stuffing", IEEE/ACM Transactions on Networking 7(2), 1999. The same frames are
those of MCUboot's raw serial recovery and of smpclient's Cobs.
"""

from __future__ import annotations

from binascii import crc_hqx

from edgert.smp.message import MAX_MESSAGE, MessageError

_RUN = 254  # bytes other than 00 that one code can announce
_CODES = [bytes((length + 1,)) for length in range(_RUN)]


def encode(data: bytes) -> bytes:
    """COBS of `data`, without a delimiter. The result holds no 00."""
    # One pass without a loop of statements, and no table for empty blocks: data full of zeros is the slow case.
    return b"".join(
        [
            (_CODES[len(block)] + block if len(block) < _RUN else _long(block)) if block else b"\1"
            for block in data.split(b"\0")
        ]
    )


def _long(block: bytes) -> bytes:
    whole = len(block) // _RUN * _RUN
    runs = [b"\xff" + block[at : at + _RUN] for at in range(0, whole, _RUN)]
    return b"".join([*runs, _CODES[len(block) - whole], block[whole:]])


def decode(frame: bytes) -> bytes | None:
    """What `frame`, which holds no 00, encodes; None when it is no COBS.

    Done in place: a code that follows a block of less than 254 bytes stands where a 00 was, so that writing 00 over it
    is all there is to do. Codes that follow a full block stand for nothing and are cut out, as is the first.
    """
    data = bytearray(frame)
    size = len(data)
    at = 0
    cuts = [0]
    while at < size:
        code = data[at]
        data[at] = 0
        at += code
        if code > _RUN:
            cuts.append(at)
    if at != size or not size:
        return None
    if len(cuts) == 1:
        return bytes(data[1:])
    return b"".join([data[begin + 1 : end] for begin, end in zip(cuts, [*cuts[1:], size], strict=True)])


class Cobs:
    """COBS frames. `max_message` bounds what is kept of a frame that has not ended."""

    def __init__(self, max_message: int = MAX_MESSAGE) -> None:
        self.dropped = 0
        self._max_message = max_message
        decoded = max_message + 2
        self._max_frame = decoded + decoded // _RUN + 1
        self._pending = bytearray()  # of the frame that has begun
        self._too_long = False  # it is longer than any that we accept: skip to its end

    def encode(self, message: bytes) -> bytes:
        if len(message) > MAX_MESSAGE:
            raise MessageError(f"a message of {len(message)} bytes: {MAX_MESSAGE} are the most")
        return b"\0" + encode(message + crc_hqx(message, 0).to_bytes(2, "big")) + b"\0"

    def feed(self, data: bytes) -> list[bytes]:
        first, *rest = data.split(b"\0")
        self._keep(first)
        if not rest:
            return []
        frames = [self._ended(), *rest[:-1]]
        self._keep(rest[-1])
        return [message for frame in frames if frame and (message := self._message(frame)) is not None]

    def reset(self) -> None:
        if self._pending or self._too_long:
            self.dropped += 1
        self._pending.clear()
        self._too_long = False

    @property
    def skipping(self) -> bool:
        """Whether what has come since the last 00 is longer than any frame that we accept."""
        return self._too_long

    def _keep(self, piece: bytes) -> None:
        if self._too_long:
            return
        self._pending += piece
        if len(self._pending) > self._max_frame:
            self._pending.clear()
            self._too_long = True

    def _ended(self) -> bytes:
        """The frame whose end has come; nothing when it was too long."""
        frame = bytes(self._pending)
        if self._too_long:
            self.dropped += 1
        self._pending.clear()
        self._too_long = False
        return frame

    def _message(self, frame: bytes) -> bytes | None:
        checked = decode(frame) if len(frame) <= self._max_frame else None
        # The CRC of a message and its CRC is 0.
        if checked is None or not 2 < len(checked) <= self._max_message + 2 or crc_hqx(checked, 0):
            self.dropped += 1
            return None
        return checked[:-2]
