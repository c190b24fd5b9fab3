"""The disk is full at whatever moment of a push: it is refused, the old generation stays, and nothing is left lying."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from store.ext4_image import BLOCK_BYTES, make_image, mounted, need_loop_mounts
from store.store_pushes import NAME, check_whole, files, package_bytes, push

from edgert.store.collect import collect
from edgert.store.errors import NoSpaceError
from edgert.store.home import Home
from edgert.store.incoming import Incoming
from edgert.store.slot import Slot
from edgert.store.trial import count_load

SIZE = 5000  # bytes of a package


@contextmanager
def tmpfs(folder: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a tmpfs of its own")
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k,nr_inodes=200", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def ext4(folder: Path) -> Iterator[Path]:
    need_loop_mounts()
    image = folder.with_name("image")
    make_image(image, mebibytes=4, inodes=120)
    with mounted(image, folder) as root:
        yield root


class Filler:
    """Takes all blocks of a file system but a few, or all inodes but a few."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "filler"
        self.folder.mkdir()

    def leave_blocks(self, count: int, block_bytes: int) -> None:
        with (self.folder / "bytes").open("wb") as file:
            step = 1 << 20
            while step >= block_bytes:
                try:
                    size = os.fstat(file.fileno()).st_size
                    os.posix_fallocate(file.fileno(), size, step)
                except OSError:
                    step //= 2
            size = os.fstat(file.fileno()).st_size
            os.ftruncate(file.fileno(), max(0, size - count * block_bytes))
            os.fsync(file.fileno())

    def leave_inodes(self, count: int) -> None:
        made = []
        while True:
            path = self.folder / str(len(made))
            try:
                path.touch()
            except OSError:
                break
            made.append(path)
        for path in made[len(made) - count :]:
            path.unlink()

    def free(self) -> None:
        for path in self.folder.iterdir():
            path.unlink()


@pytest.mark.parametrize("what", ["blocks", "inodes"])
@pytest.mark.parametrize("file_system", [ext4, tmpfs])
def test_every_amount_of_room_that_is_too_small(file_system: object, what: str, tmp_path: Path) -> None:
    """From none to enough: so the disk is full at each of the steps that takes some."""
    block_bytes = BLOCK_BYTES if file_system is ext4 else os.sysconf("SC_PAGE_SIZE")
    with file_system(tmp_path / "root") as root:  # type: ignore[operator]
        home, filler = Home(root / "home").open(), Filler(root)
        packages = {1: package_bytes(1, SIZE)}
        push(home, packages[1], 1, confirm=True)
        refused, counter, left = [], 1, 0
        enough = 0
        while enough < 3:
            old, counter = counter, counter + 1
            packages[counter] = package_bytes(counter, SIZE)
            filler.leave_blocks(left, block_bytes) if what == "blocks" else filler.leave_inodes(left)
            try:
                push(home, packages[counter], counter, confirm=True)
                enough += 1
            except NoSpaceError as error:
                enough = 0
                refused.append(str(error))
                assert check_whole(home, packages).current == old
                before = files(home)
                collect(home, keep_staged=False)  # in no need of room
                assert os.listdir(home.staging) == []
                assert len(os.listdir(home.objects)) <= 3, before
                assert count_load(Slot(home, NAME)).generation == old
            filler.free()
            push(home, packages[counter], counter)
            Slot(home, NAME).confirm()
            assert check_whole(home, packages).current == counter
            collect(home)
            assert os.listdir(home.staging) == []
            assert len(os.listdir(home.objects)) == 2
            left += 1
            assert left < 80
        assert len(refused) >= 3
        assert all("make room on the device" in text and "\n" not in text for text in refused)


@pytest.mark.parametrize("file_system", [ext4, tmpfs])
def test_going_back_needs_no_room(file_system: object, tmp_path: Path) -> None:
    """Neither a rollback, nor counting loads, nor the revert of a generation that fails, nor a confirmation."""
    with file_system(tmp_path / "root") as root:  # type: ignore[operator]
        home, filler = Home(root / "home").open(), Filler(root)
        packages = {counter: package_bytes(counter, SIZE) for counter in range(1, 6)}
        push(home, packages[1], 1, confirm=True)
        slot = push(home, packages[2], 2, trials=2)

        def full() -> None:
            filler.leave_blocks(0, BLOCK_BYTES)
            filler.leave_inodes(0)

        full()
        for load in range(2):
            opened = count_load(slot)
            assert opened.generation == 2
            assert slot.state().loads == load + 1
            assert opened.trial is not None
            opened.trial.end()
        with pytest.warns(RuntimeWarning, match="ended badly 2 times"):
            assert count_load(slot).generation == 1
        slot.settle()
        assert check_whole(home, packages).current == 1
        filler.free()
        push(home, packages[3], 3)
        full()
        trial = count_load(slot).trial
        assert trial is not None
        trial.confirm()
        filler.free()
        push(home, packages[4], 4)
        full()
        slot.rollback(4)
        assert check_whole(home, packages).current == 3
        collect(home)
        assert slot.generations() == [3]


def test_room_is_taken_before_a_byte_comes(tmp_path: Path) -> None:
    """Of a push that does not fit, nothing is stored: the refusal names what it needed."""
    from store.store_pushes import manifest

    with tmpfs(tmp_path / "root") as root:
        home = Home(root / "home").open()
        large = manifest(package_bytes(1, 600_000), 1)
        before = files(home)
        with pytest.raises(
            NoSpaceError, match=r"cannot reserve 600000 bytes for .*: No space left on device; make room"
        ):
            Incoming(home, large.package)
        assert files(home) == before
