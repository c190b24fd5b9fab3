"""What the server answers to messages: bodies, errors, and garbage."""

from __future__ import annotations

import hashlib
import random
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from agent.pushing import CHUNK, Client, ReplyError, new_home, new_session, package

from edgert.agent.server import BUF_COUNT, BUF_SIZE, Server
from edgert.manifest.keys import new_key
from edgert.smp import cbor
from edgert.smp.groups import EdgertCommand, FsCommand, FsError, Group, MgmtError, OsCommand
from edgert.smp.groups import RefusalCode as Rc
from edgert.smp.message import V1, V2, Header, Message, Op
from edgert.store.home import Home

DATA = bytes(range(256)) * 40
KEY = new_key()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return new_home(tmp_path / "home", KEY)


@pytest.fixture
def server(home: Home) -> Server:
    return Server(new_session(home, target="raspberry-pi-4"))


@pytest.fixture
def client(server: Server) -> Client:
    return Client.of(server)


def refused(client: Client, op: Op, group: int, command: int, body: dict[str, Any]) -> ReplyError:
    with pytest.raises(ReplyError) as caught:
        client.request(op, group, command, body)
    return caught.value


# --- group 0 ---


def test_echo_and_parameters(client: Client) -> None:
    assert client.request(Op.WRITE, Group.OS, OsCommand.ECHO, {"d": "ünï"}) == {"r": "ünï"}
    assert client.request(Op.READ, Group.OS, OsCommand.PARAMETERS) == {"buf_size": BUF_SIZE, "buf_count": BUF_COUNT}


def test_unknown_commands(client: Client) -> None:
    for op, group, command in (
        (Op.READ, Group.OS, 99),
        (Op.WRITE, Group.OS, OsCommand.PARAMETERS),
        (Op.WRITE, 1, 0),
        (Op.READ, Group.EDGERT, EdgertCommand.ACTIVATE),
        (Op.WRITE, 65535, 255),
    ):
        error = refused(client, op, group, command, {})
        assert (error.group, error.rc) == (None, MgmtError.NOT_SUPPORTED)


# --- group 237 ---


def test_status_tells_what_the_device_is(client: Client, home: Home) -> None:
    status = client.status()
    assert status["state"] == "idle"
    assert status["models"] == []
    assert "progress" not in status
    device = dict(status["device"])
    assert device.pop("zstd") in (True, False)
    assert device == {
        "id": home.id,
        "target": "raspberry-pi-4",
        "architecture": "aarch64",
        "instruction_sets": "neon neondot",
        "memory_bytes": 1 << 30,
        "page_size": 4096,
        "cores": 4,
        "runtime": "0.1.0",
        "agent": 1,
        "keys": [KEY.key_id],
    }


def test_a_whole_push(client: Client, home: Home) -> None:
    pushed = package(KEY, DATA, 3)
    answer = client.offer(pushed, piece=100)
    assert answer["state"] == "receiving"
    assert answer["need"] == [{"sha256": pushed.entry.sha256, "have": 0}]
    client.write(pushed.entry.sha256, 0, DATA[:5000], len=len(DATA))
    assert client.status()["progress"] == {"done": 5000, "total": len(DATA)}
    assert client.offer(pushed)["need"] == [{"sha256": pushed.entry.sha256, "have": CHUNK}]
    client.upload(pushed)
    assert client.status()["state"] == "received"
    assert client.verify()["state"] == "verified"
    assert client.activate(pushed) == {"state": "pending", "name": "digits", "counter": 3}
    assert client.status()["models"] == [
        {
            "name": "digits", "state": "pending", "counter": 3, "sha256": pushed.sha256, "loads": 0, "trials": 3,
            "previous": None,
        }
    ]  # fmt: skip
    assert client.own(EdgertCommand.CONFIRM, {"name": "digits"}) == {"state": "confirmed"}
    newer = package(KEY, DATA[::-1], 9)
    client.push(newer)
    assert client.status()["models"][0]["previous"] == 3
    rollback = {"name": "digits", "counter": 9}
    for _ in range(2):
        assert client.own(EdgertCommand.ROLLBACK, rollback) == {"state": "confirmed", "counter": 3}
    assert client.status()["state"] == "reverted"


def test_reasons_are_told(client: Client) -> None:
    stranger = new_key()
    with pytest.raises(ReplyError) as caught:
        client.offer(package(stranger, DATA))
    assert (caught.value.group, caught.value.rc) == (Group.EDGERT, Rc.UNKNOWN_KEY)
    assert stranger.key_id.hex() in caught.value.reason
    assert client.status()["detail"].endswith(caught.value.reason)


def test_an_offer_in_pieces_that_come_twice_or_out_of_order(client: Client) -> None:
    pushed = package(KEY, DATA)
    blob = pushed.blob()

    def piece(at: int, end: int) -> Any:
        body: dict[str, Any] = {"off": at, "data": blob[at:end]}
        return client.own(EdgertCommand.OFFER, body if at else {**body, "len": len(blob)})

    assert piece(50, 100) == {"off": 0}  # nothing began
    assert piece(0, 100) == {"off": 100}
    assert piece(200, 300) == {"off": 100}
    assert piece(100, 200) == {"off": 200}
    assert piece(100, 200) == {"off": 200}
    answer = piece(200, len(blob))
    assert answer["off"] == len(blob)
    assert answer["state"] == "receiving"
    assert piece(200, len(blob)) == answer  # the answer was lost
    assert piece(0, 50) == {"off": 50}  # another begins, and the push goes on meanwhile
    client.write(pushed.entry.sha256, 0, DATA[:100])
    assert client.status()["progress"] == {"done": 100, "total": len(DATA)}


def test_offers_that_are_none(client: Client) -> None:
    def offer(data: bytes, length: int | None = None) -> ReplyError:
        body = {"off": 0, "data": data, "len": len(data) if length is None else length}
        return refused(client, Op.WRITE, Group.EDGERT, EdgertCommand.OFFER, body)

    assert offer(b"", 0).rc == Rc.BAD_REQUEST
    assert "1 to 1048576" in offer(b"x", (1 << 20) + 1).reason
    assert "1048577" in offer(b"x", (1 << 20) + 1).reason
    assert offer(b"x", 1 << 62).rc == Rc.BAD_REQUEST
    assert offer(b"xy", 1).rc == Rc.BAD_REQUEST
    assert offer(b"\xff").rc == Rc.BAD_REQUEST
    assert offer(cbor.encode({"manifest": b""})).rc == Rc.BAD_REQUEST
    assert offer(cbor.encode({"manifest": "text", "signature": b""})).rc == Rc.BAD_REQUEST
    assert offer(cbor.encode({"manifest": b"", "signature": b""})).rc == Rc.BAD_MANIFEST
    assert refused(client, Op.WRITE, Group.EDGERT, EdgertCommand.OFFER, {"off": 0, "data": b"x"}).rc == Rc.BAD_REQUEST
    assert client.status()["state"] == "idle"


def test_fields_of_other_types(client: Client) -> None:
    bad: list[Any] = [None, -1, 1.5, True, "text", b"bytes", [], {}]
    fields = {
        (Group.EDGERT, EdgertCommand.OFFER): {"off": 0, "data": b"", "len": 1},
        (Group.EDGERT, EdgertCommand.ACTIVATE): {"manifest": bytes(32)},
        (Group.EDGERT, EdgertCommand.CONFIRM): {"name": "digits"},
        (Group.EDGERT, EdgertCommand.ROLLBACK): {"name": "digits", "counter": 1},
        (Group.FS, FsCommand.FILE): {"name": f"/edgert/{'0' * 64}", "off": 0, "data": b""},
        (Group.OS, OsCommand.ECHO): {"d": "x"},
    }
    for (group, command), body in fields.items():
        for name, value in body.items():
            for other in bad:
                if type(other) is not type(value) or other == -1:
                    with pytest.raises(ReplyError) as caught:
                        client.request(Op.WRITE, group, command, {**body, name: other})
                    assert caught.value.rc in (MgmtError.INVALID, Rc.BAD_REQUEST, FsError.FILE_INVALID_NAME)


def test_status_fits_a_frame_with_many_models(home: Home) -> None:
    session = new_session(home)
    session.detail = "é" * 5000
    server = Server(session, buf_size=4096)
    client = Client.of(server)
    for number in range(30):
        client.push(package(KEY, b"x", 1, name=f"model-{number:02}-{'n' * 50}"))
    session.detail = "é" * 5000
    answer = server.handle(Message(Header(Op.READ, Group.EDGERT, EdgertCommand.STATUS)).to_bytes())
    assert answer is not None
    assert len(answer) <= 4096
    models = Message.from_bytes(answer).body["models"]
    assert 5 < len(models) < 30
    assert models[0]["name"].startswith("model-29")  # the one pushed last


# --- group 8 ---


@pytest.mark.parametrize("name", [
    "../../etc/passwd", "/edgert/../id", "/edgert/log/../id", "/etc/passwd", "edgert/" + "0" * 64, "/edgert/",
    "/edgert/" + "0" * 63, "/edgert/" + "0" * 65, "/edgert/" + "A" * 64, "/edgert/" + "0" * 64 + "/",
    "/edgert/" + "0" * 64 + ".zst.zst", "/edgert/" + "0" * 64 + "\n", "/edgert/" + "\u0660" * 64, "",
    "/" * 4000, "/edgert/" + "0" * 8000, "/edgert/" + "\0" * 64, "/edgert/id",
])  # fmt: skip
def test_path_tricks(client: Client, home: Home, name: str) -> None:
    pushed = package(KEY, DATA)
    client.offer(pushed)
    body = {"name": name, "off": 0, "data": b"evil"}
    for op, command in (
        (Op.WRITE, FsCommand.FILE), (Op.READ, FsCommand.FILE), (Op.READ, FsCommand.STATUS), (Op.READ, FsCommand.HASH),
    ):  # fmt: skip
        error = refused(client, op, Group.FS, command, body)
        assert (error.group, error.rc) == (Group.FS, FsError.FILE_INVALID_NAME)
        assert error.reason == ""
    assert sorted(path.name for path in home.staging.iterdir())[0].startswith(pushed.entry.sha256.hex())


def test_objects_that_were_not_offered(client: Client, home: Home) -> None:
    body = {"name": f"/edgert/{'0' * 64}", "off": 0, "data": b"x"}
    for _ in range(2):
        error = refused(client, Op.WRITE, Group.FS, FsCommand.FILE, body)
        assert (error.group, error.rc) == (Group.FS, FsError.FILE_INVALID_NAME)
        client.offer(package(KEY, DATA))
    assert not [path for path in home.path.rglob("*") if "0" * 64 in path.name]


def test_the_length_of_an_upload_must_be_the_objects(client: Client) -> None:
    pushed = package(KEY, DATA)
    client.offer(pushed)
    for length in (0, 1, len(DATA) + 1, 1 << 60):
        with pytest.raises(ReplyError) as caught:
            client.write(pushed.entry.sha256, 0, DATA[:10], len=length)
        assert caught.value.rc == FsError.FILE_OFFSET_NOT_VALID
    assert client.write(pushed.entry.sha256, 0, DATA[:10], len=len(DATA)) == 10
    assert client.write(pushed.entry.sha256, 1 << 62, DATA[:10]) == 10
    with pytest.raises(ReplyError) as caught:
        client.write(pushed.entry.sha256, 10, DATA)
    assert caught.value.rc == FsError.FILE_OFFSET_LARGER_THAN_FILE


def test_what_was_installed_can_be_read_back(client: Client, home: Home) -> None:
    data = random.Random(5).randbytes(40000)
    pushed = package(KEY, data)
    name = f"/edgert/{pushed.entry.sha256.hex()}"
    assert refused(client, Op.READ, Group.FS, FsCommand.STATUS, {"name": name}).rc == FsError.FILE_NOT_FOUND
    client.offer(pushed)
    client.write(pushed.entry.sha256, 0, data[:5000])
    assert client.request(Op.READ, Group.FS, FsCommand.STATUS, {"name": name}) == {"len": 5000}
    # What is not whole and checked is not read.
    body = {"name": name, "off": 0}
    assert refused(client, Op.READ, Group.FS, FsCommand.FILE, body).rc == FsError.FILE_NOT_FOUND
    client.push(pushed)
    read = b""
    while len(read) < len(data):
        answer = client.request(Op.READ, Group.FS, FsCommand.FILE, {"name": name, "off": len(read)})
        assert answer.keys() == ({"off", "data", "len"} if not read else {"off", "data"})
        assert answer["off"] == len(read)
        read += answer["data"]
    assert read == data
    body = {"name": name, "off": len(data) + 1}
    assert refused(client, Op.READ, Group.FS, FsCommand.FILE, body).rc == FsError.FILE_OFFSET_LARGER_THAN_FILE
    assert client.request(Op.READ, Group.FS, FsCommand.STATUS, {"name": name}) == {"len": len(data)}

    def hashed(**body: Any) -> Any:
        return client.request(Op.READ, Group.FS, FsCommand.HASH, {"name": name, **body})

    assert hashed() == {"type": "crc32", "len": len(data), "output": zlib.crc32(data)}
    assert hashed(type="sha256", off=7, len=100) == {
        "type": "sha256", "off": 7, "len": 100, "output": hashlib.sha256(data[7:107]).digest(),
    }  # fmt: skip
    assert hashed(type="crc32", off=39990, len=100)["len"] == 10
    with pytest.raises(ReplyError) as caught:
        hashed(type="md5")
    assert caught.value.rc == FsError.CHECKSUM_HASH_NOT_FOUND
    assert client.request(Op.READ, Group.FS, FsCommand.HASH_TYPES) == {
        "types": {"sha256": {"format": 1, "size": 32}, "crc32": {"format": 0, "size": 4}}
    }
    assert client.request(Op.WRITE, Group.FS, FsCommand.CLOSE) == {}


def test_the_log_can_be_read(client: Client) -> None:
    client.push(package(KEY, DATA, 12))
    answer = client.request(Op.READ, Group.FS, FsCommand.FILE, {"name": "/edgert/log", "off": 0})
    assert b"digits 12 offered by key" in answer["data"]
    assert answer["len"] == len(answer["data"])


# --- whatever else comes ---


def test_version_1_knows_no_groups_of_errors(server: Server) -> None:
    header = Header(Op.WRITE, Group.FS, FsCommand.FILE, 7, V1)
    answer = server.handle(Message(header, {"name": "x", "off": 0, "data": b""}).to_bytes())
    assert answer is not None
    assert Message.from_bytes(answer).body == {"rc": FsError.FILE_INVALID_NAME}
    answer = server.handle(Message(replace(header, version=V2), {"name": "x", "off": 0, "data": b""}).to_bytes())
    assert answer is not None
    assert Message.from_bytes(answer).body == {"err": {"group": Group.FS, "rc": FsError.FILE_INVALID_NAME}}


def test_what_is_no_request_is_not_answered(server: Server) -> None:
    reply = Message(Header(Op.READ_RSP, Group.OS, OsCommand.PARAMETERS), {}).to_bytes()
    assert server.handle(reply) is None
    assert server.handle(b"") is None
    assert server.handle(reply[:7]) is None


def test_a_body_that_is_no_map_is_answered(server: Server) -> None:
    for body in (b"\xff", cbor.encode([1, 2]), b"\xbf" * 100):
        answer = server.handle(Header(Op.READ, Group.EDGERT, EdgertCommand.STATUS, 9).to_bytes(len(body)) + body)
        assert answer is not None
        reply = Message.from_bytes(answer)
        assert reply.body == {"rc": MgmtError.INVALID}
        assert reply.header.sequence == 9


def test_random_messages(server: Server, home: Home) -> None:
    """Nothing raises, and nothing is stored."""
    rng = random.Random(20261122)
    whole = Message(Header(Op.WRITE, Group.EDGERT, EdgertCommand.OFFER), {"off": 0, "data": b"x" * 50, "len": 50})
    template = whole.to_bytes()
    for _ in range(3000):
        if rng.random() < 0.5:
            data = rng.randbytes(rng.randrange(200))
        else:
            altered = bytearray(template)
            for _ in range(rng.randrange(1, 6)):
                altered[rng.randrange(len(altered))] = rng.randrange(256)
            data = bytes(altered)
        answer = server.handle(data)
        assert answer is None or len(answer) <= BUF_SIZE
    assert not any([*home.objects.iterdir(), *home.staging.iterdir(), *home.models_folder.iterdir()])
    assert Client.of(server).push(package(KEY, DATA))["state"] == "pending"


def test_a_fault_is_answered_and_logged(
    server: Server, client: Client, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(*_: object) -> None:
        raise RuntimeError("broken\nfor a test")

    monkeypatch.setattr(type(server.session), "confirm", fault)
    error = refused(client, Op.WRITE, Group.EDGERT, EdgertCommand.CONFIRM, {"name": "digits"})
    assert error.rc == MgmtError.UNKNOWN
    assert "please report it: RuntimeError" in error.reason
    assert "a fault of edgert's own" in home.read_log().decode()
    assert client.status()["state"] == "idle"


def test_a_disk_that_fails_is_told(server: Server, client: Client, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgert.store import disk
    from edgert.store.errors import DiskError

    pushed = package(KEY, DATA)
    client.offer(pushed)
    client.write(pushed.entry.sha256, 0, DATA[:100])

    def fails(_file: object, _offset: int, _data: object) -> None:
        raise DiskError("cannot write x: Input/output error")

    monkeypatch.setattr(disk.File, "write", fails)
    with pytest.raises(ReplyError) as caught:
        client.write(pushed.entry.sha256, 100, DATA[100:200])
    assert caught.value.rc == FsError.FILE_WRITE_FAILED
    assert "Input/output error" in client.status()["detail"]
    monkeypatch.undo()
    client.offer(pushed)
    client.upload(pushed)
    assert client.status()["state"] == "received"
