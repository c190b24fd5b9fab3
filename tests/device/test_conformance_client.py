"""Our client against a server that is made of PyPI's smp, over a real pty, in both framings."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cbor2
import pytest
from device.edgert_messages import Activate, Offer, Status, Verify
from device.pushes import key, package
from device.smp_peer import Peer, PeerError
from smp.file_management import FS_MGMT_ERR
from smpclient.requests.file_management import FileDownload, FileUpload
from smpclient.requests.os_management import EchoWrite

from edgert.device import PushOptions, RefusedError, confirm, push, rollback, status
from edgert.device.client import Client
from edgert.device.connect import open_stream
from edgert.device.source import PlainSource
from edgert.smp.groups import FsCommand, FsError, Group, MgmtError, OsCommand, RefusalCode
from edgert.smp.message import Op

FRAMINGS = ["cobs", "console"]
BOOT = b"\r\n[    1.234567] usb 1-1: new high-speed USB device\r\nraspberrypi login: "
PATIENCE_S = 20.0


def whole(body: Mapping[str, Any]) -> dict[str, Any]:
    return dict(body)


async def exercise(peer: Peer) -> None:
    content = bytes(range(256)) * 40
    async with Client(await open_stream(peer.address()), PATIENCE_S) as client:
        assert (client.parameters.buf_size, client.parameters.buf_count) == (peer.buf_size, peer.buf_count)
        echo = await client.request(Op.WRITE, Group.OS, OsCommand.ECHO, {"d": "hello \n\0"}, whole)
        assert echo == {"r": "hello \n\0"}

        await client.upload(
            PlainSource(content),
            0,
            (Group.FS, FsCommand.FILE),
            lambda offset: {"name": "/lfs/x", **({"len": len(content)} if offset == 0 else {})},
        )
        assert peer.files["/lfs/x"] == content
        assert await client.download("/lfs/x") == content

        async def ask(op: Op, command: FsCommand, **body: Any) -> dict[str, Any]:
            return await client.request(op, Group.FS, command, body, whole)

        assert await ask(Op.READ, FsCommand.STATUS, name="/lfs/x") == {"len": len(content)}
        found = await ask(Op.READ, FsCommand.HASH, name="/lfs/x", type="sha256")
        assert found["output"] == hashlib.sha256(content).digest()
        assert "crc32" in (await ask(Op.READ, FsCommand.HASH_TYPES))["types"]
        assert await ask(Op.WRITE, FsCommand.CLOSE) == {}

        with pytest.raises(RefusedError) as missing:
            await client.download("/lfs/y")
        assert (missing.value.group, missing.value.rc) == (Group.FS, FsError.FILE_NOT_FOUND)
        assert FS_MGMT_ERR.FILE_NOT_FOUND == FsError.FILE_NOT_FOUND
        with pytest.raises(RefusedError) as unknown:
            await client.request(Op.READ, 1000, 7, {}, whole)
        assert unknown.value.rc == MgmtError.NOT_SUPPORTED


@pytest.mark.parametrize("buf_size", [384, 4096])
@pytest.mark.parametrize("framing", FRAMINGS)
def test_the_groups_that_all_devices_have(framing: str, buf_size: int) -> None:
    with Peer(framing, buf_size) as peer:
        asyncio.run(exercise(peer))
    assert {type(request) for request in peer.requests} > {EchoWrite, FileUpload, FileDownload}


@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_push(framing: str, tmp_path: Path) -> None:
    """Whole, to a device with Zephyr's default buffers that also writes its log to the line."""
    file = package(tmp_path / "digits.ert", 20_000)
    signer = key()
    with Peer(framing) as peer:
        peer.says_before = BOOT if framing == "console" else b"\0" + BOOT + b"\0"
        options = PushOptions(golden=0, patience=PATIENCE_S)
        result = push(file, peer.address(), signer, options)
        found = status(peer.address(), PATIENCE_S)
        assert confirm(peer.address(), patience=PATIENCE_S).state == "confirmed"
        with pytest.raises(RefusedError, match="one generation only") as refused:
            rollback(peer.address(), patience=PATIENCE_S)
        again = push(file, peer.address(), signer, options)
    assert refused.value.rc == RefusalCode.NOTHING_TO_ROLL_BACK
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    assert peer.files == {f"/edgert/{sha256}": file.read_bytes()}
    assert (result.state, result.name, result.sha256) == ("pending", "digits", sha256)
    assert result.counter == peer.manifest["counter"] == found.models[0].counter == again.counter
    assert found.device.id == "0123456789abcdef"
    offer = cbor2.loads(peer.offer)
    assert signer.sign(offer["manifest"]) == offer["signature"]
    order = [type(request) for request in peer.requests]
    assert order.index(Status) < order.index(Offer) < order.index(FileUpload) < order.index(Verify)
    assert order.index(Verify) < order.index(Activate)
    assert order.count(Activate) == 1, "what is there is not pushed again"


@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_push_that_is_refused(framing: str, tmp_path: Path) -> None:
    file = package(tmp_path / "digits.ert", 4_000)
    with Peer(framing) as peer:
        peer.refuse_offers = PeerError(RefusalCode.UNKNOWN_KEY, Group.EDGERT, "this device trusts another key")
        with pytest.raises(RefusedError, match="this device trusts another key") as refused:
            push(file, peer.address(), key(), PushOptions(golden=0, patience=PATIENCE_S))
    assert refused.value.rc == RefusalCode.UNKNOWN_KEY
    assert not peer.files
