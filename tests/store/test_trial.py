"""edgert.load("device:NAME") in applications that crash, end, run on and load at once: real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from agent.pushing import Client, ReplyError, new_key, new_session, package
from runtime.models import int8_copy, pooled
from store.store_pushes import NAME, push

import edgert
from edgert.agent import generations
from edgert.agent.server import Server
from edgert.errors import InputError
from edgert.manifest.keys import trust
from edgert.runtime.device import DeviceModel
from edgert.store import trial
from edgert.store.errors import DiskError, NoModelError
from edgert.store.home import Home
from edgert.store.slot import Slot
from edgert.store.trial import count_load

OLD, NEW = 7, 8
RUN = "model.invoke()"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("EDGERT_HOME", str(tmp_path / "home"))
    return Home(tmp_path / "home").open()


@pytest.fixture
def slot(home: Home) -> Slot:
    """OLD is confirmed, NEW on trial for 3 loads."""
    push(home, pooled(), OLD, confirm=True)
    return push(home, int8_copy(), NEW)


class Application:
    """A process that opens the model, says which generation it got, and goes on as `then` says."""

    def __init__(self, then: str, first: str = "") -> None:
        code = (
            f"import os, signal, sys; import edgert\n{first}\n"
            f"model = edgert.load('device:{NAME}')\nprint(model.generation, flush=True)\n{then}\n"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.generation = int(self.process.stdout.readline() or -1)  # -1: the load itself failed

    def end(self) -> int:
        """Lets it go on where it waits for a line; its exit status."""
        self.errors = self.process.communicate("\n", timeout=60)[1]
        return self.process.returncode


@pytest.fixture
def no_core_files() -> Iterator[None]:
    import resource

    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_CORE, before)


CRASHES = {  # name: (what it does, its exit status)
    "abort": ("os.abort()", -signal.SIGABRT),
    "segmentation fault": ("import ctypes; ctypes.string_at(0)", -signal.SIGSEGV),
    "killed": ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
    "exception": ("raise RuntimeError('the new model knows no such label')", 1),
    "sys.exit(1) after it ran": (f"{RUN}; sys.exit(1)", 1),
    "raise SystemExit('text') after it ran": (f"{RUN}; raise SystemExit('no label')", 1),
    "exception after it ran": (f"{RUN}; [][1]", 1),
    "killed after it ran": (f"{RUN}; os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
    "a hard exit": (f"{RUN}; os._exit(0)", 0),
    "a run that fails, and a normal end": ("\ntry: model.run({})\nexcept edgert.EdgertError: pass", 0),
    "runs that fail at last": (f"{RUN}\ntry: model.run({{}})\nexcept edgert.EdgertError: pass", 0),
}


@pytest.mark.usefixtures("no_core_files")
@pytest.mark.parametrize(("crash", "status"), CRASHES.values(), ids=CRASHES)
def test_crashing_brings_the_previous_generation(home: Home, crash: str, status: int) -> None:
    trials = 3 if crash == "os.abort()" else 2
    push(home, pooled(), OLD, confirm=True)
    slot = push(home, int8_copy(), NEW, trials=trials)
    for load in range(trials):
        assert slot.state().pending
        assert slot.state().loads == load
        application = Application(crash)
        assert application.generation == NEW
        assert application.end() == status, application.errors
    after = Application("")
    assert after.generation == OLD
    assert after.end() == 0
    assert f"generation {NEW} of 'net' ended badly {trials} times on trial: generation {OLD} is current" in after.errors
    state = slot.state()
    assert (state.current, state.previous, state.pending, state.failed) == (OLD, None, False, NEW)
    assert state.highest == NEW
    assert f"generation {NEW} of 'net' ended badly {trials} times" in slot.home.read_log().decode()
    slot.settle()  # as the agent does when it begins: in its own record now
    assert slot.state() == state
    assert f"generation {NEW} was taken back" in slot.home.read_log().decode()


def test_one_generation_that_fails_leaves_none(home: Home) -> None:
    slot = push(home, int8_copy(), NEW, trials=1)
    Application("os.abort()").end()
    after = Application("")
    assert after.end() == 1
    assert "none was before it; push another" in after.errors
    with pytest.raises(NoModelError, match=f"generation {NEW} of 'net' ended badly on trial"):
        edgert.load(f"device:{NAME}")
    assert slot.state().highest == NEW
    push(home, pooled(), NEW + 1)
    assert Application("").generation == NEW + 1


@pytest.mark.parametrize(
    "end", ["", "sys.exit()", "sys.exit(0)", "raise SystemExit", "raise SystemExit(0)", "sys.exit(None)"]
)
def test_running_and_ending_normally_confirms(slot: Slot, end: str) -> None:
    for _ in range(2):
        Application("os._exit(3)").end()  # two crashes before are forgotten then
    assert Application(f"{RUN}\n{end}").end() == 0
    state = slot.state()
    assert (state.current, state.previous, state.pending) == (NEW, OLD, False)
    slot.settle()
    assert slot.state() == state
    Application("os._exit(3)").end()
    assert slot.state() == state


def test_looking_without_running_says_nothing(slot: Slot) -> None:
    for _ in range(5):
        assert Application("print(model.labels)").end() == 0
    assert slot.state().pending
    assert slot.state().loads == 0


def test_confirming_by_hand(slot: Slot) -> None:
    assert Application("assert model.pending; model.confirm(); assert not model.pending; os.abort()").end() < 0
    assert not slot.state().pending


def test_a_minute_of_health_confirms(slot: Slot, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(trial.time, "monotonic", lambda: now)
    model = edgert.load(f"device:{NAME}")
    assert isinstance(model, DeviceModel)
    x = np.zeros((1, 5), np.int8)
    model(x)
    now += 59
    model(x)
    assert slot.state().pending
    now += 2
    with pytest.raises(InputError):
        model.run({})  # it failed: the minute begins anew
    model(x)
    now += 59
    model.invoke()
    assert slot.state().pending
    now += 2
    model.invoke()
    assert not slot.state().pending
    assert not model.pending
    model(x)


def test_loading_often_in_a_process_counts_once(slot: Slot) -> None:
    then = f"for _ in range(20): assert edgert.load('device:{NAME}').generation == {NEW}\nsys.stdin.readline()"
    application = Application(then)
    time.sleep(0.2)
    assert slot.state().loads == 1
    application.end()


def test_processes_that_still_run_are_no_crashes(slot: Slot) -> None:
    """Eight at once, with three trials; then three of them are killed."""
    running = [Application("sys.stdin.readline(); os._exit(1)") for _ in range(8)]
    assert [one.generation for one in running] == [NEW] * 8
    assert slot.state().loads == 8
    for one in running[2:4]:
        one.process.kill()
        one.end()
    extra = Application("sys.stdin.readline()")
    assert extra.generation == NEW  # two ended badly, which is not three
    running[5].process.kill()
    running[5].end()
    assert Application("").generation == OLD
    assert all(one.process.poll() is None for one in running[:2])
    for one in (*running, extra):
        if one.process.returncode is None:
            one.end()
    assert slot.state().current == OLD


def test_many_processes_begin_at_once(slot: Slot) -> None:
    """Each gets a load of its own, and their normal ends leave the generation confirmed."""
    code = f"import edgert; model = edgert.load('device:{NAME}'); print(model.generation); {RUN}"
    processes = [
        subprocess.Popen([sys.executable, "-P", "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(8)
    ]
    assert [one.communicate(timeout=60)[0].strip() for one in processes] == [str(NEW)] * 8
    assert [one.returncode for one in processes] == [0] * 8
    assert not slot.state().pending


def test_a_confirmation_comes_too_late_for_a_generation_that_was_left(slot: Slot) -> None:
    application = Application(f"{RUN}; sys.stdin.readline()")
    slot.rollback(NEW)
    push(slot.home, pooled(), NEW + 1)
    assert application.end() == 0
    assert slot.state().pending
    assert slot.state().current == NEW + 1


def test_a_package_that_does_not_open_counts(home: Home) -> None:
    """Within one process, too: an application that tries again gets the one before."""
    push(home, pooled(), OLD, confirm=True)
    push(home, b"no package at all", NEW)
    for _ in range(3):
        with pytest.raises(edgert.EdgertError):
            edgert.load(f"device:{NAME}")
    with pytest.warns(RuntimeWarning, match="ended badly 3 times"):
        model = edgert.load(f"device:{NAME}")
    assert isinstance(model, DeviceModel)
    assert model.generation == OLD


def test_a_forked_child_counts_what_it_loads_itself(slot: Slot) -> None:
    fork = f"""
child = os.fork()
if child == 0:
    edgert.load('device:{NAME}')
    os.abort()
os.waitpid(child, 0)
sys.stdin.readline()
"""
    application = Application(fork)
    time.sleep(0.3)
    assert slot.state().loads == 2
    assert application.end() == 0


def test_what_is_damaged_is_passed_over(slot: Slot) -> None:
    manifest = slot.generation_folder(NEW) / "manifest"
    manifest.write_bytes(manifest.read_bytes()[:-1])
    with pytest.warns(RuntimeWarning, match=f"opened generation {OLD} instead"):
        assert edgert.load(f"device:{NAME}").generation == OLD  # type: ignore[attr-defined]
    slot.package(OLD).unlink()
    with pytest.raises(edgert.EdgertError, match="push it again"):
        edgert.load(f"device:{NAME}")


def test_names_and_homes_that_are_not_there(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NoModelError, match=r"no model 'other' is .*push it first"):
        edgert.load("device:other")
    with pytest.raises(edgert.EdgertError, match="cannot be the name of a model"):
        edgert.load("device:../net")
    monkeypatch.setenv("EDGERT_HOME", str(tmp_path / "nowhere"))
    with pytest.raises(edgert.EdgertError, match="no home of edgert on this device"):
        edgert.load("device:net")


# --- applications that run as another user than the agent ---

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to begin processes of another user")


# All that is imported later: another user may not see where this Python lies.
BECOME = """
import edgert.runtime.device, edgert.store.trial
edgert.load(os.environ["EDGERT_HOME"] + "/any.ert").invoke()
os.setgroups({groups}); os.setgid({id}); os.setuid({id})
"""


def as_other_user(then: str, groups: list[int]) -> Application:
    return Application(then, first=BECOME.format(groups=groups, id=NOBODY))


@pytest.fixture
def open_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """Whose folders above let others pass, which those of tmp_path do not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        monkeypatch.setenv("EDGERT_HOME", str(folder / "home"))
        home = Home(folder / "home").open()
        (home.path / "any.ert").write_bytes(pooled())
        yield home


@needs_root
def test_another_user_of_the_homes_group_is_counted(open_home: Home) -> None:
    group = 4242
    os.chown(open_home.path, -1, group)
    open_home.path.chmod(0o2750)
    for folder in open_home.path.iterdir():
        if folder.is_dir() and folder.name != "staging":
            os.chown(folder, -1, group)
            folder.chmod(0o2755)
    push(open_home, pooled(), OLD, confirm=True)
    slot = push(open_home, int8_copy(), NEW)
    for _ in range(3):
        application = as_other_user("os._exit(1)", [group])
        assert application.generation == NEW, application.process.communicate()[1]
        application.end()
    assert as_other_user("", [group]).generation == OLD
    push(open_home, int8_copy(), NEW + 1)
    assert as_other_user(RUN, [group]).end() == 0
    assert not slot.state().pending
    stranger = as_other_user("", [])
    stranger.end()
    assert stranger.generation == -1  # the home's mode keeps others out
    assert "Permission denied; put this user into the group that the home belongs to" in stranger.errors


@needs_root
def test_another_user_that_cannot_be_counted_gets_the_generation_before(open_home: Home) -> None:
    slot = push(open_home, pooled(), OLD)
    first = as_other_user("os._exit(1)", [])
    assert first.generation == OLD  # there is no other
    first.end()
    assert "opened it uncounted" in first.errors
    slot.confirm()
    assert as_other_user("", []).generation == OLD
    push(open_home, int8_copy(), NEW)
    second = as_other_user("assert not model.pending", [])
    assert second.generation == OLD
    assert second.end() == 0
    assert f"is on trial and this load cannot be counted (cannot open {slot.trial_records.paths[0]}" in second.errors
    assert "put this user into the group" in second.errors
    assert slot.state().loads == 0
    slot.confirm()
    third = as_other_user("", [])
    third.end()
    assert third.generation == NEW, third.errors


@needs_root
def test_an_application_cannot_make_an_older_counter_pushable(open_home: Home) -> None:
    """What it may write says nothing but that the pending generation works, or does not."""
    os.chown(open_home.models_folder, -1, 4242)
    open_home.models_folder.chmod(0o2755)
    push(open_home, pooled(), OLD, confirm=True)
    slot = push(open_home, int8_copy(), NEW)
    find = """
for folder, folders, files in os.walk(os.environ["EDGERT_HOME"]):
    for name in [*folders, *files]:
        if os.access(os.path.join(folder, name), os.W_OK):
            print(os.path.join(folder, name), file=sys.stderr, flush=True)
os._exit(1)
"""
    application = as_other_user(find, [4242])
    application.end()
    writable = [line for line in application.errors.splitlines() if line.startswith(str(open_home.path))]
    assert sorted(writable) == sorted(map(str, slot.trial_records.paths)), application.errors
    for garbage in (b"", b"\xff" * 512, os.urandom(512)):
        for path in slot.trial_records.paths:
            path.write_bytes(garbage)
        state = slot.state()
        assert (state.current, state.previous, state.highest, state.pending) == (NEW, OLD, NEW, True)
        assert Application("os._exit(1)").generation == NEW


@needs_root
def test_a_home_on_a_file_system_that_is_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "root"
    root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(root)], check=True)
    try:
        monkeypatch.setenv("EDGERT_HOME", str(root / "home"))
        home = Home(root / "home").open()
        push(home, pooled(), OLD, confirm=True)
        slot = push(home, int8_copy(), NEW)
        subprocess.run(["mount", "-o", "remount,ro", str(root)], check=True)
        with pytest.warns(RuntimeWarning, match=rf"Read-only file system\): opened generation {OLD}; put this user"):
            assert count_load(slot).generation == OLD
        with pytest.raises(DiskError, match="Read-only file system"):
            slot.confirm()
        subprocess.run(["mount", "-o", "remount,rw", str(root)], check=True)
        slot.confirm()
        subprocess.run(["mount", "-o", "remount,ro", str(root)], check=True)
        application = Application(RUN)
        assert application.generation == NEW
        assert application.end() == 0
    finally:
        subprocess.run(["umount", "-l", str(root)], check=True)


def test_a_pushed_model_that_crashes_is_rolled_back_without_a_hand(home: Home) -> None:
    """Through the agent, which goes on serving meanwhile, and tells of it."""
    key = new_key()
    trust(key.public, home.trusted_keys())
    server = Server(new_session(home, check=generations.check))
    client = Client.of(server)
    old, new = (package(key, data, counter, NAME) for counter, data in ((OLD, pooled()), (NEW, int8_copy())))
    client.push(old)
    assert Application(RUN).end() == 0
    client.push(new)
    for load in range(3):
        (model,) = client.status()["models"]
        assert (model["counter"], model["state"], model["loads"]) == (NEW, "pending", load)
        assert Application("os.abort()").generation == NEW
    assert Application(RUN).generation == OLD
    status = client.status()
    (model,) = status["models"]
    assert (model["counter"], model["state"], model["previous"]) == (OLD, "confirmed", None)
    assert status["state"] == "reverted"
    assert f"generation {NEW} of 'net' ended badly 3 times" in home.read_log().decode()
    with pytest.raises(ReplyError, match="counter"):
        client.offer(new)
    client.push(package(key, int8_copy(), NEW + 1, NAME))
    assert Application(RUN).end() == 0
    (model,) = client.status()["models"]
    assert (model["counter"], model["state"]) == (NEW + 1, "confirmed")
    server.close()
