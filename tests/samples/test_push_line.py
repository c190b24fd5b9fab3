"""samples/firmware/push_line.py: real agents at real ptys; boards that come late, refuse, or do not answer."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from device.adb_world import adb_server
from device.adb_world import device as adb_device
from device.device_side import write_edgert
from device.line_proxy import Line, Pattern
from device.pushes import Agent, home, key, package, wait_until
from sample_runs import FIRMWARE, Ended, ended, environment, run, start

from edgert import device
from edgert.manifest.keys import PrivateKey

BAUD = 3_000_000
PUSH_LINE = FIRMWARE / "push_line.py"


class Bench:
    """A desk with a model, a key, and boards at serial lines."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = key()
        self.key.save(folder / "line.pem")
        self.model = package(folder / "model.ert", 30_000)
        self._open = ExitStack()

    def board(self, name: str, trusted: PrivateKey | None = None, baud: int = BAUD, agent: bool = True) -> Path:
        """A board that trusts this key, by default the line's; the host's end of its line."""
        line = self._open.enter_context(Line(self.folder / name, Pattern(baud)))
        if agent:
            there = home(self.folder / f"{name}-home", trusted or self.key)
            self._open.enter_context(Agent(line.device, there, baud))
        return line.host

    def words(self, *words: object) -> list[object]:
        return [self.model, "--key", self.folder / "line.pem", "--parallel", 4, *words]

    def run(self, *words: object) -> Ended:
        return run(PUSH_LINE, *self.words(*words), cwd=self.folder)

    def close(self) -> None:
        self._open.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    try:
        yield made
    finally:
        made.close()


def at(line: Path, baud: int = BAUD) -> str:
    return f"serial:{line}?baud={baud}"


def rows(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text())["boards"]
    return found


def test_all_pass_and_are_confirmed(bench: Bench) -> None:
    places = [at(bench.board("one")), at(bench.board("two"))]
    report = bench.folder / "line.csv"
    words = ["--target", places[0], "--target", places[1], "--confirm", "--report", report]
    outcome = bench.run(*words)
    assert (outcome.code, outcome.err) == (0, ""), outcome
    assert outcome.out.splitlines()[-1] == "2 passed, 0 failed"
    assert outcome.out.count("PASS ") == 2
    for place in places:
        (model,) = device.status(place).models
        assert (model.name, model.state) == ("model", "confirmed")

    assert bench.run(*words).code == 0  # what is there already is not sent again
    with report.open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [row["result"] for row in found] == ["pass"] * 4
    assert {row["address"] for row in found} == set(places)
    assert len({row["device"] for row in found}) == 2
    assert all(int(row["bytes_sent"]) > 25_000 for row in found[:2])
    assert all(int(row["bytes_sent"]) == 0 for row in found[2:])
    assert len({row["counter"] for row in found}) <= 2


def test_some_fail(bench: Bench) -> None:
    """One trusts another key, one does not answer; the third passes all the same."""
    refusing, silent = bench.board("refusing", key()), bench.board("silent", agent=False)
    good, report = bench.board("good"), bench.folder / "line.json"
    places = [at(refusing), at(silent), at(good)]
    words = [word for place in places for word in ("--target", place)]
    outcome = bench.run(*words, "--boot", 1, "--report", report)
    assert outcome.code == 1, outcome
    assert outcome.out.splitlines()[-1] == "1 passed, 2 failed"
    found = {row["address"]: row for row in rows(report)}
    assert [found[place]["result"] for place in places] == ["fail", "fail", "pass"]
    assert "key" in found[places[0]]["reason"]
    assert found[places[0]]["attempts"] == 1  # a refusal is final
    assert found[places[1]]["reason"]
    assert found[places[2]]["state"] == "pending"
    assert json.loads(report.read_text())["failed"] == 2


PLUGGED = """
import json, sys
from pathlib import Path
import boards, push_line
from edgert.device.listing import Found

looks = 0

def plugged():
    global looks
    looks += 1
    Path(sys.argv[1]).with_name("looks").write_text(str(looks))
    return [Found("serial", **port) for port in json.loads(Path(sys.argv[1]).read_text())]

boards.serial_ports = plugged
sys.exit(push_line.main(sys.argv[2:]))
"""


def test_boards_that_are_plugged_in_one_after_the_other(bench: Bench) -> None:
    """Ports by USB ids; pyserial lists no ptys, so a file says what is plugged in."""
    ports, report = bench.folder / "ports.json", bench.folder / "lot.json"
    first, second = bench.board("first"), bench.board("second")

    def plug(*there: tuple[Path, str, str]) -> None:
        beside = ports.with_suffix(".new")
        beside.write_text(json.dumps([{"address": f"serial:{a}", "usb": b, "serial_number": c} for a, b, c in there]))
        beside.replace(ports)

    def looks() -> int:
        return int((bench.folder / "looks").read_text() or 0)

    plug((bench.folder / "mouse", "046d:c077", "1"))
    script = bench.folder / "plugged.py"
    script.write_text(PLUGGED)
    env = environment()
    env["PYTHONPATH"] = f"{FIRMWARE}:{env.get('PYTHONPATH', '')}"
    words = bench.words("--usb", "0403:6001", "--usb", "10c4:ea60", "--baud", BAUD, "--expect", 3, "--report", report)
    process = start(script, ports, *words, cwd=bench.folder, env=env)
    try:
        wait_until(report.exists)
        plug((first, "0403:6001", "FT1"))
        wait_until(lambda: len(rows(report)) == 1, 60)
        plug((first, "0403:6001", "FT1"), (second, "10c4:ea60", "CP2"))  # the first one stays, and is not pushed again
        wait_until(lambda: len(rows(report)) == 2, 60)
        plug((second, "10c4:ea60", "CP2"))
        before = looks()
        wait_until(lambda: looks() >= before + 2, 60)  # it sees that the place is free
        plug((first, "0403:6001", "FT1"), (second, "10c4:ea60", "CP2"))  # another board at the same place
        outcome = ended(process)
    finally:
        process.kill()
    assert outcome.code == 0, outcome
    assert [row["serial"] for row in rows(report)] == ["FT1", "CP2", "FT1"]
    assert [row["result"] for row in rows(report)] == ["pass"] * 3
    assert rows(report)[0]["address"] == f"serial:{first}?baud={BAUD}"


def test_phones(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever adb has, over the real adb and a stand-in for a device's daemon."""
    phone, report = bench.folder / "phone", bench.folder / "phones.json"
    with adb_server(bench.folder / "adb", monkeypatch), adb_device(phone) as serial:
        write_edgert(phone)
        there = home(phone / "models", bench.key)
        outcome = bench.run("--adb", f"home={there}&agent={phone / 'edgert'}", "--expect", 1, "--report", report)
    assert outcome.code == 0, outcome
    (row,) = rows(report)
    assert (row["serial"], row["result"]) == (serial, "pass")


def test_an_interruption_is_reported(bench: Bench) -> None:
    place, report = at(bench.board("slow", baud=9600), 9600), bench.folder / "line.json"
    process = start(PUSH_LINE, *bench.words("--target", place, "--report", report), cwd=bench.folder)
    try:
        staging = bench.folder / "slow-home" / "staging"
        wait_until(lambda: staging.is_dir() and any(staging.iterdir()), 60)
        process.send_signal(signal.SIGINT)
        outcome = ended(process, 60)
    finally:
        process.kill()
    assert outcome.code == 1, outcome
    (row,) = rows(report)
    assert (row["result"], row["reason"]) == ("fail", "interrupted before it was done; push again to resume")


def test_too_few_boards_come(bench: Bench) -> None:
    outcome = bench.run("--usb", "ffff:0001", "--expect", 2, "--seconds", 1)
    assert outcome.code == 1, outcome
    assert outcome.out.splitlines()[-1] == "0 passed, 0 failed, 2 did not come"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "say where boards are: --usb, --adb or --target"),
        (("--target", "serial:"), "serial:"),
        (("--target", "pigeon:7"), "pigeon:7"),
        (("--target", "serial:/dev/ttyUSB0", "--report", "line.txt"), "needed a name that ends in .csv or .json"),
        (("--target", "serial:/dev/ttyUSB0", "--report", "nowhere/line.csv"), "there is no folder nowhere"),
        (("--target", "serial:/dev/ttyUSB0", "--report", "other.csv"), "other.csv holds something else"),
        (("--target", "serial:/dev/ttyUSB0", "--key", "missing.pem"), "missing.pem"),
        (("--target", "serial:/dev/ttyUSB0", "--for", "toaster"), "there is no target 'toaster'"),
    ],
)
def test_wrong_use(bench: Bench, words: tuple[str, ...], message: str) -> None:
    (bench.folder / "other.csv").write_text("a,b\n1,2\n")
    outcome = bench.run(*words)
    assert outcome.code == 2
    assert message in outcome.err.splitlines()[-1]


def test_what_is_no_package(bench: Bench) -> None:
    bench.model.write_bytes(b"no package at all")
    outcome = bench.run("--target", "serial:/dev/ttyUSB0")
    assert outcome.code == 2
    assert outcome.err.startswith("push_line: ")


def test_the_table_on_a_terminal(bench: Bench) -> None:
    pytest.importorskip("rich", reason="needs rich")
    place = at(bench.board("one"))
    ours, theirs = pty.openpty()
    command = [sys.executable, str(PUSH_LINE), *map(str, bench.words("--target", place))]
    env = environment(TERM="xterm-256color", COLUMNS="120")
    process = subprocess.Popen(
        command, cwd=bench.folder, env=env, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    try:
        said = b""
        with contextlib.suppress(OSError):  # EIO: the last that held the terminal is gone
            while data := os.read(ours, 65536):
                said += data
        assert process.wait(60) == 0, said
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert b"PASS" in said
    assert b"1 passed, 0 failed" in said
    assert b"\x1b[" in said  # drawn, not printed
