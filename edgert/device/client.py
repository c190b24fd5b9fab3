"""An SMP client: requests that are repeated until answered, uploads with many pieces under way."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

from edgert.device.errors import AgentMissingError, DeviceError, LinkError, RefusedError
from edgert.device.pace import FrameSizes, Line, RoundTrips
from edgert.device.refusal import is_full, refused
from edgert.device.results import AnswerError, counted, field
from edgert.device.source import Source
from edgert.device.stream import ByteStream
from edgert.device.transfer import Transfer
from edgert.smp.cbor import CborError
from edgert.smp.framing import framing
from edgert.smp.groups import FsCommand, Group, OsCommand
from edgert.smp.message import MAX_MESSAGE, Header, Message, MessageError, Op

Body = Mapping[str, Any]
T = TypeVar("T")

PATIENCE_S = 30.0
_CONNECT_S = 10.0
_FIRST_ROUND_TRIP_S = 0.6
_LEAST_TIMEOUT_S = 0.15  # an agent that writes to an SD card answers a little later now and then
_LEAST_TIMEOUT_WHOLE_S = 5.0  # ways that lose nothing: what is late comes still
_LONGEST_FRAME_S = 1.0  # of a line's time: what damage to one frame costs at most
_MOST_IN_FLIGHT = 64  # of the 256 numbers of requests, so that late answers are known as such
_MOST_DAMAGED = 4  # answers that make no sense, in a row, until it is not the line that is to blame
_LENGTH_BYTES = 4  # what CBOR's heads of an offset and of the data may grow by
_FRAME_BYTES = 4  # length and CRC of a console's frame, which Zephyr keeps in the message's buffer
_DELIMITERS = {"cobs": b"", "console": b"\n"}  # a frame begins on a line of its own even when a newline was lost


@dataclass(frozen=True)
class Parameters:
    """What an agent takes: bytes of a whole message, and how many requests at once (SMP group 0, command 6)."""

    buf_size: int
    buf_count: int


_MODEST = Parameters(384, 1)  # of servers that do not say: the least of Zephyr's defaults


@dataclass(frozen=True)
class _Answer:
    message: Message
    at: float


class Client:
    """Speaks SMP over a stream, which it owns. Use it as `async with Client(stream) as client`.

    patience: seconds without any progress after which the line counts as dead. Every method raises LinkError for
    that, and RefusedError where the device answers with an error. `retries` counts what was sent again, `bytes_sent`
    the payload of uploads, what was sent again included. One call at a time.
    """

    def __init__(self, stream: ByteStream, patience: float = PATIENCE_S) -> None:
        self.stream = stream
        self.patience = patience
        self.retries = 0
        self.bytes_sent = 0
        self.parameters = _MODEST
        self._framing = framing(stream.framing, MAX_MESSAGE)
        self._line = Line(stream.bytes_per_second)
        self._trips = RoundTrips(_FIRST_ROUND_TRIP_S, _LEAST_TIMEOUT_S if stream.lossy else _LEAST_TIMEOUT_WHOLE_S)
        self._sequence = int(time.monotonic() * 1000) % 256  # not what late answers to an earlier run carry
        self._expected: dict[int, tuple[Header, Callable[[int, _Answer], None]]] = {}
        self._wake = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None
        self._broken: Exception | None = None
        self._heard = False  # whether anything that is SMP ever came

    async def __aenter__(self) -> Self:
        self._reader = asyncio.create_task(self._read())
        try:
            await self._connect()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader
            self._reader = None
        await self.stream.close()

    async def request(
        self, op: Op, group: int, command: int, body: Body, read: Callable[[Body], T], patience: float | None = None
    ) -> T:
        """What `read` makes of the answer's body; the request is sent again until one comes.

        Whatever is asked must be safe to ask twice. An answer that `read` raises AnswerError for counts as damaged
        on the way. So may one that is an error: on a line that alters bytes it counts when it comes twice.
        """
        patience = self.patience if patience is None else patience
        give_up_at = time.monotonic() + patience
        answers: dict[int, _Answer] = {}
        tries = refusals = nonsense = 0
        self._expected.clear()
        while time.monotonic() < give_up_at:
            self.retries += tries > 0
            tries += 1
            answer = await self._ask(op, group, command, body, answers, give_up_at)
            if answer is None:
                continue
            refusal = answer.refusal()
            if refusal is not None:
                refusals += 1
                if refusals > 1 or not self.stream.lossy:
                    raise refused(refusal, group, self.stream.describe())
                continue
            try:
                return read(answer.body)
            except AnswerError as error:
                nonsense += 1
                if nonsense > _MOST_DAMAGED or not self.stream.lossy:
                    raise LinkError(
                        f"{self.stream.describe()}: an answer that makes no sense ({error}); is the agent there of "
                        "another version of edgert?"
                    ) from error
        raise self._silent(patience)

    async def upload(
        self,
        source: Source,
        start: int,
        command: tuple[int, int],
        body: Callable[[int], Body],
        answered: Callable[[Body], None] | None = None,
        progress: Callable[[int], None] | None = None,
        first_alone: bool = False,
    ) -> None:
        """Sends the source from offset `start` to its end, several pieces under way.

        command: group and number of a write whose answer's "off" is the offset expected next. body: what stands in a
        request beside "off" and "data", by the offset. answered: sees every answer's body that is not an error;
        progress: gets how much of the payload is there, whenever that changes. first_alone: as of Transfer.
        """
        overhead = self._overhead(command, body(0), source.end)
        sizes = FrameSizes(self._most_payload(overhead), overhead)
        most_in_flight = min(self.parameters.buf_count, _MOST_IN_FLIGHT)
        now = time.monotonic()
        transfer = Transfer(source.end, start, self._line, self._trips, sizes, most_in_flight, now, first_alone)
        refusals = 0
        self._expected.clear()

        def take(sequence: int, answer: _Answer) -> None:
            nonlocal refusals
            refusal = answer.message.refusal()
            if refusal is not None:
                if transfer.refused(sequence, answer.at) and not is_full(refusal):
                    refusals += 1
                    if refusals > 1 or not self.stream.lossy:
                        self._fail(refused(refusal, command[0], self.stream.describe()))
            else:
                with contextlib.suppress(AnswerError):  # damaged: as if it had not come
                    offset = counted(answer.message.body, "off")
                    transfer.answered(sequence, offset, answer.at)
                    if answered is not None:
                        answered(answer.message.body)
            self._wake.set()

        told = -1
        try:
            while not transfer.done:
                self._check()
                now = time.monotonic()
                transfer.expire(now)
                if now > transfer.accepted_at + self.patience:
                    raise self._silent(self.patience, source.payload_before(transfer.done_to))
                if progress is not None and transfer.done_to != told:
                    told = transfer.done_to
                    progress(source.payload_before(told))
                piece = transfer.next_piece()
                if piece is None:
                    await self._wait(min(transfer.due or now, now + self.patience))
                    continue
                offset, most = piece
                if not source.ready(offset):
                    await asyncio.to_thread(source.prepare, offset)
                    continue  # answers came meanwhile
                data, expects = source.piece(offset, most)
                header, frame = self._frame(Op.WRITE, *command, {**body(offset), "off": offset, "data": data})
                self._expect(header, take)
                transfer.sent(header.sequence, offset, expects, len(frame), now)
                self.bytes_sent += len(data)
                await self._write(frame, transfer.accepted_at + self.patience)
        finally:
            self.retries += transfer.lost
            self._expected.clear()
        if progress is not None:
            progress(source.payload_before(source.end))

    async def download(self, name: str, most: int = 1 << 24) -> bytes:
        """The file of this name (SMP group 8), which must not be longer than `most` bytes."""
        content = bytearray()
        end: int | None = None
        while end is None or len(content) < end:
            offset = len(content)

            def read(body: Body, offset: int = offset, end: int | None = end) -> tuple[bytes, int]:
                data: bytes = field(body, "data", bytes)
                length = counted(body, "len") if end is None else end
                if counted(body, "off") != offset or offset + len(data) > length or (not data and length > offset):
                    raise AnswerError(f"{len(data)} bytes at {body.get('off')!r} of {length}, needed those at {offset}")
                if length > most:
                    raise AnswerError(f"a file of {length} bytes, {most} at most were expected")
                return data, length

            data, end = await self.request(Op.READ, Group.FS, FsCommand.FILE, {"off": offset, "name": name}, read)
            content += data
        return bytes(content)

    async def _connect(self) -> None:
        def read(body: Body) -> Parameters:
            size, count = counted(body, "buf_size"), counted(body, "buf_count")
            if size < 64 or count < 1:
                raise AnswerError(f"buffers: {count} of {size} bytes")
            return Parameters(min(size, MAX_MESSAGE), count)

        # A process that ssh starts may take long and tells when it fails; a silent line says nothing more by waiting.
        patience = min(self.patience, _CONNECT_S) if self.stream.lossy else self.patience
        with contextlib.suppress(RefusedError):  # by a server that does not know the command: the modest ones stay
            self.parameters = await self.request(Op.READ, Group.OS, OsCommand.PARAMETERS, {}, read, patience)

    def _most_payload(self, overhead: int) -> int:
        most = self.parameters.buf_size - overhead
        if self._line.bytes_per_second is not None:
            most = min(most, int(self._line.bytes_per_second * _LONGEST_FRAME_S))
        if most < 1:
            raise DeviceError(
                f"{self.stream.describe()}: the agent takes messages of {self.parameters.buf_size} bytes, and a piece "
                f"needs {overhead} beside its content"
            )
        return max(most, min(FrameSizes.LEAST, self.parameters.buf_size - overhead))

    def _overhead(self, command: tuple[int, int], body: Body, end: int) -> int:
        header = Header(Op.WRITE, *command)
        message = Message(header, {**body, "off": end, "data": b""}).to_bytes()
        return len(message) + _LENGTH_BYTES + (_FRAME_BYTES if self.stream.framing == "console" else 0)

    def _frame(self, op: Op, group: int, command: int, body: Body) -> tuple[Header, bytes]:
        self._sequence = (self._sequence + 1) % 256
        header = Header(op, group, command, self._sequence)
        frame = self._framing.encode(Message(header, body).to_bytes())
        return header, _DELIMITERS.get(self.stream.framing, b"") + frame

    def _expect(self, header: Header, take: Callable[[int, _Answer], None]) -> None:
        self._expected[header.sequence] = header, take

    async def _ask(
        self, op: Op, group: int, command: int, body: Body, answers: dict[int, _Answer], give_up_at: float
    ) -> Message | None:
        """Sends once and waits for an answer, to this or to what was sent before it; None when none comes in time."""

        def take(sequence: int, answer: _Answer) -> None:
            answers[sequence] = answer
            self._wake.set()

        header, frame = self._frame(op, group, command, body)
        left_at = self._line.sent(time.monotonic(), len(frame))
        due = min(left_at + self._trips.timeout_s, give_up_at)
        self._expect(header, take)
        await self._write(frame, give_up_at)
        while not answers:
            self._check()
            if time.monotonic() >= due:
                self._trips.timed_out()
                return None
            await self._wait(due)
        sequence, answer = answers.popitem()
        self._expected.pop(sequence, None)
        if sequence == header.sequence:
            self._trips.measured(answer.at - left_at)
        return answer.message

    async def _write(self, frame: bytes, give_up_at: float) -> None:
        try:
            async with asyncio.timeout(max(give_up_at - time.monotonic(), 1.0)):
                await self.stream.write(frame)
        except TimeoutError:
            raise LinkError(
                f"{self.stream.describe()}: the line takes no bytes; is it held by flow control? Call again to resume"
            ) from None

    async def _wait(self, until: float) -> None:
        self._wake.clear()
        if self._broken is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(until - time.monotonic(), 0.0)):
                    await self._wake.wait()

    async def _read(self) -> None:
        try:
            while True:
                data = await self.stream.read()
                if not data:
                    self._fail(self._ended())
                    return
                for message in self._framing.feed(data):
                    self._dispatch(message)
        except Exception as error:  # a fault of ours, too, must reach who waits for answers
            self._fail(error)

    def _dispatch(self, data: bytes) -> None:
        try:
            message = Message.from_bytes(data)
        except (MessageError, CborError):
            return
        header = message.header
        asked, take = self._expected.get(header.sequence, (None, None))
        if asked is None or take is None:
            return
        if (header.op, header.group, header.command) != (asked.op | 1, asked.group, asked.command):
            return
        self._heard = True
        take(header.sequence, _Answer(message, time.monotonic()))

    def _fail(self, error: Exception) -> None:
        if self._broken is None:
            self._broken = error
        self._wake.set()

    def _check(self) -> None:
        if self._broken is not None:
            error, self._broken = self._broken, None if isinstance(self._broken, RefusedError) else self._broken
            raise error

    def _ended(self) -> LinkError:
        said = self.stream.error_text().strip()
        text = f"{self.stream.describe()}: the connection ended{f' ({said})' if said else ''}"
        return LinkError(f"{text}; call again to resume") if self._heard else AgentMissingError(text)

    def _silent(self, patience: float, done: int | None = None) -> LinkError:
        said = self.stream.error_text().strip()
        where = f"{self.stream.describe()}{f' ({said})' if said else ''}"
        if not self._heard:
            return AgentMissingError(
                f"{where}: no answer within {patience:g} s; does `edgert agent` run there, at the same speed?"
            )
        there = "" if done is None else f", with {done} bytes there"
        return LinkError(f"{where}: nothing gets across any more ({patience:g} s{there}); call again to resume")
