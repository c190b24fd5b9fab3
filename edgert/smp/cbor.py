"""CBOR (RFC 8949) as far as SMP and manifests need it: a deterministic encoder, and a decoder for hostile bytes.

Values: None, bool, int (-2**64 .. 2**64-1), float, bytes, str, lists, and dicts whose keys are text.
"""

from __future__ import annotations

import math
import struct
from typing import TypeAlias

from edgert.errors import EdgertError

Value: TypeAlias = bool | int | float | bytes | str | list["Value"] | dict[str, "Value"] | None

MAX_DEPTH = 8  # containers within containers
MAX_ITEMS = 1 << 18  # values in one document: bounds what it takes in memory, at about 60 bytes each

_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)  # major types
_INDEFINITE = 31
_BREAK = 0xFF
_KINDS = ("an integer", "an integer", "a byte string", "a text", "an array", "a map", "a tag", "a simple value")


class CborError(EdgertError, ValueError):
    """Bytes that are no CBOR which we accept, or a value that has no CBOR."""


def encode(value: object) -> bytes:
    """The value's deterministic encoding (RFC 8949 section 4.2.1): shortest heads and floats, keys in bytewise order.

    Tuples are encoded as lists; bytearrays and memoryviews as byte strings. Raises CborError for what has no encoding:
    another type, an integer that needs more than 64 bits, text with lone surrogates, more than MAX_DEPTH levels.
    """
    parts: list[bytes] = []
    _encode(value, parts, MAX_DEPTH)
    return b"".join(parts)


def _head(major: int, argument: int) -> bytes:
    if argument < 24:
        return bytes((major << 5 | argument,))
    if argument <= 0xFF:
        return bytes((major << 5 | 24, argument))
    if argument <= 0xFFFF:
        return struct.pack(">BH", major << 5 | 25, argument)
    if argument <= 0xFFFFFFFF:
        return struct.pack(">BI", major << 5 | 26, argument)
    return struct.pack(">BQ", major << 5 | 27, argument)


def _encode(value: object, parts: list[bytes], depth: int) -> None:
    if value is None:
        parts.append(b"\xf6")
    elif value is True:  # before int, of which bool is a kind
        parts.append(b"\xf5")
    elif value is False:
        parts.append(b"\xf4")
    elif isinstance(value, int):
        if not -(2**64) <= value < 2**64:
            raise CborError(f"an integer of {value.bit_length()} bits has no CBOR: 64 are the most")
        parts.append(_head(_UNSIGNED, value) if value >= 0 else _head(_NEGATIVE, -1 - value))
    elif isinstance(value, str):
        text = _utf8(value)
        parts += (_head(_TEXT, len(text)), text)
    elif isinstance(value, (bytes, bytearray, memoryview)):
        data = bytes(value)
        parts += (_head(_BYTES, len(data)), data)
    elif isinstance(value, float):
        parts.append(_float(value))
    elif isinstance(value, (list, tuple)):
        _check_depth(depth)
        parts.append(_head(_ARRAY, len(value)))
        for item in value:
            _encode(item, parts, depth - 1)
    elif isinstance(value, dict):
        _check_depth(depth)
        parts.append(_head(_MAP, len(value)))
        # No two keys have the same encoding, so that sorting never compares the values.
        for key, item in sorted((_encoded_key(key), item) for key, item in value.items()):
            parts.append(key)
            _encode(item, parts, depth - 1)
    else:
        raise CborError(
            f"a value of type {type(value).__name__} has no CBOR here: pass numbers, text, bytes, lists, dicts"
        )


def _check_depth(depth: int) -> None:
    if depth == 0:
        raise CborError(f"more than {MAX_DEPTH} containers within one another")


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise CborError(f"{text!a} is no Unicode text: it holds a lone surrogate") from error


def _encoded_key(key: object) -> bytes:
    if not isinstance(key, str):
        raise CborError(f"a key of type {type(key).__name__}: keys are text")
    text = _utf8(key)
    return _head(_TEXT, len(text)) + text


def _float(value: float) -> bytes:
    if math.isnan(value):
        return b"\xf9\x7e\x00"
    for head, form in ((b"\xf9", ">e"), (b"\xfa", ">f")):
        try:
            packed = struct.pack(form, value)
        except OverflowError:
            continue
        if struct.unpack(form, packed)[0] == value:
            return head + packed
    return b"\xfb" + struct.pack(">d", value)


def decode(data: bytes | bytearray | memoryview, *, max_depth: int = MAX_DEPTH, max_items: int = MAX_ITEMS) -> Value:
    """The value that `data` holds, whole: bytes after it are an error, as is everything that is not well-formed.

    Longer heads than needed, indefinite lengths and floats of 16, 32 and 64 bits are accepted (zcbor, which Zephyr's
    devices use, sends such). Refused: tags, keys that are no text or come twice, other simple values than false, true
    and null, text that is no UTF-8, more than `max_depth` levels or `max_items` values. Memory and time are bounded by
    the length of `data`, whatever its heads claim. Raises CborError, which names the byte.
    """
    decoder = _Decoder(bytes(data), max_items)
    value = decoder.value(max_depth)
    if decoder.at != len(decoder.data):
        raise decoder.error(f"{len(decoder.data) - decoder.at} bytes follow the value")
    return value


class _Decoder:
    def __init__(self, data: bytes, max_items: int) -> None:
        self.data = data
        self.at = 0
        self.items = max_items

    def error(self, text: str) -> CborError:
        return CborError(f"CBOR of {len(self.data)} bytes, byte {self.at}: {text}")

    def head(self) -> tuple[int, int, int]:
        """(major type, additional information, argument) of the next value; moves past it."""
        data, at = self.data, self.at
        if at >= len(data):
            raise self.error("it ends where a value was expected")
        major, info = data[at] >> 5, data[at] & 31
        if info < 24:
            self.at = at + 1
            return major, info, info
        if info < 28:
            end = at + 1 + (1 << (info - 24))
            if end > len(data):
                raise self.error("it ends within a head")
            self.at = end
            return major, info, int.from_bytes(data[at + 1 : end], "big")
        if info != _INDEFINITE:
            raise self.error(f"additional information {info} is reserved")
        if major in (_UNSIGNED, _NEGATIVE, _TAG):
            raise self.error(f"{_KINDS[major]} of indefinite length")
        self.at = at + 1
        return major, info, 0

    def value(self, depth: int) -> Value:
        self.items -= 1
        if self.items < 0:
            raise self.error("more values than are accepted")
        start = self.at
        major, info, argument = self.head()
        if major == _UNSIGNED:
            return argument
        if major == _NEGATIVE:
            return -1 - argument
        if major == _BYTES:
            return self.string(_BYTES, info, argument)
        if major == _TEXT:
            return self.text(info, argument)
        if major in (_ARRAY, _MAP):
            if depth == 0:
                raise self.error("too many containers within one another")
            # Each value takes a byte at least: a count that the rest cannot hold is refused before anything is read.
            if argument > (len(self.data) - self.at) >> (major == _MAP):
                raise self.error(f"{_KINDS[major]} of {argument} items, and {len(self.data) - self.at} bytes are left")
            count = None if info == _INDEFINITE else argument
            return self.array(count, depth - 1) if major == _ARRAY else self.map(count, depth - 1)
        if major == _SIMPLE:
            return self.simple(start, info, argument)
        self.at = start
        raise self.error(f"tag {argument}: tags are not accepted")

    def string(self, major: int, info: int, length: int) -> bytes:
        """The bytes of a byte string or a text, whose head was read."""
        if info == _INDEFINITE:
            chunks = []
            while not self.end():
                kind, info, length = self.head()
                if kind != major or info == _INDEFINITE:
                    raise self.error(f"a chunk of {_KINDS[major]} is {_KINDS[kind]}")
                chunks.append(self.string(major, info, length))
            return b"".join(chunks)
        end = self.at + length
        if end > len(self.data):
            raise self.error(f"{_KINDS[major]} of {length} bytes, and {len(self.data) - self.at} are left")
        piece = self.data[self.at : end]
        self.at = end
        return piece

    def text(self, info: int, length: int) -> str:
        start = self.at
        try:
            return self.string(_TEXT, info, length).decode()
        except UnicodeDecodeError:
            self.at = start
            raise self.error("a text that is no UTF-8") from None

    def end(self) -> bool:
        """Whether a container of indefinite length ends here; moves past its end."""
        if self.at < len(self.data) and self.data[self.at] == _BREAK:
            self.at += 1
            return True
        return False

    def array(self, count: int | None, depth: int) -> list[Value]:
        if count is not None:
            return [self.value(depth) for _ in range(count)]
        items: list[Value] = []
        while not self.end():
            items.append(self.value(depth))
        return items

    def map(self, count: int | None, depth: int) -> dict[str, Value]:
        items: dict[str, Value] = {}
        while len(items) != count:
            if count is None and self.end():
                break
            start = self.at
            major, info, argument = self.head()
            if major != _TEXT:
                self.at = start
                raise self.error(f"a key is {_KINDS[major]}: keys are text")
            key = self.text(info, argument)
            if key in items:
                self.at = start
                raise self.error(f"the key {key[:40]!a} comes twice")
            items[key] = self.value(depth)
        return items

    def simple(self, start: int, info: int, argument: int) -> Value:
        if info == 20:
            return False
        if info == 21:
            return True
        if info == 22:
            return None
        if 25 <= info <= 27:
            number: float = struct.unpack((">e", ">f", ">d")[info - 25], self.data[start + 1 : self.at])[0]
            return number
        self.at = start
        raise self.error(
            "the end of a container where a value was expected"
            if info == _INDEFINITE
            else f"simple value {argument}: false, true and null are accepted"
        )
