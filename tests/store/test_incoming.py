"""Staging: what counts as received, what as durable, and where it goes on after an end of any kind."""

from __future__ import annotations

import contextlib
import os
import random
from pathlib import Path

import pytest
from store.store_pushes import CHUNK, manifest, package_bytes

from edgert.manifest.manifest import LARGEST_CHUNK, ObjectEntry, describe_object
from edgert.store import disk, incoming
from edgert.store.errors import ChunkError, DamagedError, DiskError, StoreError
from edgert.store.home import Home
from edgert.store.incoming import Incoming

DATA = package_bytes(1, 10 * CHUNK + 77)
ENTRY = describe_object("package", DATA, CHUNK)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home").open()


def send(into: Incoming, until: int, piece: int = 1000) -> None:
    while into.received < until:
        at = into.received
        into.write(at, DATA[at : min(at + piece, until)])


def ended_hard(opened: Incoming) -> None:
    """As when the process is killed: nothing more is written."""
    assert opened._file is not None
    opened._file.close()
    opened._file = None


@pytest.mark.parametrize("piece", [1, 777, CHUNK, CHUNK + 1, 3 * CHUNK, len(DATA)])
def test_pieces_of_any_size(home: Home, piece: int) -> None:
    with Incoming(home, ENTRY) as into:
        send(into, len(DATA), piece if piece > 1 else 97)
        assert into.whole
        into.finish()
    path = home.object_path(ENTRY.sha256)
    assert path.read_bytes() == DATA
    assert path.stat().st_mode & 0o777 == 0o444
    assert os.listdir(home.staging) == []
    again = Incoming(home, ENTRY)
    assert again.whole
    assert again.received == len(DATA)
    again.finish()
    again.close()
    assert path.read_bytes() == DATA


def test_the_space_is_taken_at_once(home: Home) -> None:
    with Incoming(home, ENTRY) as into:
        found = into.part.stat()
        assert found.st_size == len(DATA)
        assert found.st_blocks * 512 >= len(DATA)


def test_other_offsets_change_nothing(home: Home) -> None:
    with Incoming(home, ENTRY) as into:
        send(into, 1000)
        for offset in (0, 999, 1001, 5000, len(DATA), 1 << 60):
            assert into.write(offset, b"something else") == 1000
        send(into, len(DATA))
        assert into.write(0, DATA) == len(DATA)
        into.finish()


def test_more_than_the_object_has_is_refused(home: Home) -> None:
    with Incoming(home, ENTRY) as into:
        send(into, len(DATA) - 10)
        with pytest.raises(StoreError, match="nothing of them is stored"):
            into.write(into.received, bytes(11))
        assert into.received == len(DATA) - 10
        with pytest.raises(StoreError, match="send the rest"):
            into.finish()


def test_a_wrong_chunk_goes_back_to_its_beginning(home: Home) -> None:
    with Incoming(home, ENTRY) as into:
        send(into, 2 * CHUNK + 100)
        with pytest.raises(ChunkError, match="chunk 2 of"):
            into.write(into.received, bytes(CHUNK))
        assert into.received == 2 * CHUNK
        with pytest.raises(ChunkError, match="has 5 bytes, needed 4096"):
            into.put_chunk(2, b"short")
        assert into.put_chunk(2, DATA[2 * CHUNK : 3 * CHUNK]) == 3 * CHUNK
        assert into.put_chunk(2, DATA[2 * CHUNK : 3 * CHUNK]) == 3 * CHUNK
        assert into.put_chunk(7, DATA[7 * CHUNK : 8 * CHUNK]) == 3 * CHUNK
        send(into, len(DATA))
        into.finish()


def test_closing_makes_every_whole_chunk_durable(home: Home) -> None:
    with Incoming(home, ENTRY) as into:
        send(into, 3 * CHUNK + 500)
    with Incoming(home, ENTRY) as into:
        assert into.received == into.durable == 3 * CHUNK


@pytest.fixture
def slow_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that received and durable stay apart however slow this machine is."""
    monkeypatch.setattr(incoming, "SYNC_SECONDS", 1e9)


@pytest.mark.usefixtures("slow_sync")
def test_what_was_received_outlives_the_agent(home: Home) -> None:
    into = Incoming(home, ENTRY)
    send(into, 5 * CHUNK + 500)
    assert into.durable == 0
    ended_hard(into)
    with Incoming(home, ENTRY) as into:
        assert into.received == into.durable == 5 * CHUNK


@pytest.mark.usefixtures("slow_sync")
def test_what_was_not_durable_may_be_lost_with_the_power(home: Home) -> None:
    """Chunks that say they came, and whose bytes did not reach the disk."""
    into = Incoming(home, ENTRY)
    send(into, 2 * CHUNK)
    into.checkpoint()
    assert into.durable == 2 * CHUNK
    send(into, 6 * CHUNK)
    ended_hard(into)
    with into.part.open("r+b") as file:
        file.seek(4 * CHUNK)
        file.write(bytes(CHUNK))
    with Incoming(home, ENTRY) as into:
        assert into.received == into.durable == 4 * CHUNK
        send(into, len(DATA))
        into.finish()


def test_a_megabyte_at_most_is_not_durable(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incoming, "SYNC_BYTES", 3 * CHUNK)
    monkeypatch.setattr(incoming, "SYNC_SECONDS", 1e9)
    with Incoming(home, ENTRY) as into:
        for chunk in range(1, 9):
            send(into, chunk * CHUNK)
            assert into.received - into.durable < 3 * CHUNK
            assert into.durable == chunk // 3 * 3 * CHUNK


def test_other_chunks_of_the_same_bytes_begin_anew(home: Home) -> None:
    with Incoming(home, ENTRY) as into:
        send(into, 6 * CHUNK)
    with Incoming(home, describe_object("package", DATA, 2 * CHUNK)) as into:
        assert into.received == 0
        send(into, len(DATA))
        into.finish()


def damage(path: Path, how: str, rng: random.Random) -> None:
    data = path.read_bytes()
    match how:
        case "removed":
            path.unlink()
        case "empty":
            path.write_bytes(b"")
        case "cut":
            path.write_bytes(data[: rng.randrange(1, len(data))])
        case "longer":
            path.write_bytes(data + b"more")
        case "garbage":
            path.write_bytes(rng.randbytes(len(data)))
        case "folder":
            path.unlink()
            path.mkdir()
        case "link":
            path.unlink()
            path.symlink_to("/etc/hostname")
        case "fifo":
            path.unlink()
            os.mkfifo(path)


@pytest.mark.parametrize("how", ["removed", "empty", "cut", "longer", "garbage"])
@pytest.mark.parametrize("which", ["part", "journal.0", "journal.1", "received"])
def test_damaged_staging_costs_bytes_and_nothing_else(home: Home, which: str, how: str) -> None:
    rng = random.Random(f"{which} {how}")
    with Incoming(home, ENTRY) as into:
        send(into, 6 * CHUNK)
    damage(home.staging / f"{ENTRY.sha256.hex()}.{which}", how, rng)
    with Incoming(home, ENTRY) as into:
        assert into.received <= 6 * CHUNK
        for _ in range(2):
            send(into, len(DATA))
            if (which, how) != ("part", "garbage") or home.object_path(ENTRY.sha256).exists():
                break
            with contextlib.suppress(DamagedError):
                into.finish()
        into.finish()
    assert home.object_path(ENTRY.sha256).read_bytes() == DATA
    assert os.listdir(home.staging) == []


@pytest.mark.parametrize("how", ["folder", "link", "fifo"])
@pytest.mark.parametrize("which", ["part", "journal.0", "received"])
def test_what_is_no_file_is_not_followed_and_does_not_hang(home: Home, which: str, how: str) -> None:
    with Incoming(home, ENTRY) as into:
        send(into, 6 * CHUNK)
    damage(home.staging / f"{ENTRY.sha256.hex()}.{which}", how, random.Random(1))
    before = Path("/etc/hostname").read_bytes()
    with contextlib.ExitStack() as stack:
        if how == "folder":
            stack.enter_context(pytest.raises(DiskError, match="Is a directory"))
        with Incoming(home, ENTRY) as into:
            send(into, len(DATA))
            into.finish()
        assert home.object_path(ENTRY.sha256).read_bytes() == DATA
    assert Path("/etc/hostname").read_bytes() == before


def test_a_chunk_that_rots_on_the_disk_comes_again(home: Home) -> None:
    with Incoming(home, ENTRY) as into:
        send(into, len(DATA))
        with into.part.open("r+b") as file:
            file.seek(7 * CHUNK + 5)
            file.write(b"rot")
        with pytest.raises(DamagedError, match=r"chunk 7 of .* was damaged on the disk"):
            into.finish()
        assert into.received == 7 * CHUNK
    with Incoming(home, ENTRY) as into:
        assert into.received == 7 * CHUNK
        send(into, len(DATA))
        into.finish()


def test_a_manifest_that_contradicts_itself(home: Home) -> None:
    wrong = ObjectEntry("package", bytes(32), ENTRY.size, CHUNK, ENTRY.chunks)
    with Incoming(home, wrong) as into:
        send(into, len(DATA))
        with pytest.raises(DamagedError, match="the manifest contradicts itself"):
            into.finish()
    assert os.listdir(home.staging) == []
    assert os.listdir(home.objects) == []


@pytest.mark.parametrize("step", ["write", "sync"])
def test_a_disk_that_fails_takes_nothing_for_received(home: Home, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Incoming(home, ENTRY) as into:
        send(into, 2 * CHUNK)
        into.checkpoint()
        with monkeypatch.context() as patch:

            def fail(*_: object) -> None:
                raise DiskError("the disk is broken")

            patch.setattr(disk.File, step, fail)
            patch.setattr(incoming, "SYNC_SECONDS", 0.0)
            with pytest.raises(DiskError, match="is broken"):
                send(into, 4 * CHUNK)
            assert into.received == into.durable == 2 * CHUNK
        send(into, len(DATA))
        into.finish()
    assert home.object_path(ENTRY.sha256).read_bytes() == DATA


def test_memory_does_not_grow_with_the_object(home: Home) -> None:
    """64 MiB, in the largest chunks: nothing of it is held."""
    import tracemalloc

    block = package_bytes(5, 1 << 18)
    big = home.path / "big"
    with big.open("wb") as file:
        for _ in range(256):
            file.write(block)
    entry = describe_object("package", big, LARGEST_CHUNK)
    tracemalloc.start()
    try:
        with Incoming(home, entry) as into:
            while not into.whole:
                into.write(into.received, block)
            into.finish()
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
    finally:
        tracemalloc.stop()
    assert manifest(DATA, 1).package == ENTRY
