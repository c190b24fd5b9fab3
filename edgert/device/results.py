"""What a device says of itself, and what a push came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgert.device.words import plain


class AnswerError(ValueError):
    """An answer that no agent would give: its bytes were damaged on the way past the frame's CRC."""


@dataclass(frozen=True)
class DeviceInfo:
    """What the agent found out about its machine."""

    id: str
    target: str | None
    architecture: str
    instruction_sets: tuple[str, ...]
    memory_bytes: int
    page_size: int
    cores: int
    runtime: str
    zstd: bool
    agent: int
    keys: tuple[bytes, ...]
    """The ids (8 bytes each) of the public keys whose manifests it accepts."""


@dataclass(frozen=True)
class ModelState:
    """One model of a device. state: "pending" (loads of trials are used up) or "confirmed"; sha256 of its manifest."""

    name: str
    state: str
    counter: int
    sha256: bytes
    loads: int
    trials: int
    previous: int | None


@dataclass(frozen=True)
class Waiting:
    """A generation that passed the device's checks and was not activated yet; sha256 of its manifest."""

    name: str
    counter: int
    sha256: bytes


@dataclass(frozen=True)
class DeviceStatus:
    """An agent's answer to STATUS. detail: the last refusal or result; progress: (done, total) of a push; verified:
    what `activate` can switch to."""

    state: str
    detail: str
    device: DeviceInfo
    models: tuple[ModelState, ...]
    progress: tuple[int, int] | None = None
    verified: tuple[Waiting, ...] = ()

    def model(self, name: str) -> ModelState | None:
        return next((model for model in self.models if model.name == name), None)


@dataclass(frozen=True)
class PushResult:
    """What a push did.

    sha256: of the package; manifest: the manifest's, by which it can be activated later. state: "verified" (not
    activated), "pending" or "confirmed"; "written" into a folder. bytes_total: of the package; bytes_sent: what left
    this machine of offer and package, what was sent again included (compressed, so it may be less than bytes_total);
    resumed_from: bytes of the package that the device had. retries: requests sent again.
    """

    target: str
    device: str
    name: str
    counter: int
    sha256: str
    manifest: str
    state: str
    bytes_sent: int
    bytes_total: int
    resumed_from: int
    retries: int
    seconds: float


def field(body: Mapping[str, Any], key: str, kind: type) -> Any:
    """body[key], which must be of this kind (an int is no bool); text is made plain. Raises AnswerError."""
    value = body.get(key)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise AnswerError(f"{key!r} is {value!r:.60}, needed {kind.__name__}")
    return plain(value) if isinstance(value, str) else value


def counted(body: Mapping[str, Any], key: str) -> int:
    """body[key], an integer that counts something."""
    value: int = field(body, key, int)
    if value < 0:
        raise AnswerError(f"{key!r} is {value}, needed at least 0")
    return value


def read_status(body: Mapping[str, Any]) -> DeviceStatus:
    """A STATUS answer, every field checked. Raises AnswerError."""
    progress = body.get("progress")
    if progress is not None and not isinstance(progress, dict):
        raise AnswerError(f"'progress' is {progress!r:.60}, needed a map")
    models = field(body, "models", list)
    verified = field(body, "verified", list) if "verified" in body else []
    if not all(isinstance(one, dict) for one in (*models, *verified)):
        raise AnswerError("'models' or 'verified' holds something else than maps")
    return DeviceStatus(
        state=field(body, "state", str),
        detail=field(body, "detail", str) if "detail" in body else "",
        device=_read_device(field(body, "device", dict)),
        models=tuple(_read_model(model) for model in models),
        progress=None if progress is None else (counted(progress, "done"), counted(progress, "total")),
        verified=tuple(
            Waiting(field(one, "name", str), counted(one, "counter"), field(one, "sha256", bytes)) for one in verified
        ),
    )


def _read_device(body: Mapping[str, Any]) -> DeviceInfo:
    keys = field(body, "keys", list)
    if not all(isinstance(key, bytes) and len(key) == 8 for key in keys):
        raise AnswerError("'keys' holds something else than 8-byte key ids")
    return DeviceInfo(
        id=field(body, "id", str),
        target=field(body, "target", str) if body.get("target") is not None else None,
        architecture=field(body, "architecture", str),
        instruction_sets=tuple(field(body, "instruction_sets", str).split()),
        memory_bytes=counted(body, "memory_bytes"),
        page_size=counted(body, "page_size"),
        cores=counted(body, "cores"),
        runtime=field(body, "runtime", str),
        zstd=field(body, "zstd", bool),
        agent=counted(body, "agent"),
        keys=tuple(keys),
    )


def _read_model(body: Mapping[str, Any]) -> ModelState:
    state = field(body, "state", str)
    if state not in ("pending", "confirmed"):
        raise AnswerError(f"a model's 'state' is {state!r}, needed 'pending' or 'confirmed'")
    return ModelState(
        name=field(body, "name", str),
        state=state,
        counter=counted(body, "counter"),
        sha256=field(body, "sha256", bytes),
        loads=counted(body, "loads"),
        trials=counted(body, "trials"),
        previous=counted(body, "previous") if body.get("previous") is not None else None,
    )
