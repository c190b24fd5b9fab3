"""SMP messages: an 8-byte header and a CBOR map.

Header (SMP protocol specification, big-endian): 3 reserved bits, 2 bits version, 3 bits operation; flags; length of the
body (16 bits); group (16 bits); sequence number; command.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any

from edgert.errors import EdgertError
from edgert.smp import cbor
from edgert.smp.groups import MgmtError

_HEADER = struct.Struct(">BBHHBB")
HEADER_BYTES = _HEADER.size
MAX_MESSAGE = HEADER_BYTES + 0xFFFF  # what the format can hold; a decoder takes its own bound
MAX_ITEMS = 4096  # values in a body: more than any command of ours sends
V1, V2 = 0, 1  # versions of the protocol; they differ in how errors are told


class Op(IntEnum):
    READ = 0
    READ_RSP = 1
    WRITE = 2
    WRITE_RSP = 3


class MessageError(EdgertError, ValueError):
    """Bytes that are no SMP message. `header` is there when that much could be read, so that it can be answered."""

    def __init__(self, text: str, header: Header | None = None) -> None:
        super().__init__(text)
        self.header = header


@dataclass(frozen=True, slots=True)
class Header:
    """What a message is about. `sequence` (0..255) comes back in the reply."""

    op: Op
    group: int
    command: int
    sequence: int = 0
    version: int = V2
    flags: int = 0

    def to_bytes(self, body_bytes: int) -> bytes:
        return _HEADER.pack(
            self.version << 3 | self.op, self.flags, body_bytes, self.group, self.sequence, self.command
        )

    @staticmethod
    def from_bytes(data: bytes) -> tuple[Header, int]:
        """(header, length of the body that it announces). Raises MessageError."""
        if len(data) < HEADER_BYTES:
            raise MessageError(f"a message of {len(data)} bytes: its header alone has {HEADER_BYTES}")
        first, flags, body_bytes, group, sequence, command = _HEADER.unpack_from(data)
        if first & 0xE4:  # three reserved bits, and operations from 4 on, that no specification knows
            raise MessageError(f"a message whose first byte is {first:#04x}: no operation of SMP")
        return Header(Op(first & 3), group, command, sequence, first >> 3, flags), body_bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """The error that a reply tells. `group` says whose number `rc` is; None: one of MgmtError, for any group."""

    group: int | None
    rc: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """A request or a reply. The body's values are cbor.Value; typed loosely, since readers check what they need."""

    header: Header
    body: Mapping[str, Any] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Raises MessageError when the body is longer than a header can say, cbor.CborError when it has no encoding."""
        body = cbor.encode(self.body)
        if len(body) > 0xFFFF:
            raise MessageError(f"a body of {len(body)} bytes: 65535 are the most")
        return self.header.to_bytes(len(body)) + body

    @staticmethod
    def from_bytes(data: bytes) -> Message:
        """The message that `data` holds, whole. Raises MessageError."""
        header, body_bytes = Header.from_bytes(data)
        if body_bytes != len(data) - HEADER_BYTES:
            found = len(data) - HEADER_BYTES
            raise MessageError(f"a header that announces {body_bytes} bytes of body, and {found} came")
        if not body_bytes:  # the body is optional
            return Message(header)
        try:
            body = cbor.decode(memoryview(data)[HEADER_BYTES:], max_items=MAX_ITEMS)
        except cbor.CborError as error:
            raise MessageError(str(error), header) from None
        if not isinstance(body, dict):
            raise MessageError(f"a body that is {type(body).__name__}, not a map", header)
        return Message(header, body)

    def reply(self, body: Mapping[str, Any]) -> Message:
        """The answer to this request."""
        return Message(replace(self.header, op=Op(self.header.op | 1)), body)

    def refuse(self, rc: int, group: int | None = None, reason: str = "") -> Message:
        """The answer that tells an error.

        `group` None: `rc` is a MgmtError, told as {"rc"} in either version. Otherwise `rc` is a number of that group,
        which version 2 tells as {"err": {"group", "rc"}}; version 1 knows no such numbers and gets {"rc"}. A reason
        goes beside it as "rsn" where there is one.
        """
        error: dict[str, Any] = {"rc": int(rc)}
        if group is not None and self.header.version != V1:
            error = {"err": {"group": int(group), "rc": int(rc)}}
        return self.reply({**error, "rsn": reason} if reason else error)

    def refusal(self) -> Refusal | None:
        """The error that this reply tells, or None. "rc" 0 is success; an error that cannot be read is still one."""
        reason = self.body.get("rsn")
        text = reason if isinstance(reason, str) else ""
        match self.body:
            case {"err": {"group": int(group), "rc": int(rc)}}:
                return Refusal(group, rc, text) if rc else None
            case {"err": _}:
                return Refusal(None, MgmtError.UNKNOWN, text)
            case {"rc": int(rc)}:
                return Refusal(None, rc, text) if rc else None
            case {"rc": _}:
                return Refusal(None, MgmtError.UNKNOWN, text)
        return None
