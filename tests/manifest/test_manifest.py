"""The manifest: one spelling, every bound, and nothing that it does not know."""

from __future__ import annotations

import dataclasses
import hashlib
import random
from pathlib import Path
from typing import Any

import pytest

from edgert.manifest import manifest as module
from edgert.manifest.manifest import Manifest, ManifestError, ObjectEntry, Requirement, at_least, describe_object
from edgert.smp import cbor


def package(data: bytes = b"x" * 10_000, **changes: Any) -> ObjectEntry:
    return dataclasses.replace(describe_object("package", data, 4096), **changes)


def manifest(**changes: Any) -> Manifest:
    fields: dict[str, Any] = {
        "name": "digits", "key_id": bytes(8), "counter": 1, "objects": (package(),), "runtime": "0.1.0",
        "targets": (Requirement("pi", "aarch64", ("neon", "dotprod"), (4096, 16384), 1 << 29),), "devices": ("0a1b",),
        "golden": ({"seed": 1, "outputs": [b"abc", 1.5, None]},), "memory_bytes": 1 << 20, "expires": 2_000_000_000,
    }  # fmt: skip
    return Manifest(**{**fields, **changes})


def test_returns_as_it_was_written() -> None:
    for one in (manifest(), manifest(targets=(), devices=(), golden=(), expires=None)):
        data = one.to_bytes()
        assert Manifest.from_bytes(data) == one
        assert one.to_bytes() == data
        assert one.package.role == "package"


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"name": "../digits"},
        {"name": ".digits"},
        {"name": "Digits"},
        {"name": "a/b"},
        {"name": "digits\n"},
        {"name": "d\0"},
        {"name": "\uff44igits"},
        {"name": "a" * 65},
        {"name": 3},
        {"key_id": b"1234567"},
        {"key_id": "12345678"},
        {"counter": 0},
        {"counter": -1},
        {"counter": 2**63},
        {"counter": True},
        {"counter": 1.0},
        {"objects": ()},
        {"objects": (package(), package(b"other"))},  # two packages
        {"objects": (package(), package(role="labels"))},  # the same bytes twice
        {"objects": (package(role="labels"),)},
        {"objects": tuple(package(bytes([i]), role="package" if i == 0 else "more") for i in range(17))},
        {"runtime": ""},
        {"runtime": "new"},
        {"runtime": "1." * 40 + "1"},
        {"memory_bytes": -1},
        {"devices": ("a/b",)},
        {"devices": ("",)},
        {"devices": tuple(f"{i:x}" for i in range(1025))},
        {"expires": -1},
        {"expires": 1.5},
        {"trials": 0},
        {"trials": 1001},
        {"golden": ({},) * 65},
        {"format": 2},
        {"format": True},
    ],
    ids=lambda changes: f"{next(iter(changes))}={next(iter(changes.values()))!r:.30}",
)
def test_out_of_bounds(changes: dict[str, Any]) -> None:
    """Neither made here nor accepted from elsewhere."""
    with pytest.raises(ManifestError):
        manifest(**changes)
    with pytest.raises(ManifestError):
        Manifest.from_bytes(cbor.encode({**_as_dict(manifest()), **_plain(changes)}))


@pytest.mark.parametrize(
    "changes",
    [
        {"sha256": b""},
        {"size": 0},
        {"size": 2**40 + 1},
        {"size": 4096},  # three chunks for one
        {"size": 2**63},
        {"chunk_bytes": 2048},
        {"chunk_bytes": 1 << 25},
        {"chunk_bytes": 5000},
        {"chunk_bytes": 0},
        {"chunks": ()},
        {"chunks": (bytes(31),) * 3},
        {"role": "../x"},
    ],
    ids=repr,
)
def test_objects_out_of_bounds(changes: dict[str, Any]) -> None:
    with pytest.raises(ManifestError):
        package(**changes)


def test_oversized_lengths_cost_nothing() -> None:
    """A size that no chunk list fits is refused before anything is taken for it."""
    for size in (2**40, 2**62, 2**63):
        fields = _as_dict(manifest())
        fields["objects"][0]["size"] = size
        with pytest.raises(ManifestError):
            Manifest.from_bytes(cbor.encode(fields))
    with pytest.raises(ManifestError, match="at most"):
        Manifest.from_bytes(bytes(1 << 20))


def test_too_large_to_offer() -> None:
    with pytest.raises(ManifestError, match="at most"):
        manifest(golden=({"output": bytes(1 << 20)},)).to_bytes()


def test_too_many_things_in_it() -> None:
    fields = _as_dict(manifest())
    fields["golden"] = [{"outputs": [0] * (1 << 16)}]
    with pytest.raises(ManifestError, match="cannot be read"):
        Manifest.from_bytes(cbor.encode(fields))
    with pytest.raises(ManifestError, match="cannot be read"):
        manifest(golden=({"outputs": [0] * (1 << 16)},)).to_bytes()
    large = manifest(golden=tuple({"outputs": [0] * 900} for _ in range(64)))
    assert Manifest.from_bytes(large.to_bytes()) == large


def test_requirements_out_of_bounds() -> None:
    for wrong in (
        {"name": "a b"},
        {"architecture": ""},
        {"instruction_sets": ("",)},
        {"instruction_sets": ("neon",) * 65},
        {"page_sizes": (0,)},
        {"page_sizes": ("4096",)},
        {"memory_bytes": -1},
    ):
        fields: dict[str, Any] = {"name": "pi", "architecture": "aarch64", **wrong}
        with pytest.raises(ManifestError):
            Requirement(**fields)


def test_strange_fields() -> None:
    """What is unknown may matter, and what is missing too."""
    fields = _as_dict(manifest())
    for wrong in (
        {**fields, "more": 1},
        {key: value for key, value in fields.items() if key != "devices"},
        {**fields, "targets": {}},
        {**fields, "targets": [1]},
        {**fields, "golden": [1]},
        {**fields, "objects": [{}]},
        {**fields, "objects": "abc"},
        {**fields, "objects": [{**fields["objects"][0], "chunks": b"12"}]},
        {**fields, "objects": [{**fields["objects"][0], "chunks": 7}]},
        {**fields, "devices": [[]]},
    ):
        with pytest.raises(ManifestError):
            Manifest.from_bytes(cbor.encode(wrong))
    with pytest.raises(ManifestError, match="update edgert"):
        Manifest.from_bytes(cbor.encode({"format": 2, "other": 1}))
    for value in (None, 1, [], {}, "", b""):
        with pytest.raises(ManifestError):
            Manifest.from_bytes(cbor.encode(value))


def test_one_spelling() -> None:
    """The same map with its keys in another order is another manifest, and refused."""
    fields = _as_dict(manifest())
    head = bytes([0xA0 | len(fields)])
    pairs = [cbor.encode(key) + cbor.encode(value) for key, value in fields.items()]
    canonical = manifest().to_bytes()
    assert head + b"".join(sorted(pairs, key=lambda pair: (pair[0], pair))) == canonical
    with pytest.raises(ManifestError, match="canonical"):
        Manifest.from_bytes(head + b"".join(sorted(pairs, reverse=True)))
    indefinite = b"\xbf" + canonical[1:] + b"\xff"
    with pytest.raises(ManifestError):
        Manifest.from_bytes(indefinite)


def test_damage() -> None:
    """Any bit and any cut: ManifestError, or (never for a cut) another manifest in bounds; nothing else."""
    data = manifest().to_bytes()
    for end in range(len(data)):
        with pytest.raises(ManifestError):
            Manifest.from_bytes(data[:end])
    rng, messages = random.Random(1), list[str]()
    for _ in range(3000):
        damaged = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        try:
            again = Manifest.from_bytes(bytes(damaged))
        except ManifestError as error:
            messages.append(str(error))
        else:
            assert again.to_bytes() == bytes(damaged)
    assert all("\n" not in text and len(text) < 600 for text in messages)


def test_describe_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = random.Random(2).randbytes(200_001)
    path = tmp_path / "model.ert"
    path.write_bytes(data)
    for entry in (describe_object("package", data), describe_object("package", path)):
        assert entry.size == len(data)
        assert entry.sha256 == hashlib.sha256(data).digest()
        assert entry.chunk_bytes == 1 << 16
        assert len(entry.chunks) == 4
        for k, chunk in enumerate(entry.chunks):
            assert chunk == hashlib.sha256(data[k * entry.chunk_bytes : (k + 1) * entry.chunk_bytes]).digest()
    monkeypatch.setattr(module, "MAX_CHUNKS", 2)
    assert describe_object("package", data).chunk_bytes == 1 << 17
    with pytest.raises(ManifestError, match="needed a number from 1"):
        describe_object("package", b"")


@pytest.mark.parametrize(
    ("found", "needed", "enough"),
    [
        ("0.1.0", "0.1.0", True),
        ("0.1", "0.1.0", True),
        ("0.10.0", "0.9.3", True),
        ("0.9.3", "0.10", False),
        ("0.2.0.dev3+g12", "0.2", True),
        ("", "0.1", False),
        ("1", "0.99.99", True),
    ],
)
def test_versions(found: str, needed: str, enough: bool) -> None:
    assert at_least(found, needed) is enough


def _as_dict(one: Manifest) -> dict[str, Any]:
    fields: dict[str, Any] = cbor.decode(one.to_bytes())
    return fields


def _plain(changes: dict[str, Any]) -> dict[str, Any]:
    """As they would stand on the wire."""
    plain = {}
    for key, value in changes.items():
        if key == "objects":
            value = [{**dataclasses.asdict(entry), "chunks": b"".join(entry.chunks)} for entry in value]
        plain[key] = list(value) if isinstance(value, tuple) else value
    return plain
