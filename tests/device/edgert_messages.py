"""Group 237 in the words of PyPI's smp: what a program that knows SMP, and edgert from its description alone, would
declare. smp forbids keys that are not declared, so that these are also a list of all that may be sent."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict
from smp import error, message
from smp.header import OP

from edgert.smp.groups import EdgertCommand, Group, RefusalCode


class ErrorV1(error.ErrorV1):
    _GROUP_ID = Group.EDGERT


class ErrorV2(error.ErrorV2[RefusalCode]):
    _GROUP_ID = Group.EDGERT

    rsn: str | None = None


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Need(_Model):
    sha256: bytes
    have: int


class Device(_Model):
    id: str
    target: str | None = None
    architecture: str
    instruction_sets: str
    memory_bytes: int
    page_size: int
    cores: int
    runtime: str
    zstd: bool
    agent: int
    keys: list[bytes]


class ModelState(_Model):
    name: str
    state: str
    counter: int
    sha256: bytes
    loads: int
    trials: int
    previous: int | None = None


class Verified(_Model):
    name: str
    counter: int
    sha256: bytes


class Progress(_Model):
    done: int
    total: int


class OfferResponse(message.WriteResponse):
    _GROUP_ID = Group.EDGERT
    _COMMAND_ID = EdgertCommand.OFFER

    off: int
    state: str | None = None
    need: list[Need] | None = None
    zstd: bool | None = None


class Offer(message.WriteRequest):
    _GROUP_ID = Group.EDGERT
    _COMMAND_ID = EdgertCommand.OFFER
    _Response = OfferResponse
    _ErrorV1 = ErrorV1
    _ErrorV2 = ErrorV2

    off: int
    data: bytes
    len: int | None = None


class StatusResponse(message.ReadResponse):
    _GROUP_ID = Group.EDGERT
    _COMMAND_ID = EdgertCommand.STATUS

    state: str
    detail: str
    device: Device
    models: list[ModelState]
    progress: Progress | None = None
    verified: list[Verified] | None = None


class Status(message.ReadRequest):
    _GROUP_ID = Group.EDGERT
    _COMMAND_ID = EdgertCommand.STATUS
    _Response = StatusResponse
    _ErrorV1 = ErrorV1
    _ErrorV2 = ErrorV2


class VerifyResponse(message.WriteResponse):
    _GROUP_ID = Group.EDGERT
    _COMMAND_ID = EdgertCommand.VERIFY

    state: str


class Verify(message.WriteRequest):
    _GROUP_ID = Group.EDGERT
    _COMMAND_ID = EdgertCommand.VERIFY
    _Response = VerifyResponse
    _ErrorV1 = ErrorV1
    _ErrorV2 = ErrorV2


class ActivateResponse(message.WriteResponse):
    _GROUP_ID = Group.EDGERT
    _COMMAND_ID = EdgertCommand.ACTIVATE

    state: str
    name: str
    counter: int


class Activate(message.WriteRequest):
    _GROUP_ID = Group.EDGERT
    _COMMAND_ID = EdgertCommand.ACTIVATE
    _Response = ActivateResponse
    _ErrorV1 = ErrorV1
    _ErrorV2 = ErrorV2

    manifest: bytes


class ConfirmResponse(message.WriteResponse):
    _GROUP_ID = Group.EDGERT
    _COMMAND_ID = EdgertCommand.CONFIRM

    state: str


class Confirm(message.WriteRequest):
    _GROUP_ID = Group.EDGERT
    _COMMAND_ID = EdgertCommand.CONFIRM
    _Response = ConfirmResponse
    _ErrorV1 = ErrorV1
    _ErrorV2 = ErrorV2

    name: str


class RollbackResponse(message.WriteResponse):
    _GROUP_ID = Group.EDGERT
    _COMMAND_ID = EdgertCommand.ROLLBACK

    state: str
    counter: int


class Rollback(message.WriteRequest):
    _GROUP_ID = Group.EDGERT
    _COMMAND_ID = EdgertCommand.ROLLBACK
    _Response = RollbackResponse
    _ErrorV1 = ErrorV1
    _ErrorV2 = ErrorV2

    name: str
    counter: int


REQUESTS: dict[tuple[int, int, OP], Any] = {
    (request._GROUP_ID, request._COMMAND_ID, request._OP): request
    for request in (Offer, Status, Verify, Activate, Confirm, Rollback)
}
