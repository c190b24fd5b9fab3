"""What a device's "no" means, in words."""

from __future__ import annotations

from edgert.device.errors import RefusedError
from edgert.device.words import plain
from edgert.smp.groups import FsError, Group, MgmtError, RefusalCode
from edgert.smp.message import Refusal

# For agents that give no reason of their own, and for what the line itself can do.
_HINTS: dict[tuple[int, int], str] = {
    (Group.EDGERT, RefusalCode.BUSY): "another push to it is going on; call again when that one is done",
    (Group.EDGERT, RefusalCode.UNKNOWN_KEY): "it does not trust this key; run `edgert keys trust` there",
    (Group.EDGERT, RefusalCode.OLD_COUNTER): "it has had a newer one; push with a higher counter, or roll back",
    (Group.EDGERT, RefusalCode.NO_SPACE): "its disk is full; remove what is not needed there",
    (Group.EDGERT, RefusalCode.NOTHING_TO_ROLL_BACK): "there is no previous generation of this model",
    (Group.EDGERT, RefusalCode.NO_MODEL): "it has no model of this name",
    (Group.FS, FsError.FILE_INVALID_NAME): "it expects no such object; no offer was accepted, or it was restarted",
    (Group.FS, FsError.FILE_NOT_FOUND): "there is no such object",
    (Group.FS, FsError.FILE_WRITE_FAILED): "what arrived does not have the hash that the manifest says",
}
_NAMES: dict[int, type[FsError] | type[RefusalCode]] = {Group.FS: FsError, Group.EDGERT: RefusalCode}


def refused(refusal: Refusal, asked_group: int, device: str) -> RefusedError:
    """The error to raise for a reply that refuses. asked_group: of the request; device: as an error names it."""
    group = refusal.group if refusal.group is not None else Group.OS
    reason = plain(refusal.reason) or _HINTS.get((group, refusal.rc), "")
    name = _name(refusal, asked_group)
    return RefusedError(f"{device} refuses ({name}){f': {reason}' if reason else ''}", group, refusal.rc, reason)


def _name(refusal: Refusal, asked_group: int) -> str:
    numbers = MgmtError if refusal.group is None else _NAMES.get(refusal.group)
    group = asked_group if refusal.group is None else refusal.group
    try:
        return numbers(refusal.rc).name.lower().replace("_", " ") if numbers else f"group {group}, error {refusal.rc}"
    except ValueError:
        return f"group {group}, error {refusal.rc}"


def is_full(refusal: Refusal) -> bool:
    """Whether this only says that too much was sent at once: to be sent again a little later."""
    return refusal.group is None and refusal.rc in (MgmtError.NO_MEMORY, MgmtError.BUSY)
