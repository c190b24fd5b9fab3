"""SMP messages, against PyPI's smp."""

from __future__ import annotations

from enum import IntEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smp import error as smp_error
from smp import file_management, header, os_management

from edgert.smp.groups import EdgertCommand, FsCommand, FsError, Group, MgmtError, OsCommand, RefusalCode
from edgert.smp.message import MAX_MESSAGE, V1, V2, Header, Message, MessageError, Op, Refusal


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Op, header.OP),
        (OsCommand, header.CommandId.OSManagement),
        (FsCommand, header.CommandId.FileManagement),
        (MgmtError, smp_error.MGMT_ERR),
        (FsError, file_management.FS_MGMT_ERR),
    ],
)
def test_numbers_are_those_of_smp(ours: type[IntEnum], theirs: type[IntEnum]) -> None:
    assert {int(number) for number in ours} <= {int(number) for number in theirs}
    if ours is FsError:  # the names, too
        assert {number.name: int(number) for number in ours} == {number.name: int(number) for number in theirs}


def test_our_own_numbers_stand() -> None:
    """On the wire: they may grow and never change."""
    assert (Group.OS, Group.FS, Group.EDGERT) == (0, 8, 237)
    assert [(command.name, int(command)) for command in EdgertCommand] == [
        ("OFFER", 0),
        ("STATUS", 1),
        ("VERIFY", 2),
        ("ACTIVATE", 3),
        ("CONFIRM", 4),
        ("ROLLBACK", 5),
    ]
    assert list(RefusalCode) == list(range(len(RefusalCode)))
    for number, name in [(2, "BUSY"), (7, "WRONG_DEVICE"), (8, "OLD_COUNTER"), (13, "BAD_OBJECT"), (17, "NO_MODEL")]:
        assert RefusalCode(number).name == name


@given(
    st.sampled_from(Op),
    st.integers(0, 0xFFFF),
    st.integers(0, 255),
    st.integers(0, 255),
    st.sampled_from([V1, V2]),
    st.dictionaries(st.text(max_size=8), st.integers(0, 2**32) | st.binary(max_size=64), max_size=6),
)
def test_messages_come_back(op: Op, group: int, command: int, sequence: int, version: int, body: dict) -> None:
    message = Message(Header(op, group, command, sequence, version), body)
    data = message.to_bytes()
    assert Message.from_bytes(data) == message
    assert Message.from_bytes(bytearray(data)) == message
    if group > 63:  # smp knows the commands of the others
        read = header.Header.loads(data[:8])
        assert (read.op, read.group_id, read.command_id) == (op, group, command)
        assert (read.sequence, read.version, read.length) == (sequence, version, len(data) - 8)


def test_requests_are_smps_to_the_byte() -> None:
    theirs = file_management.FileUploadRequest(off=0, data=b"\0" * 500, name="/edgert/abc", len=3000000, sequence=7)
    ours = Message(
        Header(Op.WRITE, Group.FS, FsCommand.FILE, sequence=7),
        {"name": "/edgert/abc", "off": 0, "len": 3000000, "data": b"\0" * 500},
    )
    assert ours.to_bytes() == theirs.BYTES
    assert Message.from_bytes(theirs.BYTES) == ours

    echo = Message(Header(Op.WRITE, Group.OS, OsCommand.ECHO, 9, V1), {"d": "hello"})
    assert echo.to_bytes() == os_management.EchoWriteRequest(d="hello", sequence=9, version=header.Version.V1).BYTES


def test_replies() -> None:
    request = Message(Header(Op.READ, Group.FS, FsCommand.STATUS, sequence=200), {"name": "/edgert/x"})
    reply = request.reply({"len": 5})
    assert reply.header == Header(Op.READ_RSP, Group.FS, FsCommand.STATUS, 200)
    assert reply.refusal() is None
    assert file_management.FileStatusResponse.loads(reply.to_bytes()).len == 5


def test_errors_as_smp_reads_them() -> None:
    request = Message(Header(Op.READ, Group.FS, FsCommand.STATUS), {"name": "/edgert/x"})
    refused = request.refuse(FsError.FILE_NOT_FOUND, Group.FS)
    read = file_management.FileSystemManagementErrorV2.loads(refused.to_bytes())
    assert (read.err.group, read.err.rc) == (8, file_management.FS_MGMT_ERR.FILE_NOT_FOUND)
    assert refused.refusal() == Refusal(8, 3)

    general = request.refuse(MgmtError.INVALID, reason="no name")
    assert file_management.FileSystemManagementErrorV1.loads(general.to_bytes()).rc == MgmtError.INVALID
    assert general.refusal() == Refusal(None, MgmtError.INVALID, "no name")

    old = Message(Header(Op.READ, Group.FS, FsCommand.STATUS, version=V1)).refuse(FsError.FILE_NOT_FOUND, Group.FS)
    assert old.body == {"rc": 3}


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({"rc": 0}, None),
        ({"err": {"group": 8, "rc": 0}}, None),
        ({"off": 3}, None),
        ({"rc": 3, "rsn": 5}, Refusal(None, 3)),
        ({"rc": "x"}, Refusal(None, MgmtError.UNKNOWN)),
        ({"err": 3}, Refusal(None, MgmtError.UNKNOWN)),
        ({"err": {"rc": 3}, "rsn": "no"}, Refusal(None, MgmtError.UNKNOWN, "no")),
        ({"err": {"group": 237, "rc": 11, "more": 1}, "rsn": "full"}, Refusal(237, 11, "full")),
    ],
)
def test_errors_as_a_device_may_write_them(body: dict, refusal: Refusal | None) -> None:
    assert Message(Header(Op.READ_RSP, 8, 1), body).refusal() == refusal


@pytest.mark.parametrize(
    ("data", "text", "with_header"),
    [
        ("", "0 bytes", False),
        ("0a000000000000", "7 bytes", False),
        ("0a00000100000000", "announces 1 bytes", False),
        ("0a00000000000000a0", "announces 0 bytes", False),
        ("0400000000000000", "no operation", False),
        ("2000000000000000", "no operation", False),
        ("0a00000100000000ff", "end of a container", True),
        ("0a0000010000000080", "not a map", True),
        ("0a00000200000000a000", "follow the value", True),
    ],
)
def test_no_messages(data: str, text: str, with_header: bool) -> None:
    with pytest.raises(MessageError, match=text) as caught:
        Message.from_bytes(bytes.fromhex(data))
    assert (caught.value.header is not None) == with_header


def test_a_message_without_a_body() -> None:
    assert Message.from_bytes(bytes.fromhex("0000000000000006")).body == {}


def test_a_version_to_come_can_be_answered() -> None:
    assert Message.from_bytes(bytes.fromhex("1000000000000006")).header.version == 2


def test_bodies_of_64_kib() -> None:
    head = Header(Op.WRITE, Group.FS, FsCommand.FILE)
    data = Message(head, {"data": bytes(65535 - 9)}).to_bytes()
    assert len(data) == MAX_MESSAGE
    assert len(Message.from_bytes(data).body["data"]) == 65535 - 9
    with pytest.raises(MessageError, match="65535 are the most"):
        Message(head, {"data": bytes(65536 - 9)}).to_bytes()


@given(st.binary(max_size=64))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    try:
        message = Message.from_bytes(data)
    except MessageError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either is right
    else:
        message.refusal()
        message.reply({}).to_bytes()
