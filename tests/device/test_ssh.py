"""Over a real sshd: the stream first, then pushes."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from device.device_side import write_program
from device.sshd import Sshd, require_sshd, write_ssh

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


async def read_one(address: SshAddress) -> bytes:
    stream = await open_ssh(address)
    try:
        async with asyncio.timeout(60):
            await stream.read()  # the first byte is the way's own
            return await stream.read()
    finally:
        await stream.close()


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
