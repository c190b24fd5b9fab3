"""Pushes as the agent does them, over edgert.store alone; and what must hold of a home, whatever happened to it."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

from edgert.manifest.manifest import Manifest, describe_object
from edgert.store.collect import collect
from edgert.store.home import Home
from edgert.store.incoming import Incoming
from edgert.store.slot import Slot
from edgert.store.state import SlotState

NAME = "net"
CHUNK = 4096
SIGNATURE = bytes(range(64))


def package_bytes(generation: int, size: int = 3 * CHUNK + 100) -> bytes:
    return random.Random(generation).randbytes(size)


def manifest(package: bytes, counter: int, name: str = NAME, trials: int = 3) -> Manifest:
    return Manifest(name, b"12345678", counter, (describe_object("package", package, CHUNK),), "0.1", trials=trials)


def send(home: Home, package: bytes, of: Manifest, piece: int = 1500) -> None:
    with Incoming(home, of.package) as incoming:
        while not incoming.whole:
            incoming.write(incoming.received, package[incoming.received : incoming.received + piece])
        incoming.finish()


def push(home: Home, package: bytes, counter: int, name: str = NAME, trials: int = 3, confirm: bool = False) -> Slot:
    """All steps, as edgert.agent.session orders them."""
    of = manifest(package, counter, name, trials)
    with home.lock():
        send(home, package, of)
        home.check_object(of.package)
        slot = Slot(home, name)
        slot.install(of.to_bytes(), SIGNATURE, of)
        slot.activate(counter, of.trials)
        collect(home, [of.package.sha256])
    if confirm:
        slot.confirm()
    return slot


def check_whole(
    home: Home, packages: dict[int, bytes], name: str = NAME, signatures: dict[int, bytes] | None = None
) -> SlotState:
    """Every generation that the state names is there with the bytes that were pushed, and every object has the bytes
    that its name says."""
    slot = Slot(home, name)
    state = slot.state()
    for counter in (state.current, state.previous):
        if counter is not None:
            assert slot.package(counter).read_bytes() == packages[counter]
            assert slot.signature(counter) == (signatures[counter] if signatures else SIGNATURE)
    for path in home.objects.glob("*"):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    return state


def files(home: Home) -> list[Path]:
    return sorted(path for path in home.path.rglob("*") if path.is_file())
