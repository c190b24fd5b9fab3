"""Any order of requests, restarts and silences: what is current is always whole, signed, checked and asked for; and
counters never go back but by a rollback."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from agent.pushing import CHUNK, Client, Clock, ReplyError, new_home, new_session, package
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from edgert.agent.offer import Offer
from edgert.agent.server import Server
from edgert.agent.states import State
from edgert.errors import EdgertError
from edgert.manifest.keys import new_key
from edgert.smp.groups import EdgertCommand, FsError, MgmtError
from edgert.smp.groups import RefusalCode as Rc
from edgert.store.home import Home
from edgert.store.slot import Slot
from edgert.store.state import TrialRecord, Verdict

EXHAUSTIVE = os.environ.get("EDGERT_EXHAUSTIVE") == "1"
KEY, STRANGER = new_key(), new_key()
BODIES = {"good": b"g" * 9000, "other": b"o" * 5000, "tiny": b"t", "bad": b"bad" * 2000}
PACKAGES = [
    package(KEY, data, counter, name=name)
    for counter, (data, name) in enumerate(
        [
            (BODIES["good"], "a"),
            (BODIES["other"], "a"),
            (BODIES["bad"], "a"),
            (BODIES["good"], "b"),
            (BODIES["tiny"], "a"),
            (BODIES["other"], "b"),
        ],
        1,
    )
]
STRANGERS = [package(STRANGER, BODIES["good"], 50, name="a"), package(KEY, b"x", 60, name="a", devices=("another",))]
packages = st.sampled_from(PACKAGES)


def check(home: Home, offer: Offer, _device: object) -> None:
    if home.object_path(offer.manifest.package.sha256).read_bytes().startswith(b"bad"):
        raise EdgertError("it is bad")


class Pushes(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="edgert-stateful-"))
        self.home = new_home(self.folder / "home", KEY)
        self.clock = Clock()
        self.activated: set[bytes] = set()  # manifests that ACTIVATE was asked for, successfully
        self.highest: dict[str, int] = {}

    def teardown(self) -> None:
        self.server.close()
        shutil.rmtree(self.folder)

    @initialize()
    def start(self) -> None:
        self.server = Server(new_session(self.home, check=check, clock=self.clock))
        self.client = Client.of(self.server)

    def ask(self, wanted: set[int], request: Any) -> Mapping[str, Any] | None:
        """The answer, or None for a refusal, which must be one of those."""
        try:
            answer: Mapping[str, Any] = request()
        except ReplyError as error:
            if error.rc not in wanted:
                raise
            return None
        return answer

    # --- a client ---

    @rule(pushed=packages, piece=st.sampled_from([50, 4000]))
    def offer(self, pushed: Any, piece: int) -> None:
        answer = self.ask({Rc.OLD_COUNTER}, lambda: self.client.offer(pushed, piece))
        if answer is not None:
            assert all(need["have"] % CHUNK == 0 for need in answer["need"])
            if answer["state"] == "receiving":
                assert [need["sha256"] for need in answer["need"]] == [pushed.entry.sha256]

    @rule(pushed=st.sampled_from(STRANGERS))
    def offer_of_a_stranger(self, pushed: Any) -> None:
        before = self.server.session.state
        assert self.ask({Rc.UNKNOWN_KEY, Rc.WRONG_DEVICE}, lambda: self.client.offer(pushed)) is None
        assert self.server.session.state == before

    @rule(pushed=packages, start=st.integers(0, 9000), size=st.integers(0, 6000), damage=st.booleans())
    def write(self, pushed: Any, start: int, size: int, damage: bool) -> None:
        data = pushed.data[start : start + size]
        if damage and data:
            data = bytes([data[0] ^ 1]) + data[1:]
        wanted = {FsError.FILE_INVALID_NAME, FsError.FILE_WRITE_FAILED}
        expected = self.ask(wanted, lambda: {"off": self.client.write(pushed.entry.sha256, start, data)})
        if expected is not None:
            assert 0 <= expected["off"] <= pushed.entry.size

    @rule(pushed=packages)
    def write_the_rest(self, pushed: Any) -> None:
        def rest() -> Mapping[str, Any]:
            at = self.client.write(pushed.entry.sha256, 1 << 40, b"?")
            while at < pushed.entry.size:
                at = self.client.write(pushed.entry.sha256, at, pushed.data[at : at + 3000])
            return {}

        self.ask({FsError.FILE_INVALID_NAME, FsError.FILE_WRITE_FAILED}, rest)

    @rule(pushed=packages, index=st.integers(0, 2), cut=st.integers(0, 5000))
    def write_a_record(self, pushed: Any, index: int, cut: int) -> None:
        records = pushed.records()
        if index < len(records):
            at = index * (CHUNK + 4)
            wanted = {FsError.FILE_INVALID_NAME, FsError.FILE_WRITE_FAILED}
            for start, data in ((at, records[index][:cut]), (at + cut, records[index][cut:])):
                self.ask(
                    wanted,
                    lambda start=start, data=data: {"": self.client.write(pushed.entry.sha256, start, data, ".zst")},
                )

    @rule()
    def verify(self) -> None:
        answer = self.ask({Rc.BAD_STATE, Rc.CHECK_FAILED}, lambda: self.client.own(EdgertCommand.VERIFY))
        if answer is not None and answer["state"] == "verifying":
            assert self.server.session.wait(30) in (State.VERIFIED, State.REJECTED)

    @rule(pushed=packages)
    def activate(self, pushed: Any) -> None:
        answer = self.ask(
            {Rc.BAD_STATE, Rc.CHECK_FAILED, Rc.OLD_COUNTER, Rc.DISK}, lambda: self.client.activate(pushed)
        )
        if answer is not None:
            self.activated.add(pushed.sha256)
            assert answer["counter"] == pushed.manifest.counter
            assert Slot(self.home, pushed.manifest.name).state().current == pushed.manifest.counter

    @rule(name=st.sampled_from(["a", "b", "c", "../a"]))
    def confirm(self, name: str) -> None:
        answer = self.ask({Rc.NO_MODEL, Rc.BAD_REQUEST}, lambda: self.client.own(EdgertCommand.CONFIRM, {"name": name}))
        if answer is not None:
            assert not Slot(self.home, name).state().pending

    @rule(name=st.sampled_from(["a", "b", "c"]), leave=st.integers(0, 7))
    def rollback(self, name: str, leave: int) -> None:
        body = {"name": name, "counter": leave}
        for _ in range(2):
            before = Slot(self.home, name).state()
            answer = self.ask(
                {Rc.NO_MODEL, Rc.NOTHING_TO_ROLL_BACK}, lambda: self.client.own(EdgertCommand.ROLLBACK, body)
            )
            if answer is not None:
                assert answer["counter"] == (before.previous if before.current == leave else before.current)

    @rule(pushed=packages)
    def push(self, pushed: Any) -> None:
        """All of it, from wherever the device is."""
        self.offer(pushed, 4000)
        self.write_the_rest(pushed)
        self.verify()
        self.activate(pushed)

    @rule(junk=st.binary(max_size=40))
    def junk(self, junk: bytes) -> None:
        self.server.handle(junk)

    # --- what happens beside it ---

    @rule()
    def end(self) -> None:
        self.server.close()
        self.start()

    @rule()
    def die(self) -> None:
        """Killed: nothing is closed, and the system takes the lock back."""
        self.server.session._unlock()
        self.start()

    @rule()
    def silence(self) -> None:
        self.clock.now += 31
        self.server.tick()
        assert self.server.session.state not in (State.RECEIVING, State.RECEIVED)
        self.home.lock().release()

    @rule(name=st.sampled_from(["a", "b"]))
    def another_push_cleans_up(self, name: str) -> None:
        """It can only do so while this line's push does not hold the home."""
        from edgert.store.collect import collect
        from edgert.store.errors import BusyError

        try:
            with self.home.lock():
                collect(self.home, keep_staged=False)
        except BusyError:
            pass

    @rule(name=st.sampled_from(["a", "b"]), verdict=st.sampled_from([Verdict.WORKS, Verdict.FAILED]))
    def an_application_finds_out(self, name: str, verdict: Verdict) -> None:
        """That a generation on trial works, or does not (edgert.store.trial)."""
        slot = Slot(self.home, name)
        state = slot.state()
        if state.pending:
            assert state.current is not None
            with slot.lock():
                slot.trial_records.write(TrialRecord(state.current, 1, 4, 0, verdict).to_bytes())
            now = slot.state()
            assert not now.pending
            assert now.current == (state.current if verdict == Verdict.WORKS else state.previous)

    # --- what always holds ---

    @invariant()
    def what_is_current_is_whole_and_was_asked_for(self) -> None:
        for name in self.home.models():
            slot = Slot(self.home, name)
            state = slot.state()
            assert state.highest >= self.highest.get(name, 0)
            self.highest[name] = state.highest
            if state.current is None:
                continue
            assert state.current <= state.highest
            data = slot.package(state.current).read_bytes()
            manifest = slot.manifest_bytes(state.current)
            assert hashlib.sha256(data).digest() == slot.manifest(state.current).package.sha256
            assert hashlib.sha256(manifest).digest() in self.activated
            assert not data.startswith(b"bad")
            KEY.public.verify(manifest, slot.signature(state.current))

    @invariant()
    def status_is_answered(self) -> None:
        status = self.client.own(EdgertCommand.STATUS)
        assert State(status["state"])
        assert "\n" not in status["detail"]
        answer = self.server.handle(b"\x00\x00\x00\x00\x00\xed\x07\x63")
        assert answer is not None
        assert answer.endswith(bytes([MgmtError.NOT_SUPPORTED]))


TestPushes = Pushes.TestCase
TestPushes.settings = settings(
    max_examples=600 if EXHAUSTIVE else 25,
    stateful_step_count=40,
    deadline=None,
    derandomize=not EXHAUSTIVE,
    suppress_health_check=list(HealthCheck),
)
