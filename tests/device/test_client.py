"""The client against servers that answer late, twice, damaged, or not at all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from edgert.device.client import Body, Client
from edgert.device.errors import AgentMissingError, LinkError, RefusedError
from edgert.device.results import AnswerError
from edgert.device.source import CompressedSource, PlainSource, worth_compressing
from edgert.smp.framing import framing
from edgert.smp.groups import FsCommand, Group, MgmtError, OsCommand, RefusalCode
from edgert.smp.message import V1, Header, Message, Op

ECHO = (Op.WRITE, Group.OS, OsCommand.ECHO)
Handler = Callable[[Message], list[Message]]


class Server:
    """A ByteStream to a function that answers requests with any number of messages."""

    bytes_per_second: float | None = None

    def __init__(
        self, handler: Handler, lossy: bool = True, kind: str = "cobs", noise: bytes = b"", buf_size: int = 512
    ) -> None:
        self.framing, self.lossy = kind, lossy
        self.requests: list[Message] = []
        self.out: asyncio.Queue[bytes] = asyncio.Queue()
        self.complaint = ""
        self._handler = handler
        self._framing = framing(kind)
        self._noise = noise
        self._buf_size = buf_size

    async def read(self) -> bytes:
        return await self.out.get()

    async def write(self, data: bytes) -> None:
        for message in self._framing.feed(data):
            request = Message.from_bytes(message)
            self.requests.append(request)
            if (request.header.group, request.header.command) == (Group.OS, OsCommand.PARAMETERS):
                answers = [request.reply({"buf_size": self._buf_size, "buf_count": 4})]
            else:
                answers = self._handler(request)
            for answer in answers:
                self.out.put_nowait(self._noise + self._framing.encode(answer.to_bytes()) + self._noise)

    async def close(self) -> None:
        pass

    def describe(self) -> str:
        return "test"

    def error_text(self) -> str:
        return self.complaint


def text(body: Body) -> str:
    if not isinstance(body.get("r"), str):
        raise AnswerError("no text")
    return str(body["r"])


def ask(server: Server, patience: float = 3.0) -> str:
    async def run() -> str:
        async with Client(server, patience) as client:
            return await client.request(*ECHO, {"d": "x"}, text)

    return asyncio.run(run())


def echo(request: Message) -> list[Message]:
    return [request.reply({"r": request.body["d"]})]


@pytest.mark.parametrize("kind", ["cobs", "console"])
def test_what_is_no_frame_is_passed_over(kind: str) -> None:
    noise = b"\nwelcome to Linux\r\nlogin: \x1b[0m\n" if kind == "console" else b"\x00\xff\xfe boot \x00\x00"
    assert ask(Server(echo, kind=kind, noise=noise)) == "x"


def test_a_request_is_sent_again_until_it_is_answered() -> None:
    answers = iter([False, False, True])
    server = Server(lambda request: echo(request) if next(answers) else [])
    assert ask(server) == "x"
    assert len(server.requests) == 4
    assert len({request.header.sequence for request in server.requests}) == 4


def test_answers_to_anything_else_are_ignored() -> None:
    def handler(request: Message) -> list[Message]:
        header = request.header
        wrong = {"r": "wrong"}
        return [
            Message(Header(Op.WRITE_RSP, header.group, header.command, (header.sequence + 9) % 256), wrong),
            Message(Header(Op.WRITE_RSP, 8, header.command, header.sequence), wrong),
            Message(Header(Op.WRITE_RSP, header.group, 5, header.sequence), wrong),
            Message(Header(Op.READ_RSP, header.group, header.command, header.sequence), wrong),
            Message(Header(Op.WRITE, header.group, header.command, header.sequence), wrong),
            *echo(request),
            *echo(request),
        ]

    assert ask(Server(handler)) == "x"


def test_an_answer_that_makes_no_sense_is_asked_for_again() -> None:
    answers = iter([{"r": 5}, {}, {"r": "x"}])
    assert ask(Server(lambda request: [request.reply(next(answers))])) == "x"
    with pytest.raises(LinkError, match="another version"):
        ask(Server(lambda request: [request.reply({"r": 5})]))
    with pytest.raises(LinkError, match="another version"):  # nothing is altered on this way: once is enough
        ask(Server(lambda request: [request.reply({"r": 5})], lossy=False))


def test_an_error_counts_when_it_comes_twice_on_a_line_that_alters_bytes() -> None:
    answers = iter([True, False])

    def once(request: Message) -> list[Message]:
        return [request.refuse(RefusalCode.BUSY, Group.EDGERT)] if next(answers) else echo(request)

    assert ask(Server(once)) == "x"
    with pytest.raises(RefusedError, match="another push") as raised:
        ask(Server(lambda request: [request.refuse(RefusalCode.BUSY, Group.EDGERT)]))
    assert (raised.value.group, raised.value.rc) == (Group.EDGERT, RefusalCode.BUSY)
    with pytest.raises(RefusedError, match="why not"):
        ask(Server(lambda request: [request.refuse(RefusalCode.DISK, Group.EDGERT, "why not")], lossy=False))


def test_errors_of_version_1_are_understood() -> None:
    def old(request: Message) -> list[Message]:
        header = request.header
        return [Message(Header(Op.WRITE_RSP, header.group, header.command, header.sequence, V1), {"rc": 8})]

    with pytest.raises(RefusedError, match="not supported") as raised:
        ask(Server(old))
    assert raised.value.rc == MgmtError.NOT_SUPPORTED
    zero = Server(lambda request: [request.reply({"rc": 0, "r": "x"})])
    assert ask(zero) == "x"


def test_silence_ends_with_an_error_in_time() -> None:
    began = time.monotonic()
    with pytest.raises(LinkError, match="call again to resume") as raised:
        ask(Server(lambda request: []), patience=1.0)
    assert not isinstance(raised.value, AgentMissingError)  # it did answer to PARAMETERS
    assert 0.9 < time.monotonic() - began < 10


def test_the_end_of_the_stream_tells_what_the_way_said() -> None:
    server = Server(echo)
    server.complaint = "ssh: connect to host x port 22: No route to host\n"
    server.out.put_nowait(b"")
    with pytest.raises(AgentMissingError, match="No route to host"):
        ask(server)


def test_a_server_without_parameters_gets_modest_frames() -> None:
    class Plain(Server):
        async def write(self, data: bytes) -> None:
            for message in self._framing.feed(data):
                request = Message.from_bytes(message)
                self.requests.append(request)
                known = request.header.command == FsCommand.FILE
                end = request.body.get("off", 0) + len(request.body.get("data", b""))
                answer = request.reply({"off": end}) if known else request.refuse(MgmtError.NOT_SUPPORTED)
                self.out.put_nowait(self._framing.encode(answer.to_bytes()))

    server = Plain(echo)
    upload(server, bytes(3000))
    assert all(len(request.to_bytes()) <= 384 for request in server.requests)
    assert sum(len(request.body.get("data", b"")) for request in server.requests) == 3000


def upload(server: Server, content: bytes, start: int = 0, patience: float = 3.0) -> list[int]:
    """What progress told."""
    told: list[int] = []

    async def run() -> None:
        async with Client(server, patience) as client:
            await client.upload(
                PlainSource(content), start, (Group.FS, FsCommand.FILE), lambda _: {"name": "f"}, progress=told.append
            )

    asyncio.run(run())
    return told


class File:
    """A receiver that takes pieces in order. `odd` may answer in its place."""

    def __init__(self, odd: Callable[[Message, int], Any] | None = None) -> None:
        self.content = bytearray()
        self.count = 0
        self._odd = odd

    def __call__(self, request: Message) -> list[Message]:
        self.count += 1
        answer = self._odd(request, self.count) if self._odd is not None else None
        if answer is not None:
            return list(answer)
        if request.body["off"] == len(self.content):
            self.content += request.body["data"]
        return [request.reply({"off": len(self.content)})]


CONTENT = bytes(range(256)) * 60


def test_an_upload_arrives_and_tells_its_progress() -> None:
    file = File()
    told = upload(Server(file), CONTENT)
    assert file.content == CONTENT
    assert told == sorted(told)
    assert told[-1] == len(CONTENT)


@pytest.mark.parametrize(
    "odd",
    [
        lambda request, count: [] if count % 5 == 0 else None,  # lost
        lambda request, count: [request.reply({"off": 10**12})] if count % 5 == 0 else None,  # beyond the end
        lambda request, count: [request.reply({"off": -3})] if count % 5 == 0 else None,
        lambda request, count: [request.reply({"off": "x"})] if count % 5 == 0 else None,
        lambda request, count: [request.reply({})] if count % 5 == 0 else None,
        lambda request, count: [request.reply({"off": 0})] if count % 7 == 0 else None,  # back to the beginning
        lambda request, count: [request.refuse(MgmtError.NO_MEMORY)] if count % 5 == 0 else None,  # too fast
        lambda request, count: [request.refuse(3, Group.FS)] if count == 5 else None,  # once: damage
    ],
)
def test_odd_answers_do_not_stop_an_upload(odd: Callable[[Message, int], Any]) -> None:
    file = File(odd)
    upload(Server(file), CONTENT, patience=20.0)
    assert file.content == CONTENT


def test_an_upload_that_is_refused_says_why() -> None:
    file = File(lambda request, count: [request.refuse(2, Group.FS)] if count > 3 else None)
    with pytest.raises(RefusedError, match="file invalid name"):
        upload(Server(file), CONTENT)


def test_an_upload_that_stalls_ends_in_time() -> None:
    file = File(lambda request, count: [] if count > 3 else None)
    began = time.monotonic()
    with pytest.raises(LinkError, match=r"with \d+ bytes there.*call again to resume"):
        upload(Server(file), CONTENT, patience=1.0)
    assert time.monotonic() - began < 10


def test_an_answer_of_the_end_that_came_too_early_is_only_the_receivers_to_give() -> None:
    """An offset within the file that was never sent is believed, and put right by the next answer."""
    file = File(lambda request, count: [request.reply({"off": 9000})] if count == 2 else None)
    upload(Server(file), CONTENT)
    assert file.content == CONTENT


def test_a_download_is_checked_piece_by_piece() -> None:
    content = bytes(range(200)) * 10
    broken = iter([True, False, True] + [False] * 20)

    def handler(request: Message) -> list[Message]:
        at = request.body["off"]
        body: dict[str, Any] = {"off": at + (5 if next(broken) else 0), "data": content[at : at + 300]}
        return [request.reply({**body, "len": len(content)} if at == 0 else body)]

    async def run() -> bytes:
        async with Client(Server(handler)) as client:
            return await client.download("/edgert/log")

    assert asyncio.run(run()) == content

    async def too_long() -> bytes:
        async with Client(Server(handler, lossy=False)) as client:
            return await client.download("/edgert/log", most=100)

    broken = iter([False] * 20)
    with pytest.raises(LinkError, match="2000 bytes, 100 at most"):
        asyncio.run(too_long())


def test_an_empty_file_can_be_downloaded() -> None:
    async def run() -> bytes:
        async with Client(Server(lambda request: [request.reply({"off": 0, "data": b"", "len": 0})])) as client:
            return await client.download("/edgert/log")

    assert asyncio.run(run()) == b""


def test_records_hold_what_compresses_and_what_does_not() -> None:
    import random
    import zlib

    noise = random.Random(0).randbytes(4096)
    content = bytes(4096) + noise + bytes(1000)
    source = CompressedSource(content, 4096, zlib.compress)
    assert source.end == 3 * 4100
    found, at = b"", 0
    while at < source.end:
        data, following = source.piece(at, 700)
        assert 0 < len(data) <= 700
        if at % 4100 == 0:
            head = int.from_bytes(data[:4], "big")
            record = b""
        record += bytes(data)
        if following % 4100 == 0:
            assert len(record) == 4 + (head & ~(1 << 31))
            found += zlib.decompress(record[4:]) if head >> 31 else record[4:]
            assert bool(head >> 31) == (at // 4100 != 1)
        assert source.payload_before(following) >= source.payload_before(at)
        at = following
    assert found == content
    assert source.payload_before(source.end) == len(content)
    assert [source.start(have) for have in (0, 4096, 5000, 8192, len(content))] == [0, 4100, 4100, 8200, source.end]
    assert not source.ready(0) or source.ready(8200)


def test_compression_is_left_out_where_it_gains_nothing() -> None:
    import random
    import zlib

    noise = random.Random(0).randbytes(1 << 16)
    assert not worth_compressing(noise, 4096, zlib.compress)
    assert worth_compressing(bytes(1 << 16), 4096, zlib.compress)
    assert worth_compressing(noise[: 1 << 15] + bytes(1 << 15), 4096, zlib.compress)
