"""Keys: Ed25519 (RFC 8032), private ones as PEM (PKCS#8), public ones as a line of text.

    edgert-ed25519 <base64 of the 32 bytes> <comment>

A key's id is the first 8 bytes of the SHA-256 of its 32 bytes. A device trusts the keys that lie in the folder `keys`
of its home, in files *.pub; whoever can write there can push.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgert.errors import EdgertError, InputError, MissingExtraError

if TYPE_CHECKING:
    from types import ModuleType

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PREFIX = "edgert-ed25519"
SIGNATURE_BYTES = 64
PASSPHRASE = "EDGERT_KEY_PASSPHRASE"  # the environment's: for scripts
_OPENSSH = "ssh-ed25519"
_OPENSSH_WIRE = b"\0\0\0\x0bssh-ed25519\0\0\0\x20"  # RFC 8709, 4: name and length before the 32 bytes
_MAX_KEY_FILE = 1 << 16
_MAX_TRUSTED = 256


class KeyFileError(InputError):
    """A key cannot be read or written."""


class SignatureError(EdgertError):
    """A signature does not belong to the manifest and the key."""


class UnknownKeyError(EdgertError):
    """Nobody here trusts the key that signed the manifest."""


def _ed25519() -> ModuleType:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise MissingExtraError("cryptography", "signing and checking signatures", "device") from error
    return ed25519


def _serialization() -> ModuleType:
    try:
        from cryptography.hazmat.primitives import serialization
    except ImportError as error:
        raise MissingExtraError("cryptography", "reading and writing keys", "device") from error
    return serialization


@dataclass(frozen=True)
class PublicKey:
    """raw: its 32 bytes. comment: who it belongs to; it says nothing about trust."""

    raw: bytes
    comment: str = field(default="", compare=False)

    @property
    def key_id(self) -> bytes:
        return hashlib.sha256(self.raw).digest()[:8]

    def verify(self, data: bytes, signature: bytes) -> None:
        """Raises SignatureError when the signature is not this key's over exactly this data."""
        ed25519 = _ed25519()
        from cryptography.exceptions import InvalidSignature

        try:
            ed25519.Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, data)
        except (InvalidSignature, ValueError) as error:
            raise SignatureError(
                f"the signature is not the one of key {self.key_id.hex()} over this manifest: it was altered on its"
                " way, or was signed with another key; push it again"
            ) from error

    def line(self) -> str:
        """One line of text, without the line's end."""
        return f"{PREFIX} {base64.b64encode(self.raw).decode()} {self.comment}".rstrip()

    @staticmethod
    def from_text(text: str, where: str = "the key") -> PublicKey:
        """Reads a line of ours or of OpenSSH's (ssh-ed25519), or a public key in PEM. Empty lines and comments (#)
        around it do not matter. Raises KeyFileError."""
        if "-----BEGIN" in text:
            return _from_pem(text, where)
        lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
        if len(lines) != 1:
            raise KeyFileError(f"{where} holds {len(lines)} keys, needed one line that begins with {PREFIX}")
        kind, _, rest = lines[0].partition(" ")
        encoded, _, comment = rest.strip().partition(" ")
        try:
            raw = base64.b64decode(encoded, validate=True)
        except binascii.Error as error:
            raise KeyFileError(f"{where} is no public key: {encoded!r:.60} is no base64") from error
        if kind == _OPENSSH and raw.startswith(_OPENSSH_WIRE):
            raw = raw[len(_OPENSSH_WIRE) :]
        elif kind != PREFIX:
            raise KeyFileError(f"{where} begins with {kind!r:.40}, needed {PREFIX}, {_OPENSSH} or a public key in PEM")
        if len(raw) != 32:
            raise KeyFileError(f"{where} has {len(raw)} bytes, needed the 32 of an Ed25519 key")
        if raw in _small_order():
            raise KeyFileError(f"{where} is a key whose signatures anybody can make; it must not be trusted")
        return PublicKey(raw, _printable(comment))

    @staticmethod
    def load(path: Path) -> PublicKey:
        """Raises KeyFileError."""
        return PublicKey.from_text(_read(path).decode("utf-8", "replace"), str(path))


def _small_order() -> tuple[bytes, ...]:
    """Encodings of the points of order 1, 2, 4 and 8 (and their spellings beyond the field's prime), for which
    signatures can be found without a private key. RFC 7748's curve; listed in many reviews of Ed25519."""
    points = (
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    )
    raw = [bytes.fromhex(point) for point in points]
    return (*raw, *(point[:-1] + bytes([point[-1] ^ 0x80]) for point in raw))  # either sign of x


@dataclass(frozen=True)
class PrivateKey:
    """Signs. Made by new_key() or PrivateKey.load()."""

    _key: Ed25519PrivateKey = field(repr=False)
    comment: str = ""

    @property
    def public(self) -> PublicKey:
        return PublicKey(self._key.public_key().public_bytes_raw(), self.comment)

    @property
    def key_id(self) -> bytes:
        return self.public.key_id

    def sign(self, data: bytes) -> bytes:
        """64 bytes; the same data gives the same signature."""
        return self._key.sign(data)

    @staticmethod
    def load(path: Path, passphrase: str | None = None) -> PrivateKey:
        """Reads a private key in PEM. passphrase: None takes the environment's EDGERT_KEY_PASSPHRASE. Raises
        KeyFileError when it cannot be read, is no Ed25519 key, or needs another passphrase."""
        serialization, ed25519 = _serialization(), _ed25519()
        data = _read(path)
        given = os.environ.get(PASSPHRASE) if passphrase is None else passphrase
        try:
            try:
                key = serialization.load_pem_private_key(data, given.encode() if given else None)
            except TypeError:
                if not given:
                    raise KeyFileError(
                        f"{path} is locked with a passphrase: put it into the environment's {PASSPHRASE}"
                    ) from None
                key = serialization.load_pem_private_key(data, None)  # one is set, and this key has none
        except KeyFileError:
            raise
        except Exception as error:  # ValueError, UnsupportedAlgorithm, and what a library's next version adds
            reason = "the passphrase is wrong, or the file is damaged" if given else "it is no private key in PEM"
            raise KeyFileError(f"{path} cannot be read as a key: {reason}") from error
        if not isinstance(key, ed25519.Ed25519PrivateKey):
            raise KeyFileError(f"{path} holds another kind of key, needed Ed25519; make one with edgert keys new")
        return PrivateKey(key, path.stem)

    def save(self, path: Path, passphrase: str | None = None) -> None:
        """Writes it for the user alone (0600), and never over another file. Raises KeyFileError."""
        serialization = _serialization()
        locked = serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else None
        data = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked or serialization.NoEncryption()
        )
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
        except FileExistsError:
            raise KeyFileError(f"{path} is there already; name another file, or remove it first") from None
        except OSError as error:
            raise KeyFileError(f"{path} cannot be written: {error.strerror or error}") from error
        with os.fdopen(file, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())


def new_key(comment: str = "") -> PrivateKey:
    """A key that nobody else has, from the system's random numbers."""
    return PrivateKey(_ed25519().Ed25519PrivateKey.generate(), _printable(comment))


def default_key_path() -> Path:
    """$XDG_CONFIG_HOME/edgert/keys/default.pem, ~/.config where the variable is not set."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".config") / "edgert" / "keys" / "default.pem"


class Trust:
    """The keys that a folder's *.pub files hold, as they were when it was read. What cannot be used stands in
    `problems`, a line for each file: one bad file does not lock out the others."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keys: dict[bytes, PublicKey] = {}  # by id
        self.problems: list[str] = []
        try:
            if folder.stat().st_mode & stat.S_IWOTH:
                raise PermissionError(0, f"everybody may write there: chmod o-w {folder}")
            names = sorted(entry.name for entry in os.scandir(folder) if entry.name.endswith(".pub"))
        except FileNotFoundError:
            names = []
        except OSError as error:
            self.problems.append(f"no key of {folder} is used: {error.strerror or error}")
            names = []
        for name in names[:_MAX_TRUSTED]:
            try:
                key = _load_trusted(folder / name)
            except KeyFileError as error:
                self.problems.append(str(error))
            else:
                self.keys[key.key_id] = key
        if len(names) > _MAX_TRUSTED:
            self.problems.append(f"{folder} holds {len(names)} keys; the first {_MAX_TRUSTED} are used")

    @property
    def key_ids(self) -> tuple[bytes, ...]:
        return tuple(sorted(self.keys))

    def check(self, key_id: bytes, data: bytes, signature: bytes) -> PublicKey:
        """The trusted key of this id, whose signature over exactly these bytes it is. Raises UnknownKeyError and
        SignatureError."""
        key = self.keys.get(key_id)
        if key is None:
            trusted = ", ".join(one.hex() for one in self.key_ids[:4]) or "none"
            raise UnknownKeyError(
                f"key {key_id.hex()} is not trusted here, {trusted} is; on the device: edgert keys trust KEY.pub"
            )
        key.verify(data, signature)
        return key


def trust(key: PublicKey, folder: Path) -> Path:
    """Puts a public key into a folder of trusted ones; the file. Twice is as good as once. Raises KeyFileError."""
    path = folder / f"{key.key_id.hex()}.pub"
    partial = folder / f".{path.name}.{os.getpid()}.partial"
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        with open(partial, "w", encoding="utf-8") as stream:
            stream.write(f"{key.line()}\n")
            stream.flush()
            os.fsync(stream.fileno())
        partial.chmod(0o644)
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise KeyFileError(f"{path} cannot be written: {error.strerror or error}") from error
    return path


def _load_trusted(path: Path) -> PublicKey:
    """As OpenSSH does with authorized_keys: a file that everybody may write says nothing about who may push."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise KeyFileError(f"{path} cannot be read: {error.strerror or error}") from error
    if not stat.S_ISREG(mode):
        raise KeyFileError(f"{path} is not a regular file")
    if mode & stat.S_IWOTH:
        raise KeyFileError(f"{path} can be written by everybody and is not trusted: chmod o-w {path}")
    return PublicKey.load(path)


def _from_pem(text: str, where: str) -> PublicKey:
    serialization, ed25519 = _serialization(), _ed25519()
    if "PRIVATE KEY" in text:
        raise KeyFileError(f"{where} is a private key and must stay where it was made; give the public one (.pub)")
    try:
        key: Any = serialization.load_pem_public_key(text.encode())
    except Exception as error:  # as with private keys
        raise KeyFileError(f"{where} cannot be read as a public key in PEM") from error
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise KeyFileError(f"{where} holds another kind of key, needed Ed25519")
    return PublicKey(key.public_bytes_raw())


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_KEY_FILE + 1)
    except OSError as error:
        advice = "; make one with edgert keys new" if isinstance(error, FileNotFoundError) else ""
        raise KeyFileError(f"{path} cannot be read: {error.strerror or error}{advice}") from error
    if len(data) > _MAX_KEY_FILE:
        raise KeyFileError(f"{path} is no key: it has more than {_MAX_KEY_FILE} bytes")
    return data


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)[:200].strip()
