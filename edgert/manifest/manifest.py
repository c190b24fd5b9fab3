"""The manifest: what is pushed, for whom, and how it is checked. What is signed is its exact bytes.

On the wire and on disk it is one CBOR map in canonical form (RFC 8949, 4.2.1), so that a manifest has one spelling and
one hash. It comes from strangers: from_bytes states every bound, and refuses what it does not know.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgert.errors import EdgertError
from edgert.smp import cbor

FORMAT = 1
MAX_BYTES = (1 << 20) - 256  # an offer, the manifest and its signature, has at most 1 MiB
MAX_ITEMS = 1 << 16  # numbers, texts and the like in it: a device takes them apart before it knows who sent them
MAX_OBJECTS = 16
MAX_CHUNKS = 8192  # of one object: 256 KiB of hashes
SMALLEST_CHUNK, LARGEST_CHUNK = 1 << 12, 1 << 20  # a device holds compressed ones in memory, and what they become
MAX_OBJECT_BYTES = MAX_CHUNKS * LARGEST_CHUNK
MAX_REQUIREMENTS = 64
MAX_DEVICES = 1024
MAX_GOLDEN = 64
MAX_TRIALS = 1000
_HASH_BYTES = 32
_MAX_NUMBER = 2**63 - 1

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")  # roles, architectures, instruction sets, targets
_DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
_VERSION = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6}){0,3}")


class ManifestError(EdgertError):
    """A manifest is damaged, or says something impossible."""


def is_name(text: str) -> bool:
    """Whether a model may be called so: it is also the name of a folder on the device."""
    return _NAME.fullmatch(text) is not None


def at_least(found: str, needed: str) -> bool:
    """Whether version `found` is `needed` or newer, by their leading numbers: 0.10.1 is newer than 0.9."""
    return _numbers(found) >= _numbers(needed)


def _numbers(version: str) -> tuple[int, ...]:
    numbers = re.match(r"[0-9]{1,6}(\.[0-9]{1,6})*", version)
    parts = [int(part) for part in numbers.group().split(".")] if numbers else []
    while parts and parts[-1] == 0:
        parts.pop()  # 0.2 is 0.2.0
    return tuple(parts)


@dataclass(frozen=True)
class ObjectEntry:
    """A file that belongs to the generation. Chunk k is its bytes from k * chunk_bytes on; the last may be shorter."""

    role: str  # "package": the .ert file; every manifest has one
    sha256: bytes
    size: int  # bytes
    chunk_bytes: int  # a power of two
    chunks: tuple[bytes, ...]  # SHA-256 of every chunk

    def __post_init__(self) -> None:
        _pattern(self.role, _WORD, "an object's role")
        _bytes(self.sha256, _HASH_BYTES, "an object's SHA-256")
        _number(self.size, 1, MAX_OBJECT_BYTES, "an object's size")
        _number(self.chunk_bytes, SMALLEST_CHUNK, LARGEST_CHUNK, "an object's chunk size")
        if self.chunk_bytes & (self.chunk_bytes - 1):
            raise ManifestError(f"an object's chunk size is {self.chunk_bytes}, needed a power of two")
        needed = -(-self.size // self.chunk_bytes)
        if len(self.chunks) != needed or needed > MAX_CHUNKS:
            raise ManifestError(
                f"an object has {len(self.chunks)} chunk hashes; its size needs {needed}, at most {MAX_CHUNKS}"
            )
        for chunk in self.chunks:
            _bytes(chunk, _HASH_BYTES, "a chunk's SHA-256")


@dataclass(frozen=True)
class Requirement:
    """A machine that the package runs on. A device needs to fit one of a manifest's."""

    name: str  # of the target: "raspberry-pi-4-64"
    architecture: str  # "aarch64", "armv7", "x86_64"
    instruction_sets: tuple[str, ...] = ()  # all of them are needed
    page_sizes: tuple[int, ...] = ()  # bytes, one of them; empty: any
    memory_bytes: int = 0  # of the machine, at least

    def __post_init__(self) -> None:
        _pattern(self.name, _WORD, "a target's name")
        _pattern(self.architecture, _WORD, "a target's architecture")
        _length(self.instruction_sets, 64, "instruction sets of a target")
        for word in self.instruction_sets:
            _pattern(word, _WORD, "a target's instruction set")
        _length(self.page_sizes, 16, "page sizes of a target")
        for size in self.page_sizes:
            _number(size, 1, 1 << 30, "a target's page size")
        _number(self.memory_bytes, 0, _MAX_NUMBER, "a target's memory")


@dataclass(frozen=True)
class Manifest:
    """Raises ManifestError when something in it is out of bounds."""

    name: str  # of the model on the device
    key_id: bytes  # the first 8 bytes of the SHA-256 of the public key that signs it
    counter: int  # of the generation; a device takes no older one by a push
    objects: tuple[ObjectEntry, ...]
    runtime: str  # the least version of edgert on the device
    memory_bytes: int = 0  # that a session of the model takes; 0: not known
    targets: tuple[Requirement, ...] = ()  # the device fits one of them; empty: any device
    devices: tuple[str, ...] = ()  # ids; empty: any device
    expires: int | None = None  # seconds since 1970, UTC; None: never
    trials: int = 3  # loads before the application confirms; then the previous generation comes back
    golden: tuple[dict[str, Any], ...] = field(default=(), hash=False)  # edgert.golden: runs that the device repeats
    format: int = FORMAT

    def __post_init__(self) -> None:
        _known_format(self.format)
        _pattern(self.name, _NAME, "the model's name")
        _bytes(self.key_id, 8, "the key's id")
        _number(self.counter, 1, _MAX_NUMBER, "the counter")
        _length(self.objects, MAX_OBJECTS, "objects")
        if [entry.role for entry in self.objects].count("package") != 1:
            raise ManifestError("a manifest needs exactly one object of the role 'package'")
        if len({entry.sha256 for entry in self.objects}) != len(self.objects):
            raise ManifestError("the manifest names an object twice")
        _pattern(self.runtime, _VERSION, "the least version of edgert")
        _number(self.memory_bytes, 0, _MAX_NUMBER, "the memory needed")
        _length(self.targets, MAX_REQUIREMENTS, "targets")
        _length(self.devices, MAX_DEVICES, "devices")
        for device in self.devices:
            _pattern(device, _DEVICE, "a device's id")
        if self.expires is not None:
            _number(self.expires, 0, _MAX_NUMBER, "the time of expiry")
        _number(self.trials, 1, MAX_TRIALS, "the number of trials")
        _length(self.golden, MAX_GOLDEN, "golden runs")

    @property
    def package(self) -> ObjectEntry:
        """The .ert file."""
        return next(entry for entry in self.objects if entry.role == "package")

    def to_bytes(self) -> bytes:
        """What is signed. Raises ManifestError when it is larger than an offer may be."""
        data = cbor.encode(
            {
                "format": self.format,
                "name": self.name,
                "key_id": self.key_id,
                "counter": self.counter,
                "objects": [
                    {
                        "role": entry.role,
                        "sha256": entry.sha256,
                        "size": entry.size,
                        "chunk_bytes": entry.chunk_bytes,
                        "chunks": b"".join(entry.chunks),
                    }
                    for entry in self.objects
                ],
                "runtime": self.runtime,
                "memory_bytes": self.memory_bytes,
                "targets": [
                    {
                        "name": one.name,
                        "architecture": one.architecture,
                        "instruction_sets": list(one.instruction_sets),
                        "page_sizes": list(one.page_sizes),
                        "memory_bytes": one.memory_bytes,
                    }
                    for one in self.targets
                ],
                "devices": list(self.devices),
                "expires": self.expires,
                "trials": self.trials,
                "golden": list(self.golden),
            }
        )
        if len(data) > MAX_BYTES:
            raise ManifestError(f"the manifest has {len(data)} bytes, at most {MAX_BYTES} are possible")
        if len(data) > MAX_ITEMS:  # else it cannot have as many
            _decoded(data)
        return data

    @staticmethod
    def from_bytes(data: bytes) -> Manifest:
        """Raises ManifestError for what to_bytes would not have written, byte for byte."""
        if len(data) > MAX_BYTES:
            raise ManifestError(f"the manifest has {len(data)} bytes, at most {MAX_BYTES} are possible")
        value = _decoded(data)
        if isinstance(value, dict) and "format" in value:
            _known_format(value["format"])  # before what a later format has more or less of
        fields = _fields(value, _MANIFEST_FIELDS, "the manifest")
        manifest = Manifest(
            **{
                **fields,
                "objects": tuple(_object(item) for item in _list(fields["objects"], MAX_OBJECTS, "objects")),
                "targets": tuple(_requirement(item) for item in _list(fields["targets"], MAX_REQUIREMENTS, "targets")),
                "devices": _list(fields["devices"], MAX_DEVICES, "devices"),
                "golden": _list(fields["golden"], MAX_GOLDEN, "golden runs", dict),
            }
        )
        if manifest.to_bytes() != data:  # else one manifest would have several hashes
            raise ManifestError("the manifest is not in canonical CBOR")
        return manifest


def _decoded(data: bytes) -> cbor.Value:
    try:
        return cbor.decode(data, max_items=MAX_ITEMS)
    except cbor.CborError as error:
        raise ManifestError(f"the manifest cannot be read: {error}") from error


_MANIFEST_FIELDS = frozenset(Manifest.__dataclass_fields__)
_OBJECT_FIELDS = frozenset(ObjectEntry.__dataclass_fields__)
_REQUIREMENT_FIELDS = frozenset(Requirement.__dataclass_fields__)


def describe_object(role: str, source: bytes | Path, chunk_bytes: int = 1 << 16) -> ObjectEntry:
    """Hashes a file, or bytes, reading it once and piece by piece. chunk_bytes grows where there would be too many
    chunks. Raises ManifestError for an empty or too large one, OSError when it cannot be read."""
    size = source.stat().st_size if isinstance(source, Path) else len(source)
    _number(size, 1, MAX_OBJECT_BYTES, f"the size of {source if isinstance(source, Path) else 'the object'}")
    while size > chunk_bytes * MAX_CHUNKS:
        chunk_bytes *= 2
    whole, chunks, seen = hashlib.sha256(), [], 0
    for piece in _pieces(source, chunk_bytes):
        whole.update(piece)
        chunks.append(hashlib.sha256(piece).digest())
        seen += len(piece)
    if seen != size:
        raise ManifestError(f"{source!s:.200} changed while it was read: {size} bytes were there, and then {seen}")
    return ObjectEntry(role, whole.digest(), size, chunk_bytes, tuple(chunks))


def _pieces(source: bytes | Path, chunk_bytes: int) -> Iterator[bytes]:
    if isinstance(source, Path):
        with source.open("rb") as file:
            while piece := file.read(chunk_bytes):
                yield piece
    else:
        for at in range(0, len(source), chunk_bytes):
            yield source[at : at + chunk_bytes]


def _known_format(value: object) -> None:
    if type(value) is not int or value != FORMAT:
        raise ManifestError(f"the manifest has format {value!r:.20}, this edgert knows {FORMAT}; update edgert here")


def _object(value: object) -> ObjectEntry:
    fields = _fields(value, _OBJECT_FIELDS, "an object")
    joined = fields["chunks"]
    if not isinstance(joined, bytes) or len(joined) % _HASH_BYTES or len(joined) > MAX_CHUNKS * _HASH_BYTES:
        raise ManifestError(f"an object's chunk hashes are no whole SHA-256 hashes, or more than {MAX_CHUNKS}")
    chunks = tuple(joined[at : at + _HASH_BYTES] for at in range(0, len(joined), _HASH_BYTES))
    return ObjectEntry(**{**fields, "chunks": chunks})


def _requirement(value: object) -> Requirement:
    fields = _fields(value, _REQUIREMENT_FIELDS, "a target")
    words = _list(fields["instruction_sets"], 64, "instruction sets of a target")
    sizes = _list(fields["page_sizes"], 16, "page sizes of a target", int)
    return Requirement(**{**fields, "instruction_sets": words, "page_sizes": sizes})


def _fields(value: object, names: frozenset[str], what: str) -> dict[str, Any]:
    if not isinstance(value, dict) or value.keys() != names:
        found = sorted(map(str, value))[:20] if isinstance(value, dict) else type(value).__name__
        raise ManifestError(f"{what} has {found!s:.200}, needed the fields {', '.join(sorted(names))}")
    return value


def _list(value: object, most: int, what: str, kind: type = object) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise ManifestError(f"there is no list of {what}")
    _length(value, most, what)
    if not all(isinstance(item, kind) for item in value):
        raise ManifestError(f"the list of {what} holds something that is no {kind.__name__}")
    return tuple(value)


def _length(items: tuple[Any, ...] | list[Any], most: int, what: str) -> None:
    if len(items) > most:
        raise ManifestError(f"there are {len(items)} {what}, at most {most} are possible")


def _pattern(value: object, pattern: re.Pattern[str], what: str) -> None:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ManifestError(f"{what} is {value!r:.80}, needed text like {pattern.pattern}")


def _bytes(value: object, length: int, what: str) -> None:
    if not isinstance(value, bytes) or len(value) != length:
        found = f"{len(value)} bytes" if isinstance(value, bytes) else type(value).__name__
        raise ManifestError(f"{what} has {found}, needed {length} bytes")


def _number(value: object, least: int, most: int, what: str) -> None:
    if type(value) is not int or not least <= value <= most:  # type: a bool is an int, too
        raise ManifestError(f"{what} is {value!r:.40}, needed a number from {least} to {most}")
