"""CBOR: RFC 8949's own examples, cbor2 as the peer, and everything hostile that bytes can be."""

from __future__ import annotations

import math
import struct
import tracemalloc
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgert.errors import EdgertError
from edgert.smp import cbor

# RFC 8949 appendix A, of what we encode.
EXAMPLES: list[tuple[Any, str]] = [
    (0, "00"),
    (1, "01"),
    (10, "0a"),
    (23, "17"),
    (24, "1818"),
    (25, "1819"),
    (100, "1864"),
    (1000, "1903e8"),
    (255, "18ff"),  # where heads grow; not in the appendix
    (256, "190100"),
    (65535, "19ffff"),
    (65536, "1a00010000"),
    (4294967295, "1affffffff"),
    (4294967296, "1b0000000100000000"),
    (1000000, "1a000f4240"),
    (1000000000000, "1b000000e8d4a51000"),
    (18446744073709551615, "1bffffffffffffffff"),
    (-18446744073709551616, "3bffffffffffffffff"),
    (-1, "20"),
    (-10, "29"),
    (-100, "3863"),
    (-1000, "3903e7"),
    (0.0, "f90000"),
    (1.0, "f93c00"),
    (1.1, "fb3ff199999999999a"),
    (1.5, "f93e00"),
    (65504.0, "f97bff"),
    (100000.0, "fa47c35000"),
    (3.4028234663852886e38, "fa7f7fffff"),
    (1.0e300, "fb7e37e43c8800759c"),
    (5.960464477539063e-8, "f90001"),
    (0.00006103515625, "f90400"),
    (-4.0, "f9c400"),
    (-4.1, "fbc010666666666666"),
    (math.inf, "f97c00"),
    (-math.inf, "f9fc00"),
    (False, "f4"),
    (True, "f5"),
    (None, "f6"),
    (b"", "40"),
    (bytes.fromhex("01020304"), "4401020304"),
    ("", "60"),
    ("a", "6161"),
    ("IETF", "6449455446"),
    ('"\\', "62225c"),
    ("ü", "62c3bc"),
    ("水", "63e6b0b4"),
    ("\U00010151", "64f0908591"),
    ([], "80"),
    ([1, 2, 3], "83010203"),
    ([1, [2, 3], [4, 5]], "8301820203820405"),
    (list(range(1, 26)), "98190102030405060708090a0b0c0d0e0f101112131415161718181819"),
    ({}, "a0"),
    ({"a": 1, "b": [2, 3]}, "a26161016162820203"),
    (["a", {"b": "c"}], "826161a161626163"),
    ({"a": "A", "b": "B", "c": "C", "d": "D", "e": "E"}, "a56161614161626142616361436164614461656145"),
]
# What we only read: appendix A's indefinite lengths, longer floats, and heads longer than they need be.
READ_ONLY: list[tuple[Any, str]] = [
    (1.0, "fa3f800000"),
    (math.inf, "fa7f800000"),
    (math.inf, "fb7ff0000000000000"),
    (b"\1\2\3\4\5", "5f42010243030405ff"),
    ("streaming", "7f657374726561646d696e67ff"),
    ([], "9fff"),
    ([1, [2, 3], [4, 5]], "9f018202039f0405ffff"),
    ([1, [2, 3], [4, 5]], "9f01820203820405ff"),
    ([1, [2, 3], [4, 5]], "83018202039f0405ff"),
    ({"a": 1, "b": [2, 3]}, "bf61610161629f0203ffff"),
    (["a", {"b": "c"}], "826161bf61626163ff"),
    ({"Fun": True, "Amt": -2}, "bf6346756ef563416d7421ff"),
    (5, "1805"),
    (5, "1b0000000000000005"),
    ({"b": 1, "a": 2}, "a2616201616102"),
    ({"rc": 0}, "bf7f61726163ff00ff"),  # a key in pieces
]
REFUSED: list[tuple[str, str]] = [
    ("", "ends where a value was expected"),
    ("0000", "follow the value"),
    ("c074323031332d30332d32315432303a30343a30305a", "tags are not accepted"),
    ("d9d9f700", "tags are not accepted"),
    ("a10102", "keys are text"),
    ("a1420000", "keys are text"),
    ("a2616101616102", "comes twice"),
    ("bf6161016161029f", "comes twice"),
    ("f7", "simple value 23"),
    ("f0", "simple value 16"),
    ("f818", "simple value 24"),
    ("f8", "ends within a head"),
    ("19ff", "ends within a head"),
    ("1c", "reserved"),
    ("fe", "reserved"),
    ("1f", "indefinite length"),
    ("3f", "indefinite length"),
    ("df00", "indefinite length"),
    ("ff", "end of a container"),
    ("81ff", "end of a container"),
    ("bf6161ff", "end of a container"),
    ("9f", "ends where a value was expected"),
    ("5f6161ff", "a chunk of a byte string is a text"),
    ("5f5f4100ffff", "a chunk of a byte string is a byte string"),
    ("7f4161ff", "a chunk of a text is a byte string"),
    ("42ff", "of 2 bytes, and 1 are left"),
    ("5bffffffffffffffff00", "and 1 are left"),
    ("9bffffffffffffffff", "an array of 18446744073709551615 items"),
    ("bbffffffffffffffff", "a map of 18446744073709551615 items"),
    ("830102", "an array of 3 items"),
    ("a2616101", "a map of 2 items"),
    ("61ff", "no UTF-8"),
    ("62c3", "are left"),
    ("63eda080", "no UTF-8"),  # a surrogate
    ("61c3", "no UTF-8"),
    ("81" * 9 + "00", "within one another"),
    ("9f" * 9, "within one another"),
    ("a16161" * 9 + "00", "within one another"),
]

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.binary(max_size=300)
    | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=30), inner, max_size=5),
    max_leaves=20,
)


def depth(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@pytest.mark.parametrize(("value", "encoded"), EXAMPLES, ids=[encoded for _, encoded in EXAMPLES])
def test_examples_of_the_rfc(value: Any, encoded: str) -> None:
    assert cbor.encode(value).hex() == encoded
    decoded = cbor.decode(bytes.fromhex(encoded))
    assert decoded == value
    assert type(decoded) is type(value)


@pytest.mark.parametrize(("value", "encoded"), READ_ONLY, ids=[encoded for _, encoded in READ_ONLY])
def test_what_others_may_send(value: Any, encoded: str) -> None:
    assert cbor.decode(bytes.fromhex(encoded)) == value
    assert cbor2.loads(bytes.fromhex(encoded)) == value


@pytest.mark.parametrize(("encoded", "text"), REFUSED, ids=[encoded[:40] or "nothing" for encoded, _ in REFUSED])
def test_refused(encoded: str, text: str) -> None:
    with pytest.raises(cbor.CborError, match=text) as caught:
        cbor.decode(bytes.fromhex(encoded))
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, EdgertError)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2**64, "64 are the most"),
        (-(2**64) - 1, "64 are the most"),
        ({1: 2}, "keys are text"),
        ({b"a": 2}, "keys are text"),
        ("\ud800", "lone surrogate"),
        ({"\ud800": 1}, "lone surrogate"),
        (object(), "of type object"),
        ({1, 2}, "of type set"),
        (1j, "of type complex"),
        ([[[[[[[[[1]]]]]]]]], "more than 8"),
    ],
)
def test_values_without_cbor(value: Any, text: str) -> None:
    with pytest.raises(cbor.CborError, match=text):
        cbor.encode(value)


def test_a_list_within_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(cbor.CborError, match="within one another"):
        cbor.encode(endless)


def test_not_a_number() -> None:
    assert cbor.encode(math.nan).hex() == "f97e00"
    for encoded in ("f97e00", "fa7fc00000", "fb7ff8000000000000"):
        decoded = cbor.decode(bytes.fromhex(encoded))
        assert isinstance(decoded, float)
        assert math.isnan(decoded)


def test_other_sequences_and_buffers() -> None:
    assert cbor.encode((1, 2)) == cbor.encode([1, 2])
    assert cbor.encode(bytearray(b"ab")) == cbor.encode(memoryview(b"ab")) == cbor.encode(b"ab")
    assert cbor.decode(bytearray(b"\x01")) == cbor.decode(memoryview(b"\x01")) == 1


@given(VALUES)
def test_the_encoding_is_cbor2s_canonical_one(value: Any) -> None:
    if depth(value) > cbor.MAX_DEPTH:
        return
    assert cbor.encode(value) == cbor2.dumps(value, canonical=True)


@given(VALUES, st.booleans())
def test_what_cbor2_writes_is_read(value: Any, indefinite: bool) -> None:
    if depth(value) > cbor.MAX_DEPTH:
        return
    assert cbor.decode(cbor2.dumps(value, indefinite_containers=indefinite)) == value


@given(VALUES)
def test_every_beginning_of_a_value_is_refused(value: Any) -> None:
    if depth(value) > cbor.MAX_DEPTH:
        return
    encoded = cbor.encode(value)
    assert cbor.decode(encoded) == value
    for length in range(len(encoded)):
        with pytest.raises(cbor.CborError):
            cbor.decode(encoded[:length])


@settings(max_examples=1000)
@given(st.binary(max_size=200))
def test_any_bytes_decode_or_are_refused(data: bytes) -> None:
    """And what decodes means the same to cbor2, and encodes again."""
    try:
        value = cbor.decode(data)
    except cbor.CborError:
        return
    again = cbor.encode(value)
    assert len(again) <= len(data)
    assert cbor.encode(cbor.decode(again)) == again
    assert cbor.encode(cbor2.loads(data)) == again


@pytest.mark.parametrize(
    "data",
    [
        b"\x9b" + struct.pack(">Q", 1 << 40),
        b"\x5b" + struct.pack(">Q", 1 << 40),
        b"\xbb" + struct.pack(">Q", 1 << 62),
        b"\x81" * 60000,
        b"\x9f" * 60000,
        b"\x9a" + struct.pack(">I", 60000) + b"\x9f" * 60000,
        b"\x5f" + b"\x40" * 60000,  # chunks of nothing
    ],
)
def test_small_bombs_take_no_memory(data: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(cbor.CborError):
            cbor.decode(data)
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
    finally:
        tracemalloc.stop()


def test_the_number_of_values_is_bounded() -> None:
    data = b"\x9a" + struct.pack(">I", 1000) + b"\xa0" * 1000
    assert cbor.decode(data) == [{}] * 1000
    with pytest.raises(cbor.CborError, match="more values"):
        cbor.decode(data, max_items=1000)
    assert cbor.decode(data, max_items=1001) == [{}] * 1000


def test_the_depth_is_a_parameter() -> None:
    assert cbor.decode(b"\x81\x81\x00", max_depth=2) == [[0]]
    with pytest.raises(cbor.CborError, match="within one another"):
        cbor.decode(b"\x81\x81\x00", max_depth=1)
