"""PyPI's smpclient against our agent: `edgert agent --tty` in a process of its own, a real pty pair, both framings.

smpclient waits for the answer to each request, takes the agent's buffer sizes from its parameters, and validates every
answer with smp's models, which forbid keys that they do not know.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from device.edgert_messages import Activate, Confirm, Offer, Rollback, Status, StatusResponse, Verify
from device.line_proxy import Line, Pattern
from device.pushes import Agent, home, key, package
from smp.error import MGMT_ERR
from smp.file_management import FS_MGMT_ERR
from smp.header import Version
from smpclient import SMPClient
from smpclient.exceptions import SMPUploadError
from smpclient.requests.file_management import (
    FileClose,
    FileDownload,
    FileHashChecksum,
    FileStatus,
    SupportedFileHashChecksumTypes,
)
from smpclient.requests.os_management import DateTimeRead, EchoWrite, MCUMgrParametersRead
from smpclient.transport import SMPTransport
from smpclient.transport.serial import Cobs, SMPSerialRawTransport, SMPSerialTransport

from edgert.agent.serve import GAP_SECONDS
from edgert.device import status
from edgert.manifest.keys import PrivateKey
from edgert.manifest.manifest import Manifest, describe_object
from edgert.smp import cbor
from edgert.smp.framing import framing
from edgert.smp.groups import Group, RefusalCode
from edgert.smp.message import Header, Message, Op

BAUD = 3_000_000
TIMEOUT_S = 20.0
TRANSPORTS: dict[str, Callable[[], SMPTransport]] = {
    "console": lambda: SMPSerialTransport(baudrate=BAUD),
    "cobs": lambda: SMPSerialRawTransport(mtu=4096, framing=Cobs(), baudrate=BAUD),
}
Answer = TypeVar("Answer")


class World:
    """An agent, its home, and what smpclient says to it."""

    def __init__(self, folder: Path, port: Path, signer: PrivateKey) -> None:
        self.folder, self.port, self.signer = folder, port, signer

    def run(self, transport: str, talk: Callable[[SMPClient], Awaitable[None]]) -> None:
        async def connected() -> None:
            async with SMPClient(TRANSPORTS[transport](), str(self.port), TIMEOUT_S) as client:
                await talk(client)

        asyncio.run(asyncio.wait_for(connected(), 3 * TIMEOUT_S))

    def offer(self, data: bytes, counter: int) -> tuple[bytes, bytes]:
        """(what is offered, SHA-256 of its manifest)."""
        manifest = Manifest(
            name="digits",
            key_id=self.signer.key_id,
            counter=counter,
            objects=(describe_object("package", data, 4096),),
            runtime="0.1",
        ).to_bytes()
        blob = cbor.encode({"manifest": manifest, "signature": self.signer.sign(manifest)})
        return blob, hashlib.sha256(manifest).digest()


@pytest.fixture
def world(tmp_path: Path) -> Any:
    signer = key()
    with (
        Line(tmp_path / "line", Pattern(baud=BAUD)) as line,
        Agent(line.device, home(tmp_path / "home", signer), BAUD),
    ):
        status(f"serial:{line.host}?baud={BAUD}", TIMEOUT_S)  # it has started: what comes before that is lost
        yield World(tmp_path, line.host, signer)


async def ask(client: SMPClient, request: Any) -> Any:
    return await client.request(request)


async def offer(client: SMPClient, blob: bytes) -> Any:
    offset, piece = 0, client._transport.max_unencoded_size - 64
    while True:
        length = {"len": len(blob)} if offset == 0 else {}
        answer = await ask(client, Offer(off=offset, data=blob[offset : offset + piece], **length))
        if not isinstance(answer, Offer(off=0, data=b"")._Response) or answer.off == len(blob):
            return answer
        offset = answer.off


async def install(client: SMPClient, world: World, data: bytes, counter: int) -> bytes:
    """A push, step by step; the manifest's SHA-256."""
    blob, manifest = world.offer(data, counter)
    name = f"/edgert/{hashlib.sha256(data).hexdigest()}"
    offered = await offer(client, blob)
    assert (offered.off, offered.state) == (len(blob), "receiving")
    assert [(one.sha256, one.have) for one in offered.need] == [(hashlib.sha256(data).digest(), 0)]
    offsets = [offset async for offset in client.upload_file(data, name)]
    assert offsets == sorted(set(offsets))
    assert offsets[-1] == len(data)
    assert (await ask(client, FileStatus(name=name))).len == len(data)
    assert (await ask(client, Verify())).state == "verifying"
    while (found := await ask(client, Status())).state == "verifying":
        await asyncio.sleep(0.05)
    assert isinstance(found, StatusResponse)
    assert found.state == "verified", found.detail
    assert [one.counter for one in found.verified] == [counter]
    activated = await ask(client, Activate(manifest=manifest))
    assert (activated.state, activated.name, activated.counter) == ("pending", "digits", counter)
    return manifest


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_groups_that_all_devices_have(world: World, transport: str) -> None:
    async def talk(client: SMPClient) -> None:
        parameters = await ask(client, MCUMgrParametersRead())
        assert parameters.buf_size >= 1024
        assert parameters.buf_count >= 1
        if transport == "console":
            assert client._transport.max_unencoded_size == parameters.buf_size - 4
        most = client._transport.max_unencoded_size
        for text in ("", "hello", "grüß \n\0\x06\x09\x04\x14", "x" * (most - 32)):
            assert (await ask(client, EchoWrite(d=text))).r == text
        assert (await ask(client, EchoWrite(d="old", version=Version.V1))).r == "old"

        types = (await ask(client, SupportedFileHashChecksumTypes())).types
        assert {name: (int(one.format), one.size) for name, one in types.items()} == {
            "sha256": (1, 32),
            "crc32": (0, 4),
        }
        assert isinstance(await ask(client, FileClose()), FileClose()._Response)

        unknown = await ask(client, DateTimeRead())
        assert unknown.rc == MGMT_ERR.ENOTSUP
        missing = await ask(client, FileStatus(name=f"/edgert/{'0' * 64}"))
        assert (missing.err.group, missing.err.rc) == (Group.FS, FS_MGMT_ERR.FILE_NOT_FOUND)
        old = await ask(client, FileStatus(name=f"/edgert/{'0' * 64}", version=Version.V1))
        assert isinstance(old, FileStatus(name="")._ErrorV1)
        for name in ("/etc/passwd", "../x", "/edgert/../../x", "", f"/edgert/{'0' * 64}"):
            with pytest.raises(SMPUploadError):
                async for _ in client.upload_file(b"nothing of this is stored", name):
                    pass
        assert (await ask(client, FileDownload(off=0, name="/etc/passwd"))).err.rc == FS_MGMT_ERR.FILE_INVALID_NAME

    world.run(transport, talk)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_push(world: World, transport: str, tmp_path: Path) -> None:
    first = package(tmp_path / "first.ert", 60_000, 1).read_bytes()
    second = package(tmp_path / "second.ert", 60_000, 2).read_bytes()

    async def talk(client: SMPClient) -> None:
        found = await ask(client, Status())
        assert (found.state, found.models) == ("idle", [])
        assert found.device.keys == [world.signer.key_id]

        manifest = await install(client, world, first, 5)
        assert (await ask(client, Confirm(name="digits"))).state == "confirmed"
        await install(client, world, second, 6)
        model = (await ask(client, Status())).models[0]
        assert (model.name, model.state, model.counter, model.previous) == ("digits", "pending", 6, 5)
        back = await ask(client, Rollback(name="digits", counter=6))
        assert back.counter == 5
        model = (await ask(client, Status())).models[0]
        assert (model.state, model.counter, model.sha256) == ("confirmed", 5, manifest)

        name = f"/edgert/{hashlib.sha256(first).hexdigest()}"
        assert await client.download_file(name) == first
        assert (await ask(client, FileHashChecksum(name=name, type="sha256"))).output == hashlib.sha256(first).digest()
        part = await ask(client, FileHashChecksum(name=name, type="crc32", off=100, len=1000))
        assert (part.output, part.off, part.len) == (zlib.crc32(first[100:1100]), 100, 1000)
        assert b"digits" in await client.download_file("/edgert/log")

    world.run(transport, talk)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_offers_that_are_refused(world: World, transport: str) -> None:
    blob, _ = world.offer(b"x" * 5000, 3)

    async def talk(client: SMPClient) -> None:
        refused = await offer(client, blob[:-1] + bytes((blob[-1] ^ 1,)))
        assert (refused.err.group, refused.err.rc) == (Group.EDGERT, RefusalCode.BAD_SIGNATURE)
        assert refused.rsn
        stranger = World(world.folder, world.port, key())
        refused = await offer(client, stranger.offer(b"x" * 5000, 3)[0])
        assert refused.err.rc == RefusalCode.UNKNOWN_KEY
        nothing = await ask(client, Rollback(name="digits", counter=1))
        assert nothing.err.rc in (RefusalCode.NO_MODEL, RefusalCode.NOTHING_TO_ROLL_BACK)

    world.run(transport, talk)


def test_a_console_is_heard_after_cobs_was_cut_off(world: World) -> None:
    """A frame of COBS that never ends would hold all that a console says; it is given up after a pause."""
    frame = framing("cobs").encode(Message(Header(Op.WRITE, Group.OS, 0), {"d": "x" * 3000}).to_bytes())
    with world.port.open("wb", buffering=0) as port:
        port.write(frame[:1000])
    time.sleep(GAP_SECONDS + 1.0)

    async def talk(client: SMPClient) -> None:
        assert (await client.request(EchoWrite(d="hello"), timeout_s=5.0)).r == "hello"

    began = time.monotonic()
    world.run("console", talk)
    assert time.monotonic() - began < TIMEOUT_S, "the first request was not heard"


def test_one_agent_hears_both_framings_in_turn(world: World) -> None:
    async def talk(client: SMPClient) -> None:
        assert (await ask(client, EchoWrite(d="hello"))).r == "hello"

    for transport in (*TRANSPORTS, *TRANSPORTS):
        world.run(transport, talk)
