"""Installs a bundle that lies in a folder: a USB stick, for devices that nothing else reaches.

    DIR/edgert-push/manifest, signature, objects/<SHA-256 in hex>     the bundle, as `edgert push file:DIR` writes it
    DIR/result-<device id>.json                                       what came of it, where the folder can be written

The bundle is a stranger's like anything that comes over a line: it goes through the same session.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from edgert.agent.offer import MAX_OFFER_BYTES
from edgert.agent.session import Need, Session
from edgert.agent.states import State
from edgert.errors import EdgertError, InputError
from edgert.store import disk

FOLDER = "edgert-push"
# A golden check bounds itself; this is for the hashing of large objects from a slow disk, too.
VERIFY_SECONDS = 3600.0


@dataclass(frozen=True)
class OnceResult:
    """What result-<device id>.json holds. state: as STATUS tells it; manifest: its SHA-256 in hex; time: of the
    device's clock, seconds since 1970."""

    installed: bool
    state: str
    detail: str
    device: str
    name: str | None = None
    counter: int | None = None
    manifest: str | None = None
    time: int = 0


def install_bundle(session: Session, folder: Path) -> OnceResult:
    """Installs and activates the bundle in `folder`, and writes down what came of it. Raises InputError when there is
    none; all that is wrong with it stands in the result."""
    bundle = folder / FOLDER
    if not bundle.is_dir():
        raise InputError(f"{folder} holds no folder {FOLDER}; write one with `edgert push MODEL.ert file:{folder}`")
    try:
        result = _install(session, bundle)
    except (EdgertError, OSError) as error:
        session.home.log(f"{folder}: {error}")
        result = _result(session, False, str(error))
    finally:
        session.close()
    _write_result(folder / f"result-{result.device}.json", result)
    return result


def _install(session: Session, bundle: Path) -> OnceResult:
    manifest, signature = (_read(bundle / name) for name in ("manifest", "signature"))
    state, needs = session.offer(manifest, signature)
    for need in needs:
        _copy(session, need, bundle / "objects" / need.sha256.hex())
    if session.state is State.RECEIVED:
        session.verify()
        session.wait(VERIFY_SECONDS)
    if session.state is State.REJECTED:
        return _result(session, False, session.detail)
    offer = session.offered
    assert offer is not None
    if session.state is State.VERIFIED:
        session.activate(offer.sha256)
    state = session.state
    installed = state in (State.PENDING, State.CONFIRMED)
    return _result(session, installed, f"{offer} is {state}" if installed else session.detail)


def _copy(session: Session, need: Need, path: Path) -> None:
    try:
        file = disk.open_file(path)
    except FileNotFoundError as error:
        raise InputError(f"the bundle lacks {path}; write it again") from error
    with file:
        at = need.have
        while piece := file.read(at, disk.PIECE_BYTES):
            after = session.write(need.sha256, False, at, piece)
            if after <= at:  # the same file gives the same bytes, so there is no use in asking it again
                raise InputError(f"{path} is damaged: its bytes from {after} on are not those that were signed")
            at = after
    entry = session.entry(need.sha256)
    if entry is None or at != entry.size:
        raise InputError(f"{path} ends at byte {at}; it is cut short")


def _read(path: Path) -> bytes:
    data = disk.read_file(path, MAX_OFFER_BYTES)
    if data is None:
        raise InputError(f"the bundle lacks {path}; write it again")
    return data


def _result(session: Session, installed: bool, detail: str) -> OnceResult:
    offer = session.offered
    return OnceResult(
        installed=installed,
        state=str(session.state),
        detail=detail,
        device=session.device.id,
        name=None if offer is None else offer.manifest.name,
        counter=None if offer is None else offer.manifest.counter,
        manifest=None if offer is None else offer.sha256.hex(),
        time=int(time.time()),
    )


def _write_result(path: Path, result: OnceResult) -> None:
    """Whole or not at all; a stick that cannot be written to is no reason to fail."""
    text = json.dumps(asdict(result), indent=2) + "\n"
    with suppress(OSError):
        fd, half = tempfile.mkstemp(prefix=".result-", dir=path.parent)
        try:
            with os.fdopen(fd, "w", encoding="utf-8") as file:
                os.fchmod(fd, 0o644)
                file.write(text)
                file.flush()
                os.fsync(fd)
            os.replace(half, path)
        except OSError:
            Path(half).unlink(missing_ok=True)
