"""An SMP server made of PyPI's smp, on a pty: what a device is that has nothing of ours.

Frames and messages are read and written by smp and smpclient; messages are validated by smp's models, which forbid
keys that they do not know. It is as strict as Zephyr: a console's line has 128 bytes at most, a buffer holds a whole
frame of the console (length and CRC, too), a longer one is dropped without a word.
"""

from __future__ import annotations

import hashlib
import os
import select
import threading
import tty
import zlib
from typing import Any

import cbor2
from device.edgert_messages import REQUESTS, Activate, Confirm, Offer, Rollback, Status, Verify
from smp import message, packet
from smp.error import MGMT_ERR
from smp.exceptions import SMPException
from smp.file_management import FS_MGMT_ERR
from smp.header import OP, Header
from smpclient.requests.file_management import (
    FileClose,
    FileDownload,
    FileHashChecksum,
    FileStatus,
    FileUpload,
    SupportedFileHashChecksumTypes,
)
from smpclient.requests.os_management import EchoWrite, MCUMgrParametersRead
from smpclient.transport.serial.framing.cobs import Cobs

from edgert.smp.groups import Group, RefusalCode

ZEPHYRS: dict[tuple[int, int, OP], Any] = {
    (request._GROUP_ID, request._COMMAND_ID, request._OP): request
    for request in (
        EchoWrite,
        MCUMgrParametersRead,
        FileUpload,
        FileDownload,
        FileStatus,
        FileHashChecksum,
        SupportedFileHashChecksumTypes,
        FileClose,
    )
}
LINE_BYTES = 128


class PeerError(Exception):
    """An error of a group, or, without a group, one that any may answer."""

    def __init__(self, rc: int, group: int | None = None, reason: str | None = None) -> None:
        self.rc, self.group, self.reason = rc, group, reason


class ConsoleReader:
    """Zephyr's way of reading a console, with smp's decoder."""

    def __init__(self, buf_size: int) -> None:
        self._buf_size = buf_size
        self._line = bytearray()
        self._decoder: Any = None

    def feed(self, data: bytes) -> list[bytes]:
        self._line += data
        *lines, rest = self._line.split(b"\n")
        self._line = bytearray(rest)
        return [found for line in lines if (found := self._add(bytes(line) + b"\n")) is not None]

    def _add(self, line: bytes) -> bytes | None:
        if line[:2] not in (packet.START_DELIMITER, packet.CONTINUE_DELIMITER):
            return None
        assert len(line) <= LINE_BYTES, f"a line of {len(line)} bytes; Zephyr's buffers have {LINE_BYTES}"
        if line[:2] == packet.START_DELIMITER:
            self._decoder = packet.decode()
            next(self._decoder)
        if self._decoder is None:
            return None
        try:
            self._decoder.send(line)
        except StopIteration as stop:
            self._decoder = None
            # Length and CRC lie in the same buffer.
            return bytes(stop.value) if len(stop.value) + 4 <= self._buf_size else None
        except SMPException:
            self._decoder = None
        return None


class CobsReader:
    def __init__(self, buf_size: int) -> None:
        self._buf_size = buf_size
        self._cobs = Cobs()

    def feed(self, data: bytes) -> list[bytes]:
        self._cobs.feed(data)
        found = []
        while (one := self._cobs.take()) is not None:
            if len(one) <= self._buf_size:
                found.append(one)
        return found


class Peer:
    """A device of one model: it takes what is offered, and calls it verified and then pending.

    files: what was uploaded, by name; requests: all that came, as smp's messages. What it cannot read at all ends it,
    and is raised when it is closed.
    """

    def __init__(self, framing: str, buf_size: int = 384, buf_count: int = 4) -> None:
        self.framing, self.buf_size, self.buf_count = framing, buf_size, buf_count
        self.files: dict[str, bytearray] = {}
        self.requests: list[message.Request] = []
        self.offer = bytearray()
        self.state = "idle"
        self.models: list[dict[str, Any]] = []
        self.refuse_offers: PeerError | None = None
        self.says_before = b""  # written before every answer
        self._offer_bytes = 0
        self._reader = ConsoleReader(buf_size) if framing == "console" else CobsReader(buf_size)
        self._failure: BaseException | None = None

    def __enter__(self) -> Peer:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self._stop, self._stopped = os.pipe()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.write(self._stopped, b"x")
        self._thread.join(10)
        for fd in (self._master, self._slave, self._stop, self._stopped):
            os.close(fd)
        if self._failure is not None:
            raise AssertionError(f"the server of smp failed: {self._failure!r}") from self._failure

    def address(self, baud: int = 921600) -> str:
        return f"serial:{self.port}?baud={baud}&framing={self.framing}"

    def _run(self) -> None:
        try:
            while True:
                ready, _, _ = select.select([self._master, self._stop], [], [])
                if self._stop in ready:
                    return
                for one in self._reader.feed(os.read(self._master, 65536)):
                    answer = self._answer(one)
                    frames = packet.encode(answer) if self.framing == "console" else Cobs().encode(answer)
                    data = self.says_before + b"".join(frames)
                    while data:
                        data = data[os.write(self._master, data) :]
        except BaseException as failure:
            self._failure = failure

    def _answer(self, data: bytes) -> bytes:
        head = Header.loads(data[: Header.SIZE])
        assert head.length == len(data) - Header.SIZE
        request_type = {**ZEPHYRS, **REQUESTS}.get((head.group_id, head.command_id, head.op))
        if request_type is None:
            return self._reply(head, None, {"rc": int(MGMT_ERR.ENOTSUP)})
        request = request_type.loads(data)
        self.requests.append(request)
        try:
            answer = self._obey(request)
        except PeerError as refusal:
            if refusal.group is None:
                return self._reply(head, request._ErrorV1, {"rc": int(refusal.rc)})
            body: dict[str, Any] = {"err": {"group": int(refusal.group), "rc": int(refusal.rc)}}
            if refusal.reason is not None:
                body["rsn"] = refusal.reason
            return self._reply(head, request._ErrorV2, body)
        return self._reply(head, request._Response, answer)

    def _reply(self, head: Header, response_type: Any, body: dict[str, Any]) -> bytes:
        # Zephyr's CBOR library, zcbor, writes maps and lists of indefinite length.
        content = cbor2.dumps(body, indefinite_containers=True)
        answer = Header(
            OP(head.op | 1), head.version, head.flags, len(content), head.group_id, head.sequence, head.command_id
        )
        data = answer.BYTES + content
        assert len(data) <= self.buf_size
        if response_type is not None:
            response_type.loads(data)
        return data

    def _obey(self, request: Any) -> dict[str, Any]:
        match request:
            case EchoWrite():
                return {"r": request.d}
            case MCUMgrParametersRead():
                return {"buf_size": self.buf_size, "buf_count": self.buf_count}
            case FileUpload():
                return self._upload(request)
            case FileDownload():
                content = self._file(request.name)
                if request.off > len(content):
                    raise PeerError(FS_MGMT_ERR.FILE_OFFSET_LARGER_THAN_FILE, Group.FS)
                data = bytes(content[request.off : request.off + self.buf_size - 64])
                return {"off": request.off, "data": data, **({"len": len(content)} if request.off == 0 else {})}
            case FileStatus():
                return {"len": len(self._file(request.name))}
            case FileHashChecksum():
                content = self._file(request.name)
                digest = zlib.crc32(content) if request.type == "crc32" else hashlib.sha256(content).digest()
                return {"type": request.type, "len": len(content), "output": digest}
            case SupportedFileHashChecksumTypes():
                return {"types": {"crc32": {"format": 0, "size": 4}, "sha256": {"format": 1, "size": 32}}}
            case FileClose():
                return {}
        return self._obey_own(request)

    def _file(self, name: str) -> bytearray:
        if name not in self.files:
            raise PeerError(FS_MGMT_ERR.FILE_NOT_FOUND, Group.FS)
        return self.files[name]

    def _upload(self, request: FileUpload) -> dict[str, Any]:
        if request.off == 0:
            if request.len is None:
                raise PeerError(MGMT_ERR.EINVAL)  # as Zephyr: the first piece says how long the file is
            self.files[request.name] = bytearray()
        content = self._file(request.name)
        if request.off == len(content):
            content += request.data
        return {"off": len(content)}

    def _obey_own(self, request: Any) -> dict[str, Any]:
        match request:
            case Offer():
                if self.refuse_offers is not None:
                    raise self.refuse_offers
                if request.off == 0:
                    self.offer.clear()
                    self._offer_bytes = request.len
                if request.off == len(self.offer):
                    self.offer += request.data
                if len(self.offer) < self._offer_bytes:
                    return {"off": len(self.offer)}
                self.state = "receiving"
                need = [{"sha256": one["sha256"], "have": 0} for one in self.manifest["objects"]]
                return {"off": len(self.offer), "state": self.state, "need": need, "zstd": False}
            case Status():
                return {"state": self.state, "detail": "", "device": DEVICE, "models": self.models}
            case Verify():
                for one in self.manifest["objects"]:
                    assert hashlib.sha256(self._file(f"/edgert/{one['sha256'].hex()}")).digest() == one["sha256"]
                self.state = "verified"
                return {"state": "verifying"}
            case Activate():
                assert request.manifest == hashlib.sha256(cbor2.loads(self.offer)["manifest"]).digest()
                model = {"name": self.manifest["name"], "counter": self.manifest["counter"]}
                state = {"state": "pending", "loads": 0, "trials": 3, "sha256": request.manifest}
                self.state, self.models = "pending", [{**model, **state, "previous": None}]
                return {"state": "pending", **model}
            case Confirm():
                self.models[0]["state"] = "confirmed"
                return {"state": "confirmed"}
            case Rollback():
                raise PeerError(RefusalCode.NOTHING_TO_ROLL_BACK, Group.EDGERT, "there is one generation only")
        raise AssertionError(f"unknown request {request!r}")

    @property
    def manifest(self) -> dict[str, Any]:
        manifest: dict[str, Any] = cbor2.loads(cbor2.loads(self.offer)["manifest"])
        return manifest


DEVICE = {
    "id": "0123456789abcdef",
    "architecture": "armv7",
    "instruction_sets": "neon",
    "memory_bytes": 1 << 29,
    "page_size": 4096,
    "cores": 1,
    "runtime": "0.1.0",
    "zstd": False,
    "agent": 1,
    "keys": [],
}
