"""What a slot knows of its generations, and how the two records that hold it look.

state.0, state.1: written by the agent alone.       trial.0, trial.1: written by applications as well.
They are apart so that an application, which may run as another user, can say that a pending generation works or does
not, and nothing else: not which generations there are, nor that an older counter may be pushed again.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass

STATE_MAGIC, TRIAL_MAGIC = b"ERTSTAT1", b"ERTTRIA1"
_STATE = struct.Struct("<QQQQII")
_TRIAL = struct.Struct("<QQQQI")
_PENDING = 1


@dataclass(frozen=True)
class SlotState:
    """What counts now: the agent's record, with what applications found out since."""

    current: int | None = None  # counter of the generation that is opened
    previous: int | None = None  # the one that a revert or a rollback goes back to
    highest: int = 0  # counter that ever was current; a push needs a higher one
    pending: bool = False  # whether `current` is on trial
    loads: int = 0  # of the trial: processes that opened it, those still running included
    trials: int = 0  # so many of them may end badly
    failed: int | None = None  # the generation that was last taken back for that


@dataclass(frozen=True)
class StateRecord:
    current: int = 0  # 0: none; counters begin with 1
    previous: int = 0
    highest: int = 0
    failed: int = 0
    pending: bool = False
    trials: int = 0

    def to_bytes(self) -> bytes:
        flags = _PENDING if self.pending else 0
        return _STATE.pack(self.current, self.previous, self.highest, self.failed, flags, self.trials)

    @staticmethod
    def from_bytes(data: bytes) -> StateRecord:
        current, previous, highest, failed, flags, trials = _STATE.unpack_from(data)
        return StateRecord(current, previous, highest, failed, bool(flags & _PENDING), trials)


class Verdict(enum.IntEnum):
    NONE = 0
    WORKS = 1
    FAILED = 2


@dataclass(frozen=True)
class TrialRecord:
    """Loads are numbered on and on, over all generations: the number is also the byte that its process locks."""

    generation: int = 0  # the pending one that this is about
    first: int = 0  # number of its first load
    next: int = 0  # number of the load to come
    unused: int = 0  # of its loads: ended normally without running the model, which says nothing about it
    verdict: Verdict = Verdict.NONE

    def to_bytes(self) -> bytes:
        return _TRIAL.pack(self.generation, self.first, self.next, self.unused, self.verdict)

    @staticmethod
    def from_bytes(data: bytes) -> TrialRecord:
        generation, first, next_, unused, verdict = _TRIAL.unpack_from(data)
        if verdict not in tuple(Verdict) or next_ - first > MAX_LOADS or not 0 <= unused <= next_ - first:
            return TrialRecord()  # an application may write what it likes; it can only lose the count
        return TrialRecord(generation, first, next_, unused, Verdict(verdict))

    def about(self, generation: int) -> TrialRecord:
        """This record, or the one that a trial of another generation begins with."""
        if self.generation == generation:
            return self
        return TrialRecord(generation, self.next, self.next)


MAX_LOADS = 1 << 16  # of one trial; more than that many processes at once open no model


def combine(state: StateRecord, trial: TrialRecord) -> SlotState:
    """What the two records say together."""
    trial = trial.about(state.current)
    current, previous, failed, pending = state.current, state.previous, state.failed, state.pending
    if pending and trial.verdict == Verdict.FAILED:
        current, previous, failed, pending = previous, 0, current, False
    elif pending and trial.verdict == Verdict.WORKS:
        pending = False
    return SlotState(
        current=current or None,
        previous=previous or None,
        highest=state.highest,
        pending=pending,
        loads=trial.next - trial.first - trial.unused if pending else 0,
        trials=state.trials if pending else 0,
        failed=failed or None,
    )


def folded(state: StateRecord, trial: TrialRecord) -> StateRecord:
    """The agent's record with an application's verdict in it."""
    now = combine(state, trial)
    return StateRecord(
        current=now.current or 0,
        previous=now.previous or 0,
        highest=now.highest,
        failed=now.failed or 0,
        pending=now.pending,
        trials=now.trials,
    )
