"""A bundle in a folder, as on a USB stick, that `edgert agent --once DIR` installs where nothing else gets to.

    DIR/edgert-push/manifest  signature  objects/<sha256>

It is there whole or not at all, whenever the stick is pulled out.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from edgert.device.errors import DeviceError, LinkError

BUNDLE = "edgert-push"
_NEW, _OLD = f".{BUNDLE}.new", f".{BUNDLE}.old"
_PIECE_BYTES = 1 << 20


def write_bundle(
    folder: Path,
    manifest: bytes,
    signature: bytes,
    objects: Mapping[str, Path | bytes],
    sent: Callable[[int], None] = lambda _count: None,
) -> Path:
    """Writes the bundle and returns its folder. objects: by SHA-256 in hex; sent: told the bytes of each piece.

    What lay there before is replaced. Raises LinkError when the folder is not there, is full or cannot be written; it
    then holds what it held before.
    """
    if not folder.is_dir():
        raise LinkError(f"file:{folder} is no folder; make it, or plug in and mount what it should be on")
    try:
        with _alone(folder):
            _recover(folder)
            new = folder / _NEW
            try:
                (new / "objects").mkdir(parents=True)
                _write(new / "manifest", manifest)
                _write(new / "signature", signature)
                for name, source in objects.items():
                    _write(new / "objects" / name, source, sent)
                _sync(new / "objects")
                _sync(new)
            except BaseException:
                shutil.rmtree(new, ignore_errors=True)
                raise
            _replace(folder)
    except OSError as error:
        why = "it is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror or str(error)
        raise LinkError(f"file:{folder} cannot be written: {why}; what it held before is untouched") from error
    return folder / BUNDLE


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DeviceError(f"another push is writing to file:{folder}; push again when it is done") from None
        yield
    finally:
        os.close(descriptor)


def _recover(folder: Path) -> None:
    """Takes away what an interrupted push left, and puts back what it had set aside."""
    if (folder / _OLD).exists() and not (folder / BUNDLE).exists():
        os.rename(folder / _OLD, folder / BUNDLE)
    for name in (_NEW, _OLD):
        if (folder / name).exists():
            shutil.rmtree(folder / name)


def _replace(folder: Path) -> None:
    """FAT exchanges no folders, so the old one is set aside; between the two renames there is none, and never half."""
    if (folder / BUNDLE).exists():
        os.rename(folder / BUNDLE, folder / _OLD)
    os.rename(folder / _NEW, folder / BUNDLE)
    _sync(folder)
    shutil.rmtree(folder / _OLD, ignore_errors=True)


def _write(path: Path, source: Path | bytes, sent: Callable[[int], None] = lambda _count: None) -> None:
    with path.open("xb") as file:
        if isinstance(source, bytes):
            file.write(source)
            sent(len(source))
        else:
            with source.open("rb") as original:
                while piece := original.read(_PIECE_BYTES):
                    file.write(piece)
                    sent(len(piece))
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
