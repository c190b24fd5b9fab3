"""Compressed chunks: records at known offsets, and decompression that no header can make allocate."""

from __future__ import annotations

import random
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
from agent.pushing import CHUNK, Client, ReplyError, new_home, new_session, package

from edgert.agent import reception
from edgert.agent.reception import COMPRESSED, HEAD_BYTES
from edgert.agent.server import Server
from edgert.agent.zstd import Decompress, ZstdError, decompressor
from edgert.manifest.keys import new_key
from edgert.smp.groups import FsError

zstandard = pytest.importorskip("zstandard", reason="the package zstandard compresses what these tests send")
DATA = bytes(range(256)) * 40 + random.Random(1).randbytes(3000)
KEY = new_key()
STRIDE = CHUNK + HEAD_BYTES


@pytest.fixture
def client(tmp_path: Path) -> Client:
    return Client.of(Server(new_session(new_home(tmp_path / "home", KEY))))


def compress(data: bytes) -> bytes:
    return bytes(zstandard.ZstdCompressor().compress(data))


@pytest.fixture
def decompress() -> Decompress:
    found = decompressor()
    assert found is not None
    return found


def test_what_was_compressed_comes_back(decompress: Decompress) -> None:
    streamed = zstandard.ZstdCompressor(write_content_size=False).compress(DATA)
    for frame in (compress(DATA), streamed):
        assert decompress(frame, len(DATA)) == DATA
    assert decompress(compress(b""), 0) == b""


def test_a_frame_must_give_just_what_is_needed(decompress: Decompress) -> None:
    with pytest.raises(ZstdError, match="more than 100 bytes where 100"):
        decompress(compress(DATA), 100)
    with pytest.raises(ZstdError, match="gives 10 bytes where 11"):
        decompress(compress(b"x" * 10), 11)
    with pytest.raises(ZstdError):
        decompress(compress(DATA)[:-5], len(DATA))
    with pytest.raises(ZstdError):
        decompress(b"no frame at all", 100)


def test_bombs_and_lies_take_no_memory(decompress: Decompress) -> None:
    stream = zstandard.ZstdCompressor(level=1).compressobj()
    bomb = b"".join(stream.compress(bytes(1 << 20)) for _ in range(512)) + stream.flush()  # 512 MiB of zeros
    # A single segment that claims 2^60 bytes (RFC 8878, 3.1.1.1: descriptor with an 8-byte content size).
    liar = b"\x28\xb5\x2f\xfd" + b"\xe0" + (1 << 60).to_bytes(8, "little") + b"\x01\x00\x00"
    # A window of 2 GiB: exponent 21 over 1 KiB.
    wide = b"\x28\xb5\x2f\xfd" + b"\x00" + bytes([21 << 3]) + b"\x01\x00\x00"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for frame in (bomb, liar, wide):
        with pytest.raises(ZstdError):
            decompress(frame, 65536)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10  # KiB


def send(client: Client, sha256: bytes, records: list[bytes], piece: int) -> None:
    for index, record in enumerate(records):
        at = 0
        while at < len(record):
            expected = client.write(sha256, index * STRIDE + at, record[at : at + piece], ".zst")
            at += len(record[at : at + piece])
            assert expected == ((index + 1) * STRIDE if at == len(record) else index * STRIDE + at)


@pytest.mark.parametrize("piece", [1, 7, 1000, 5000])
@pytest.mark.parametrize("how", [compress, None])
def test_records_in_pieces(client: Client, piece: int, how: Callable[[bytes], bytes] | None) -> None:
    pushed = package(KEY, DATA[: 2 * CHUNK + 100] if piece > 1 else DATA[:300])
    assert client.offer(pushed)["zstd"] is True
    send(client, pushed.entry.sha256, pushed.records(how), piece)
    assert client.verify()["state"] == "verified"
    count = len(pushed.entry.chunks)
    assert client.write(pushed.entry.sha256, 0, b"late", ".zst") == count * STRIDE
    assert client.write(pushed.entry.sha256, 0, b"late") == pushed.entry.size


def test_another_offset_than_the_expected_one(client: Client) -> None:
    pushed = package(KEY, DATA)
    client.offer(pushed)
    sha256, records = pushed.entry.sha256, pushed.records(compress)
    assert client.write(sha256, STRIDE, records[1], ".zst") == 0
    assert client.write(sha256, 0, records[0][:9], ".zst") == 9
    assert client.write(sha256, 0, records[0], ".zst") == 9
    assert client.write(sha256, 9, b"", ".zst") == 9
    assert client.write(sha256, 9, records[0][9:], ".zst") == STRIDE
    assert client.write(sha256, 1 << 62, records[0], ".zst") == STRIDE


def test_plain_and_compressed_may_change_places(client: Client) -> None:
    pushed = package(KEY, DATA)
    client.offer(pushed)
    sha256, records = pushed.entry.sha256, pushed.records(compress)
    client.write(sha256, 0, records[0], ".zst")
    assert client.write(sha256, CHUNK, DATA[CHUNK : CHUNK + 100]) == CHUNK + 100
    # The compressed record begins its chunk again.
    assert client.write(sha256, STRIDE, records[1][:50], ".zst") == STRIDE + 50
    assert client.write(sha256, CHUNK + 100, DATA[CHUNK + 100 : CHUNK + 200]) == CHUNK + 200
    assert client.write(sha256, STRIDE, records[1], ".zst") == 2 * STRIDE
    at = 2 * CHUNK
    while at < len(DATA):
        at = client.write(sha256, at, DATA[at : at + 1000])
    assert client.verify()["state"] == "verified"


def test_records_that_are_wrong(client: Client) -> None:
    pushed = package(KEY, DATA)
    sha256 = pushed.entry.sha256
    good = pushed.records(compress)[0]

    def head(length: int, flag: int = COMPRESSED) -> bytes:
        return (flag | length).to_bytes(4, "big")

    wrong = [
        head(CHUNK + 1) + b"x",  # longer than a chunk
        head((1 << 31) - 1) + b"x",
        good + b"x",  # more than it says
        head(0),
        head(5) + b"wrong",
        head(CHUNK - 1, 0) + DATA[: CHUNK - 1],  # plain, and too short
        head(len(compress(DATA[1 : CHUNK + 1]))) + compress(DATA[1 : CHUNK + 1]),  # another chunk
    ]
    client.offer(pushed)
    for record in wrong:
        assert client.write(sha256, 0, record, ".zst") == 0
    assert client.write(sha256, 0, good, ".zst") == STRIDE
    for _ in range(reception.MOST_FAILURES - 1):
        assert client.write(sha256, STRIDE, head(5) + b"wrong", ".zst") == STRIDE
    with pytest.raises(ReplyError) as caught:
        client.write(sha256, STRIDE, head(5) + b"wrong", ".zst")
    assert caught.value.rc == FsError.FILE_WRITE_FAILED
    assert client.status()["state"] == "rejected"


def test_without_zstd(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reception, "decompressor", lambda: None)
    monkeypatch.setattr("edgert.agent.edgert_group.decompressor", lambda: None)
    pushed = package(KEY, DATA)
    assert client.offer(pushed)["zstd"] is False
    assert client.status()["device"]["zstd"] is False
    with pytest.raises(ReplyError) as caught:
        client.write(pushed.entry.sha256, 0, pushed.records(compress)[0], ".zst")
    assert caught.value.rc == FsError.FILE_WRITE_FAILED
    send(client, pushed.entry.sha256, pushed.records(None), 3000)
    assert client.status()["state"] == "received"
