"""Group 237: edgert's own commands, as bodies in and out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edgert.agent import generations
from edgert.agent.fields import field, optional
from edgert.agent.offer import MAX_OFFER_BYTES, unpack_offer
from edgert.agent.refusal import RefusedError
from edgert.agent.session import Session
from edgert.agent.words import one_line
from edgert.agent.zstd import decompressor
from edgert.manifest.keys import Trust
from edgert.smp import cbor
from edgert.smp.groups import RefusalCode as Rc

AGENT_VERSION = 1  # of this group's commands
_MOST_KEYS = 32
_HEADER_BYTES = 8


class EdgertGroup:
    def __init__(self, session: Session, buf_size: int) -> None:
        self._session = session
        self._buf_size = buf_size
        self._blob = bytearray()  # the offer as far as it came
        self._blob_bytes = 0

    def offer(self, body: Mapping[str, Any]) -> dict[str, Any]:
        offset, data, length = field(body, "off", int), field(body, "data", bytes), optional(body, "len", int)
        if offset == 0:
            if length is None or not 0 < length <= MAX_OFFER_BYTES:
                raise RefusedError(Rc.BAD_REQUEST, f"an offer of {length} bytes; it has 1 to {MAX_OFFER_BYTES}")
            self._blob, self._blob_bytes = bytearray(), length
        # An offer that is whole stays until another begins: its last piece may come again, when the answer was lost.
        if len(self._blob) < self._blob_bytes or offset == 0:
            if offset != len(self._blob):
                return {"off": len(self._blob)}
            if len(data) > self._blob_bytes - offset:
                raise RefusedError(
                    Rc.BAD_REQUEST, f"bytes up to {offset + len(data)} came of an offer of {self._blob_bytes}"
                )
            self._blob += data
            if len(self._blob) < self._blob_bytes:
                return {"off": len(self._blob)}
        elif not self._blob_bytes:
            return {"off": 0}
        state, needs = self._session.offer(*unpack_offer(bytes(self._blob)))
        return {
            "off": self._blob_bytes,
            "state": str(state),
            "need": [{"sha256": need.sha256, "have": need.have} for need in needs],
            "zstd": decompressor() is not None,
        }

    def status(self, _body: Mapping[str, Any]) -> dict[str, Any]:
        session, device = self._session, self._session.device
        answer: dict[str, Any] = {
            "state": str(session.state),
            "detail": one_line(session.detail),
            "device": {
                "id": device.id,
                **({"target": device.target} if device.target is not None else {}),
                **device.probe.facts(),
                "runtime": session.runtime,
                "zstd": decompressor() is not None,
                "agent": AGENT_VERSION,
                "keys": list(Trust(session.home.trusted_keys()).key_ids[:_MOST_KEYS]),
            },
            "models": [],
        }
        progress = session.progress
        if progress is not None:
            answer["progress"] = {"done": progress[0], "total": progress[1]}
        # The list of models is cut where it would not fit a frame; that of the push that is going on comes first.
        room = self._buf_size - _HEADER_BYTES - len(cbor.encode(answer)) - 8
        for model in self._models():
            room -= len(cbor.encode(model))
            if room < 0:
                break
            answer["models"].append(model)
        verified = []
        for name, counter, sha256 in generations.waiting(session.home):
            one = {"name": name, "counter": counter, "sha256": sha256}
            room -= len(cbor.encode(one))
            if room < len(cbor.encode("verified")) + 8:
                break
            verified.append(one)
        return {**answer, "verified": verified} if verified else answer

    def _models(self) -> Iterator[dict[str, Any]]:
        offered = self._session.offered
        for model in generations.models(self._session.home, first=None if offered is None else offered.manifest.name):
            yield {
                "name": model.name,
                "state": "pending" if model.pending else "confirmed",
                "counter": model.counter,
                "sha256": model.sha256,
                "loads": model.loads,
                "trials": model.trials,
                "previous": model.previous,
            }

    def verify(self, _body: Mapping[str, Any]) -> dict[str, Any]:
        return {"state": str(self._session.verify())}

    def activate(self, body: Mapping[str, Any]) -> dict[str, Any]:
        state, name, counter = self._session.activate(field(body, "manifest", bytes))
        return {"state": str(state), "name": name, "counter": counter}

    def confirm(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return {"state": str(self._session.confirm(field(body, "name", str)))}

    def rollback(self, body: Mapping[str, Any]) -> dict[str, Any]:
        state, counter = self._session.rollback(field(body, "name", str), field(body, "counter", int))
        return {"state": str(state), "counter": counter}
