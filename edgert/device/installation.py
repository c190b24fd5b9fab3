"""One package on its way to one device: what is asked, offered, sent and waited for, in which order."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgert.device.client import Client
from edgert.device.compress import compressor
from edgert.device.devices_file import Device
from edgert.device.errors import DeviceError, LinkError, RefusedError, RejectedError
from edgert.device.options import PushOptions
from edgert.device.package import Package
from edgert.device.results import AnswerError, DeviceStatus, ModelState, PushResult, counted, field
from edgert.device.source import CompressedSource, PlainSource, Source, worth_compressing
from edgert.device.statuses import read_twice
from edgert.manifest.keys import PrivateKey
from edgert.progress import Progress
from edgert.smp import cbor
from edgert.smp.groups import EdgertCommand, FsCommand, FsError, Group, RefusalCode
from edgert.smp.message import Op
from edgert.targets import Probe, fits_any

# Offers of one push: the agent may be started anew in the middle, and forgets all but what arrived.
_MOST_OFFERS = 8
_VERIFY_S = 900.0  # for all golden runs of the largest model on the slowest device
_POLL_S, _LONGEST_POLL_S = 0.03, 1.0
_DAMAGED = (RefusalCode.BAD_REQUEST, RefusalCode.BAD_MANIFEST, RefusalCode.BAD_SIGNATURE)
_DONE = ("pending", "confirmed")


@dataclass(frozen=True)
class _Offered:
    """The answer to a whole offer. need: by the object's hash, how much of it is there."""

    state: str
    need: dict[bytes, int]
    zstd: bool


class Installation:
    """`began`: of the whole push, a monotonic time."""

    def __init__(
        self,
        client: Client,
        package: Package,
        device: Device,
        key: PrivateKey,
        options: PushOptions,
        progress: Progress,
        began: float,
    ) -> None:
        self._client = client
        self._package = package
        self._device = device
        self._key = key
        self._options = options
        self._progress = progress
        self._began = began
        self._resumed_from: int | None = None

    async def run(self) -> PushResult:
        """Raises what edgert.device.push.push says."""
        status = await read_twice(self._client)
        self._check_device(status)
        model = status.model(self._package.name)
        if model is not None and not self._options.force and self._is_there(model):
            return self._result(status, model.counter, model.state)
        counter = self._options.counter
        if counter is None:
            counter = max(int(time.time()), model.counter + 1 if model is not None else 0)
        manifest = self._manifest(counter)
        state = await self._deliver(manifest)
        if state not in _DONE and self._options.activate:
            state = await self._activate(manifest)
        return self._result(status, counter, state)

    def _is_there(self, model: ModelState) -> bool:
        """Whether just this is current. Manifests of the same content are the same bytes, and have the same hash."""
        return self._options.counter in (None, model.counter) and (
            hashlib.sha256(self._manifest(model.counter)).digest() == model.sha256
        )

    def _manifest(self, counter: int) -> bytes:
        devices = self._options.devices or ((self._device.device_id,) if self._device.device_id else ())
        manifest = self._package.manifest(self._key, counter, self._options, devices, self._device.target)
        return manifest.to_bytes()

    def _check_device(self, status: DeviceStatus) -> None:
        """What the agent would refuse, too, told before anything is signed for it."""
        found, where = status.device, self._client.stream.describe()
        wanted = self._device.device_id
        if wanted is not None and found.id != wanted:
            raise DeviceError(f"{where}: the device is {found.id}, and {self._device.name!r} is {wanted}")
        probe = Probe(found.architecture, found.instruction_sets, found.memory_bytes, found.page_size, found.cores)
        manifest = self._package.manifest(self._key, 1, self._options, (), self._device.target)
        reason = fits_any(manifest.targets, probe, manifest.memory_bytes)
        if reason is not None:
            raise DeviceError(f"{where}: the package does not go there: the device {reason}")

    async def _deliver(self, manifest: bytes) -> str:
        """Until the device has it all and has checked it: "verified", or what it is already."""
        offer = cbor.encode({"manifest": manifest, "signature": self._key.sign(manifest)})
        problem: RefusedError | None = None
        for _ in range(_MOST_OFFERS):
            self._progress("offer", 0, None)
            try:
                offered = await self._offer(offer)
                for sha256, have in offered.need.items():
                    await self._send(sha256, have, offered.zstd)
                if offered.state in ("verified", *_DONE):
                    return offered.state
                state = await self._verify()
            except RefusedError as error:
                if not self._worth_offering_again(error, problem) and not await self._was_checking(error):
                    raise await self._explained(error) from error
                problem = error
                continue
            if state in ("verified", *_DONE):
                return state
        raise LinkError(
            f"{self._client.stream.describe()}: the device forgot {_MOST_OFFERS} offers in a row"
            f"{f' (the last time: {problem.reason})' if problem else ''}; is it restarting all the time?"
        )

    def _worth_offering_again(self, error: RefusedError, before: RefusedError | None) -> bool:
        if (error.group, error.rc) in (
            (Group.EDGERT, RefusalCode.BAD_STATE),
            (Group.FS, FsError.FILE_INVALID_NAME),
        ):
            return True  # the agent was started anew
        # Damage that a CRC of 16 bits let pass; not twice.
        return before is None and self._client.stream.lossy and error.group == Group.EDGERT and error.rc in _DAMAGED

    async def _explained(self, error: RefusedError) -> DeviceError:
        """Answers to bytes are as short as Zephyr's; why they were refused stands in the status."""
        if error.group != Group.FS:
            return error
        status = await read_twice(self._client)
        where = self._client.stream.describe()
        if status.state == "rejected":
            return RejectedError(f"{where}: the device rejects the model: {status.detail}", status.detail)
        return RefusedError(
            f"{where}: the device refuses the package: {status.detail}", error.group, error.rc, status.detail
        )

    async def _offer(self, offer: bytes) -> _Offered:
        """The answer to the whole offer."""
        answer: _Offered | None = None

        def answered(body: Mapping[str, Any]) -> None:
            nonlocal answer
            if body.get("off") == len(offer):
                answer = _read_offered(body)

        command = (Group.EDGERT, EdgertCommand.OFFER)
        # An agent that still has an earlier push's offer answers any piece but the first as if it were of that one.
        await self._client.upload(
            PlainSource(offer),
            0,
            command,
            lambda offset: {"len": len(offer)} if offset == 0 else {},
            answered,
            first_alone=True,
        )
        if answer is None:  # the last answer was damaged; any piece of a whole offer is answered so
            body = {"off": len(offer), "data": b""}
            answer = await self._client.request(Op.WRITE, *command, body, _read_offered)
        return answer

    async def _send(self, sha256: bytes, have: int, zstd: bool) -> None:
        package = self._package
        if sha256 != package.entry.sha256 or have > package.entry.size:
            raise DeviceError(f"{self._client.stream.describe()}: the device asks for what was not offered")
        if self._resumed_from is None:
            self._resumed_from = have
        name = f"/edgert/{sha256.hex()}"
        content, compress = package.content(), compressor() if zstd and self._options.compress else None
        source: Source = PlainSource(content)
        first: dict[str, Any] = {"len": len(content)}  # Zephyr wants to know it beside offset 0
        chunk_bytes = package.entry.chunk_bytes
        if compress is not None and await asyncio.to_thread(worth_compressing, content, chunk_bytes, compress):
            source, name, first = CompressedSource(content, chunk_bytes, compress), f"{name}.zst", {}
        await self._client.upload(
            source,
            source.start(have),
            (Group.FS, FsCommand.FILE),
            lambda offset: {"name": name, **(first if offset == 0 else {})},
            progress=lambda done: self._progress("send", done, package.entry.size),
        )

    async def _verify(self) -> str:
        """The state after the device's own checks. Raises RejectedError when the model failed them."""
        self._progress("verify", 0, None)
        await self._client.request(
            Op.WRITE, Group.EDGERT, EdgertCommand.VERIFY, {}, lambda body: str(field(body, "state", str))
        )
        status = await self._checked()
        if status.state == "rejected":
            raise RejectedError(
                f"{self._client.stream.describe()}: the device rejects the model: {status.detail}", status.detail
            )
        return status.state

    async def _was_checking(self, error: RefusedError) -> bool:
        """Whether the device was only busy with the check of a push that was cut off, and is done with that now."""
        if (error.group, error.rc) != (Group.EDGERT, RefusalCode.BUSY):
            return False
        if (await read_twice(self._client)).state != "verifying":
            return False
        self._progress("verify", 0, None)
        await self._checked()
        return True

    async def _checked(self) -> DeviceStatus:
        """The status once no check is going on any more."""
        poll, give_up_at = _POLL_S, time.monotonic() + _VERIFY_S
        while time.monotonic() < give_up_at:
            status = await read_twice(self._client)
            if status.state != "verifying":
                return status
            await asyncio.sleep(poll)
            poll = min(poll * 1.5, _LONGEST_POLL_S)
        raise LinkError(
            f"{self._client.stream.describe()}: the device has been checking the model for {_VERIFY_S:.0f} s; look at "
            "its log, and call again to resume"
        )

    async def _activate(self, manifest: bytes) -> str:
        self._progress("activate", 0, None)
        body = {"manifest": hashlib.sha256(manifest).digest()}
        return await self._client.request(
            Op.WRITE, Group.EDGERT, EdgertCommand.ACTIVATE, body, lambda answer: str(field(answer, "state", str))
        )

    def _result(self, status: DeviceStatus, counter: int, state: str) -> PushResult:
        size = self._package.entry.size
        return PushResult(
            target=self._device.name,
            device=status.device.id,
            name=self._package.name,
            counter=counter,
            sha256=self._package.entry.sha256.hex(),
            manifest=hashlib.sha256(self._manifest(counter)).hexdigest(),
            state=state,
            bytes_sent=self._client.bytes_sent,
            bytes_total=size,
            resumed_from=size if self._resumed_from is None else self._resumed_from,
            retries=self._client.retries,
            seconds=time.monotonic() - self._began,
        )


def _read_offered(body: Mapping[str, Any]) -> _Offered:
    need = {}
    for item in field(body, "need", list):
        if not isinstance(item, dict) or len(field(item, "sha256", bytes)) != 32:
            raise AnswerError(f"'need' holds {item!r:.60}, needed hashes and counts")
        need[item["sha256"]] = counted(item, "have")
    return _Offered(field(body, "state", str), need, field(body, "zstd", bool))
