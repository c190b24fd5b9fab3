"""The slot of a model: its generations, which of them is current, and how it became so.

    models/<name>/generations/<counter>/{manifest,signature}
    models/<name>/state.0 state.1     edgert.store.state, edgert.store.records
    models/<name>/trial.0 trial.1

A generation is its manifest, the signature, and the objects that the manifest names. It is whole before it has its
name, and it has its name before the state names it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from pathlib import Path

from edgert.manifest.manifest import MAX_BYTES, Manifest, ManifestError, is_name
from edgert.store import disk
from edgert.store.errors import DamagedError, NoModelError, StoreError
from edgert.store.home import Home, write_whole
from edgert.store.records import Records
from edgert.store.state import STATE_MAGIC, TRIAL_MAGIC, SlotState, StateRecord, TrialRecord, combine, folded

LOCK_SECONDS = 10.0  # whoever holds a slot's lock does a few writes; this long is a disk that hangs
_SIGNATURE_BYTES = 64
_COUNTER = re.compile(r"[1-9][0-9]{0,18}")  # below 2**63 and some


class Slot:
    """A model's place in a home. Nothing is made before install."""

    def __init__(self, home: Home, name: str) -> None:
        if not is_name(name):
            raise StoreError(f"{name!r:.80} cannot be the name of a model: needed are a-z, 0-9, '.', '_' and '-'")
        self.home, self.name = home, name
        self.folder = home.models_folder / name
        self.generations_folder = self.folder / "generations"
        self.state_records = Records(self.folder, "state", STATE_MAGIC)
        # The group of the home may write these two: applications that run as another user than the agent.
        self.trial_records = Records(self.folder, "trial", TRIAL_MAGIC, 0o664)

    def lock(self) -> disk.Lock:
        """Alone with the state, among all processes. Raises BusyError, and NoModelError when there is no slot."""
        if not disk.is_folder(self.folder):
            raise self._nothing()
        busy = f"another process holds {self.folder} for more than {LOCK_SECONDS:.0f} s; look what hangs there"
        return disk.Lock(self.folder, LOCK_SECONDS, busy)

    def _nothing(self) -> NoModelError:
        there = ", ".join(self.home.models()) or "none"
        return NoModelError(f"no model {self.name!r} is installed in {self.home.path} (there: {there}); push it first")

    # --- reading ---

    def state(self) -> SlotState:
        return combine(self.state_record(), self.trial_record())

    def state_record(self, strict: bool = False) -> StateRecord:
        """When neither record is valid, the oldest generation that is whole: it was current, or still is, for one that
        is only pending is never the oldest if there was one before. strict: see Records.read."""
        payload = self.state_records.read(strict)
        if payload is not None:
            return StateRecord.from_bytes(payload)
        whole = [counter for counter in self.generations() if self._is_whole(counter)]
        return StateRecord(current=whole[0], highest=whole[-1]) if whole else StateRecord()

    def trial_record(self, strict: bool = False) -> TrialRecord:
        payload = self.trial_records.read(strict)
        return TrialRecord() if payload is None else TrialRecord.from_bytes(payload)

    def generations(self) -> list[int]:
        """Counters of the generations that are there, in order."""
        found = [int(name) for name in disk.names(self.generations_folder) if _COUNTER.fullmatch(name)]
        return sorted(counter for counter in found if disk.is_folder(self.generation_folder(counter)))

    def generation_folder(self, counter: int) -> Path:
        return self.generations_folder / str(counter)

    def manifest_bytes(self, counter: int) -> bytes:
        """Raises DamagedError when there is none."""
        return self._file(counter, "manifest", MAX_BYTES)

    def signature(self, counter: int) -> bytes:
        return self._file(counter, "signature", _SIGNATURE_BYTES)

    def _file(self, counter: int, name: str, most: int) -> bytes:
        data = disk.read_file(self.generation_folder(counter) / name, most)
        if data is None:
            raise DamagedError(f"generation {counter} of {self.name!r} has no {name} on this device; push it again")
        return data

    def manifest(self, counter: int) -> Manifest:
        """Raises DamagedError when it is damaged, or not there."""
        try:
            manifest = Manifest.from_bytes(self.manifest_bytes(counter))
        except ManifestError as error:
            raise DamagedError(f"generation {counter} of {self.name!r} is damaged on the disk: {error}") from error
        if (manifest.name, manifest.counter) != (self.name, counter):
            raise DamagedError(
                f"the manifest of generation {counter} of {self.name!r} is of {manifest.name!r}, {manifest.counter}"
            )
        return manifest

    def find(self, manifest_sha256: bytes) -> int | None:
        """The counter of the generation with this manifest, current or not."""
        for counter in self.generations():
            try:
                if hashlib.sha256(self.manifest_bytes(counter)).digest() == manifest_sha256:
                    return counter
            except StoreError:
                continue
        return None

    def package(self, counter: int) -> Path:
        """The .ert file of a generation. Raises StoreError when something of the generation is missing or damaged, as
        far as that shows without reading the objects."""
        manifest = self.manifest(counter)
        for entry in manifest.objects:
            if not self.home.has_object(entry):
                raise DamagedError(
                    f"generation {counter} of {self.name!r} lacks {self.home.object_path(entry.sha256)}, or its size "
                    "is wrong; push it again"
                )
        return self.home.object_path(manifest.package.sha256)

    def _is_whole(self, counter: int) -> bool:
        try:
            self.package(counter)
        except DamagedError:
            return False
        return True

    # --- what the agent does ---

    def install(self, manifest_bytes: bytes, signature: bytes, manifest: Manifest | None = None) -> None:
        """Puts a generation beside the others, durable, whole and not current. Doing it again changes nothing.
        Raises StoreError when its objects are not all there or its counter is taken, DiskError, NoSpaceError."""
        manifest = manifest or Manifest.from_bytes(manifest_bytes)
        counter = manifest.counter
        for entry in manifest.objects:
            if not self.home.has_object(entry):
                raise StoreError(f"{self.home.object_path(entry.sha256)} is not there yet; send it before installing")
        self._make()
        with self.lock():
            state = self.state()
            if self._holds(counter, manifest_bytes, signature):
                return
            if counter in (state.current, state.previous):
                raise StoreError(
                    f"generation {counter} of {self.name!r} is another one on this device; push with a higher counter"
                )
            half = self.generations_folder / f"{counter}.tmp"
            self._remove(half)
            if disk.is_folder(self.generation_folder(counter)):
                self._retire(str(counter))
            disk.make_folder(half)
            write_whole(half / "manifest", manifest_bytes)
            write_whole(half / "signature", signature)
            disk.sync_folder(half)
            disk.rename(half, self.generation_folder(counter))
            disk.sync_folder(self.generations_folder)

    def _holds(self, counter: int, manifest_bytes: bytes, signature: bytes) -> bool:
        try:
            return self.manifest_bytes(counter) == manifest_bytes and self.signature(counter) == signature
        except StoreError:
            return False

    def _make(self) -> None:
        """The empty slot: its records say that there is nothing before anything can be there."""
        disk.make_folder(self.folder)
        with self.lock():
            if not disk.is_folder(self.generations_folder):
                if self.state_records.read() is None:
                    self.state_records.create(StateRecord().to_bytes())
                self.trial_records.create(TrialRecord().to_bytes())
                disk.sync_folder(self.folder)
                disk.make_folder(self.generations_folder)
                disk.sync_folder(self.folder)
                disk.sync_folder(self.home.models_folder)

    def _fold(self, before: StateRecord, trial: TrialRecord) -> StateRecord:
        """The agent's record with what applications found out; written by the caller, who changes it."""
        state = folded(before, trial)
        if state.failed != before.failed:
            self.home.log(
                f"{self.name}: generation {state.failed} was taken back, current is {state.current or 'none'}"
            )
        return state

    def activate(self, counter: int, trials: int) -> None:
        """Makes an installed generation current: pending for so many loads that may end badly, or confirmed at once
        with 0 trials. Doing it again changes nothing. Raises StoreError when it is not whole or not newer than all that
        ever were current."""
        with self.lock():
            if self.state().current == counter:
                return
            state = self._fold(self.state_record(), self.trial_record())
            if counter <= state.highest:
                raise StoreError(
                    f"generation {counter} of {self.name!r} is not newer than {state.highest}, which was current"
                )
            self.package(counter)
            # Back from a pending one that is replaced leads to the one that was confirmed, if there is one.
            previous = state.previous if state.pending and state.previous else state.current
            self._write(
                dataclasses.replace(
                    state, current=counter, previous=previous, highest=counter, pending=trials > 0, trials=trials
                )
            )
        self.home.log(
            f"{self.name}: generation {counter} is current, {f'on trial ({trials})' if trials else 'confirmed'}"
        )

    def confirm(self) -> None:
        """Ends the trial of the current generation well; nothing to do for a confirmed one."""
        with self.lock():
            if self.state().current is None:
                raise self._nothing()
            state = self._fold(self.state_record(), self.trial_record())
            if not state.pending:
                return
            self._write(dataclasses.replace(state, pending=False, trials=0))
        self.home.log(f"{self.name}: generation {state.current} is confirmed")

    def rollback(self, leave: int) -> SlotState:
        """Makes the previous generation current, confirmed. Where `leave` is not current (any more) nothing changes, so
        that a request may come twice. Raises NoModelError when there is no generation to go back to."""
        with self.lock():
            if self.state().current != leave:
                return self.state()
            state = self._fold(self.state_record(), self.trial_record())
            if not state.previous:
                raise NoModelError(
                    f"there is no generation of {self.name!r} before {leave} on this device to go back to"
                )
            self.package(state.previous)
            self._write(dataclasses.replace(state, current=state.previous, previous=0, pending=False, trials=0))
            now = self.state()
        self.home.log(f"{self.name}: rolled back from generation {leave} to {now.current}")
        return now

    def settle(self) -> SlotState:
        """Writes an application's verdict, or what was saved from damaged records, into the agent's record. The agent
        calls it when it begins, and before it collects. Raises DiskError, also when a record cannot be read."""
        with self.lock():
            before, trial = self.state_record(strict=True), self.trial_record(strict=True)
            state = self._fold(before, trial)
            if state != before or self.state_records.read() is None:
                self._write(state)
            return combine(state, trial)

    def _write(self, state: StateRecord) -> None:
        self.state_records.write(state.to_bytes())

    def kept(self, state: SlotState) -> list[int]:
        """The generations that may still be needed: current, previous, and the newest that waits for activation and is
        not damaged."""
        there = self.generations()
        kept = [counter for counter in there if counter in (state.current, state.previous)]
        for counter in reversed(there):
            if counter > state.highest:
                try:
                    self.manifest(counter)
                except DamagedError:
                    continue
                kept.append(counter)
                break
        return kept

    def collect(self) -> None:
        """Removes all generations but those, and what an interrupted install left. Raises DiskError, and nothing is
        removed when the state cannot be read."""
        state = self.settle()
        with self.lock():  # only the agent changes what is current to anything but `previous`, which is kept
            kept = {str(counter) for counter in self.kept(state)}
            for name in disk.names(self.generations_folder):
                if name.endswith(".tmp"):
                    self._remove(self.generations_folder / name)
                elif name not in kept:
                    self._retire(name)

    def _retire(self, name: str) -> None:
        """Takes the name away first: half of a generation is never to be found under its number."""
        away = self.generations_folder / f"{name}.tmp"
        self._remove(away)
        disk.rename(self.generations_folder / name, away)
        disk.sync_folder(self.generations_folder)
        self._remove(away)

    @staticmethod
    def _remove(folder: Path) -> None:
        if disk.is_folder(folder):
            for name in disk.names(folder):
                disk.remove(folder / name)
            disk.remove_folder(folder)
        else:
            disk.remove(folder)
