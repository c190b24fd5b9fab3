"""The home: where it is, its id, device.toml, lock and log."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from store.store_pushes import push

from edgert.store import home as home_module
from edgert.store.errors import BusyError, DamagedError, StoreError
from edgert.store.home import LOG_BYTES, Home, default_home, find_home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "some" / "where" / "home").open()


def test_opening_makes_what_is_missing(home: Home) -> None:
    made = sorted(path.name for path in home.path.iterdir())
    assert made == ["id", "keys", "models", "objects", "staging"]
    assert len(home.id) == 32
    assert home.trusted_keys() == home.path / "keys"
    assert home.models() == []
    assert (home.path / "staging").stat().st_mode & 0o777 == 0o700
    (home.path / "objects").rmdir()
    first = home.id
    assert Home(home.path).open().id == first
    assert (home.path / "objects").is_dir()


def test_modes_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        home = Home(tmp_path / "home").open()
        push(home, b"package", 1)
    finally:
        os.umask(before)
    for path in home.path.rglob("*"):
        mode = path.stat().st_mode & 0o777
        if "staging" in path.parts or path.name in ("lock", "log"):
            continue
        if path.is_dir():
            assert mode == 0o755, path
        else:
            assert mode == {"objects": 0o444}.get(path.parent.name, 0o664 if path.name[:5] == "trial" else 0o644), path


@pytest.mark.parametrize("damaged", [b"", b"\0" * 32, b"no hex, but thirty-two bytes ...", b"f" * 64])
def test_a_damaged_id_is_made_anew(home: Home, damaged: bytes) -> None:
    (home.path / "id").write_bytes(damaged)
    with pytest.raises(StoreError, match="has no id"):
        _ = home.id
    assert len(home.open().id) == 32


def test_device_toml(home: Home) -> None:
    assert home.device().target is None
    path = home.path / "device.toml"
    path.write_text('id = "line-3.camera"\ntarget = "raspberry-pi-4-64"\n')
    assert home.id == "line-3.camera"
    assert home.device().target == "raspberry-pi-4-64"


@pytest.mark.parametrize(
    "text", ["id = 5", "id = ''", "id = 'a/b'", "name = 'x'", "id =", "\xff", f"id = '{'x' * 65}'", "x" * 100_000]
)
def test_a_wrong_device_toml_is_told(home: Home, text: str) -> None:
    (home.path / "device.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(StoreError, match=r"device\.toml") as error:
        _ = home.id
    assert "\n" not in str(error.value)


def test_one_process_holds_the_lock_and_its_end_gives_it_back(home: Home) -> None:
    code = (
        "import sys; from edgert.store.home import Home\n"
        "lock = Home(sys.argv[1]).lock(); print('held', flush=True); sys.stdin.readline()"
    )
    other = subprocess.Popen(
        [sys.executable, "-P", "-c", code, str(home.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout is not None
    assert other.stdout.readline() == b"held\n"
    with pytest.raises(BusyError, match="is going on; try again"):
        home.lock()
    other.kill()
    other.communicate()
    with home.lock(), pytest.raises(BusyError):
        home.lock(wait_seconds=0.05)
    home.lock().release()


def test_the_log_is_bounded_and_holds_lines(home: Home) -> None:
    home.log("first\nline \x1b[31m of \u2028 text")
    assert home.read_log().decode().endswith("Z first\\x0aline \\x1b[31m of \\x2028 text\n")
    for number in range(3 * LOG_BYTES // 500):
        home.log(f"{number} {'x' * 480}")
    text = home.read_log().decode()
    assert f"{number} " in text.splitlines()[-1]
    assert LOG_BYTES < len(text) <= 2 * LOG_BYTES + 2000
    assert sorted(path.name for path in home.path.glob("log*")) == ["log", "log.1"]


def test_a_log_that_cannot_be_written_keeps_nothing_from_working(home: Home) -> None:
    (home.path / "log").mkdir()
    home.log("text")
    assert home.read_log() == b""
    push(home, b"package", 1)


def test_where_a_home_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = tmp_path / "var"
    monkeypatch.setattr(home_module, "_SYSTEM_HOME", system)
    for name in ("EDGERT_HOME", "STATE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    own = tmp_path / "state" / "edgert"
    assert default_home() == own
    with pytest.raises(StoreError, match=r"no home of edgert on this device .*run edgert agent once"):
        find_home()
    Home(own).open()
    assert find_home().path == own
    system.mkdir()
    assert default_home() == system
    assert find_home().path == own  # the other one is there and is no home
    Home(system).open()
    assert find_home().path == system
    monkeypatch.setenv("STATE_DIRECTORY", f"{tmp_path / 'service'}:{tmp_path / 'second'}")
    assert default_home() == tmp_path / "service"
    assert find_home().path == system  # an application has a state directory of its own
    monkeypatch.setenv("EDGERT_HOME", str(tmp_path / "chosen"))
    assert default_home() == tmp_path / "chosen"
    with pytest.raises(StoreError, match="chosen"):
        find_home()
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.delenv("EDGERT_HOME")
    monkeypatch.delenv("STATE_DIRECTORY")
    system.rename(tmp_path / "away")
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    assert default_home() == tmp_path / "user" / ".local" / "state" / "edgert"


def test_an_object_that_rots_is_taken_away(home: Home) -> None:
    slot = push(home, b"package" * 1000, 1)
    entry = slot.manifest(1).package
    home.check_object(entry)
    path = home.object_path(entry.sha256)
    path.chmod(0o644)
    path.write_bytes(b"Package" + b"package" * 999)
    assert home.has_object(entry)
    with pytest.raises(DamagedError, match="was damaged on the disk and is removed"):
        home.check_object(entry)
    assert not home.has_object(entry)
    with pytest.raises(DamagedError, match="is missing"):
        home.check_object(entry)


def test_a_home_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(StoreError, match="is no folder; remove it"):
        Home(tmp_path / "home").open()
