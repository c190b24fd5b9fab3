"""SMP messages in, SMP messages out."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from typing import Any

from edgert.agent import fs_group, generations, os_group
from edgert.agent.edgert_group import EdgertGroup
from edgert.agent.fs_group import FsGroup
from edgert.agent.refusal import FileError, ProtocolError, RefusedError
from edgert.agent.session import Session
from edgert.agent.this_device import ThisDevice
from edgert.agent.words import one_line
from edgert.errors import EdgertError
from edgert.smp.groups import EdgertCommand, FsCommand, Group, MgmtError, OsCommand
from edgert.smp.groups import RefusalCode as Rc
from edgert.smp.message import Message, MessageError, Op
from edgert.store.errors import BusyError, NoSpaceError, StoreError
from edgert.store.home import Home
from edgert.targets.machine import probe

# A message of 16 KiB is 1.4 s of a line of 115200 baud; clients make theirs smaller where the line is bad.
BUF_SIZE = 1 << 14
BUF_COUNT = 8
# Where the line is a pipe through ssh or adb: at 50 ms of round trip, 8 MiB/s can be on their way.
STREAM_BUF_SIZE = 1 << 15
STREAM_BUF_COUNT = 14

Handler = Callable[[Mapping[str, Any]], dict[str, Any]]


class Server:
    """One line's. `handle` never raises, whatever comes."""

    def __init__(self, session: Session, buf_size: int = BUF_SIZE, buf_count: int = BUF_COUNT) -> None:
        """buf_size: bytes of the largest message, header included. buf_count: messages that may be on their way."""
        self.session, self.buf_size, self.buf_count = session, buf_size, buf_count
        files, own = FsGroup(session, buf_size), EdgertGroup(session, buf_size)
        self._handlers: dict[tuple[int, int, Op], Handler] = {
            (Group.OS, OsCommand.ECHO, Op.WRITE): os_group.echo,
            (Group.OS, OsCommand.ECHO, Op.READ): os_group.echo,
            (Group.OS, OsCommand.PARAMETERS, Op.READ): lambda _body: os_group.parameters(buf_size, buf_count),
            (Group.FS, FsCommand.FILE, Op.READ): files.download,
            (Group.FS, FsCommand.FILE, Op.WRITE): files.upload,
            (Group.FS, FsCommand.STATUS, Op.READ): files.status,
            (Group.FS, FsCommand.HASH, Op.READ): files.hash,
            (Group.FS, FsCommand.HASH_TYPES, Op.READ): fs_group.hash_types,
            (Group.FS, FsCommand.CLOSE, Op.WRITE): fs_group.close,
            (Group.EDGERT, EdgertCommand.OFFER, Op.WRITE): own.offer,
            (Group.EDGERT, EdgertCommand.STATUS, Op.READ): own.status,
            (Group.EDGERT, EdgertCommand.VERIFY, Op.WRITE): own.verify,
            (Group.EDGERT, EdgertCommand.ACTIVATE, Op.WRITE): own.activate,
            (Group.EDGERT, EdgertCommand.CONFIRM, Op.WRITE): own.confirm,
            (Group.EDGERT, EdgertCommand.ROLLBACK, Op.WRITE): own.rollback,
        }

    def handle(self, data: bytes) -> bytes | None:
        """The answer to a message; None for what cannot be answered, as it is no request."""
        try:
            request = Message.from_bytes(data)
        except MessageError as error:
            if error.header is None or error.header.op not in (Op.READ, Op.WRITE):
                return None
            return Message(error.header).refuse(MgmtError.INVALID).to_bytes()
        if request.header.op not in (Op.READ, Op.WRITE):
            return None
        self.session.heard()
        answer = self._answer(request).to_bytes()
        if len(answer) > self.buf_size:
            return request.refuse(MgmtError.TOO_LARGE).to_bytes()
        return answer

    def _answer(self, request: Message) -> Message:
        header = request.header
        handler = self._handlers.get((header.group, header.command, header.op))
        if handler is None:
            return request.refuse(MgmtError.NOT_SUPPORTED)
        try:
            return request.reply(handler(request.body))
        except RefusedError as error:
            return request.refuse(error.rc, Group.EDGERT, one_line(error))
        except FileError as error:
            return request.refuse(error.rc, Group.FS)
        except ProtocolError as error:
            return self._refuse(request, error.rc, error)
        except StoreError as error:
            if header.group == Group.EDGERT:
                code = {BusyError: Rc.BUSY, NoSpaceError: Rc.NO_SPACE}.get(type(error), Rc.DISK)
                return request.refuse(code, Group.EDGERT, one_line(error))
            return request.refuse(MgmtError.UNKNOWN)
        except EdgertError as error:
            return self._refuse(request, MgmtError.UNKNOWN, error)
        except Exception as error:  # the last resort: a fault of ours must not end the agent
            text = f"a fault of edgert's own, please report it: {error!r}"
            self.session.home.log(f"group {header.group}, command {header.command}: {text}")
            traceback.print_exc()
            return self._refuse(request, MgmtError.UNKNOWN, text)

    @staticmethod
    def _refuse(request: Message, rc: int, reason: object) -> Message:
        """An error of no group. The other groups' answers have no more keys than Zephyr's, and so no reason."""
        return request.refuse(rc, reason=one_line(reason) if request.header.group == Group.EDGERT else "")

    def tick(self) -> None:
        """To be called about every second."""
        try:
            self.session.tick()
        except Exception as error:  # as for a request: the agent goes on
            self.session.home.log(f"a fault of edgert's own, please report it: {error!r}")
            traceback.print_exc()

    def close(self) -> None:
        self.session.close()


def open_server(home: Home, buf_size: int = BUF_SIZE, buf_count: int = BUF_COUNT) -> Server:
    """A server of this machine's home, which is made where it is missing. Raises StoreError, InputError."""
    home.open()
    generations.settle(home)
    return Server(Session(home, ThisDevice(home.id, home.device().target, probe())), buf_size, buf_count)
