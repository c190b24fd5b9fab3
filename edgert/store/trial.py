"""Opening the current generation in an application, and finding out whether it works.

A load of a pending generation is counted durably before the package is opened: a model that takes its process down is
counted all the same. The process then holds a lock on the byte of trial.0 that has its load's number. The system takes
that back when the process ends, however it ends, so that loads that still run are told from those that ended badly,
and many processes may load at once. When as many have ended badly as the manifest has trials, the previous generation
is current again.

The application may run as another user than the agent. To be counted, it needs to write trial.0 and trial.1: they
belong to the group of the home, whose folders hand it on (set-group-id), so that user needs to be in that group. Where
it cannot write them, it gets the previous generation until the pending one is confirmed, and a warning that says so.
"""

from __future__ import annotations

import atexit
import dataclasses
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgert.store import disk
from edgert.store.errors import BusyError, DiskError, NoModelError, StoreError
from edgert.store.slot import Slot
from edgert.store.state import MAX_LOADS, SlotState, TrialRecord, Verdict

# Writes bytes to the beginning of an open file if the process exits with status 0; False where that cannot be arranged.
WriteAtExit = Callable[[int, bytes], bool]

HEALTHY_SECONDS = 60.0  # from the first run that succeeds to the first after them
_LOCKED_FROM = 1 << 16  # the byte of load 0, beyond the end of the record


@dataclass(frozen=True)
class Opened:
    """What to open, and whom to tell how it went."""

    name: str
    generation: int
    path: Path
    trial: Trial | None  # None: confirmed, or not to be counted


class Trial:
    """A load of a pending generation by this process."""

    def __init__(self, slot: Slot, generation: int, file: disk.File) -> None:
        self.slot, self.generation = slot, generation
        self.over = False  # nothing is left to find out
        self._file = file  # holds the lock
        self._used = False
        self._healthy_since: float | None = None
        self._lock = threading.Lock()

    def succeeded(self) -> None:
        """The model ran. Confirms the generation when it has done so for HEALTHY_SECONDS."""
        self._used = True
        now = time.monotonic()
        if self._healthy_since is None:
            self._healthy_since = now
        elif now - self._healthy_since >= HEALTHY_SECONDS and self._lock.acquire(blocking=False):
            try:
                self.confirm()
            except StoreError as error:
                self._healthy_since = now
                warnings.warn(f"generation {self.generation} works, and that cannot be kept: {error}", stacklevel=2)
            finally:
                self._lock.release()

    def failed(self) -> None:
        """A run of the model failed, and the application goes on."""
        self._used = True
        self._healthy_since = None

    def confirm(self) -> None:
        """Ends the trial well, for all processes. Raises DiskError, BusyError."""
        if not self.over:
            with self.slot.lock():
                if self._still_on():
                    self._write(dataclasses.replace(self._record(), verdict=Verdict.WORKS))
            self.end()

    def end(self) -> None:
        """Takes back the lock; unless the generation was confirmed, this load ended badly."""
        self.over = True
        self._file.close()

    def finish(self, write_at_exit: WriteAtExit) -> None:
        """The interpreter ends, if by sys.exit(1) shows later only. Raises DiskError, BusyError."""
        if self.over or (self._used and self._healthy_since is None):
            return  # nothing is to be said, or it fails now
        lock = self.slot.lock()
        kept = False
        try:
            if self._still_on():
                record = self._record()
                if self._used:
                    record = dataclasses.replace(record, verdict=Verdict.WORKS)
                else:
                    record = dataclasses.replace(record, unused=record.unused + 1)
                file, data = self.slot.trial_records.next(record.to_bytes())
                kept = write_at_exit(file.fd, data)
                if not kept:
                    file.write(0, data)
                    file.sync()
        finally:
            if not kept:  # else nobody else writes until this process has ended, and the system frees the lock
                lock.release()

    def _still_on(self) -> bool:
        state = self.slot.state()
        return state.pending and state.current == self.generation

    def _record(self) -> TrialRecord:
        return self.slot.trial_record().about(self.generation)

    def _write(self, record: TrialRecord) -> None:
        self.slot.trial_records.write(record.to_bytes())


def count_load(slot: Slot, write_at_exit: WriteAtExit = lambda _fd, _data: False) -> Opened:
    """What this process is to open. Raises NoModelError when there is nothing, StoreError when it is not whole.

    write_at_exit: without it, a normal end by sys.exit(1) is taken for a good one."""
    for _ in range(3):  # until the state that was read still holds
        state = slot.state()
        if not state.pending:
            return _whole(slot, state)
        try:
            opened = _on_trial(slot, state, write_at_exit)
        except (DiskError, FileNotFoundError, BusyError) as error:
            return _uncounted(slot, state, str(error))
        if opened is not None:
            return opened
    return _whole(slot, slot.state())


def _on_trial(slot: Slot, state: SlotState, write_at_exit: WriteAtExit) -> Opened | None:
    """None: the state has changed, look again."""
    assert state.current is not None
    generation = state.current
    try:
        path = slot.package(generation)
    except DiskError:
        raise
    except StoreError:
        return _whole(slot, state)
    with _PROCESS.lock:
        trial = _PROCESS.trials.get((slot.folder, generation))
        if trial is None or trial.over:
            trial = _count(slot, generation)
            if trial is None:
                return None
            _PROCESS.add(trial, write_at_exit)
    return Opened(slot.name, generation, path, trial)


def _count(slot: Slot, generation: int) -> Trial | None:
    file = disk.open_for_update(slot.trial_records.paths[0])
    try:
        with slot.lock():
            state = slot.state()
            if not state.pending or state.current != generation:
                file.close()
                return None
            record = slot.trial_record().about(generation)
            running = file.locked_bytes(_LOCKED_FROM + record.first, _LOCKED_FROM + record.next)
            ended_badly = record.next - record.first - record.unused - running
            if ended_badly >= state.trials:
                slot.trial_records.write(dataclasses.replace(record, verdict=Verdict.FAILED).to_bytes())
                file.close()
                _say_reverted(slot, generation, ended_badly)
                return None
            if record.next - record.first >= MAX_LOADS:
                raise StoreError(
                    f"generation {generation} of {slot.name!r} was loaded {MAX_LOADS} times on trial; confirm it"
                )
            file.lock_byte(_LOCKED_FROM + record.next)
            slot.trial_records.write(dataclasses.replace(record, next=record.next + 1).to_bytes())
    except BaseException:
        file.close()
        raise
    return Trial(slot, generation, file)


def _say_reverted(slot: Slot, generation: int, ended_badly: int) -> None:
    now = slot.state().current
    instead = f"generation {now} is current again" if now else "there is no earlier one"
    text = f"generation {generation} of {slot.name!r} ended badly {ended_badly} times on trial: {instead}"
    slot.home.log(text)  # where this user may
    warnings.warn(text, RuntimeWarning, stacklevel=5)


def _uncounted(slot: Slot, state: SlotState, reason: str) -> Opened:
    """Nobody would notice if the pending generation failed here, so the one before is opened, if there is one."""
    counter = state.previous or state.current
    assert counter is not None
    instead = f"opened generation {counter}" if state.previous else "opened it uncounted, for there is no other"
    warnings.warn(
        f"generation {state.current} of {slot.name!r} is on trial and this load cannot be counted ({reason}): "
        f"{instead}; put this user into the group of {slot.home.path}, or confirm the generation",
        RuntimeWarning,
        stacklevel=4,
    )
    return Opened(slot.name, counter, slot.package(counter), None)


def _whole(slot: Slot, state: SlotState) -> Opened:
    """The current generation, or the previous one where the current is damaged on the disk."""
    if state.current is None:
        if state.failed is None:
            raise NoModelError(f"no model {slot.name!r} is current in {slot.home.path}; push it first")
        raise NoModelError(
            f"generation {state.failed} of {slot.name!r} ended badly on trial, and none was before it; push another"
        )
    try:
        return Opened(slot.name, state.current, slot.package(state.current), None)
    except StoreError as error:
        if state.previous is None:
            raise
        path = slot.package(state.previous)
        warnings.warn(f"{error}; opened generation {state.previous} instead", RuntimeWarning, stacklevel=4)
        return Opened(slot.name, state.previous, path, None)


class _Process:
    """The trials of this process: one for a generation, however often it is loaded."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.trials: dict[tuple[Path, int], Trial] = {}
        self._registered = False

    def add(self, trial: Trial, write_at_exit: WriteAtExit) -> None:
        self.trials[trial.slot.folder, trial.generation] = trial
        if not self._registered:
            self._registered = True
            atexit.register(self._finish, write_at_exit)

    def forget(self) -> None:
        """In a forked child: what it loads itself is counted as its own."""
        self.lock = threading.Lock()
        self.trials = {}

    def _finish(self, write_at_exit: WriteAtExit) -> None:
        if getattr(sys, "last_value", None) is not None:
            return  # the interpreter ends by an exception
        for _, trial in sorted(self.trials.items()):  # in one order in all processes, for each keeps several locks
            try:
                trial.finish(write_at_exit)
            except (StoreError, OSError) as error:
                print(f"edgert: the end of a trial cannot be kept: {error}", file=sys.stderr)


_PROCESS = _Process()
os.register_at_fork(after_in_child=_PROCESS.forget)
