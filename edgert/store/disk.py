"""The only module of the store that touches the disk: small steps, each of which the store puts in its place.

Order is what makes a push atomic: bytes are synced before they get their name, a folder is synced after a name in it
has changed, and the state is written last. A test takes the disk's image after each of these steps.

Every step raises NoSpaceError for a full disk or quota and DiskError for anything else that the system reports.
Nothing here follows a symbolic link, waits for a FIFO's other end or reads more than it was told to.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from edgert.store.errors import BusyError, DiskError, NoSpaceError

PIECE_BYTES = 1 << 18  # read at a time where a whole file is looked at
_SAFE = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_FULL = (errno.ENOSPC, errno.EDQUOT)
_UNSUPPORTED = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
# Locks of an open file, not of a process as POSIX has them, which any close of the same file would take away.
_GET_LOCK, _SET_LOCK = getattr(fcntl, "F_OFD_GETLK", 36), getattr(fcntl, "F_OFD_SETLK", 37)
_FLOCK = struct.Struct("hhqqi4x")  # struct flock with offsets of 64 bits, aligned as the machine does


@contextmanager
def _step(doing: str, path: Path, absent: bool = False) -> Iterator[None]:
    """absent: a file that is not there is no failure of the disk, and FileNotFoundError is left as it is."""
    try:
        yield
    except OSError as error:
        if absent and isinstance(error, FileNotFoundError):
            raise
        reason = error.strerror or str(error)
        if error.errno in _FULL:
            raise NoSpaceError(f"cannot {doing} {path}: {reason}; make room on the device and push again") from error
        raise DiskError(f"cannot {doing} {path}: {reason}") from error


class File:
    """A regular file, open."""

    def __init__(self, path: Path, flags: int, mode: int = 0o644) -> None:
        """flags: os.O_RDONLY and the like."""
        self.path = path
        with _step("open", path, absent=not flags & os.O_CREAT):
            self.fd = os.open(path, flags | _SAFE, mode)
        try:
            if not stat.S_ISREG(self._status().st_mode):
                raise DiskError(f"{path} is no regular file; remove it")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> File:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _status(self) -> os.stat_result:
        with _step("look at", self.path):
            return os.fstat(self.fd)

    @property
    def size(self) -> int:
        return self._status().st_size

    def read(self, offset: int, count: int) -> bytes:
        """Fewer bytes than `count` only at the end of the file."""
        parts = []
        with _step("read", self.path):
            while count > 0 and (part := os.pread(self.fd, min(count, PIECE_BYTES), offset)):
                parts.append(part)
                offset += len(part)
                count -= len(part)
        return b"".join(parts)

    def write(self, offset: int, data: bytes | memoryview) -> None:
        rest = memoryview(data)
        with _step("write", self.path):
            while rest:
                written = os.pwrite(self.fd, rest, offset)
                offset += written
                rest = rest[written:]

    def reserve(self, size: int) -> None:
        """Takes the whole space now, so that a full disk shows before the first byte came, not after the last."""
        with _step(f"reserve {size} bytes for", self.path):
            try:
                os.posix_fallocate(self.fd, 0, size)
            except OSError as error:
                if error.errno not in _UNSUPPORTED:
                    raise
                for at in range(0, size, PIECE_BYTES):  # where neither file system nor C library can do better
                    os.pwrite(self.fd, bytes(min(PIECE_BYTES, size - at)), at)
                os.fsync(self.fd)  # a full disk shows here at the latest

    def set_mode(self, mode: int) -> None:
        with _step("set the mode of", self.path):
            os.fchmod(self.fd, mode)

    def sync(self) -> None:
        with _step("sync", self.path):
            os.fsync(self.fd)

    def lock_byte(self, offset: int) -> None:
        """Holds the byte until the file is closed or the process, with all that it forked since, has ended. It may lie
        beyond the end of the file. Raises DiskError when another holds it."""
        with _step("lock a byte of", self.path):
            fcntl.fcntl(self.fd, _SET_LOCK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, offset, 1, 0))

    def locked_bytes(self, start: int, end: int) -> int:
        """How many bytes of this range others hold."""
        count = 0
        with _step("look at the locks of", self.path):
            while start < end:
                asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, start, end - start, 0)
                kind, _, first, length, _ = _FLOCK.unpack(fcntl.fcntl(self.fd, _GET_LOCK, asked))
                if kind == fcntl.F_UNLCK:
                    break
                until = min(first + length, end) if length else end
                count += until - max(first, start)
                start = until
        return count


def open_file(path: Path) -> File:
    """For reading. Raises FileNotFoundError when it is not there."""
    return File(path, os.O_RDONLY)


def open_for_update(path: Path) -> File:
    """For reading and writing. Raises FileNotFoundError when it is not there."""
    return File(path, os.O_RDWR)


def create_file(path: Path, mode: int = 0o644) -> File:
    """New and empty, whatever was there."""
    return File(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, mode)


def read_file(path: Path, most: int) -> bytes | None:
    """All of a small file; None when it is not there. Raises DiskError when it has more than `most` bytes."""
    try:
        with open_file(path) as file:
            data = file.read(0, most + 1)
    except FileNotFoundError:
        return None
    if len(data) > most:
        raise DiskError(f"{path} has more than {most} bytes; it is none of edgert's, remove it")
    return data


def append(path: Path, data: bytes) -> int:
    """Adds to the end of a file and returns its length; not synced."""
    with _step("write", path):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _SAFE, 0o644)
        try:
            os.write(fd, data)
            return os.fstat(fd).st_size
        finally:
            os.close(fd)


def rename(old: Path, new: Path) -> None:
    with _step("rename", old):
        os.rename(old, new)


def remove(path: Path) -> None:
    """A file; one that is not there is gone already."""
    with _step("remove", path):
        path.unlink(missing_ok=True)


def make_folder(path: Path, mode: int = 0o755) -> None:
    """One folder, whose parent is there; the set-group-id bit that it may have from its parent stays."""
    with _step("make", path):
        try:
            os.mkdir(path, mode)
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                raise DiskError(f"{path} is no folder; remove it") from None
            return
        os.chmod(path, mode | os.stat(path).st_mode & stat.S_ISGID)  # whatever the umask says


def remove_folder(path: Path) -> None:
    """An empty one."""
    with _step("remove", path):
        os.rmdir(path)


def sync_folder(path: Path) -> None:
    with _step("sync", path):
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def names(path: Path) -> list[str]:
    """What lies in a folder, sorted; nothing when it is not there."""
    with _step("list", path):
        try:
            return sorted(os.listdir(path))
        except FileNotFoundError:
            return []


def _look(path: Path) -> os.stat_result | None:
    """None when nothing is there. A disk that fails is no reason to believe that: what is thought to be missing decides
    about what is removed."""
    try:
        with _step("look at", path, absent=True):
            return os.lstat(path)
    except FileNotFoundError:
        return None


def is_folder(path: Path) -> bool:
    found = _look(path)
    return found is not None and stat.S_ISDIR(found.st_mode)


def file_size(path: Path) -> int | None:
    """None when it is not there, or no regular file."""
    found = _look(path)
    return found.st_size if found is not None and stat.S_ISREG(found.st_mode) else None


def is_no_file(path: Path) -> bool:
    """Whether something is there that is no regular file."""
    found = _look(path)
    return found is not None and not stat.S_ISREG(found.st_mode)


def free_bytes(path: Path) -> int:
    """That an unprivileged user may take."""
    with _step("look at", path):
        found = os.statvfs(path)
        return found.f_bavail * found.f_frsize


class Lock:
    """An exclusive flock on a file or a folder; the system takes it back when the process ends, however it ends."""

    def __init__(self, path: Path, wait_seconds: float, busy: str) -> None:
        """Raises BusyError with the text `busy` when another holds it for longer than wait_seconds."""
        flags = os.O_RDONLY | os.O_DIRECTORY if is_folder(path) else os.O_RDWR | os.O_CREAT
        with _step("open", path):
            # Not for other users: whoever may open a file may lock it, and keep every push out.
            self._fd = os.open(path, flags | _SAFE, 0o600)
        try:
            with _step("lock", path):
                self._take(time.monotonic() + wait_seconds, busy)
        except BaseException:
            self.release()
            raise

    def _take(self, deadline: float, busy: str) -> None:
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise BusyError(busy) from None
            time.sleep(0.01)

    def release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()
