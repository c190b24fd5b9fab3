"""Generations: installed beside each other, made current, confirmed, rolled back, collected."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from store.store_pushes import NAME, SIGNATURE, check_whole, manifest, package_bytes, push, send

from edgert.store.collect import collect
from edgert.store.errors import BusyError, DamagedError, NoModelError, StoreError
from edgert.store.home import Home
from edgert.store.incoming import Incoming
from edgert.store.slot import Slot
from edgert.store.state import SlotState, StateRecord, TrialRecord, Verdict, combine, folded

PACKAGES = {counter: package_bytes(counter) for counter in range(1, 10)}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home").open()


def install(home: Home, counter: int, package: bytes | None = None) -> Slot:
    of = manifest(package or PACKAGES[counter], counter)
    send(home, package or PACKAGES[counter], of)
    slot = Slot(home, NAME)
    slot.install(of.to_bytes(), SIGNATURE, of)
    return slot


def test_nothing_is_there_at_first(home: Home) -> None:
    slot = Slot(home, NAME)
    assert slot.state() == SlotState()
    assert slot.generations() == []
    for step in (slot.confirm, slot.settle, lambda: slot.rollback(1), lambda: slot.activate(1, 3)):
        with pytest.raises(NoModelError, match="no model 'net' is installed"):
            step()


@pytest.mark.parametrize("name", ["", "..", ".", "a/b", "/a", "A", "a" * 65, "-a", "a\n", "ä"])
def test_names_that_are_none(home: Home, name: str) -> None:
    with pytest.raises(StoreError, match="cannot be the name of a model"):
        Slot(home, name)


def test_what_is_installed_is_not_current(home: Home) -> None:
    slot = install(home, 4)
    assert slot.state() == SlotState()
    assert slot.generations() == [4]
    assert slot.manifest(4).counter == 4
    assert slot.find(bytes(32)) is None
    slot.activate(4, 3)
    assert slot.state() == SlotState(current=4, highest=4, pending=True, trials=3)
    slot.confirm()
    slot.confirm()
    assert slot.state() == SlotState(current=4, highest=4)


def test_twice_is_as_once(home: Home) -> None:
    slot = install(home, 4)
    install(home, 4)
    slot.activate(4, 3)
    install(home, 4)
    slot.activate(4, 3)
    slot.confirm()
    slot.activate(4, 3)  # an answer was lost, and meanwhile it was confirmed
    assert slot.state() == SlotState(current=4, highest=4)


def test_an_object_that_is_missing(home: Home) -> None:
    of = manifest(PACKAGES[1], 1)
    with pytest.raises(StoreError, match="send it before installing"):
        Slot(home, NAME).install(of.to_bytes(), SIGNATURE, of)
    assert home.models() == []
    slot = install(home, 2)
    slot.package(2).unlink()
    with pytest.raises(DamagedError, match="push it again"):
        slot.activate(2, 3)
    assert slot.state() == SlotState()


def test_an_older_counter_stays_out(home: Home) -> None:
    slot = push(home, PACKAGES[5], 5, confirm=True)
    install(home, 3)
    with pytest.raises(StoreError, match="generation 3 of 'net' is not newer than 5"):
        slot.activate(3, 3)
    push(home, PACKAGES[6], 6)
    assert slot.rollback(6).current == 5
    install(home, 6)
    with pytest.raises(StoreError, match="generation 6 of 'net' is not newer than 6"):
        slot.activate(6, 3)  # neither a rollback nor a revert makes counters free again
    assert slot.state().highest == 6


def test_a_counter_is_not_taken_by_another_package(home: Home) -> None:
    slot = push(home, PACKAGES[1], 1, confirm=True)
    push(home, PACKAGES[2], 2)
    for counter in (1, 2):
        with pytest.raises(StoreError, match="is another one on this device; push with a higher counter"):
            install(home, counter, PACKAGES[7])
    install(home, 3)
    install(home, 3, PACKAGES[8])  # that one waits only: the later one is meant
    assert slot.package(3).read_bytes() == PACKAGES[8]
    assert check_whole(home, PACKAGES).current == 2


def test_rollback(home: Home) -> None:
    slot = push(home, PACKAGES[1], 1, confirm=True)
    with pytest.raises(NoModelError, match=r"no generation of 'net' before 1 .*to go back to"):
        slot.rollback(1)
    push(home, PACKAGES[2], 2)
    after = slot.rollback(2)
    assert after == SlotState(current=1, highest=2)
    assert slot.rollback(2) == after  # again: its answer was lost
    assert slot.rollback(77) == after
    push(home, PACKAGES[3], 3)
    assert slot.state().previous == 1


def test_a_rollback_to_a_damaged_generation_is_refused(home: Home) -> None:
    slot = push(home, PACKAGES[1], 1, confirm=True)
    push(home, PACKAGES[2], 2)
    slot.package(1).unlink()
    with pytest.raises(DamagedError):
        slot.rollback(2)
    assert slot.state().current == 2


def test_what_was_never_confirmed_is_nothing_to_go_back_to(home: Home) -> None:
    slot = push(home, PACKAGES[1], 1, confirm=True)
    push(home, PACKAGES[2], 2)
    push(home, PACKAGES[3], 3)
    assert (slot.state().current, slot.state().previous) == (3, 1)
    assert slot.generations() == [1, 3]


def test_only_the_newest_that_waits_is_kept(home: Home) -> None:
    slot = push(home, PACKAGES[1], 1, confirm=True)
    install(home, 4)
    install(home, 5)
    collect(home)
    assert slot.generations() == [1, 5]
    assert len(os.listdir(home.objects)) == 2
    slot.activate(5, 3)
    assert slot.state().previous == 1


def test_collecting_keeps_what_a_push_needs(home: Home) -> None:
    push(home, PACKAGES[1], 1)
    ours, theirs = manifest(PACKAGES[2], 2), manifest(PACKAGES[3], 3)
    send(home, PACKAGES[2], ours)
    for of in (theirs, manifest(PACKAGES[4], 4)):
        with Incoming(home, of.package) as incoming:
            incoming.write(0, bytes(100))
    collect(home, [ours.package.sha256])
    assert home.has_object(ours.package)
    assert len(os.listdir(home.staging)) == 8
    collect(home, [theirs.package.sha256], keep_staged=False)
    assert not home.has_object(ours.package)
    assert {name[:64] for name in os.listdir(home.staging)} == {theirs.package.sha256.hex()}
    collect(home, keep_staged=False)
    assert os.listdir(home.staging) == []
    assert check_whole(home, PACKAGES).current == 1


def test_models_share_objects(home: Home) -> None:
    one = push(home, PACKAGES[1], 1, name="one")
    two = push(home, PACKAGES[1], 1, name="two")
    assert one.package(1) == two.package(1)
    push(home, PACKAGES[2], 2, name="one", confirm=True)
    push(home, PACKAGES[3], 3, name="one")
    assert len(os.listdir(home.objects)) == 3
    assert two.package(1).read_bytes() == PACKAGES[1]


def test_a_slot_that_is_held_is_busy(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    slot = push(home, PACKAGES[1], 1)
    monkeypatch.setattr("edgert.store.slot.LOCK_SECONDS", 0.05)
    with slot.lock(), pytest.raises(BusyError, match="another process holds"):
        Slot(home, NAME).confirm()


# --- damage ---


def test_one_damaged_record_of_the_state_costs_nothing_but_the_last_step(home: Home) -> None:
    slot = push(home, PACKAGES[1], 1, confirm=True)
    push(home, PACKAGES[2], 2, confirm=True)
    for path in slot.state_records.paths:
        kept = path.read_bytes()
        path.write_bytes(b"\xff" * 512)
        state = check_whole(home, PACKAGES)
        assert state.current == 2
        assert state.highest == 2
        path.write_bytes(kept)


@pytest.mark.parametrize("damage", [b"", b"\0" * 512, b"\xff" * 512, None])
def test_both_damaged_leave_the_oldest_generation(home: Home, damage: bytes | None) -> None:
    slot = push(home, PACKAGES[1], 1, confirm=True)
    push(home, PACKAGES[2], 2)
    for path in (*slot.state_records.paths, *slot.trial_records.paths):
        path.unlink()
        if damage is not None:
            path.write_bytes(damage)
    state = SlotState(current=1, highest=2)
    assert slot.state() == state
    assert slot.settle() == state
    assert slot.state_records.read() is not None
    assert slot.state() == state
    push(home, PACKAGES[3], 3)
    assert check_whole(home, PACKAGES).current == 3


def test_a_damaged_manifest_is_found(home: Home) -> None:
    slot = push(home, PACKAGES[1], 1, confirm=True)
    push(home, PACKAGES[2], 2)
    path = slot.generation_folder(2) / "manifest"
    good = path.read_bytes()
    other = (slot.generation_folder(1) / "manifest").read_bytes()
    for damaged in (b"", good[:-1], good + b"\0", b"\xff" * 100, other, bytes(2_000_000)):
        path.write_bytes(damaged)
        with pytest.raises(StoreError):
            slot.package(2)
        collect(home)  # what it refers to is not known, so no object goes
        assert len(os.listdir(home.objects)) == 2
    path.write_bytes(good)
    assert check_whole(home, PACKAGES).current == 2


def test_strange_things_in_a_home_harm_nothing(home: Home) -> None:
    slot = push(home, PACKAGES[1], 1, confirm=True)
    (home.models_folder / "Not A Name").mkdir()
    (home.models_folder / "file").write_text("")
    (home.models_folder / "empty").mkdir()
    (slot.generations_folder / "99999999999999999999999").mkdir()
    (slot.generations_folder / "7.tmp").mkdir()
    (slot.generations_folder / "7.tmp" / "manifest").write_text("half")
    (slot.generations_folder / "٣").mkdir()
    (slot.generations_folder / "8").write_text("a file")
    (slot.generations_folder / "9").mkdir()
    (slot.generations_folder / "07").mkdir()
    (home.objects / "README").write_text("kept: no object")
    (home.staging / "junk").write_text("")
    (home.staging / ("0" * 64 + ".part")).write_text("")
    (home.objects / ("0" * 64)).write_text("of no generation")
    collect(home)
    assert os.listdir(home.staging) == []
    assert os.listdir(slot.generations_folder) == ["1"]
    assert len(os.listdir(home.objects)) == 2
    (home.objects / "README").unlink()
    push(home, PACKAGES[2], 2)
    assert check_whole(home, PACKAGES).current == 2
    assert Slot(home, "empty").state() == SlotState()


# --- the two records together ---


def test_a_verdict_counts_for_the_generation_that_it_is_about() -> None:
    state = StateRecord(current=5, previous=4, highest=5, pending=True, trials=3)
    trial = TrialRecord(generation=5, first=10, next=13, unused=1)
    assert combine(state, trial) == SlotState(5, 4, 5, True, 2, 3)
    failed = TrialRecord(5, 10, 13, 0, Verdict.FAILED)
    assert combine(state, failed) == SlotState(4, None, 5, failed=5)
    assert combine(folded(state, failed), failed) == SlotState(4, None, 5, failed=5)
    works = TrialRecord(5, 10, 13, 0, Verdict.WORKS)
    assert combine(state, works) == combine(folded(state, works), works) == SlotState(5, 4, 5)
    for other in (failed, works):
        later = StateRecord(current=6, previous=5, highest=6, pending=True, trials=3)
        assert combine(later, other) == SlotState(6, 5, 6, True, 0, 3)
        assert other.about(6) == TrialRecord(6, 13, 13)


def test_what_an_application_writes_is_bounded() -> None:
    for record in (TrialRecord(5, 3, 2), TrialRecord(5, 0, 1 << 40), TrialRecord(5, 0, 5, 6)):
        assert TrialRecord.from_bytes(record.to_bytes()) == TrialRecord()
    assert TrialRecord.from_bytes(b"\xff" * 300) == TrialRecord()
    good = TrialRecord(5, 1 << 40, (1 << 40) + 7, 2, Verdict.WORKS)
    assert TrialRecord.from_bytes(good.to_bytes()) == good
    state = StateRecord(1 << 62, 2, (1 << 63) - 1, 4, True, 9)
    assert StateRecord.from_bytes(state.to_bytes()) == state
