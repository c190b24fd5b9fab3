"""What an offer has to pass before anything of it is kept."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from edgert.agent.refusal import RefusedError
from edgert.agent.this_device import ThisDevice
from edgert.manifest.keys import SIGNATURE_BYTES, PublicKey, SignatureError, Trust, UnknownKeyError
from edgert.manifest.manifest import Manifest, ManifestError, at_least
from edgert.smp import cbor
from edgert.smp.groups import RefusalCode as Rc
from edgert.targets.fit import fits_any

MAX_OFFER_BYTES = 1 << 20


@dataclass(frozen=True)
class Offer:
    """A manifest whose signature holds. key: the trusted one that signed it."""

    manifest: Manifest
    manifest_bytes: bytes
    signature: bytes
    key: PublicKey

    @property
    def sha256(self) -> bytes:
        """What tells one offer from another."""
        return hashlib.sha256(self.manifest_bytes).digest()

    def __str__(self) -> str:
        return f"{self.manifest.name} {self.manifest.counter}"


def unpack_offer(data: bytes) -> tuple[bytes, bytes]:
    """(manifest, signature) of what OFFER carries. Raises RefusedError."""
    try:
        value = cbor.decode(data)
    except cbor.CborError as error:
        raise RefusedError(Rc.BAD_REQUEST, f"the offer cannot be read: {error}") from error
    if not isinstance(value, dict) or value.keys() != {"manifest", "signature"}:
        raise RefusedError(Rc.BAD_REQUEST, "the offer holds something else than a manifest and a signature")
    manifest, signature = value["manifest"], value["signature"]
    if not isinstance(manifest, bytes) or not isinstance(signature, bytes):
        raise RefusedError(Rc.BAD_REQUEST, "the offer's manifest or signature is no byte string")
    return manifest, signature


def authentic(manifest_bytes: bytes, signature: bytes, trust: Trust) -> Offer:
    """Whether somebody that this device trusts says just this. Raises RefusedError."""
    try:
        manifest = Manifest.from_bytes(manifest_bytes)
    except ManifestError as error:
        raise RefusedError(Rc.BAD_MANIFEST, str(error)) from error
    if len(signature) != SIGNATURE_BYTES:
        raise RefusedError(
            Rc.BAD_SIGNATURE, f"the signature has {len(signature)} bytes, needed the {SIGNATURE_BYTES} of Ed25519"
        )
    try:
        key = trust.check(manifest.key_id, manifest_bytes, signature)
    except UnknownKeyError as error:
        ignored = f" ({trust.problems[0]})" if trust.problems else ""  # it may be just this key's file
        raise RefusedError(Rc.UNKNOWN_KEY, f"{error}{ignored}") from error
    except SignatureError as error:
        raise RefusedError(Rc.BAD_SIGNATURE, str(error)) from error
    return Offer(manifest, manifest_bytes, signature, key)


def check_device(manifest: Manifest, device: ThisDevice, runtime: str) -> None:
    """Whether it is meant for this machine. Raises RefusedError."""
    if manifest.devices and device.id not in manifest.devices:
        shown = ", ".join(manifest.devices[:3]) + (" ..." if len(manifest.devices) > 3 else "")
        raise RefusedError(Rc.WRONG_DEVICE, f"this device is {device.id}; the manifest is for {shown}")
    reason = fits_any(manifest.targets, device.probe, manifest.memory_bytes)
    if reason is not None:
        raise RefusedError(Rc.WRONG_TARGET, f"the device {reason}")
    if not at_least(runtime, manifest.runtime):
        raise RefusedError(
            Rc.OLD_RUNTIME,
            f"the device has edgert {runtime}; the package needs {manifest.runtime} or newer: update edgert there",
        )


def check_time(manifest: Manifest, clock: Callable[[], float] = time.time) -> None:
    """Whether it is still meant at all, by this device's clock. Raises RefusedError."""
    now = clock()
    if manifest.expires is not None and now > manifest.expires:
        raise RefusedError(
            Rc.EXPIRED,
            f"the manifest expired at {_when(manifest.expires)}; the device's clock says {_when(now)}: sign it anew,"
            " or set the clock",
        )


def check_counter(manifest: Manifest, highest: int) -> None:
    """A counter serves once: what is not newer than all that was ever activated is a replay. Raises RefusedError."""
    if manifest.counter <= highest:
        raise RefusedError(
            Rc.OLD_COUNTER,
            f"the counter {manifest.counter} of {manifest.name} is not above {highest}, which this device had already:"
            " push with a higher one, or roll back on the device",
        )


def _when(seconds: float) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
    except (OverflowError, ValueError, OSError):
        return f"second {seconds:.0f}"
