"""The state machine of a push. One session serves one line; the home's lock keeps those of other processes out.

Nothing here knows frames or CBOR. What is refused raises RefusedError (edgert's own group) or FileError (bytes), with a
line that says what was found, what was needed and how to mend it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import edgert
from edgert.agent import generations
from edgert.agent.offer import Offer, authentic, check_counter, check_device, check_time
from edgert.agent.reception import ChunkGivenUpError, Reception
from edgert.agent.refusal import FileError, RefusedError
from edgert.agent.states import State
from edgert.agent.this_device import ThisDevice
from edgert.agent.verification import Verification
from edgert.manifest.keys import Trust
from edgert.manifest.manifest import ObjectEntry
from edgert.smp.groups import FsError
from edgert.smp.groups import RefusalCode as Rc
from edgert.store.collect import collect
from edgert.store.disk import Lock
from edgert.store.errors import BusyError, DiskError, NoSpaceError, StoreError
from edgert.store.home import Home
from edgert.store.incoming import Incoming

# A push whose line went silent gives the home back to others. What arrived stays, and an offer resumes it.
SILENCE_SECONDS = 30.0


@dataclass(frozen=True)
class Need:
    """An object that is lacking, and how many of its bytes are here already for good."""

    sha256: bytes
    have: int


@dataclass
class _Push:
    offer: Offer
    receptions: dict[bytes, Reception] = field(default_factory=dict)  # of the objects that were lacking, by hash

    @property
    def complete(self) -> bool:
        return all(reception.complete for reception in self.receptions.values())

    def close(self) -> None:
        for reception in self.receptions.values():
            reception.close()


class Session:
    """clock: seconds that only grow, for silence. wall_clock: seconds since 1970, for the expiry of manifests."""

    def __init__(
        self,
        home: Home,
        device: ThisDevice,
        *,
        runtime: str = edgert.__version__,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        check: generations.Check = generations.check,
    ) -> None:
        self.home, self.device, self.runtime = home, device, runtime
        self.detail = ""  # the last refusal or result, for STATUS
        self._clock, self._wall_clock, self._check = clock, wall_clock, check
        self._state = State.IDLE
        self._push: _Push | None = None
        self._lock: Lock | None = None
        self._verification: Verification | None = None
        self._heard = clock()
        self._last_refusal = ""

    # --- what STATUS tells ---

    @property
    def state(self) -> State:
        self._look_at_verification()
        if self._state in (State.PENDING, State.CONFIRMED) and self._push is not None:
            # An application may have confirmed it since, or have failed with it.
            self._state = generations.state_of(self.home, self._push.offer)
            if self._state is State.REVERTED:
                self.detail = f"{self._push.offer} is not current any more: it was taken back, rolled back or replaced"
        return self._state

    @property
    def offered(self) -> Offer | None:
        """The offer that was last accepted, or activated."""
        return None if self._push is None else self._push.offer

    @property
    def progress(self) -> tuple[int, int] | None:
        """(received, all) bytes of the objects that were lacking."""
        if self._push is None or not self._push.receptions:
            return None
        receptions = self._push.receptions.values()
        return sum(one.received for one in receptions), sum(one.entry.size for one in receptions)

    # --- time ---

    def heard(self) -> None:
        """A message came."""
        self._heard = self._clock()

    def tick(self) -> None:
        """Gives the home's lock back when the line has been silent for too long."""
        self._look_at_verification()
        silent = self._clock() - self._heard >= SILENCE_SECONDS
        if self._lock is None or not silent or self._state is State.VERIFYING:
            return
        if self._state in (State.RECEIVING, State.RECEIVED) and self._push is not None:
            self._say(f"{self._push.offer}: nothing came for {SILENCE_SECONDS:.0f} s; offer it again to go on")
            self._forget(State.IDLE)
        self._unlock()

    def close(self) -> None:
        """What arrived is made durable. A check that still runs keeps the home's lock until the process ends."""
        checking = self.state is State.VERIFYING
        self._forget(State.IDLE)
        if not checking:
            self._unlock()

    # --- offer ---

    def offer(self, manifest_bytes: bytes, signature: bytes) -> tuple[State, list[Need]]:
        """Checks an offer and opens what its objects are received into. Doing it again changes nothing and resumes what
        was cut off. Raises RefusedError; a push that was going on then goes on."""
        try:
            offer = authentic(manifest_bytes, signature, Trust(self.home.trusted_keys()))
            return self._accept(offer)
        except RefusedError as error:
            self._refused("an offer", error)
            raise

    def _accept(self, offer: Offer) -> tuple[State, list[Need]]:
        state = self.state
        same = self._push is not None and self._push.offer.sha256 == offer.sha256
        if same and state in (State.RECEIVING, State.RECEIVED) and self._lock is not None and self._push is not None:
            for reception in self._push.receptions.values():
                reception.restart_chunk()
            return state, self._needs()
        if state is State.VERIFYING:
            if same:
                return state, []
            raise RefusedError(Rc.BUSY, "another package is being checked; try again when that is done")
        if generations.is_current(self.home, offer):
            self._forget(generations.state_of(self.home, offer), _Push(offer))
            self._unlock()
            return self.state, []
        manifest = offer.manifest
        check_device(manifest, self.device, self.runtime)
        check_time(manifest, self._wall_clock)
        check_counter(manifest, generations.highest(self.home, manifest.name))
        self._take_lock()
        self._forget(State.IDLE)
        if generations.is_installed(self.home, offer):
            self._forget(State.VERIFIED, _Push(offer))
            return self._state, []
        try:
            push = self._open(offer)
        except BaseException:
            self._unlock()
            raise
        self._forget(State.RECEIVED if push.complete else State.RECEIVING, push)
        total = sum(entry.size for entry in manifest.objects)
        lacking = sum(one.entry.size - one.received for one in push.receptions.values())
        self._say(f"{offer} offered by {_named(offer)}: {total} bytes, {total - lacking} of them are here")
        return self._state, self._needs()

    def _open(self, offer: Offer) -> _Push:
        lacking = [entry for entry in offer.manifest.objects if not self.home.has_object(entry)]
        try:
            try:
                return _Push(offer, self._open_all(lacking))
            except NoSpaceError:
                # Pushes that were never finished keep the room that they took; this one needs it.
                collect(self.home, [entry.sha256 for entry in offer.manifest.objects], keep_staged=False)
                return _Push(offer, self._open_all(lacking))
        except NoSpaceError as error:
            raise RefusedError(Rc.NO_SPACE, f"{offer} has no room here: {error}") from error
        except StoreError as error:
            raise RefusedError(Rc.DISK, str(error)) from error

    def _open_all(self, entries: list[ObjectEntry]) -> dict[bytes, Reception]:
        opened: dict[bytes, Reception] = {}
        try:
            for entry in entries:
                opened[entry.sha256] = Reception(entry, Incoming(self.home, entry))
        except BaseException:
            for reception in opened.values():
                if reception.received:
                    reception.close()
                else:  # it holds room, and nothing else
                    reception.discard()
            raise
        return opened

    def _needs(self) -> list[Need]:
        assert self._push is not None
        return [Need(sha256, one.received) for sha256, one in self._push.receptions.items() if not one.complete]

    # --- bytes ---

    def entry(self, sha256: bytes) -> ObjectEntry | None:
        """The object of the push that is going on."""
        if self._push is None:
            return None
        return next((entry for entry in self._push.offer.manifest.objects if entry.sha256 == sha256), None)

    def received(self, sha256: bytes) -> int | None:
        """Bytes of an object of the push that are here; None when the push has no such object."""
        entry = self.entry(sha256)
        if entry is None or self._push is None:
            return None
        reception = self._push.receptions.get(sha256)
        return entry.size if reception is None else reception.received

    def write(self, sha256: bytes, compressed: bool, offset: int, data: bytes) -> int:
        """Bytes of an object, or of its compressed records; the offset expected next. Raises FileError."""
        entry = self.entry(sha256)
        if entry is None or self._push is None:
            raise FileError(FsError.FILE_INVALID_NAME, f"no offer that was accepted has an object {sha256.hex()[:12]}")
        if self._state is State.REJECTED:
            raise FileError(FsError.FILE_WRITE_FAILED, self.detail)
        reception = self._push.receptions.get(sha256)
        if self._state is not State.RECEIVING or reception is None:
            return Reception.end(entry, compressed)  # it is all here: a client that missed an answer
        try:
            expected = reception.write_record(offset, data) if compressed else reception.write(offset, data)
        except ChunkGivenUpError as error:
            self._reject(str(error))
            raise
        except DiskError as error:
            self._say(f"{self._push.offer}: {error}")
            raise FileError(FsError.FILE_WRITE_FAILED, str(error)) from error
        if reception.complete and self._push.complete:
            self._state = State.RECEIVED
            self.detail = f"{self._push.offer} is received"
        return expected

    # --- verify ---

    def verify(self) -> State:
        """Begins the check where everything is received; the state, which is soon another. Raises RefusedError."""
        state = self.state
        if state is State.REJECTED:
            raise RefusedError(Rc.CHECK_FAILED, self.detail)
        if state is State.RECEIVED and self._push is not None:
            push = self._push
            self._verification = Verification(lambda: self._verify(push))
            self._state = State.VERIFYING
            self.detail = f"{push.offer} is being checked"
        elif state in (State.IDLE, State.RECEIVING, State.REVERTED):
            todo = f"send {len(self._needs())} objects first" if state is State.RECEIVING else "offer a package first"
            raise RefusedError(Rc.BAD_STATE, f"there is nothing to verify, the state is {state}: {todo}")
        return self._state

    def wait(self, seconds: float | None = None) -> State:
        """Until a verification that runs is over, or the time is."""
        if self._verification is not None:
            self._verification.wait(seconds)
        return self.state

    def _verify(self, push: _Push) -> None:
        """In the verification's thread; the session leaves the push alone meanwhile."""
        for entry in push.offer.manifest.objects:
            if entry.sha256 in push.receptions:
                push.receptions[entry.sha256].incoming.finish()
            else:
                self.home.check_object(entry)
        self._check(self.home, push.offer, self.device)
        generations.install(self.home, push.offer)

    def _look_at_verification(self) -> None:
        if self._verification is None or not self._verification.done:
            return
        failure, self._verification = self._verification.failure, None
        if self._state is not State.VERIFYING or self._push is None:
            return
        if failure is None:
            self._state = State.VERIFIED
            self._say(f"{self._push.offer} is verified")
        else:
            self._reject(str(failure))

    def _reject(self, reason: str) -> None:
        assert self._push is not None
        self._state = State.REJECTED
        self._push.close()
        self._say(f"{self._push.offer} is rejected: {reason}")
        self.detail = reason
        self._collect()
        self._unlock()

    # --- what is installed ---

    def activate(self, sha256: bytes) -> tuple[State, str, int]:
        """Makes the verified generation of this manifest the current one, on trial: (state, name, counter). Raises
        RefusedError."""
        if self._state is State.REJECTED and self._push is not None and self._push.offer.sha256 == sha256:
            raise RefusedError(Rc.CHECK_FAILED, self.detail)
        if self.state is State.VERIFYING:
            raise RefusedError(Rc.BAD_STATE, "the package is being checked; ask for the status until it is verified")
        try:
            found = generations.find(self.home, sha256, Trust(self.home.trusted_keys()))
            if not generations.is_current(self.home, found):
                self._activate(found)
        except RefusedError as error:
            self._refused("an activation", error)
            raise
        return generations.state_of(self.home, found), found.manifest.name, found.manifest.counter

    def _activate(self, found: Offer) -> None:
        check_device(found.manifest, self.device, self.runtime)
        check_time(found.manifest, self._wall_clock)
        self._take_lock()
        try:
            check_counter(found.manifest, generations.highest(self.home, found.manifest.name))
            generations.activate(self.home, found)
            self._forget(State.PENDING, _Push(found))
            self.detail = f"{found} is current, on trial for {found.manifest.trials} loads"
            self._collect()
        finally:
            if self._state not in (State.RECEIVING, State.RECEIVED):  # else another push of this line needs the lock
                self._unlock()

    def confirm(self, name: str) -> State:
        """The current generation of a model needs no more trial. Raises RefusedError."""
        generations.confirm(self.home, name)
        self.detail = f"{name} is confirmed"
        return State.CONFIRMED

    def rollback(self, name: str, leave: int) -> tuple[State, int]:
        """Makes the generation before `leave` current where `leave` is: (state, the counter that is current). Raises
        RefusedError."""
        counter = generations.rollback(self.home, name, leave)
        self.detail = f"{name} {counter} is current"
        return generations.current_state(self.home, name), counter

    # --- the rest ---

    def _take_lock(self) -> None:
        if self._lock is None:
            try:
                self._lock = self.home.lock()
            except BusyError as error:
                raise RefusedError(Rc.BUSY, str(error)) from error
            except StoreError as error:
                raise RefusedError(Rc.DISK, str(error)) from error

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _forget(self, state: State, push: _Push | None = None) -> None:
        """Lets go of the push that was, for another."""
        if self._push is not None and self._state is not State.VERIFYING:
            self._push.close()
        self._push, self._state = push, state

    def _collect(self) -> None:
        try:
            collect(self.home)
        except StoreError as error:
            self.home.log(f"what is not needed any more could not be removed: {error}")

    def _say(self, text: str) -> None:
        self.detail = text
        self.home.log(text)

    def _refused(self, what: str, error: RefusedError) -> None:
        self.detail = f"{what} was refused: {error}"
        if self.detail != self._last_refusal:  # a client that tries again and again would push out the rest of the log
            self._last_refusal = self.detail
            self.home.log(self.detail)


def _named(offer: Offer) -> str:
    comment = f" ({offer.key.comment})" if offer.key.comment else ""
    return f"key {offer.key.key_id.hex()}{comment}"
