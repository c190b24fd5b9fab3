"""Framings: against the frames of PyPI's smp and smpclient, whole through any damage beside, and bounded in memory."""

from __future__ import annotations

import itertools
import random
import tracemalloc
from base64 import b64encode
from binascii import crc_hqx
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from smp import packet
from smpclient.transport.serial.framing.cobs import Cobs as PeerCobs

from edgert.errors import InputError
from edgert.smp.framing import FRAMINGS, framing
from edgert.smp.groups import Group, OsCommand
from edgert.smp.message import Header, Message, MessageError, Op

LENGTHS = [1, 2, 3, 88, 89, 90, 91, 92, 93, 94, 252, 253, 254, 255, 256, 506, 507, 508, 509, 510, 1000, 8192]
CONTENTS: dict[str, Callable[[random.Random, int], bytes]] = {
    "random": lambda source, length: source.randbytes(length),
    "zeros": lambda _, length: bytes(length),
    "ones": lambda _, length: b"\1" * length,
    "no zero": lambda source, length: source.randbytes(length).replace(b"\0", b"\1"),
    "few values": lambda source, length: bytes(source.choices([0, 1, 254, 255], k=length)),
    "newlines": lambda source, length: bytes(source.choices([4, 6, 9, 10, 13, 20], k=length)),
}
PLAIN = ["cobs", "console"]
ANY = st.binary(min_size=1, max_size=700) | st.integers(1, 700).map(bytes)


def echo(text: str, sequence: int = 0) -> bytes:
    return Message(Header(Op.WRITE, Group.OS, OsCommand.ECHO, sequence), {"d": text}).to_bytes()


def smp_message(payload: bytes) -> bytes:
    """A message whose header holds; its body is any bytes."""
    return Header(Op.WRITE, Group.FS, 0).to_bytes(len(payload)) + payload


def in_pieces(data: bytes, *lengths: int) -> list[bytes]:
    pieces, at, turn = [], 0, 0
    while at < len(data):
        pieces.append(data[at : at + lengths[turn % len(lengths)]])
        at += len(pieces[-1])
        turn += 1
    return pieces


def peer_decode(name: str, frame: bytes) -> bytes | None:
    if name == "cobs":
        peer = PeerCobs()
        peer.feed(frame)
        return peer.take()
    decoder = packet.decode()
    next(decoder)
    try:
        for line in frame.splitlines(keepends=True):
            decoder.send(line)
    except StopIteration as stop:
        return bytes(stop.value)
    return None


def peer_encode(name: str, message: bytes, line_length: int = 127) -> bytes:
    return b"".join(PeerCobs().encode(message) if name == "cobs" else packet.encode(message, line_length))


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("name", PLAIN)
def test_frames_are_the_peers(name: str, content: str, length: int) -> None:
    message = CONTENTS[content](random.Random(length), length)
    frame = framing(name).encode(message)
    assert peer_decode(name, frame) == message
    # smpclient puts 120 characters on a line, Zephyr and we 124; the 00 before is ours, and ends noise.
    assert frame == (b"\0" if name == "cobs" else b"") + peer_encode(name, message, 128)
    for theirs in (peer_encode(name, message), peer_encode(name, message, 8), peer_encode(name, message, 8192)):
        assert framing(name).feed(theirs) == [message]
    if name == "console":
        assert all(len(line) <= 127 for line in frame.splitlines(keepends=True))


@given(st.lists(ANY, min_size=1, max_size=5), st.lists(st.integers(1, 300), min_size=1, max_size=8), st.data())
def test_any_messages_in_any_pieces(messages: list[bytes], lengths: list[int], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(PLAIN))
    line = framing(name)
    received = [
        message for piece in in_pieces(b"".join(map(line.encode, messages)), *lengths) for message in line.feed(piece)
    ]
    assert received == messages
    assert line.dropped == 0


@given(st.lists(ANY.map(smp_message), min_size=1, max_size=5), st.lists(st.integers(1, 99), min_size=1, max_size=5))
def test_auto_hears_both_and_answers_alike(messages: list[bytes], lengths: list[int]) -> None:
    line = framing("auto")
    for turn, message in enumerate(messages):
        name = PLAIN[turn % 2]
        frame = peer_encode(name, message)  # smpclient's, which has no 00 before
        received = [found for piece in in_pieces(frame, *lengths) for found in line.feed(piece)]
        assert received == [message]
        assert line.encode(message) == framing(name).encode(message)
    assert line.dropped == 0


def test_auto_begins_with_cobs() -> None:
    assert framing("auto").encode(b"x") == framing("cobs").encode(b"x")


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("kind", ["flip", "drop", "insert", "cut"])
def test_damage_costs_its_frames_alone(name: str, kind: str) -> None:
    """One fault in five frames: what comes is unchanged; at most the damaged frame and its neighbour are missing."""
    source = random.Random(f"{name} {kind}")
    for _ in range(400):
        messages = [smp_message(source.randbytes(source.choice([0, 20, 300, 1000]))) for _ in range(5)]
        for line in (framing(name), framing("auto")):
            frames = [framing(name).encode(message) for message in messages]
            sent = bytearray(b"".join(frames))
            at = source.randrange(len(sent))
            if kind == "flip":
                sent[at] ^= 1 << source.randrange(8)
            elif kind == "drop":
                del sent[at]
            elif kind == "insert":
                sent.insert(at, source.randrange(256))
            else:
                del sent[at : at + source.randrange(1, 500)]
            received = line.feed(bytes(sent))
            assert set(received) <= set(messages)
            before = sum(at >= sum(map(len, frames[: number + 1])) for number in range(5))
            assert received[:before] == messages[:before]
            assert kind == "cut" or len(received) >= 3
            again = line.feed(framing(name).encode(messages[0]))
            assert again[-1:] == messages[:1], "it does not find the next frame"


@settings(max_examples=300)
@given(st.binary(max_size=500), st.sampled_from([*PLAIN, "auto"]))
def test_after_any_noise_the_second_frame_comes(noise: bytes, name: str) -> None:
    """The first may be lost: noise can look like the beginning of a longer frame, until its CRC is wrong."""
    line = framing(name, 2000)
    line.feed(noise)
    peer = framing("cobs" if name == "auto" else name)
    line.feed(peer.encode(echo("lost?")))
    assert line.feed(peer.encode(echo("found"))) == [echo("found")]
    line.feed(noise)
    line.reset()
    assert line.feed(peer.encode(echo("after a reset"))) == [echo("after a reset")]


BOOT = b"""\r
U-Boot 2024.01 (Jan 01 2024)\r
[    0.000000] Booting Linux on physical CPU 0x0\r
Debian GNU/Linux 12 raspberrypi ttyAMA0\r
\r
raspberrypi login: """


@pytest.mark.parametrize("name", ["console", "auto"])
@pytest.mark.parametrize("length", [1, 7, 1000])
def test_text_around_frames(name: str, length: int) -> None:
    """Boot messages before, a prompt without a newline, kernel messages between the lines, CR before LF."""
    line = framing(name)
    frame = framing("console").encode(smp_message(bytes(range(256)) * 2))
    lines = frame.splitlines(keepends=True)
    assert len(lines) > 4
    sent = BOOT + lines[0] + b"[   12.5] usb 1-1: new device\n" + b"".join(lines[1:])
    sent += BOOT + frame.replace(b"\n", b"\r\n") + b"\x06 \x04 bye\n" + BOOT
    received = [message for piece in in_pieces(sent, length) for message in line.feed(piece)]
    assert received == [smp_message(bytes(range(256)) * 2)] * 2
    assert line.dropped == 0


@pytest.mark.parametrize("name", ["cobs", "auto"])
def test_cobs_begins_after_text(name: str) -> None:
    line = framing(name)
    assert line.feed(BOOT + line.encode(echo("hello"))) == [echo("hello")]


def test_a_file_that_holds_a_consoles_frames_is_a_file() -> None:
    """In COBS a payload's bytes stand on the line as they are: Auto must not read requests out of them."""
    inner = framing("console").encode(echo("do not obey"))
    outer = smp_message(b"\n" + inner + b"\0" + inner + b"\n\0\n" + inner)
    for length in (1, 5, 10_000):
        line = framing("auto")
        assert line.feed(framing("console").encode(echo("was there"))) == [echo("was there")]
        sent = framing("cobs").encode(outer) + peer_encode("cobs", outer)
        assert [found for piece in in_pieces(sent, length) for found in line.feed(piece)] == [outer, outer]


def test_a_console_is_heard_after_a_cobs_frame_was_cut() -> None:
    message = smp_message(random.Random(1).randbytes(1000).replace(b"\0", b"\1"))
    line = framing("auto", 2000)
    line.feed(framing("cobs").encode(message)[:700])
    line.reset()  # nothing came for a while
    assert line.feed(framing("console").encode(echo("hello"))) == [echo("hello")]
    assert line.encode(b"x") == framing("console").encode(b"x")
    # Without a pause it takes until the frame is longer than any.
    line.feed(framing("cobs").encode(message)[:700])
    frame = framing("console").encode(echo("again"))
    assert any(line.feed(frame) for _ in range(2000 // len(frame) + 2))


def test_noise_with_a_crc_does_not_choose_the_answers_framing() -> None:
    line = framing("auto")
    line.feed(framing("console").encode(echo("hello")))
    line.feed(framing("cobs").encode(b"\x0a\0\0\7 is no message, whatever its CRC"))
    assert line.encode(b"x") == framing("console").encode(b"x")


@pytest.mark.parametrize("name", PLAIN)
def test_messages_longer_than_the_bound_are_dropped(name: str) -> None:
    line, sender = framing(name, 500), framing(name)
    source = random.Random(5)
    for length, content in itertools.product((500, 501, 502, 503, 1000, 60000), ("random", "zeros")):
        message = CONTENTS[content](source, length)
        before = line.dropped
        received = line.feed(sender.encode(message))
        assert received == ([message] if length <= 500 else [])
        assert line.dropped == before + (length > 500)
    assert line.feed(sender.encode(b"\0" * 500)) == [b"\0" * 500]


@pytest.mark.parametrize("claimed", [0, 1, 5, 21, 23, 40, 65535])
def test_a_consoles_length_must_be_right(claimed: int) -> None:
    """The CRC does not cover it: a frame of 20 bytes that claims others (with the CRC it has 22)."""
    message = bytes(range(20))
    frame = claimed.to_bytes(2, "big") + message + crc_hqx(message, 0).to_bytes(2, "big")
    line = framing("console")
    assert line.feed(b"\x06\x09" + b64encode(frame) + b"\n") == []
    assert line.feed(line.encode(echo("next"))) == [echo("next")]
    assert line.dropped == 1


@pytest.mark.parametrize(("name", "most"), [("cobs", 65543), ("console", 65533)])
def test_the_longest_messages(name: str, most: int) -> None:
    line = framing(name)
    assert line.feed(line.encode(bytes(most))) == [bytes(most)]
    with pytest.raises(MessageError, match=f"{most} (are the most|at most)"):
        line.encode(bytes(most + 1))


ENDLESS = {
    "noise": lambda source: source.randbytes(65536),
    "noise without zeros": lambda source: source.randbytes(65536).replace(b"\0", b"\1"),
    "text without newlines": lambda _: b"A" * 65536,
    "zeros": lambda _: bytes(65536),
    "ones": lambda _: b"\1" * 65536,
    "newlines": lambda _: b"\n" * 65536,
    "first markers": lambda _: b"\x06\x09" * 32768,
    "a line that begins": lambda _: b"\x06\x09" + b"A" * 65534,
    "lines that go on": lambda _: b"\x04\x14AAAA\n" * 9362,
    "frames that begin": lambda _: b"\x06\x09//8A\n" * 9362,
    "a frame that goes on": lambda _: b"\x06\x09//8A\n" + b"\x04\x14AAAA\n" * 9361,
    "COBS that begins": lambda _: b"\x02\x0a" + b"\7" * 65534,
}


@pytest.mark.parametrize("content", ENDLESS)
@pytest.mark.parametrize("name", FRAMINGS)
def test_memory_is_bounded(name: str, content: str) -> None:
    """8 MB of it, in pieces as a line brings them: what is kept stays below a few messages."""
    most = 16384
    line = framing(name, most)
    data = ENDLESS[content](random.Random(3))
    tracemalloc.start()
    try:
        for _ in range(8):
            for piece in in_pieces(data, 4096):
                line.feed(piece)
        tracemalloc.reset_peak()
        assert tracemalloc.get_traced_memory()[0] < 4 * most
        for piece in in_pieces(data, 4096):
            line.feed(piece)
        assert tracemalloc.get_traced_memory()[1] < 32 * most  # an empty piece of 4096 takes 33 bytes
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", FRAMINGS)
def test_single_bytes_are_as_good(name: str) -> None:
    """And take no time that grows with what has come: a frame of 60 kB, a byte at a time."""
    line = framing(name)
    message = smp_message(random.Random(9).randbytes(60_000))
    received: list[bytes] = []
    for byte in framing("console" if name == "console" else "cobs").encode(message):
        received += line.feed(bytes((byte,)))
    assert received == [message]


def test_names() -> None:
    with pytest.raises(InputError, match=r"'slip'.*console, cobs, auto"):
        framing("slip")
