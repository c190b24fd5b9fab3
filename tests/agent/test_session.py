"""The state machine of a push, case by case."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from agent.pushing import (
    CHUNK,
    PROBE,
    Clock,
    new_home,
    new_session,
    package,
    signed_again,
)

from edgert.agent.reception import MOST_FAILURES
from edgert.agent.refusal import FileError, RefusedError
from edgert.agent.session import SILENCE_SECONDS, Need, Session
from edgert.agent.states import State
from edgert.errors import EdgertError
from edgert.manifest.keys import PrivateKey, new_key
from edgert.manifest.manifest import Requirement, describe_object
from edgert.smp.groups import FsError
from edgert.smp.groups import RefusalCode as Rc
from edgert.store import incoming as incoming_module
from edgert.store.errors import NoSpaceError
from edgert.store.home import Home
from edgert.store.slot import Slot

DATA = bytes(range(256)) * 40  # two chunks and a half
KEY = new_key("tester")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return new_home(tmp_path / "home", KEY)


def upload(session: Session, data: bytes, sha256: bytes, piece: int = 1000) -> None:
    at = 0
    while at < len(data):
        at = session.write(sha256, False, at, data[at : at + piece])


def install(session: Session, pushed: Any) -> None:
    """Until it is current."""
    _state, needs = session.offer(pushed.manifest_bytes, pushed.signature)
    for _need in needs:
        upload(session, pushed.data, pushed.entry.sha256)
    session.verify()
    assert session.wait(30) is State.VERIFIED
    session.activate(pushed.sha256)


def refusal(session: Session, pushed: Any) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        session.offer(pushed.manifest_bytes, pushed.signature)
    assert session.detail == f"an offer was refused: {caught.value}"
    assert "\n" not in str(caught.value)
    return caught.value


def nothing_stored(home: Home) -> bool:
    return not any([*home.objects.iterdir(), *home.staging.iterdir(), *home.models_folder.iterdir()])


def test_a_push_from_the_offer_to_the_trial(home: Home) -> None:
    session, pushed = new_session(home), package(KEY, DATA, 7)
    assert session.state is State.IDLE
    assert session.progress is None
    assert session.offer(pushed.manifest_bytes, pushed.signature) == (
        State.RECEIVING,
        [Need(pushed.entry.sha256, 0)],
    )
    assert session.progress == (0, len(DATA))
    upload(session, DATA, pushed.entry.sha256)
    assert session.state is State.RECEIVED
    assert session.progress == (len(DATA), len(DATA))
    assert session.verify() is State.VERIFYING
    assert session.wait(30) is State.VERIFIED
    assert Slot(home, "digits").state().current is None
    assert session.activate(pushed.sha256) == (State.PENDING, "digits", 7)
    assert session.state is State.PENDING
    assert home.object_path(pushed.entry.sha256).read_bytes() == DATA
    assert session.confirm("digits") is State.CONFIRMED
    assert session.state is State.CONFIRMED
    log = home.read_log().decode()
    assert f"digits 7 offered by key {KEY.key_id.hex()} (tester): {len(DATA)} bytes, 0 of them are here" in log
    assert "digits 7 is verified" in log


def test_requests_that_come_twice_are_answered_alike(home: Home) -> None:
    session, pushed = new_session(home), package(KEY, DATA, 7)
    for _ in range(2):
        assert session.offer(pushed.manifest_bytes, pushed.signature)[0] is State.RECEIVING
    sha256 = pushed.entry.sha256
    for _ in range(2):
        assert session.write(sha256, False, 0, DATA[:1000]) == 1000
    upload(session, DATA, sha256)
    assert session.write(sha256, False, 0, DATA[:1000]) == len(DATA)
    assert session.offer(pushed.manifest_bytes, pushed.signature) == (State.RECEIVED, [])
    session.verify()
    session.wait(30)
    assert session.verify() is State.VERIFIED
    assert session.offer(pushed.manifest_bytes, pushed.signature) == (State.VERIFIED, [])
    for _ in range(2):
        assert session.activate(pushed.sha256) == (State.PENDING, "digits", 7)
    assert session.verify() is State.PENDING
    assert session.offer(pushed.manifest_bytes, pushed.signature) == (State.PENDING, [])
    for _ in range(2):
        assert session.confirm("digits") is State.CONFIRMED
    assert session.activate(pushed.sha256) == (State.CONFIRMED, "digits", 7)
    assert session.offer(pushed.manifest_bytes, pushed.signature) == (State.CONFIRMED, [])


def test_an_offer_resumes_at_a_whole_chunk(home: Home) -> None:
    session, pushed = new_session(home), package(KEY, DATA, 7)
    sha256 = pushed.entry.sha256
    session.offer(pushed.manifest_bytes, pushed.signature)
    assert session.write(sha256, False, 0, DATA[: CHUNK + 500]) == CHUNK + 500
    # On the same line, and in another process.
    assert session.offer(pushed.manifest_bytes, pushed.signature)[1] == [Need(sha256, CHUNK)]
    assert session.write(sha256, False, CHUNK, DATA[CHUNK : CHUNK + 500]) == CHUNK + 500
    session.close()
    later = new_session(home)
    assert later.offer(pushed.manifest_bytes, pushed.signature)[1] == [Need(sha256, CHUNK)]
    at = CHUNK
    while at < len(DATA):
        at = later.write(sha256, False, at, DATA[at : at + 700])
    later.verify()
    assert later.wait(30) is State.VERIFIED


def test_objects_that_are_here_are_not_asked_for(home: Home) -> None:
    first, second = package(KEY, DATA, 1), package(KEY, DATA, 2, name="other")
    install(new_session(home), first)
    session = new_session(home)
    assert session.offer(second.manifest_bytes, second.signature) == (State.RECEIVED, [])
    session.verify()
    assert session.wait(30) is State.VERIFIED
    assert session.activate(second.sha256) == (State.PENDING, "other", 2)


def test_a_damaged_object_on_the_disk_is_found_by_the_check(home: Home) -> None:
    first, second = package(KEY, DATA, 1), package(KEY, DATA, 2)
    install(new_session(home), first)
    path = home.object_path(first.entry.sha256)
    path.chmod(0o644)
    path.write_bytes(b"\1" + DATA[1:])
    session = new_session(home)
    session.offer(second.manifest_bytes, second.signature)
    session.verify()
    assert session.wait(30) is State.REJECTED
    assert "damaged on the disk" in session.detail
    # Then it is lacking, and the next push brings it.
    install(new_session(home), second)


# --- what is refused before anything is stored ---


def cases() -> dict[str, tuple[dict[str, Any], Rc, str]]:
    return {
        "other device": ({"devices": ("another",)}, Rc.WRONG_DEVICE, "the manifest is for another"),
        "other architecture": (
            {"targets": (Requirement("pc", "x86_64"),)}, Rc.WRONG_TARGET, "the device is aarch64 (a 64-bit system)",
        ),
        "instruction set": (
            {"targets": (Requirement("pi-6", "aarch64", ("neoni8mm",)),)}, Rc.WRONG_TARGET, "the device lacks neoni8mm",
        ),
        "page size": (
            {"targets": (Requirement("big", "aarch64", (), (16384,)),)}, Rc.WRONG_TARGET, "pages of 4096 bytes",
        ),
        "memory": ({"memory_bytes": 2 << 30}, Rc.WRONG_TARGET, "2048.0 MiB"),
        "runtime": ({"runtime": "99.1"}, Rc.OLD_RUNTIME, "the package needs 99.1 or newer"),
        "expired": ({"expires": 1000}, Rc.EXPIRED, "expired at 1970-01-01 00:16:40 UTC"),
    }  # fmt: skip


@pytest.mark.parametrize("case", cases())
def test_not_for_this_device(home: Home, case: str) -> None:
    fields, rc, text = cases()[case]
    error = refusal(new_session(home), package(KEY, DATA, 1, **fields))
    assert error.rc == rc
    assert text in str(error)
    assert nothing_stored(home)
    assert str(error) in home.read_log().decode()


def test_one_of_the_targets_suffices(home: Home) -> None:
    targets = (Requirement("pc", "x86_64"), Requirement("pi", "aarch64", ("neon",), (4096, 16384), 1 << 29))
    pushed = package(KEY, DATA, 1, targets=targets, devices=("x", home.id), expires=1 << 40, memory_bytes=1 << 20)
    assert new_session(home).offer(pushed.manifest_bytes, pushed.signature)[0] is State.RECEIVING


def test_an_unknown_key(home: Home) -> None:
    stranger: PrivateKey = new_key("stranger")
    error = refusal(new_session(home), package(stranger, DATA))
    assert error.rc == Rc.UNKNOWN_KEY
    assert stranger.key_id.hex() in str(error)
    assert nothing_stored(home)


def test_a_key_whose_file_is_not_used_says_so(home: Home) -> None:
    (path,) = home.trusted_keys().iterdir()
    path.chmod(0o666)
    error = refusal(new_session(home), package(KEY, DATA))
    assert error.rc == Rc.UNKNOWN_KEY
    assert f"{path} can be written by everybody" in str(error)


def test_a_signature_of_another_key_or_manifest(home: Home) -> None:
    pushed, stranger = package(KEY, DATA), new_key()
    session = new_session(home)
    for signature in (stranger.sign(pushed.manifest_bytes), KEY.sign(b"something else"), bytes(64)):
        with pytest.raises(RefusedError) as caught:
            session.offer(pushed.manifest_bytes, signature)
        assert caught.value.rc == Rc.BAD_SIGNATURE
    with pytest.raises(RefusedError, match="63 bytes, needed the 64") as caught:
        session.offer(pushed.manifest_bytes, pushed.signature[1:])
    assert caught.value.rc == Rc.BAD_SIGNATURE
    assert nothing_stored(home)


def test_every_altered_byte_of_a_manifest(home: Home) -> None:
    pushed, session = package(KEY, b"x" * 100), new_session(home)
    for at in range(len(pushed.manifest_bytes)):
        altered = bytearray(pushed.manifest_bytes)
        altered[at] ^= 0x01
        with pytest.raises(RefusedError) as caught:
            session.offer(bytes(altered), pushed.signature)
        assert caught.value.rc in (Rc.BAD_MANIFEST, Rc.BAD_SIGNATURE, Rc.UNKNOWN_KEY)
    assert nothing_stored(home)
    assert session.state is State.IDLE


def test_an_older_counter_is_a_replay_and_a_rollback_is_not(home: Home) -> None:
    old, new = package(KEY, DATA, 5), package(KEY, DATA[::-1], 6)
    session = new_session(home)
    install(session, old)
    session.confirm("digits")
    install(session, new)
    error = refusal(session, old)
    assert error.rc == Rc.OLD_COUNTER
    assert "not above 6" in str(error)
    assert session.rollback("digits", 6) == (State.CONFIRMED, 5)
    assert session.rollback("digits", 6) == (State.CONFIRMED, 5)
    assert session.state is State.REVERTED
    assert "not current any more" in session.detail
    # What is current is answered, even though its counter is not above the highest; what was left is not taken again.
    assert session.offer(old.manifest_bytes, old.signature) == (State.CONFIRMED, [])
    assert refusal(session, new).rc == Rc.OLD_COUNTER
    assert refusal(session, signed_again(new, KEY, trials=9)).rc == Rc.OLD_COUNTER


def test_what_cannot_be_rolled_back(home: Home) -> None:
    session = new_session(home)
    install(session, package(KEY, DATA, 5))
    for name, leave, rc in (
        ("digits", 5, Rc.NOTHING_TO_ROLL_BACK),
        ("nothing", 5, Rc.NO_MODEL),
        ("../../etc", 5, Rc.BAD_REQUEST),
    ):
        with pytest.raises(RefusedError) as caught:
            session.rollback(name, leave)
        assert caught.value.rc == rc
    assert Slot(home, "digits").state().current == 5
    with pytest.raises(RefusedError) as caught:
        session.confirm("nothing")
    assert caught.value.rc == Rc.NO_MODEL


def test_no_room(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_file: object, size: int) -> None:
        raise NoSpaceError(f"cannot reserve {size} bytes")

    monkeypatch.setattr(incoming_module.disk.File, "reserve", full)
    session, pushed = new_session(home), package(KEY, DATA)
    assert refusal(session, pushed).rc == Rc.NO_SPACE
    assert nothing_stored(home)
    monkeypatch.undo()
    assert new_session(home).offer(pushed.manifest_bytes, pushed.signature)[0] is State.RECEIVING


def test_room_that_unfinished_pushes_hold_is_taken_back(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    unfinished, pushed = package(KEY, DATA, 1, name="first"), package(KEY, DATA[::-1], 2)
    session = new_session(home)
    session.offer(unfinished.manifest_bytes, unfinished.signature)
    session.close()
    reserve = incoming_module.disk.File.reserve

    def little_room(file: Any, size: int) -> None:
        if (home.staging / f"{unfinished.entry.sha256.hex()}.part").exists():
            raise NoSpaceError(f"cannot reserve {size} bytes")
        reserve(file, size)

    monkeypatch.setattr(incoming_module.disk.File, "reserve", little_room)
    assert session.offer(pushed.manifest_bytes, pushed.signature)[0] is State.RECEIVING


def test_what_came_of_one_object_stays_when_another_has_no_room(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    first, extra = package(KEY, DATA, 1), bytes(20000)
    objects = (first.entry, describe_object("labels", extra, CHUNK))
    both = package(KEY, DATA, 2, objects=objects)
    session = new_session(home)
    session.offer(first.manifest_bytes, first.signature)
    session.write(first.entry.sha256, False, 0, DATA[:CHUNK])
    session.close()
    reserve = incoming_module.disk.File.reserve

    def small(file: Any, size: int) -> None:
        if size == len(extra):
            raise NoSpaceError(f"cannot reserve {size} bytes")
        reserve(file, size)

    monkeypatch.setattr(incoming_module.disk.File, "reserve", small)
    assert refusal(session, both).rc == Rc.NO_SPACE
    monkeypatch.undo()
    assert session.offer(both.manifest_bytes, both.signature)[1][0] == Need(first.entry.sha256, CHUNK)


def test_a_refused_offer_leaves_the_push_that_goes_on(home: Home) -> None:
    session, pushed = new_session(home), package(KEY, DATA)
    session.offer(pushed.manifest_bytes, pushed.signature)
    session.write(pushed.entry.sha256, False, 0, DATA[:5000])
    refusal(session, package(new_key(), DATA[::-1], 3))
    assert session.state is State.RECEIVING
    assert session.write(pushed.entry.sha256, False, 5000, DATA[5000:]) == len(DATA)


def test_another_offer_takes_the_place_of_one_that_was_cut_off(home: Home) -> None:
    session, first, second = new_session(home), package(KEY, DATA, 1), package(KEY, DATA[::-1], 2)
    session.offer(first.manifest_bytes, first.signature)
    session.write(first.entry.sha256, False, 0, DATA[:5000])
    install(session, second)
    with pytest.raises(FileError) as caught:
        session.write(first.entry.sha256, False, 0, DATA[:5000])
    assert caught.value.rc == FsError.FILE_INVALID_NAME


# --- bytes ---


def test_bytes_without_an_offer(home: Home) -> None:
    session, pushed = new_session(home), package(KEY, DATA)
    with pytest.raises(FileError) as caught:
        session.write(pushed.entry.sha256, False, 0, DATA)
    assert caught.value.rc == FsError.FILE_INVALID_NAME
    assert nothing_stored(home)


def test_a_wrong_chunk_goes_back_to_its_beginning_and_is_given_up_in_the_end(home: Home) -> None:
    session, pushed = new_session(home), package(KEY, DATA)
    sha256 = pushed.entry.sha256
    session.offer(pushed.manifest_bytes, pushed.signature)
    session.write(sha256, False, 0, DATA[:CHUNK])
    wrong = bytes([DATA[CHUNK] ^ 1]) + DATA[CHUNK + 1 : 2 * CHUNK]
    for _ in range(MOST_FAILURES - 1):
        assert session.write(sha256, False, CHUNK, wrong) == CHUNK
    assert session.state is State.RECEIVING
    with pytest.raises(FileError, match=r"chunk 1 of object .* came 8 times wrong") as caught:
        session.write(sha256, False, CHUNK, wrong)
    assert caught.value.rc == FsError.FILE_WRITE_FAILED
    assert session.state is State.REJECTED
    with pytest.raises(FileError):
        session.write(sha256, False, CHUNK, DATA[CHUNK:])
    with pytest.raises(RefusedError) as refused:
        session.verify()
    assert refused.value.rc == Rc.CHECK_FAILED
    assert new_session(home).offer(pushed.manifest_bytes, pushed.signature)[1] == [Need(sha256, CHUNK)]


def test_more_bytes_than_the_object_has(home: Home) -> None:
    session, pushed = new_session(home), package(KEY, DATA)
    session.offer(pushed.manifest_bytes, pushed.signature)
    with pytest.raises(FileError) as caught:
        session.write(pushed.entry.sha256, False, 0, DATA + b"\0")
    assert caught.value.rc == FsError.FILE_OFFSET_LARGER_THAN_FILE
    assert session.write(pushed.entry.sha256, False, 0, DATA) == len(DATA)


# --- verify ---


def test_verify_needs_all_the_objects(home: Home) -> None:
    session, pushed = new_session(home), package(KEY, DATA)
    with pytest.raises(RefusedError, match="offer a package first") as caught:
        session.verify()
    assert caught.value.rc == Rc.BAD_STATE
    session.offer(pushed.manifest_bytes, pushed.signature)
    with pytest.raises(RefusedError, match="send 1 objects first"):
        session.verify()


def test_a_failed_check_keeps_what_is_current(home: Home) -> None:
    install(new_session(home), package(KEY, DATA, 1))

    def fail(*_: object) -> None:
        raise EdgertError("output 0 differs at 3 of 10 values")

    session, pushed = new_session(home, check=fail), package(KEY, DATA[::-1], 2)
    session.offer(pushed.manifest_bytes, pushed.signature)
    upload(session, pushed.data, pushed.entry.sha256)
    session.verify()
    assert session.wait(30) is State.REJECTED
    assert session.detail == "output 0 differs at 3 of 10 values"
    with pytest.raises(RefusedError, match="output 0 differs") as caught:
        session.activate(pushed.sha256)
    assert caught.value.rc == Rc.CHECK_FAILED
    assert Slot(home, "digits").state().current == 1
    assert Slot(home, "digits").generations() == [1]
    assert not home.object_path(pushed.entry.sha256).exists()
    assert "digits 2 is rejected: output 0 differs" in home.read_log().decode()
    # The next push is taken, in this session.
    session._check = lambda *_: None  # type: ignore[method-assign]
    install(session, package(KEY, DATA[::-1], 3))


def test_a_fault_in_the_check_rejects_too(home: Home) -> None:
    def fault(*_: object) -> None:
        raise ZeroDivisionError("oops")

    session, pushed = new_session(home, check=fault), package(KEY, DATA)
    session.offer(pushed.manifest_bytes, pushed.signature)
    upload(session, DATA, pushed.entry.sha256)
    session.verify()
    assert session.wait(30) is State.REJECTED
    assert "a fault of edgert's own, ZeroDivisionError" in session.detail


def test_while_a_package_is_checked(home: Home) -> None:
    go_on = threading.Event()
    session = new_session(home, check=lambda *_: go_on.wait(30) and None)
    pushed, other = package(KEY, DATA, 1), package(KEY, DATA[::-1], 2)
    session.offer(pushed.manifest_bytes, pushed.signature)
    upload(session, DATA, pushed.entry.sha256)
    assert session.verify() is State.VERIFYING
    assert session.verify() is State.VERIFYING
    assert session.offer(pushed.manifest_bytes, pushed.signature) == (State.VERIFYING, [])
    assert session.write(pushed.entry.sha256, False, 0, DATA[:10]) == len(DATA)
    assert refusal(session, other).rc == Rc.BUSY
    with pytest.raises(RefusedError) as caught:
        session.activate(pushed.sha256)
    assert caught.value.rc == Rc.BAD_STATE
    go_on.set()
    assert session.wait(30) is State.VERIFIED
    assert session.activate(pushed.sha256)[0] is State.PENDING


# --- activate ---


def test_what_was_verified_can_be_activated_another_day(home: Home) -> None:
    session, pushed = new_session(home), package(KEY, DATA, 1)
    session.offer(pushed.manifest_bytes, pushed.signature)
    upload(session, DATA, pushed.entry.sha256)
    session.verify()
    session.wait(30)
    session.close()
    later = new_session(home)
    assert later.offer(pushed.manifest_bytes, pushed.signature) == (State.VERIFIED, [])
    later.close()
    assert new_session(home).activate(pushed.sha256) == (State.PENDING, "digits", 1)


def test_activation_checks_again(home: Home) -> None:
    clock = Clock(500.0)
    session = new_session(home, wall_clock=clock)
    expiring, newer = package(KEY, DATA, 1, expires=1000), package(KEY, DATA[::-1], 2)
    session.offer(expiring.manifest_bytes, expiring.signature)
    upload(session, DATA, expiring.entry.sha256)
    session.verify()
    session.wait(30)
    clock.now = 1001.0
    with pytest.raises(RefusedError) as caught:
        session.activate(expiring.sha256)
    assert caught.value.rc == Rc.EXPIRED
    clock.now = 500.0
    install(session, newer)
    with pytest.raises(RefusedError) as caught:
        session.activate(expiring.sha256)  # collected, or too old: it does not come back
    assert caught.value.rc in (Rc.BAD_STATE, Rc.OLD_COUNTER)
    for path in home.trusted_keys().iterdir():
        path.unlink()
    with pytest.raises(RefusedError) as caught:
        new_session(home).activate(newer.sha256)
    assert caught.value.rc == Rc.UNKNOWN_KEY


def test_nothing_unverified_is_activated(home: Home) -> None:
    session, pushed = new_session(home), package(KEY, DATA)
    session.offer(pushed.manifest_bytes, pushed.signature)
    with pytest.raises(RefusedError) as caught:
        session.activate(pushed.sha256)
    assert caught.value.rc == Rc.BAD_STATE
    # The push goes on.
    upload(session, DATA, pushed.entry.sha256)
    assert session.state is State.RECEIVED


def test_what_the_application_found_out_shows(home: Home) -> None:
    session, pushed = new_session(home), package(KEY, DATA, 1)
    install(session, pushed)
    Slot(home, "digits").confirm()
    assert session.state is State.CONFIRMED


def test_activation_that_is_asked_for_again_needs_no_lock(home: Home) -> None:
    pushed, other = package(KEY, DATA, 1), package(KEY, DATA[::-1], 2)
    session, busy = new_session(home), new_session(home)
    install(session, pushed)
    busy.offer(other.manifest_bytes, other.signature)
    assert session.activate(pushed.sha256) == (State.PENDING, "digits", 1)
    assert session.confirm("digits") is State.CONFIRMED
    upload(busy, other.data, other.entry.sha256)
    busy.verify()
    assert busy.wait(30) is State.VERIFIED
    with pytest.raises(RefusedError) as caught:
        session.activate(other.sha256)
    assert caught.value.rc == Rc.BUSY
    busy.activate(other.sha256)


# --- the lock ---


def test_two_pushers_at_once(home: Home) -> None:
    first, second, pushed = new_session(home), new_session(home), package(KEY, DATA)
    first.offer(pushed.manifest_bytes, pushed.signature)
    error = refusal(second, package(KEY, DATA[::-1], 2))
    assert error.rc == Rc.BUSY
    assert "another push" in str(error)
    assert refusal(second, pushed).rc == Rc.BUSY
    upload(first, DATA, pushed.entry.sha256)
    first.verify()
    first.wait(30)
    first.activate(pushed.sha256)
    install(second, package(KEY, DATA[::-1], 2))


def test_a_silent_push_gives_the_home_back(home: Home) -> None:
    clock, pushed = Clock(), package(KEY, DATA)
    silent, other = new_session(home, clock=clock), new_session(home)
    silent.heard()
    silent.offer(pushed.manifest_bytes, pushed.signature)
    silent.write(pushed.entry.sha256, False, 0, DATA[:5000])
    clock.now += SILENCE_SECONDS - 1
    silent.tick()
    assert refusal(other, pushed).rc == Rc.BUSY
    clock.now += 2
    silent.tick()
    assert silent.state is State.IDLE
    assert "nothing came for 30 s" in silent.detail
    with pytest.raises(FileError):
        silent.write(pushed.entry.sha256, False, 5000, DATA[5000:])
    assert other.offer(pushed.manifest_bytes, pushed.signature)[1] == [Need(pushed.entry.sha256, CHUNK)]


def test_a_check_is_not_silence(home: Home) -> None:
    go_on, clock, pushed = threading.Event(), Clock(), package(KEY, DATA)
    session = new_session(home, clock=clock, check=lambda *_: go_on.wait(30) and None)
    session.offer(pushed.manifest_bytes, pushed.signature)
    upload(session, DATA, pushed.entry.sha256)
    session.verify()
    clock.now += 10 * SILENCE_SECONDS
    session.tick()
    assert refusal(new_session(home), pushed).rc == Rc.BUSY
    go_on.set()
    session.wait(30)
    session.tick()
    # The client is gone; what was verified waits on the disk.
    other = new_session(home)
    assert other.offer(pushed.manifest_bytes, pushed.signature) == (State.VERIFIED, [])


def test_several_objects(home: Home) -> None:
    extra = b"labels" * 1000
    objects = (describe_object("package", DATA, CHUNK), describe_object("labels", extra, CHUNK))
    session, pushed = new_session(home), package(KEY, DATA, 1, objects=objects)
    assert [need.sha256 for need in session.offer(pushed.manifest_bytes, pushed.signature)[1]] == [
        entry.sha256 for entry in objects
    ]
    upload(session, extra, objects[1].sha256)
    assert session.state is State.RECEIVING
    assert session.offer(pushed.manifest_bytes, pushed.signature)[1] == [Need(objects[0].sha256, 0)]
    upload(session, DATA, objects[0].sha256)
    session.verify()
    assert session.wait(30) is State.VERIFIED
    session.activate(pushed.sha256)
    assert home.object_path(objects[1].sha256).read_bytes() == extra


def test_the_log_is_not_flooded_by_one_refusal(home: Home) -> None:
    session, pushed = new_session(home), package(new_key(), DATA)
    for _ in range(50):
        refusal(session, pushed)
    assert home.read_log().decode().count("is not trusted here") == 1


def test_the_probe_is_what_counts(home: Home) -> None:
    from dataclasses import replace

    pushed = package(KEY, DATA, 1, targets=(Requirement("any-arm", "aarch64", ("neon",)),))
    assert refusal(new_session(home, replace(PROBE, architecture="armv7")), pushed).rc == Rc.WRONG_TARGET
    assert refusal(new_session(home, replace(PROBE, instruction_sets=())), pushed).rc == Rc.WRONG_TARGET
    assert new_session(home).offer(pushed.manifest_bytes, pushed.signature)[0] is State.RECEIVING
