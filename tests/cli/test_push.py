"""edgert push, edgert devices and edgert device: what is wrong with a line, and what is shown for whom.

Pushes over real lines stand in tests/device.
"""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from cli.helpers import Command, Outcome, assert_one_line
from device.device_side import write_program

from edgert.cli._push_view import JsonLines
from edgert.device.errors import AgentMissingError, LinkError
from edgert.device.results import PushResult
from edgert.manifest.keys import new_key


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digits: Path) -> Path:
    """The working folder: a package, a key of the user's, and two sticks by name."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    new_key("me").save(tmp_path / "config" / "edgert" / "keys" / "default.pem")
    (tmp_path / "digits.ert").write_bytes((digits / "int8.ert").read_bytes())
    (tmp_path / "edgert-devices.toml").write_text('[devices]\none = "file:one"\ntwo = "file:two"\n')
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_table_of_what_was_pushed(edgert: Command, project: Path) -> None:
    done = edgert("push", "digits.ert", "--all", "--counter", 7)
    assert (done.code, done.err) == (0, "")  # no bars where nobody watches
    heads, *rows = done.out.splitlines()
    assert heads.split() == ["target", "model", "counter", "state", "size", "sent", "was", "there", "seconds"]
    assert [row.split()[:4] for row in rows] == [["one", "digits", "7", "written"], ["two", "digits", "7", "written"]]


def test_lines_of_json(edgert: Command, project: Path) -> None:
    (project / "two").rmdir()
    done = edgert("push", "digits.ert", "one", "two", "--json", "--name", "numbers")
    events = [json.loads(line) for line in done.out.splitlines()]
    size = (project / "digits.ert").stat().st_size
    (result,) = (event for event in events if event["event"] == "result")
    assert (result["target"], result["name"], result["state"], result["bytes_total"]) == (
        "one",
        "numbers",
        "written",
        size,
    )
    (error,) = (event for event in events if event["event"] == "error")
    assert (error["target"], error["kind"]) == ("two", "link")
    assert {"event": "progress", "target": "one", "stage": "send", "done": size, "total": size} in events
    assert events[-1] == {"event": "done", "pushed": 1, "failed": 1}
    assert done.code == 1
    assert done.err.splitlines()[-1].startswith("edgert: 1 of 2 pushes failed")


def test_one_of_several_fails(edgert: Command, project: Path) -> None:
    (project / "two").rmdir()
    done = edgert("push", "digits.ert", "--all")
    assert done.code == 1
    _heads, good, bad = done.out.splitlines()
    assert good.split()[0] == "one"
    assert "written" in good
    assert bad.split() == ["two", "failed"]
    first, last = done.err.splitlines()
    assert first.startswith(f"edgert: two: file:{project / 'two'} is no folder")
    assert last.startswith("edgert: 1 of 2 pushes failed")


def test_the_only_one_fails(edgert: Command, project: Path) -> None:
    assert_one_line(edgert("push", "digits.ert", "file:none"), 1, "file:none is no folder; make it")
    assert_one_line(edgert("device", "status", "serial:/dev/none-such"), 1, "there is no such port")


def test_what_is_wrong_with_a_line(edgert: Command, project: Path) -> None:
    assert_one_line(edgert("push", "digits.ert"), 2, "give a TARGET, or --all", "edgert devices")
    assert_one_line(edgert("push", "digits.ert", "one", "--all"), 2, "give a TARGET, or --all")
    assert_one_line(edgert("push", "digits.ert", "three"), 2, "has no device 'three'; it has one, two")
    assert_one_line(edgert("push", "digits.ert", "smoke:signal"), 2, "is no address of a device")
    assert_one_line(edgert("push", "digits.ert", "one", "--devices", "x.toml"), 2, "x.toml cannot be read")
    assert_one_line(edgert("push", "missing.ert", "one"), 2, "missing.ert")
    assert_one_line(edgert("push", "edgert-devices.toml", "one"), 2, "no .ert package", "edgert convert")
    assert_one_line(edgert("push", "digits.ert", "one", "--name", "A B"), 2, "cannot be called 'A B'")
    assert_one_line(edgert("push", "digits.ert", "one", "--for", "toaster"), 2, "toaster")
    assert_one_line(edgert("push", "digits.ert", "one", "--counter", 0), 2, "--counter")
    assert_one_line(
        edgert("push", "digits.ert", "one", "--expires", "soon"), 2, "--expires", "a date such as 2030-12-31"
    )
    assert_one_line(edgert("push", "digits.ert", "one", "--expires", "2001-01-01"), 2, "'2001-01-01' is over")
    assert_one_line(edgert("device", "status", "file:one"), 2, "file:one")
    assert_one_line(edgert("device", "status", "three"), 2, "has no device 'three'")
    assert not (project / "one" / "edgert-push").exists()


def test_keys(edgert: Command, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked at before anything is done."""
    assert_one_line(edgert("push", "digits.ert", "one", "--key", "no.pem"), 2, "no key no.pem", "edgert keys new")
    new_key("line").save(project / "line.pem", passphrase="secret")
    assert_one_line(edgert("push", "digits.ert", "one", "--key", "line.pem"), 2, "EDGERT_KEY_PASSPHRASE")
    monkeypatch.setenv("EDGERT_KEY_PASSPHRASE", "wrong")
    assert_one_line(edgert("push", "digits.ert", "one", "--key", "line.pem"), 2, "passphrase is wrong")
    monkeypatch.setenv("EDGERT_KEY_PASSPHRASE", "secret")
    assert edgert("push", "digits.ert", "one", "--key", "line.pem").code == 0
    # A device's own key, as edgert-devices.toml names it.
    (project / "edgert-devices.toml").write_text('[devices.one]\naddress = "file:one"\nkey = "gone.pem"\n')
    assert_one_line(edgert("push", "digits.ert", "--all"), 2, "gone.pem")


def test_expiry_is_signed(edgert: Command, project: Path) -> None:
    from edgert.manifest.manifest import Manifest

    words = ("push", "digits.ert", "one", "--expires", "90d", "--trials", 5, "--device-id", "d1f0", "--for", "aarch64",
             "--golden", 3)  # fmt: skip
    assert edgert(*words).code == 0
    manifest = Manifest.from_bytes((project / "one" / "edgert-push" / "manifest").read_bytes())
    assert manifest.expires is not None
    assert abs(manifest.expires - time.time() - 90 * 86400) < 600
    assert (manifest.trials, manifest.devices, len(manifest.golden)) == (5, ("d1f0",), 3)
    assert [requirement.name for requirement in manifest.targets] == ["aarch64"]


def test_a_device_is_what_the_file_says(edgert: Command, project: Path) -> None:
    """What edgert-devices.toml says a device is, is signed; it cannot be something that --for leaves out."""
    from edgert.manifest.manifest import Manifest

    text = '[devices.one]\naddress = "file:one"\nfor = "raspberry-pi-4"\ndevice_id = "d1f0"\n'
    (project / "edgert-devices.toml").write_text(text)
    assert edgert("push", "digits.ert", "one", "--for", "aarch64").code == 0
    manifest = Manifest.from_bytes((project / "one" / "edgert-push" / "manifest").read_bytes())
    assert [requirement.name for requirement in manifest.targets] == ["raspberry-pi-4"]
    assert manifest.devices == ("d1f0",)
    refused = edgert("push", "digits.ert", "one", "--for", "raspberry-pi-5")
    assert_one_line(refused, 2, "digits.ert does not go to a raspberry-pi-4: the device lacks", "for raspberry-pi-5")
    (project / "edgert-devices.toml").write_text(text.replace("raspberry-pi-4", "toaster"))
    assert_one_line(edgert("push", "digits.ert", "one"), 2, "there is no target 'toaster'")


def test_devices(edgert: Command, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_program(project / "bin" / "adb", "echo 'List of devices attached'; echo 'R3CX device model:Pixel_8'")
    monkeypatch.setenv("PATH", f"{project / 'bin'}{os.pathsep}{os.environ['PATH']}")
    done = edgert("devices")
    assert done.code == 0
    rows = [line.split() for line in done.out.splitlines()]
    assert ["one", f"file:{project / 'one'}"] in rows
    assert ["adb:R3CX", "Pixel", "8", "R3CX", "device"] in rows
    listed = edgert("devices", "--json").json
    assert {"one", "two"} == {one["name"] for one in listed["devices"] if one["kind"] == "name"}


def test_a_person_sees_bars(project: Path) -> None:
    """On a terminal: bars on stderr while it works, which leave nothing behind, and the table."""
    shown = on_a_terminal("push", "digits.ert", "--all")
    assert shown.code == 0
    assert "preparing digits.ert" in shown.out
    assert "\x1b[" in shown.out
    assert "written" in shown.out


def test_a_person_is_asked_for_the_passphrase_once(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGERT_KEY_PASSPHRASE", raising=False)
    new_key("line").save(project / "line.pem", passphrase="secret")
    shown = on_a_terminal(
        "push", "digits.ert", "--all", "--key", "line.pem", answers={"Passphrase of line.pem": "secret"}
    )
    assert shown.code == 0, shown
    assert shown.out.count("Passphrase") == 1
    assert "secret" not in shown.out
    assert shown.out.count("written") >= 2


def on_a_terminal(*words: str, answers: Mapping[str, str] | None = None) -> Outcome:
    """`edgert` with a pty for its three streams; all that it showed is in `out`. answers: by what asks for them."""
    questions = dict(answers or {})
    ours, theirs = pty.openpty()
    command = [sys.executable, "-P", "-m", "edgert", *words]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "160"}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    shown = bytearray()
    while True:
        try:
            piece = os.read(ours, 1 << 16)
        except OSError:  # the other end is closed: Linux's way to say it
            break
        if not piece:
            break
        shown += piece
        for question in [question for question in questions if question.encode() in shown]:
            time.sleep(0.3)  # what was typed before the terminal stopped echoing would be thrown away
            os.write(ours, f"{questions.pop(question)}\n".encode())
    os.close(ours)
    return Outcome(process.wait(timeout=60), shown.decode(errors="replace"), "")


def test_json_lines_are_few() -> None:
    """Not one for every frame: when a stage begins, then once a second, and the last."""
    said: list[dict[str, object]] = []
    now = 0.0
    view = JsonLines(said.append, clock=lambda: now)
    view.progress("a", "connect", 0, None)
    for done in range(0, 10_001, 100):
        now += 0.125
        view.progress("a", "send", done, 10_000)
    assert [(event["stage"], event["done"]) for event in said[:3]] == [("connect", 0), ("send", 0), ("send", 800)]
    assert len(said) == 15
    assert (said[-1]["done"], said[-1]["total"]) == (10_000, 10_000)
    view.finished("a", LinkError("cut"))
    view.finished("b", AgentMissingError("none"))
    view.finished("c", PushResult("c", "id", "m", 1, "ab", "cd", "pending", 1, 2, 0, 0, 0.5))
    assert [event["event"] for event in said[15:]] == ["error", "error", "result"]
    assert [event.get("kind") for event in said[15:]] == ["link", "agent-missing", None]
    assert json.loads(json.dumps(said[-1]))["manifest"] == "cd"
