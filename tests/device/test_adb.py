"""Over the real adb, client and server, to a stand-in for a device's daemon: the stream first, then pushes."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from device import pushes
from device.adb_world import adb_server, device
from device.device_side import read_one, wait_until_free, write_edgert, write_program

from edgert.cli.main import run
from edgert.device import push
from edgert.device.address import AdbAddress
from edgert.device.errors import AgentMissingError, LinkError
from edgert.device.listing import adb_devices
from edgert.device.transports.adb import open_adb


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path]]:
    """The serial number and the home of a device that adb has."""
    with adb_server(tmp_path / "adb", monkeypatch), device(tmp_path / "phone") as serial:
        yield serial, tmp_path / "phone"


def test_bytes_pass_unaltered(phone: tuple[str, Path]) -> None:
    serial, home = phone
    agent = str(write_program(home / "echo", 'printf "%s|" "$@"\nexec cat'))
    data = bytes(range(256)) * 16 + random.Random(6).randbytes(1 << 20) + b"\r\n\x04\x1a"

    async def exchange() -> bytes:
        stream = await open_adb(AdbAddress(serial, home="~/a b'c", agent=agent))
        received = bytearray()
        try:
            async with asyncio.timeout(60):

                async def write() -> None:
                    for start in range(0, len(data), 50_000):
                        await stream.write(data[start : start + 50_000])

                writing = asyncio.create_task(write())
                while not received.endswith(data):
                    piece = await stream.read()
                    assert piece, "the stream ended"
                    received.extend(piece)
                await writing
        finally:
            await stream.close()
        return bytes(received.removesuffix(data))

    assert asyncio.run(exchange()).decode() == f"\0agent|--stdio|--home|{home}/a b'c|"


def test_adb_devices_are_listed(phone: tuple[str, Path]) -> None:
    (found,) = adb_devices()
    assert (found.address, found.state, found.description) == (f"adb:{phone[0]}", "device", "Stand In")


def test_no_agent_on_the_device(phone: tuple[str, Path]) -> None:
    with pytest.raises(AgentMissingError, match=r"no `/none/edgert` on the device; install it there"):
        asyncio.run(read_one(AdbAddress(agent="/none/edgert")))  # the only device there is


def test_an_agent_that_fails_says_why(phone: tuple[str, Path]) -> None:
    serial, home = phone
    agent = write_program(home / "failing", "echo edgert: no room for its home >&2; exit 2")
    with pytest.raises(LinkError, match="the agent ended with code 2: edgert: no room for its home"):
        asyncio.run(read_one(AdbAddress(serial, agent=str(agent))))


def test_a_device_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with adb_server(tmp_path / "adb", monkeypatch):
        assert adb_devices() == []
        with pytest.raises(LinkError, match=r"no devices.*found; connect one with USB debugging"):
            asyncio.run(read_one(AdbAddress()))
        with pytest.raises(LinkError, match=r"device 'R3CX' not found; `adb devices` lists"):
            asyncio.run(read_one(AdbAddress("R3CX")))


def test_several_devices_want_one_named(
    phone: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        device(tmp_path / "second") as _second,
        pytest.raises(LinkError, match=r"more than one device.*say which, as adb:SERIAL"),
    ):
        asyncio.run(read_one(AdbAddress()))


def test_a_device_from_before_the_second_shell_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        adb_server(tmp_path / "adb", monkeypatch),
        device(tmp_path / "old", "--features", "cmd") as serial,
        pytest.raises(LinkError, match="before Android 7"),
    ):
        asyncio.run(read_one(AdbAddress(serial)))


def test_a_device_that_is_pulled_out(phone: tuple[str, Path]) -> None:
    """adb ends as if all were well: so does the stream."""
    serial, home = phone
    agent = str(write_program(home / "echo", "exec cat"))

    async def pulled() -> bytes:
        stream = await open_adb(AdbAddress(serial, agent=agent))
        try:
            async with asyncio.timeout(60):
                await stream.read()
                subprocess.run(["adb", "disconnect", serial], check=True, capture_output=True, timeout=60)
                return await stream.read()
        finally:
            await stream.close()

    assert asyncio.run(pulled()) == b""


def test_without_adb(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("ANDROID_HOME", "ANDROID_SDK_ROOT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(LinkError, match="install Android's platform-tools"):
        asyncio.run(open_adb(AdbAddress()))


def test_push_verify_and_activate(
    phone: tuple[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a person does it, with edgert in the path of the device's shell and its usual home there."""
    from edgert.store.home import Home
    from edgert.store.slot import Slot

    serial, device_home = phone
    write_edgert(device_home / "bin")
    key = pushes.key()
    key.save(tmp_path / "key.pem")
    home = pushes.home(device_home / ".local" / "state" / "edgert", key)
    package = pushes.package(tmp_path / "classifier.ert", 1_000_000)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    def edgert(*words: str) -> str:
        capfd.readouterr()
        code = run(words)
        said = capfd.readouterr()
        assert code == 0, said
        return said.out

    def ask(*words: str) -> object:
        return json.loads(edgert("device", *words, "--json"))

    pushed = edgert("push", str(package), f"adb:{serial}", "--key", str(tmp_path / "key.pem"), "--no-activate")
    heads, row = pushed.splitlines()
    assert heads.split() == ["target", "model", "counter", "state", "size", "sent", "was", "there", "seconds"]
    assert row.split()[:2] == [f"adb:{serial}", "classifier"]
    assert "verified" in row
    slot = Slot(Home(home), "classifier")
    assert slot.state().current is None
    assert edgert("device", "activate", f"adb:{serial}").endswith(" is pending\n")
    counter = slot.state().current
    assert counter is not None
    assert slot.package(counter).read_bytes() == package.read_bytes()
    status = ask("status", f"adb:{serial}")
    assert isinstance(status, dict)
    assert [(model["name"], model["state"]) for model in status["models"]] == [("classifier", "pending")]
    confirmed = ask("confirm", f"adb:{serial}", "classifier")
    assert isinstance(confirmed, dict)
    assert (confirmed["state"], confirmed["counter"]) == ("confirmed", counter)
    assert "classifier" in edgert("device", "log", f"adb:{serial}")
    # What is current is not pushed again.
    again = edgert("push", str(package), f"adb:{serial}", "--key", str(tmp_path / "key.pem"), "--json")
    events = [json.loads(line) for line in again.splitlines()]
    assert [event["event"] for event in events if event["event"] != "progress"] == ["result", "done"]
    assert [event["bytes_sent"] for event in events if event["event"] == "result"] == [0]


def test_resume_after_the_cable_was_pulled(phone: tuple[str, Path], tmp_path: Path) -> None:
    serial, device_home = phone
    write_edgert(device_home / "bin")
    key = pushes.key()
    home = pushes.home(device_home / "models", key)
    where = f"adb:{serial}?home={home}"
    package = pushes.package(tmp_path / "classifier.ert", 3_600_000)
    half = package.stat().st_size // 2
    pulled = False

    def progress(stage: str, done: int, total: int | None) -> None:
        nonlocal pulled
        if stage == "send" and done > half and not pulled:
            pulled = True
            subprocess.run(["adb", "disconnect", serial], check=True, capture_output=True, timeout=60)

    with pytest.raises(LinkError, match="again"):
        push(package, where, key, progress=progress)
    subprocess.run(["adb", "connect", serial], check=True, capture_output=True, timeout=60)
    subprocess.run(["adb", "-s", serial, "wait-for-device"], check=True, capture_output=True, timeout=60)
    wait_until_free(home)
    result = push(package, where, key)
    assert result.resumed_from > half - (1 << 16)
    assert result.state == "pending"
