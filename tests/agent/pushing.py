"""What tests of the agent share: keys, offers and a client that says each request in turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgert.agent.reception import COMPRESSED
from edgert.agent.server import Server
from edgert.agent.session import Session
from edgert.agent.this_device import ThisDevice
from edgert.manifest.keys import PrivateKey, new_key, trust
from edgert.manifest.manifest import Manifest, ObjectEntry, describe_object
from edgert.smp import cbor
from edgert.smp.groups import EdgertCommand, FsCommand, Group
from edgert.smp.message import Header, Message, Op
from edgert.store.home import Home
from edgert.targets.machine import Probe

PROBE = Probe("aarch64", ("neon", "neondot"), 1 << 30, 4096, 4)
CHUNK = 4096


@dataclass(frozen=True)
class Package:
    """What a test pushes: bytes, a manifest that names them, its signature."""

    data: bytes
    manifest: Manifest
    manifest_bytes: bytes
    signature: bytes

    def __repr__(self) -> str:
        """Short: Hypothesis prints what it chose."""
        return f"<{self.manifest.name} {self.manifest.counter}, {len(self.data)} bytes>"

    @property
    def entry(self) -> ObjectEntry:
        return self.manifest.package

    @property
    def sha256(self) -> bytes:
        import hashlib

        return hashlib.sha256(self.manifest_bytes).digest()

    def blob(self) -> bytes:
        return cbor.encode({"manifest": self.manifest_bytes, "signature": self.signature})

    def records(self, compress: Callable[[bytes], bytes] | None = None) -> list[bytes]:
        """The compressed form, record by record; compress None: plain bytes in records."""
        made = []
        for at in range(0, len(self.data), self.entry.chunk_bytes):
            chunk = self.data[at : at + self.entry.chunk_bytes]
            content = compress(chunk) if compress else chunk
            made.append(((COMPRESSED if compress else 0) | len(content)).to_bytes(4, "big") + content)
        return made


def package(key: PrivateKey, data: bytes, counter: int = 1, name: str = "digits", **fields: Any) -> Package:
    """fields: of Manifest, in place of the usual ones."""
    usual: dict[str, Any] = {
        "name": name,
        "key_id": key.key_id,
        "counter": counter,
        "objects": (describe_object("package", data, CHUNK),),
        "runtime": "0.1",
    }
    manifest = Manifest(**{**usual, **fields})
    manifest_bytes = manifest.to_bytes()
    return Package(data, manifest, manifest_bytes, key.sign(manifest_bytes))


def signed_again(package: Package, key: PrivateKey, **fields: Any) -> Package:
    manifest = replace(package.manifest, **fields)
    manifest_bytes = manifest.to_bytes()
    return Package(package.data, manifest, manifest_bytes, key.sign(manifest_bytes))


def new_home(folder: Path, *keys: PrivateKey) -> Home:
    home = Home(folder).open()
    for key in keys:
        trust(key.public, home.trusted_keys())
    return home


class Clock:
    """Time that a test moves."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def new_session(home: Home, probe: Probe = PROBE, target: str | None = None, **options: Any) -> Session:
    """A session whose check of a package passes, unless `check` says otherwise."""
    return Session(home, ThisDevice(home.id, target, probe), **{"check": lambda *_: None, **options})


class ReplyError(Exception):
    """The device refused. group: None for an error that any group may give."""

    def __init__(self, group: int | None, rc: int, reason: str) -> None:
        super().__init__(f"group {group}, {rc}: {reason}")
        self.group, self.rc, self.reason = group, rc, reason


Exchange = Callable[[bytes], bytes]


class Client:
    """One request after another, over whatever takes a message to the agent and brings the answer back."""

    def __init__(self, exchange: Exchange, version: int = 1) -> None:
        self._exchange, self._version, self._sequence = exchange, version, 0

    @staticmethod
    def of(server: Server) -> Client:
        def exchange(message: bytes) -> bytes:
            answer = server.handle(message)
            assert answer is not None
            return answer

        return Client(exchange)

    def request(self, op: Op, group: int, command: int, body: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        self._sequence = (self._sequence + 1) % 256
        header = Header(op, group, command, self._sequence, self._version)
        answer = Message.from_bytes(self._exchange(Message(header, body or {}).to_bytes()))
        assert answer.header == replace(header, op=Op(op | 1))
        refusal = answer.refusal()
        if refusal is not None:
            raise ReplyError(refusal.group, refusal.rc, refusal.reason)
        return answer.body

    def own(self, command: EdgertCommand, body: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        op = Op.READ if command == EdgertCommand.STATUS else Op.WRITE
        return self.request(op, Group.EDGERT, command, body)

    def offer(self, package: Package, piece: int = 4000) -> Mapping[str, Any]:
        blob, at = package.blob(), 0
        while True:
            body: dict[str, Any] = {"off": at, "data": blob[at : at + piece]}
            if at == 0:
                body["len"] = len(blob)
            answer = self.own(EdgertCommand.OFFER, body)
            at = answer["off"]
            if at == len(blob) and "state" in answer:
                return answer

    def write(self, sha256: bytes, at: int, data: bytes, suffix: str = "", **more: Any) -> int:
        body = {"name": f"/edgert/{sha256.hex()}{suffix}", "off": at, "data": data, **more}
        answer = self.request(Op.WRITE, Group.FS, FsCommand.FILE, body)
        assert answer.keys() == {"off"}
        return int(answer["off"])

    def upload(self, package: Package, piece: int = 3000) -> None:
        at, entry = 0, package.entry
        while at < entry.size:
            at = self.write(entry.sha256, at, package.data[at : at + piece])

    def status(self) -> Mapping[str, Any]:
        return self.own(EdgertCommand.STATUS)

    def verify(self, seconds: float = 60.0) -> Mapping[str, Any]:
        """Asks until the check is over; the status then."""
        import time

        self.own(EdgertCommand.VERIFY)
        end = time.monotonic() + seconds
        while (status := self.status())["state"] == "verifying":
            assert time.monotonic() < end, "the check does not end"
            time.sleep(0.01)
        return status

    def activate(self, package: Package) -> Mapping[str, Any]:
        return self.own(EdgertCommand.ACTIVATE, {"manifest": package.sha256})

    def push(self, package: Package) -> Mapping[str, Any]:
        answer = self.offer(package)
        if answer["need"]:
            self.upload(package)
        status = self.verify()
        assert status["state"] == "verified", status
        return self.activate(package)


__all__ = ["Client", "Clock", "Package", "ReplyError", "new_home", "new_key", "new_session", "package", "signed_again"]
