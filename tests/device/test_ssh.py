"""Over a real sshd: the stream first, then pushes."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from device import pushes
from device.device_side import read_one, wait_until_free, write_edgert, write_program
from device.sshd import Sshd, cutting_proxy, require_sshd, write_ssh

from edgert import device
from edgert.cli.main import run
from edgert.device.address import SshAddress
from edgert.device.errors import AgentMissingError, LinkError
from edgert.device.transports.ssh import open_ssh


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    program = require_sshd()
    running = Sshd(tmp_path_factory.mktemp("sshd"), program)
    yield running
    running.stop()


@pytest.fixture
def ssh(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sshd:
    """An ssh in the path that knows this sshd as `device`, and, badly, under other names."""
    (sshd.folder / "nobody").touch()
    hosts = (
        sshd.host("device"),
        sshd.host("stranger", key="stranger_key"),
        sshd.host("unknown", known="nobody"),
        sshd.host("closed", port=1),
        sshd.host("shared") + f"ControlMaster auto\nControlPersist 3\nControlPath {tmp_path}/c\n",
        # What a person's configuration may hold for working there, and what must not get in the way
        sshd.host("worked") + "RequestTTY force\nRemoteCommand top\nLocalForward 127.0.0.1:1 127.0.0.1:1\n",
    )
    write_ssh(tmp_path / "bin", "".join(hosts))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return sshd


@pytest.fixture
def echo(tmp_path: Path) -> str:
    """An agent that gives back what it gets, after it said how it was called."""
    return str(write_program(tmp_path / "echo", 'printf "%s|" "$@"\nexec cat'))


async def exchange(address: SshAddress, data: bytes) -> bytes:
    stream = await open_ssh(address)
    try:
        received = bytearray()

        async def read() -> None:
            while len(received) < len(data) or not received.endswith(data):
                piece = await stream.read()
                assert piece, "the stream ended"
                received.extend(piece)

        async with asyncio.timeout(60):
            reading = asyncio.create_task(read())
            for start in range(0, len(data), 40_000):
                await stream.write(data[start : start + 40_000])
            await reading
        return bytes(received.removesuffix(data))
    finally:
        await stream.close()


@pytest.mark.parametrize("host", ["device", "worked", "shared"])
def test_bytes_pass_unaltered(ssh: Sshd, echo: str, host: str) -> None:
    data = bytes(range(256)) * 16 + random.Random(6).randbytes(1 << 20) + b"\r\n~.\r\n"
    said = asyncio.run(exchange(SshAddress(host, home="/tmp/a b'c", agent=echo), data))
    assert said == b"\0agent|--stdio|--home|/tmp/a b'c|"


def test_home_below_the_users(ssh: Sshd, echo: str) -> None:
    said = asyncio.run(exchange(SshAddress("device", home="~/some where", agent=echo), b"x"))
    assert said.decode() == f"\0agent|--stdio|--home|{Path.home()}/some where|"


def test_no_agent_on_the_device(ssh: Sshd) -> None:
    with pytest.raises(AgentMissingError, match=r"no `/none/edgert` on the device; install it there \(pip install"):
        asyncio.run(read_one(SshAddress("device", agent="/none/edgert")))


def test_an_agent_that_is_too_old(ssh: Sshd, tmp_path: Path) -> None:
    agent = write_program(tmp_path / "old", "echo \"edgert: No such command 'agent'. See edgert --help.\" >&2; exit 2")
    with pytest.raises(AgentMissingError, match="too old"):
        asyncio.run(read_one(SshAddress("device", agent=str(agent))))


def test_an_agent_that_fails_says_why(ssh: Sshd, tmp_path: Path) -> None:
    agent = write_program(tmp_path / "failing", "echo edgert: no room for its home >&2; exit 2")
    with pytest.raises(LinkError, match="the agent ended with code 2: edgert: no room for its home"):
        asyncio.run(read_one(SshAddress("device", agent=str(agent))))


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ("stranger", r"Permission denied.*ssh-copy-id stranger"),
        ("unknown", r"Host key verification failed.*run `ssh unknown` once"),
        ("closed", r"[Cc]onnection refused.*check that sshd runs there"),
        ("no-such-host.invalid", r"Could not resolve.*check the host's name"),
    ],
)
def test_a_host_that_does_not_let_in(ssh: Sshd, host: str, text: str) -> None:
    with pytest.raises(LinkError, match=text) as caught:
        asyncio.run(read_one(SshAddress(host)))
    assert "\n" not in str(caught.value)


def test_without_ssh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LinkError, match="install OpenSSH's client"):
        asyncio.run(open_ssh(SshAddress("device")))
    assert shutil.which("ssh") is None


# --- pushes ---

PACKAGE_BYTES = 3_600_000
CHECKPOINT_BYTES = 1 << 16


@pytest.fixture
def agent(tmp_path: Path) -> str:
    """The command that stands for edgert on the device."""
    return str(write_edgert(tmp_path / "device"))


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pushes.package(tmp_path_factory.mktemp("package") / "classifier.ert", PACKAGE_BYTES)


def installed(home: Path, name: str) -> Path:
    """The file that an application on the device would open."""
    from edgert.store.home import Home
    from edgert.store.slot import Slot

    slot = Slot(Home(home), name)
    current = slot.state().current
    assert current is not None, "nothing is current"
    return slot.package(current)


def nothing_is_current(home: Path, name: str) -> bool:
    from edgert.store.home import Home
    from edgert.store.slot import Slot

    return Slot(Home(home), name).state().current is None


def test_push_and_what_can_be_asked_after_it(ssh: Sshd, agent: str, package: Path, tmp_path: Path) -> None:
    key = pushes.key()
    home = pushes.home(tmp_path / "home", key)
    # A login that greets: what it says is in the stream, before the first frame.
    greeting = write_program(tmp_path / "greeting", f'echo "Welcome! 3 updates"; exec {agent} "$@"')
    where = f"ssh://device{home}?agent={greeting}"
    stages: list[str] = []

    def progress(stage: str, done: int, total: int | None) -> None:
        if not stages or stages[-1] != stage:
            stages.append(stage)

    result = device.push(package, where, key, progress=progress)
    assert (result.name, result.state, result.resumed_from) == ("classifier", "pending", 0)
    assert stages == ["prepare", "connect", "offer", "send", "verify", "activate"]
    assert installed(home, "classifier").read_bytes() == package.read_bytes()

    assert device.push(package, where, key).bytes_sent == 0  # it is there
    second = device.push(package, where, key, device.PushOptions(force=True, activate=False))
    assert second.state == "verified"
    assert second.counter > result.counter
    status = device.status(where)
    assert [(model.name, model.counter, model.state) for model in status.models] == [
        ("classifier", result.counter, "pending")
    ]
    assert [(one.name, one.counter) for one in status.verified] == [("classifier", second.counter)]
    assert device.activate(where).counter == second.counter
    assert device.confirm(where).state == "confirmed"
    assert device.rollback(where).counter == result.counter
    assert f"rolled back from generation {second.counter}" in device.log(where)
    with pytest.raises(device.DeviceError, match=r"verified there: none"):
        device.activate(where)


def kill_sessions(pid: int) -> None:
    """The processes of sshd that serve the one connection there is; the agent finds out by itself."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        if Path(f"/proc/{child}/comm").read_text().startswith("sshd"):  # a monitor and a session, where not for root
            kill_sessions(int(child))
            os.kill(int(child), signal.SIGKILL)


def test_resume_after_the_connection_is_cut(ssh: Sshd, agent: str, package: Path, tmp_path: Path) -> None:
    key = pushes.key()
    home = pushes.home(tmp_path / "home", key)
    with cutting_proxy(ssh.port, PACKAGE_BYTES // 2) as port:
        write_ssh(tmp_path / "bin", ssh.host("device") + ssh.host("cut", port))
        with pytest.raises(LinkError, match=r"again"):
            device.push(package, f"ssh://cut{home}?agent={agent}", key)
    assert nothing_is_current(home, "classifier")
    wait_until_free(home)
    result = device.push(package, f"ssh://device{home}?agent={agent}", key)
    # What was under way in pipes and windows is lost, and at most a checkpoint of what had arrived.
    assert result.resumed_from > PACKAGE_BYTES // 4
    assert result.bytes_sent < package.stat().st_size - result.resumed_from + CHECKPOINT_BYTES
    assert installed(home, "classifier").read_bytes() == package.read_bytes()


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the session's process in /proc")
def test_resume_after_sshd_was_killed(ssh: Sshd, agent: str, package: Path, tmp_path: Path) -> None:
    key = pushes.key()
    home = pushes.home(tmp_path / "home", key)
    where = f"ssh://device{home}?agent={agent}"
    killed = False

    def progress(stage: str, done: int, total: int | None) -> None:
        nonlocal killed
        if stage == "send" and done > PACKAGE_BYTES // 2 and not killed:
            killed = True
            kill_sessions(ssh.process.pid)

    with pytest.raises(LinkError, match=r"again"):
        device.push(package, where, key, progress=progress)
    assert nothing_is_current(home, "classifier")
    wait_until_free(home)
    result = device.push(package, where, key)
    assert result.resumed_from > PACKAGE_BYTES // 2 - CHECKPOINT_BYTES
    assert installed(home, "classifier").read_bytes() == package.read_bytes()


def test_parallel_push_to_twenty_homes(
    ssh: Sshd, agent: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By names of edgert-devices.toml; and one of them, which trusts another key, does not stop the others."""
    key = pushes.key()
    key.save(tmp_path / "key.pem")
    small = pushes.package(tmp_path / "Small.ert", 300_000)
    homes = {f"board-{i:02}": pushes.home(tmp_path / "homes" / f"{i:02}", key) for i in range(20)}
    homes["stranger"] = pushes.home(tmp_path / "homes" / "stranger", pushes.key())
    lines = [f'{name} = "ssh://device{home}?agent={agent}"' for name, home in homes.items()]
    (tmp_path / "edgert-devices.toml").write_text("\n".join(["[devices]", *lines]))
    monkeypatch.chdir(tmp_path)
    assert run(["push", str(small), "--all", "--key", str(tmp_path / "key.pem"), "--json"]) == 1
    said = capfd.readouterr()
    events = [json.loads(line) for line in said.out.splitlines()]
    results = {event["target"]: event for event in events if event["event"] == "result"}
    assert set(results) == set(homes) - {"stranger"}
    assert all(result["state"] == "pending" for result in results.values())
    assert len({result["device"] for result in results.values()}) == 20
    (error,) = (event for event in events if event["event"] == "error")
    assert error["target"] == "stranger"
    assert "does not trust" in error["error"] or "key" in error["error"]
    assert events[-1] == {"event": "done", "pushed": 20, "failed": 1}
    for name, home in homes.items():
        if name != "stranger":
            assert installed(home, "small").read_bytes() == small.read_bytes()
    assert nothing_is_current(homes["stranger"], "small")
