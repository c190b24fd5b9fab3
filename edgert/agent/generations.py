"""What the session does with generations on the disk: checks, installs, activates, and tells their states."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

from edgert.agent.offer import Offer, authentic
from edgert.agent.refusal import RefusedError
from edgert.agent.states import State
from edgert.agent.this_device import ThisDevice
from edgert.manifest.keys import Trust
from edgert.manifest.manifest import is_name
from edgert.smp.groups import RefusalCode as Rc
from edgert.store.errors import BusyError, NoModelError, NoSpaceError, StoreError
from edgert.store.home import Home
from edgert.store.slot import Slot

# On a slow core a large model's golden runs take their time; a client's bar shows that the device is at it.
CHECK_SECONDS = 300.0

Check = Callable[[Home, Offer, ThisDevice], None]


@dataclass(frozen=True)
class ModelFacts:
    """The current generation of a model. sha256: of its manifest."""

    name: str
    counter: int
    sha256: bytes
    pending: bool
    loads: int
    trials: int
    previous: int | None


def check(home: Home, offer: Offer, device: ThisDevice) -> None:
    """Opens the package and repeats its golden runs, in another process. Raises edgert.golden's CheckError."""
    from edgert.golden import check_apart  # when it is needed: the agent begins without what a check imports

    check_apart(
        home.object_path(offer.manifest.package.sha256),
        offer.manifest.golden,
        timeout_seconds=CHECK_SECONDS,
        # Not all of it: the device has other work, and a check that takes everything makes it swap before it is ended.
        memory_bytes=device.probe.memory_bytes * 3 // 4 or 1 << 30,
    )


def highest(home: Home, name: str) -> int:
    return Slot(home, name).state().highest


def is_current(home: Home, offer: Offer) -> bool:
    """Whether just this manifest is what is opened."""
    slot = Slot(home, offer.manifest.name)
    return slot.state().current == offer.manifest.counter and is_installed(home, offer)


def is_installed(home: Home, offer: Offer) -> bool:
    """Whether its generation is there: it passed its check then."""
    slot, counter = Slot(home, offer.manifest.name), offer.manifest.counter
    try:
        if slot.manifest_bytes(counter) != offer.manifest_bytes:
            return False
        slot.package(counter)
    except StoreError:
        return False
    return True


def state_of(home: Home, offer: Offer) -> State:
    """Of a generation that was made current some time."""
    state = Slot(home, offer.manifest.name).state()
    if state.current != offer.manifest.counter:
        return State.REVERTED
    return State.PENDING if state.pending else State.CONFIRMED


def current_state(home: Home, name: str) -> State:
    return State.PENDING if Slot(home, name).state().pending else State.CONFIRMED


def install(home: Home, offer: Offer) -> None:
    Slot(home, offer.manifest.name).install(offer.manifest_bytes, offer.signature, offer.manifest)


def find(home: Home, sha256: bytes, trust: Trust) -> Offer:
    """The installed generation of this manifest; its signature still has to be one that is trusted. Raises
    RefusedError."""
    for name in home.models():
        slot = Slot(home, name)
        counter = slot.find(sha256)
        if counter is not None:
            return authentic(slot.manifest_bytes(counter), slot.signature(counter), trust)
    raise RefusedError(
        Rc.BAD_STATE, f"no verified generation here has the manifest {sha256.hex()[:16]}: push it, and verify it first"
    )


def activate(home: Home, offer: Offer) -> None:
    with _refusing():
        Slot(home, offer.manifest.name).activate(offer.manifest.counter, offer.manifest.trials)


def confirm(home: Home, name: str) -> None:
    with _refusing():
        _slot(home, name).confirm()


def rollback(home: Home, name: str, leave: int) -> int:
    """The counter that is current then. Leaving what is not current changes nothing."""
    with _refusing():
        slot = _slot(home, name)
        if slot.state().current is None:
            raise RefusedError(Rc.NO_MODEL, f"there is no model {name!r} on this device")
        try:
            now = slot.rollback(leave)
        except NoModelError as error:
            raise RefusedError(Rc.NOTHING_TO_ROLL_BACK, str(error)) from error
        assert now.current is not None
        return now.current


def models(home: Home, first: str | None = None) -> Iterator[ModelFacts]:
    """Of all models that can be opened; `first` before the others."""
    names = home.models()
    for name in sorted(names, key=lambda name: (name != first, name)):
        slot = Slot(home, name)
        state = slot.state()
        if state.current is None:
            continue
        try:
            sha256 = _manifest_sha256(slot, state.current)
        except StoreError:
            continue  # damaged on the disk: it cannot be opened either
        yield ModelFacts(name, state.current, sha256, state.pending, state.loads, state.trials, state.previous)


def waiting(home: Home) -> Iterator[tuple[str, int, bytes]]:
    """(name, counter, SHA-256 of the manifest) of every generation that passed its check and could be activated."""
    for name in home.models():
        slot = Slot(home, name)
        highest = slot.state().highest
        for counter in slot.generations():
            if counter > highest:
                try:
                    yield name, counter, _manifest_sha256(slot, counter)
                except StoreError:
                    continue  # damaged on the disk


def settle(home: Home) -> None:
    """When the agent begins: what applications found out since goes into the agent's own records."""
    for name in home.models():
        try:
            Slot(home, name).settle()
        except StoreError as error:
            home.log(f"{name}: {error}")


def _manifest_sha256(slot: Slot, counter: int) -> bytes:
    """Raises StoreError. Kept, since manifests may have a megabyte and STATUS is asked for several times a second; the
    file's number and time tell a manifest from another that took its place."""
    try:
        found = os.stat(slot.generation_folder(counter) / "manifest")
    except OSError as error:
        raise StoreError(f"generation {counter} of {slot.name!r} has no manifest") from error
    return _hash_of(str(slot.home.path), slot.name, counter, (found.st_ino, found.st_mtime_ns, found.st_size))


@lru_cache(maxsize=256)
def _hash_of(home: str, name: str, counter: int, _file: tuple[int, int, int]) -> bytes:
    return hashlib.sha256(Slot(Home(home), name).manifest_bytes(counter)).digest()


def _slot(home: Home, name: str) -> Slot:
    if not is_name(name):  # it comes from the line, and is the name of a folder
        raise RefusedError(Rc.BAD_REQUEST, f"{name!r:.80} is no name of a model")
    return Slot(home, name)


@contextmanager
def _refusing() -> Iterator[None]:
    """Turns the store's errors into refusals."""
    try:
        yield
    except StoreError as error:
        kinds = {BusyError: Rc.BUSY, NoSpaceError: Rc.NO_SPACE, NoModelError: Rc.NO_MODEL}
        raise RefusedError(kinds.get(type(error), Rc.DISK), str(error)) from error
