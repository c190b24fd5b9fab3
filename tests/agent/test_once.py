"""`edgert agent --once`: bundles in a folder, as on a USB stick."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from agent.lines import SECONDS, agent_command
from agent.pushing import CHUNK, Package, new_home, new_session, package
from packages import digits

from edgert.agent.once import FOLDER, OnceResult, install_bundle
from edgert.errors import EdgertError, InputError
from edgert.manifest.keys import new_key
from edgert.manifest.manifest import describe_object
from edgert.store.home import Home
from edgert.store.slot import Slot

DATA = bytes(range(256)) * 40
KEY = new_key()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return new_home(tmp_path / "home", KEY)


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    (tmp_path / "stick").mkdir()
    return tmp_path / "stick"


def bundle(stick: Path, pushed: Package) -> Path:
    """As `edgert push file:DIR` writes it; the object's file."""
    shutil.rmtree(stick / FOLDER, ignore_errors=True)
    (stick / FOLDER / "objects").mkdir(parents=True)
    (stick / FOLDER / "manifest").write_bytes(pushed.manifest_bytes)
    (stick / FOLDER / "signature").write_bytes(pushed.signature)
    path = stick / FOLDER / "objects" / pushed.entry.sha256.hex()
    path.write_bytes(pushed.data)
    return path


def once(home: Home, stick: Path, **options: Any) -> OnceResult:
    return install_bundle(new_session(home, **options), stick)


def written(home: Home, stick: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((stick / f"result-{home.id}.json").read_text())
    return found


def test_a_bundle_is_installed(home: Home, stick: Path) -> None:
    pushed = package(KEY, DATA, 4)
    bundle(stick, pushed)
    result = once(home, stick)
    assert result.installed
    assert result.detail == "digits 4 is pending"
    assert Slot(home, "digits").state().current == 4
    said = written(home, stick)
    assert said.pop("time") > 0
    assert said == {
        "installed": True, "state": "pending", "detail": "digits 4 is pending", "device": home.id, "name": "digits",
        "counter": 4, "manifest": pushed.sha256.hex(),
    }  # fmt: skip
    assert sorted(path.name for path in stick.iterdir()) == [FOLDER, f"result-{home.id}.json"]
    # The stick goes from device to device, and may come back.
    Slot(home, "digits").confirm()
    assert once(home, stick).detail == "digits 4 is confirmed"


def test_it_goes_on_where_it_was_cut_off(home: Home, stick: Path) -> None:
    pushed = package(KEY, DATA)
    session = new_session(home)
    session.offer(pushed.manifest_bytes, pushed.signature)
    session.write(pushed.entry.sha256, False, 0, DATA[: CHUNK + 10])
    session.close()
    bundle(stick, pushed)
    assert once(home, stick).installed


@pytest.mark.parametrize("what", ["altered", "short", "empty", "missing", "long", "a link"])
def test_an_object_that_is_not_what_was_signed(home: Home, stick: Path, tmp_path: Path, what: str) -> None:
    pushed = package(KEY, DATA, 5)
    path = bundle(stick, pushed)
    if what == "altered":
        path.write_bytes(DATA[:6000] + b"!" + DATA[6001:])
    elif what == "short":
        path.write_bytes(DATA[:-1])
    elif what == "empty":
        path.write_bytes(b"")
    elif what == "long":
        path.write_bytes(DATA + b"x")
    else:
        path.unlink()
    if what == "a link":
        (tmp_path / "elsewhere").write_bytes(DATA)
        path.symlink_to(tmp_path / "elsewhere")
    result = once(home, stick)
    assert not result.installed
    assert str(path) in result.detail or "object" in result.detail
    assert written(home, stick)["detail"] == result.detail
    assert result.detail in home.read_log().decode()
    assert Slot(home, "digits").state().current is None
    # A stick that was written again is taken.
    path.unlink(missing_ok=True)
    path.write_bytes(DATA)
    assert once(home, stick).installed


def test_a_bundle_of_a_stranger(home: Home, stick: Path) -> None:
    bundle(stick, package(new_key(), DATA))
    result = once(home, stick)
    assert not result.installed
    assert result.state == "idle"
    assert "is not trusted here" in result.detail
    assert written(home, stick)["name"] is None


@pytest.mark.parametrize("name", ["manifest", "signature"])
def test_parts_that_are_missing_or_too_large(home: Home, stick: Path, name: str) -> None:
    bundle(stick, package(KEY, DATA))
    path = stick / FOLDER / name
    path.unlink()
    assert str(path) in once(home, stick).detail
    path.write_bytes(bytes(2 << 20))
    assert "more than 1048576 bytes" in once(home, stick).detail
    assert Slot(home, "digits").state().current is None


def test_a_folder_without_a_bundle(home: Home, stick: Path) -> None:
    with pytest.raises(InputError, match=r"holds no folder edgert-push; write one with `edgert push MODEL\.ert file:"):
        once(home, stick)
    assert not list(stick.iterdir())


def test_a_failed_check(home: Home, stick: Path) -> None:
    def fail(*_: object) -> None:
        raise EdgertError("golden run 1 differs")

    bundle(stick, package(KEY, DATA))
    result = once(home, stick, check=fail)
    assert (result.installed, result.state, result.detail) == (False, "rejected", "golden run 1 differs")
    assert result.name == "digits"


def test_while_another_push_goes_on(home: Home, stick: Path) -> None:
    pushed = package(KEY, DATA)
    bundle(stick, pushed)
    with home.lock():
        result = once(home, stick)
    assert not result.installed
    assert "another push" in result.detail
    assert once(home, stick).installed


def test_a_stick_that_cannot_be_written_to(home: Home, stick: Path) -> None:
    bundle(stick, package(KEY, DATA))
    (stick / f"result-{home.id}.json").mkdir()  # root may write where others may not: so there is no room for the name
    assert once(home, stick).installed
    assert sorted(path.name for path in stick.iterdir()) == [FOLDER, f"result-{home.id}.json"]


def test_the_command(home: Home, stick: Path) -> None:
    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            agent_command("--once", stick, "--home", home.path), capture_output=True, text=True, timeout=SECONDS
        )

    nothing = run()
    assert nothing.returncode == 2
    assert "holds no folder" in nothing.stderr
    model = digits(quantize=True)
    bundle(stick, package(KEY, model, 8, objects=(describe_object("package", model),)))
    done = run()
    assert (done.returncode, done.stdout, done.stderr) == (0, "digits 8 is pending\n", "")
    bundle(stick, package(KEY, b"no model", 9))
    refused = run()
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert refused.stderr.startswith("edgert: ")
    assert refused.stderr.count("\n") == 1
    assert Slot(home, "digits").state().current == 8
