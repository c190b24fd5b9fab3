"""Removes what nothing refers to any more."""

from __future__ import annotations

import re
from collections.abc import Collection

from edgert.store import disk
from edgert.store.errors import NoModelError, StoreError
from edgert.store.home import Home
from edgert.store.slot import Slot

_HASH = re.compile(r"[0-9a-f]{64}")
_STAGED = re.compile(r"([0-9a-f]{64})\.(part|journal\.0|journal\.1|received)")


def collect(home: Home, keep: Collection[bytes] = (), keep_staged: bool = True) -> None:
    """Removes generations that are neither current nor previous nor waiting, and objects that belong to none of them
    nor are among `keep` (SHA-256 of the objects of the push that goes on). keep_staged=False: also what is staged of
    other pushes than that one, which else stays, so that they may resume.

    The caller holds the home's lock. Raises DiskError."""
    kept = {sha256.hex() for sha256 in keep}
    certain = True
    for name in home.models():
        slot = Slot(home, name)
        try:
            slot.collect()
            for counter in slot.generations():
                kept.update(entry.sha256.hex() for entry in slot.manifest(counter).objects)
        except NoModelError:
            continue  # a file, no folder
        except StoreError as error:
            home.log(f"{name}: nothing is collected: {error}")
            certain = False  # what a damaged generation refers to is not known
    if certain:
        for name in disk.names(home.objects):
            if _HASH.fullmatch(name) and name not in kept:
                disk.remove(home.objects / name)
    staged = disk.names(home.staging)
    for name in staged:
        found = _STAGED.fullmatch(name)
        sha256 = found[1] if found else ""
        resumable = f"{sha256}.part" in staged and any(f"{sha256}.journal.{one}" in staged for one in (0, 1))
        wanted = resumable and (keep_staged or sha256 in kept) and disk.file_size(home.objects / sha256) is None
        if not wanted:
            disk.remove(home.staging / name)
