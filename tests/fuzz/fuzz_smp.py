"""Fuzz target of what reads a line: CBOR, SMP messages, every framing, manifests. Coverage-guided, by atheris.

    python tests/fuzz/fuzz_smp.py -max_total_time=60 [CORPUS]

The first byte says what reads the rest. Whatever the bytes are, a reader returns or raises its own error; what it
returns can be written again and read back; what a framing keeps is bounded; and after any bytes and a pause the next
frame is found. Manifests lie behind the same decoder and come over the same line, so that they are read here, too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["edgert.smp", "edgert.manifest"]):
    from edgert.manifest.manifest import Manifest, ManifestError, Requirement, describe_object
    from edgert.smp import cbor
    from edgert.smp.framing import Framing, framing
    from edgert.smp.framing.auto import Auto
    from edgert.smp.framing.cobs import Cobs
    from edgert.smp.framing.console import Console
    from edgert.smp.message import Header, Message, MessageError, Op

MOST = 600  # bytes of a message: short enough that bounds are reached
KEPT = 2 * (MOST * 4 // 3 + 64)  # a line that has begun, and the frame that it would add to
HELLO = Message(Header(Op.WRITE, 0, 0, 7), {"d": "hello"}).to_bytes()


def one_line(error: Exception) -> None:
    if "\n" in str(error):
        raise AssertionError(f"an error of more than a line: {error!r}")


def read_cbor(data: bytes) -> None:
    try:
        value = cbor.decode(data)
    except cbor.CborError as error:
        return one_line(error)
    again = cbor.encode(value)
    assert len(again) <= 2 * len(data), (value, again)  # many items of indefinite length need a longer head
    assert cbor.encode(cbor.decode(again)) == again


def read_message(data: bytes) -> None:
    try:
        message = Message.from_bytes(data)
    except MessageError as error:
        return one_line(error)
    message.refusal()
    again = Message.from_bytes(message.to_bytes())
    assert again.header == message.header
    message.reply({}).to_bytes()
    message.refuse(3, 8, "no").to_bytes()


def read_manifest(data: bytes) -> None:
    try:
        manifest = Manifest.from_bytes(data)
    except ManifestError as error:
        return one_line(error)
    assert manifest.to_bytes() == data


def kept(line: Framing) -> int:
    """Bytes that a framing keeps of what has not ended."""
    if isinstance(line, Cobs):
        return len(line._pending)
    if isinstance(line, Console):
        return len(line._line) + len(line._frame)
    assert isinstance(line, Auto)
    return kept(line._cobs) + kept(line._console) + len(line._begun)


def read_line(name: str, data: bytes) -> None:
    """The bytes as a line brings them: in pieces whose length the first byte says."""
    step, data = (data[0] or 1, data[1:]) if data else (1, b"")
    line = framing(name, MOST)
    for at in range(0, len(data), step):
        for message in line.feed(data[at : at + step]):
            assert 0 < len(message) <= MOST
            assert framing(name, MOST).feed(line.encode(message)) or name == "auto"
        assert kept(line) <= KEPT, kept(line)
    line.reset()
    assert kept(line) == 0
    for sender in ("cobs", "console") if name == "auto" else (name,):
        assert line.feed(framing(sender).encode(HELLO)) == [HELLO], sender


def send_message(name: str, data: bytes) -> None:
    """The bytes as a message, whole and with one byte of its frame altered."""
    if len(data) < 3:
        return
    at, mask, message = data[0], data[1], data[2 : 2 + MOST]
    frame = framing(name).encode(message)
    assert framing(name, MOST).feed(frame) == [message]
    damaged = bytearray(frame)
    damaged[at % len(frame)] ^= mask
    line = framing(name, MOST)
    line.feed(bytes(damaged))
    line.reset()
    assert line.feed(framing(name).encode(HELLO)) == [HELLO]


READERS: list[Callable[[bytes], None]] = [
    read_cbor,
    read_message,
    read_manifest,
    lambda data: read_line("cobs", data),
    lambda data: read_line("console", data),
    lambda data: read_line("auto", data),
    lambda data: send_message("cobs", data),
    lambda data: send_message("console", data),
]


def one_input(data: bytes) -> None:
    if data:
        READERS[data[0] % len(READERS)](data[1:])


def write_seeds(folder: Path) -> None:
    """Something well-formed for each reader, from which the fuzzer goes on."""
    body = {"off": 70000, "data": b"\0" * 40, "name": "/edgert/x", "more": [1, -1, 1.5, None, True, {"a": "b"}]}
    message = Message(Header(Op.WRITE, 8, 0), body).to_bytes()
    manifest = Manifest(
        name="digits",
        key_id=bytes(8),
        counter=7,
        objects=(describe_object("package", b"x" * 5000, 4096),),
        runtime="0.1",
        targets=(Requirement("pi", "aarch64", ("neon",), (4096,), 1 << 20),),
        devices=("a",),
        expires=1,
        golden=({"seed": 1, "values": [0.5, 1.0]},),
    ).to_bytes()
    seeds = [manifest, cbor.encode(body), bytes.fromhex("bf6161ff9f01ff5f4101ff7f6161ffff"), message, HELLO]
    frames = [framing(name).encode(text) for name in ("cobs", "console") for text in (message, HELLO)]
    for reader in range(len(READERS)):
        for number, seed in enumerate([*seeds, *(b"\x40" + frame for frame in frames)]):
            (folder / f"{reader}-{number}").write_bytes(bytes((reader,)) + seed)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        if not argument.startswith("-"):
            write_seeds(Path(argument))
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
