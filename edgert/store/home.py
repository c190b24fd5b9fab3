"""A home: the folder in which a device keeps its models, and whose devices push to it.

    id                 the device's own name: 32 hex digits, made once
    device.toml        optional: `id` and `target`, by whoever sets the device up
    keys/*.pub         the public keys whose pushes are taken
    lock               held by the one process that pushes
    log, log.1         what happened, bounded
    objects/<sha256>   whole files, by the hash of their bytes, never changed
    staging/           what is on its way: edgert.store.incoming
    models/<name>/     generations and state: edgert.store.slot

Everything belongs to the user whom the agent runs as. An application that runs as another one reads it; so that its
trial loads can be counted, it needs to be in the group of the home (edgert.store.trial).
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

from edgert.manifest.manifest import ObjectEntry, is_name
from edgert.store import disk
from edgert.store.errors import DamagedError, DiskError, StoreError

LOG_BYTES = 1 << 18  # then the log becomes log.1, and a new one begins
_MAX_DEVICE_FILE = 1 << 16
_FOLDERS = ("keys", "objects", "staging", "models")
_HEX_ID = re.compile(rb"[0-9a-f]{32}\n?")
_DEVICE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
_SYSTEM_HOME = Path("/var/lib/edgert")


def candidates() -> list[Path]:
    """Where the home of this machine and user may be, the first choice first."""
    if chosen := os.environ.get("EDGERT_HOME"):
        return [Path(chosen)]
    found = []
    if state := os.environ.get("STATE_DIRECTORY"):  # systemd's StateDirectory=; several are separated by colons
        found.append(Path(state.split(":")[0]))
    found.append(_SYSTEM_HOME)
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return [*found, Path(base) / "edgert"]


def default_home() -> Path:
    """Where the agent works: $EDGERT_HOME, else $STATE_DIRECTORY, else /var/lib/edgert if that is there, else
    $XDG_STATE_HOME/edgert."""
    return next((path for path in candidates() if path != _SYSTEM_HOME or path.is_dir()), candidates()[-1])


def find_home() -> Home:
    """The home of this machine, for reading: the first of the places that is one. A service that is no agent has a
    $STATE_DIRECTORY of its own. Raises StoreError when there is none."""
    places, failure = candidates(), None
    for path in places:
        try:
            if disk.is_folder(path / "models"):
                return Home(path)
        except DiskError as error:  # of another user, mostly
            failure = failure or error
    if failure is not None:
        raise StoreError(f"{failure}; put this user into the group that the home belongs to, or set EDGERT_HOME")
    raise StoreError(
        f"there is no home of edgert on this device (looked at {', '.join(map(str, places))}); "
        "run edgert agent once, or set EDGERT_HOME"
    )


@dataclass(frozen=True)
class DeviceFile:
    """What device.toml says."""

    id: str | None = None
    target: str | None = None


class Home:
    """The folder `path`; open() makes what is missing in it, everything else may be called on a home that is there."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.objects = self.path / "objects"
        self.staging = self.path / "staging"
        self.models_folder = self.path / "models"

    def open(self) -> Home:
        """Makes folders and id where they are missing. Raises DiskError."""
        for parent in reversed(self.path.parents):
            if not parent.is_dir():
                disk.make_folder(parent)
        for folder in (self.path, *(self.path / name for name in _FOLDERS)):
            disk.make_folder(folder, 0o700 if folder == self.staging else 0o755)
        if self._own_id() is None:
            write_whole(self.path / "id", secrets.token_hex(16).encode() + b"\n")
        disk.sync_folder(self.path)
        return self

    def lock(self, wait_seconds: float = 0.0) -> disk.Lock:
        """Held until released, or the end of the process. Raises BusyError when another process holds it."""
        return disk.Lock(
            self.path / "lock", wait_seconds, f"another push to {self.path} is going on; try again when it is done"
        )

    @property
    def id(self) -> str:
        """device.toml's, else the home's own. Raises StoreError for a home that was never opened."""
        own = self.device().id or self._own_id()
        if own is None:
            raise StoreError(f"{self.path} has no id: it is no home yet; run edgert agent once")
        return own

    def _own_id(self) -> str | None:
        try:
            data = disk.read_file(self.path / "id", 64)
        except DiskError:
            return None
        return data.decode().strip() if data and _HEX_ID.fullmatch(data) else None

    def device(self) -> DeviceFile:
        """Raises StoreError when device.toml is there and cannot be read as it should."""
        path = self.path / "device.toml"
        data = disk.read_file(path, _MAX_DEVICE_FILE)
        if data is None:
            return DeviceFile()
        try:
            values = tomllib.loads(data.decode())
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise StoreError(f"{path} is no TOML: {error}") from error
        for key, value in values.items():
            if key not in ("id", "target") or not isinstance(value, str) or not _DEVICE_ID.fullmatch(value):
                raise StoreError(f"{path}: {key} = {value!r:.80}; needed: id, target, short words")
        return DeviceFile(values.get("id"), values.get("target"))

    def trusted_keys(self) -> Path:
        """The folder of the public keys that this device takes pushes from."""
        return self.path / "keys"

    def models(self) -> list[str]:
        """Names of the models that have, or had, a generation here."""
        return [name for name in disk.names(self.models_folder) if is_name(name)]

    # --- objects ---

    def object_path(self, sha256: bytes) -> Path:
        return self.objects / sha256.hex()

    def has_object(self, entry: ObjectEntry) -> bool:
        """Whether it lies there with its size; check_object reads the bytes, too."""
        return disk.file_size(self.object_path(entry.sha256)) == entry.size

    def check_object(self, entry: ObjectEntry) -> None:
        """Raises DamagedError when the object is missing or its bytes have another hash; it is then taken away, so that
        the next push sends it again."""
        path = self.object_path(entry.sha256)
        try:
            with disk.open_file(path) as file:
                if file.size == entry.size and file_hash(file) == entry.sha256:
                    return
        except FileNotFoundError:
            raise DamagedError(f"{path} is missing; push the model again") from None
        disk.remove(path)
        raise DamagedError(f"{path} was damaged on the disk and is removed; push the model again")

    # --- the log ---

    def log(self, text: str) -> None:
        """Adds a line with the time. Never fails: a full disk must not keep anything from working."""
        line = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)[:1000]
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        try:
            if disk.append(self.path / "log", f"{stamp} {line}\n".encode()) > LOG_BYTES:
                disk.rename(self.path / "log", self.path / "log.1")
        except DiskError:
            pass

    def read_log(self) -> bytes:
        """The log, what was turned away first, as text of at most 2 * LOG_BYTES and a line."""
        parts = []
        for name in ("log.1", "log"):
            try:
                parts.append(disk.read_file(self.path / name, 2 * LOG_BYTES) or b"")
            except DiskError:
                continue
        return b"".join(parts)


def file_hash(file: disk.File) -> bytes:
    digest, at = hashlib.sha256(), 0
    while piece := file.read(at, disk.PIECE_BYTES):
        digest.update(piece)
        at += len(piece)
    return digest.digest()


def write_whole(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Replaces a small file: afterwards, and after any crash, it has the old bytes or the new. The name is durable when
    the folder is synced."""
    half = path.with_name(path.name + ".tmp")
    with disk.create_file(half, mode) as file:
        file.set_mode(mode)
        file.write(0, data)
        file.sync()
    disk.rename(half, path)
