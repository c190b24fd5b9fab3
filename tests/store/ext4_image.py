"""A small ext4 file system in a file, mounted: its image can be taken at any moment, as a power cut would leave it."""

from __future__ import annotations

import array
import fcntl
import os
import random
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

BLOCK_BYTES = 1024
SECTOR_BYTES = 512
_FIEMAP = 0xC020660B  # FS_IOC_FIEMAP of linux/fiemap.h
_EXTENTS = 64


def need_loop_mounts() -> None:
    """Skips where a file system cannot be made or mounted."""
    missing = [tool for tool in ("mkfs.ext4", "mount", "umount", "debugfs") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"needs {missing[0]} (e2fsprogs, mount)")
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount an ext4 image")
    if not Path("/dev/loop-control").exists():
        pytest.skip("needs loop devices, to mount an ext4 image")


def make_image(path: Path, mebibytes: int = 8, inodes: int = 256) -> None:
    """With a journal of checksummed blocks, as mkfs makes it by default."""
    with path.open("wb") as file:
        file.truncate(mebibytes << 20)
    options = ["-q", "-b", str(BLOCK_BYTES), "-N", str(inodes), "-J", "size=1", "-m", "0", "-E", "lazy_itable_init=0"]
    subprocess.run(["mkfs.ext4", *options, str(path)], check=True, capture_output=True)


@contextmanager
def mounted(image: Path, folder: Path, options: str = "loop,commit=600") -> Iterator[Path]:
    """commit=600: the journal is written when something is synced, not because some seconds are over. Mounting an
    image that was taken in use replays its journal."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "ext4", "-o", options, str(image), str(folder)], capture_output=True, text=True
    )
    if done.returncode != 0:
        if "loop" in done.stderr and "permission" in done.stderr.lower():
            pytest.skip(f"needs the right to mount an ext4 image: {done.stderr.strip()}")
        raise AssertionError(f"the image does not mount: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def data_blocks(root: Path) -> set[int]:
    """Numbers of the blocks that hold the bytes of files, in a mounted file system."""
    blocks: set[int] = set()
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                head = struct.pack("=QQLLLL", 0, 0xFFFFFFFFFFFFFFFF, 0, 0, _EXTENTS, 0)
                request = array.array("B", head + bytes(56 * _EXTENTS))
                fcntl.ioctl(file, _FIEMAP, request)
                for extent in range(struct.unpack_from("=QQLLLL", request)[3]):
                    _, physical, length = struct.unpack_from("=QQQ", request, 32 + 56 * extent)
                    blocks.update(range(physical // BLOCK_BYTES, -(-(physical + length) // BLOCK_BYTES)))
    return blocks


def journal_blocks(image: Path) -> list[int]:
    """Numbers of the journal's blocks, in its order."""
    out = subprocess.run(["debugfs", "-R", "blocks <8>", str(image)], check=True, capture_output=True, text=True).stdout
    return [int(word) for word in out.split()]


def torn_data(before: bytes, after: bytes, data: set[int], rng: random.Random) -> bytes:
    """Some of the sectors of files that were written in between, and nothing else. A disk may keep what it likes of
    what it was sent before it is told to flush; the journal's commit is sent after the flush of the data."""
    image = bytearray(before)
    for at in range(0, len(before), SECTOR_BYTES):
        part = slice(at, at + SECTOR_BYTES)
        if before[part] != after[part] and at // BLOCK_BYTES in data and rng.random() < 0.5:
            image[part] = after[part]
    return bytes(image)


def torn_journal(before: bytes, after: bytes, data: set[int], journal: list[int], rng: random.Random) -> bytes:
    """All of the files' bytes, and some of the blocks that were written to the journal in between, but not all: its
    commit is told by checksums then to be none."""
    image = bytearray(before)
    changed = []
    for block in range(len(before) // BLOCK_BYTES):
        part = slice(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES)
        if before[part] != after[part] and block in data:
            image[part] = after[part]
    for block in journal[1:]:  # the first is its superblock, written on its own
        part = slice(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES)
        if before[part] != after[part]:
            changed.append(part)
    for part in changed[: rng.randrange(len(changed)) if changed else 0]:
        image[part] = after[part]
    return bytes(image)
