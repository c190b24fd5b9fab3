"""Two records that are overwritten in turn: whatever part of one is written, the other counts."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from edgert.store import disk
from edgert.store.errors import DiskError
from edgert.store.records import RECORD_BYTES, Records, decode, encode

MAGIC = b"TESTREC1"


def text(records: Records) -> str | None:
    payload = records.read()
    return None if payload is None else payload.rstrip(b"\0").decode()


@pytest.fixture
def records(tmp_path: Path) -> Records:
    made = Records(tmp_path, "state", MAGIC)
    made.create(b"first")
    return made


def test_each_write_counts_and_keeps_the_one_before(records: Records) -> None:
    assert text(records) == "first"
    for number in range(5):
        before = text(records)
        records.write(f"number {number}".encode())
        assert text(records) == f"number {number}"
        newest = max(records.paths, key=lambda path: decode(MAGIC, path.read_bytes()) or (-1, b""))
        newest.write_bytes(b"\0" * RECORD_BYTES)
        assert text(records) == before
        records.write(f"number {number}".encode())


def test_a_write_that_is_torn_anywhere_leaves_the_record_before(records: Records) -> None:
    records.write(b"old")
    file, new = records.next(b"new")
    old = file.read(0, RECORD_BYTES)
    assert len(new) == len(old) == RECORD_BYTES
    for cut in range(RECORD_BYTES):
        for torn in (new[:cut] + old[cut:], old[:cut] + new[cut:]):
            file.write(0, torn)
            assert text(records) in ("old", "new")
            assert text(records) == "old" or torn == new
    file.close()


def test_every_flipped_bit_is_seen() -> None:
    record = encode(MAGIC, 7, b"payload")
    assert decode(MAGIC, record) is not None
    for bit in range(RECORD_BYTES * 8):
        damaged = bytearray(record)
        damaged[bit // 8] ^= 1 << bit % 8
        assert decode(MAGIC, bytes(damaged)) is None


@pytest.mark.parametrize("data", [b"", b"\0" * 512, b"\xff" * 512, b"x" * 511, b"x" * 5000])
def test_garbage_is_no_record(records: Records, data: bytes) -> None:
    records.write(b"good")
    for path in records.paths:
        if text(records) == "good":
            path.write_bytes(data)
    assert text(records) in (None, "first")
    records.write(b"anew")
    assert text(records) == "anew"


def test_of_another_kind_it_is_none() -> None:
    assert decode(b"OTHERREC", encode(MAGIC, 1, b"x")) is None


@pytest.mark.parametrize("which", [0, 1])
def test_a_file_that_is_missing_is_made_again(records: Records, which: int) -> None:
    records.write(b"good")
    records.paths[which].unlink()
    assert text(records) in ("good", "first")
    records.write(b"better")
    records.write(b"best")
    assert text(records) == "best"
    assert all(path.stat().st_size == RECORD_BYTES for path in records.paths)


@pytest.mark.parametrize("step", ["write", "sync"])
def test_what_is_refused_is_not_seen_either(records: Records, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    records.write(b"good")

    def fail(file: disk.File, *_: object) -> None:
        if step == "sync":
            raise DiskError("the disk is broken")
        real(file, 0, b"half of it")
        raise DiskError("the disk is broken")

    real = disk.File.write
    with monkeypatch.context() as patch:
        patch.setattr(disk.File, step, fail)
        with pytest.raises(DiskError):
            records.write(b"refused")
    assert text(records) == "good"
    records.write(b"better")
    assert text(records) == "better"


def test_a_reader_beside_a_writer_sees_old_or_new(records: Records) -> None:
    """Without a lock: never nothing, never backwards."""
    import threading

    rng, ended = random.Random(3), threading.Event()

    def write() -> None:
        for number in range(300):
            records.write(f"{number} {'x' * rng.randrange(400)}".encode())
        ended.set()

    records.write(b"0 ")
    writer = threading.Thread(target=write)
    writer.start()
    last = 0
    while not ended.is_set():
        seen = text(records)
        assert seen is not None
        number = int(seen.split()[0])
        assert number >= last
        last = number
    writer.join()
