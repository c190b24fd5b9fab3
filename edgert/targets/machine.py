"""What this machine is: architecture, instruction sets, memory, page size and cores, as the processes of this one's
container have them.

Architecture and instruction sets are the runtime's own answer (HWCAP on ARM, CPUID on x86; ext/base/isa.c), so that a
32-bit process on a 64-bit kernel is "armv7", whatever uname says.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from edgert.errors import InputError
from edgert.runtime import _native

# A JSON file with some of Probe's fields, which take the place of what is found: for tests that need a machine which
# they do not have. It changes what is said of this machine and never which kernels run.
ENVIRONMENT = "EDGERT_PROBE"

_MOST_MEMORY_32 = 4 << 30  # bytes that a 32-bit process can address


@dataclass(frozen=True)
class Probe:
    """architecture: "x86_64", "aarch64" or "armv7"; the system's own word for one that edgert has no kernels for.

    instruction_sets: those of edgert's kernels that run here, in rising order. memory_bytes: what processes here may
    use, all together: the machine's, or the least limit of the control groups that this process is in; 0 where nothing
    says. cores: those that this process may run on.
    """

    architecture: str
    instruction_sets: tuple[str, ...]
    memory_bytes: int
    page_size: int
    cores: int

    def facts(self) -> dict[str, Any]:
        """As an agent tells it: text, integers; the instruction sets as one text, apart by blanks."""
        return {
            "architecture": self.architecture,
            "instruction_sets": " ".join(self.instruction_sets),
            "memory_bytes": self.memory_bytes,
            "page_size": self.page_size,
            "cores": self.cores,
        }

    @staticmethod
    def of(facts: Mapping[str, Any]) -> Probe:
        """What `facts` made, with whatever else stands there. Raises InputError: an agent may say anything."""
        return _replaced(Probe("", (), 0, 0, 0), facts, "what the device says of itself", complete=True)


def probe(root: Path = Path("/")) -> Probe:
    """What this machine is. root: where /proc and /sys lie. Raises InputError when $EDGERT_PROBE cannot be used."""
    architecture, instruction_sets = _native.host_target()
    memory = _memory_bytes(root)
    if architecture == "armv7":
        memory = min(memory, _MOST_MEMORY_32)
    found = Probe(
        architecture=architecture or os.uname().machine,
        instruction_sets=tuple(instruction_sets.split()),
        memory_bytes=memory,
        page_size=os.sysconf("SC_PAGE_SIZE"),
        cores=_cores(root),
    )
    given = os.environ.get(ENVIRONMENT)
    return _given(found, Path(given)) if given else found


def _given(found: Probe, path: Path) -> Probe:
    what = f"{path}, which {ENVIRONMENT} names,"
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{what} cannot be read: {error}; name a JSON file or unset {ENVIRONMENT}") from error
    if not isinstance(facts, dict):
        raise InputError(f"{what} holds no JSON object")
    known = [field.name for field in fields(Probe)]
    if unknown := sorted(set(facts) - set(known)):
        raise InputError(f"{what} has {', '.join(unknown)}; there are {', '.join(known)}")
    return _replaced(found, facts, what, complete=False)


def _replaced(found: Probe, facts: Mapping[str, Any], what: str, complete: bool) -> Probe:
    """found, with those of its fields that stand in facts. complete: all must."""
    values: dict[str, Any] = {}
    for field in fields(Probe):
        if field.name not in facts:
            if complete:
                raise InputError(f"{what} has no {field.name}")
            continue
        value, is_text = facts[field.name], field.name in ("architecture", "instruction_sets")
        if is_text and not isinstance(value, str):
            raise InputError(f"{what} has {field.name} {value!r}; needed text")
        if not is_text and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
            raise InputError(f"{what} has {field.name} {value!r}; needed a count")
        values[field.name] = tuple(value.split()) if field.name == "instruction_sets" else value
    return replace(found, **values)


def _memory_bytes(root: Path) -> int:
    limits = [limit for limit in (_total_bytes(root), *_group_limits(root)) if limit > 0]
    return min(limits, default=0)


def _total_bytes(root: Path) -> int:
    """MemTotal of /proc/meminfo, which is in KiB whatever it says; 0 where it is not there."""
    for line in _text(root / "proc/meminfo").splitlines():
        name, _, value = line.partition(":")
        words = value.split()
        if name == "MemTotal" and words and words[0].isdigit():
            return int(words[0]) << 10
    return 0


def _group_limits(root: Path) -> Iterator[int]:
    """Bytes of every limit on this process's control groups: one binds all below it, so each on the way up counts."""
    for file, name in (("memory.max", ""), ("memory.limit_in_bytes", "memory")):
        for folder in _groups(root, name):
            text = _text(folder / file).strip()
            if text.isdigit():  # "max": none
                yield int(text)


def _cores(root: Path) -> int:
    """Those that the scheduler may use for this process, and no more than its control groups have time for."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for quota, period in _quotas(root):
        cores = min(cores, max(1, -(-quota // period)))
    return cores


def _quotas(root: Path) -> Iterator[tuple[int, int]]:
    """(microseconds of processor time, in as many) of every limit."""
    pairs = [_text(folder / "cpu.max").split() for folder in _groups(root, "")]
    pairs += [[_text(at / f"cpu.cfs_{part}_us").strip() for part in ("quota", "period")] for at in _groups(root, "cpu")]
    for pair in pairs:
        if len(pair) == 2 and all(part.isdigit() and int(part) > 0 for part in pair):  # "max", "-1": none
            yield int(pair[0]), int(pair[1])


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Folders of the control groups that this process is in, from its own to the outermost that is seen here.

    controller: one of version 1, or "" for the one hierarchy of version 2 (Linux, Documentation/admin-guide/cgroup-v2).
    In a container without a name space of its own for them, the path is the host's and is not there; its outermost
    folder is then the container's.
    """
    for line in _text(root / "proc/self/cgroup").splitlines():
        parts = line.split(":", 2)
        if len(parts) != 3 or controller not in parts[1].split(","):
            continue
        top = root / "sys/fs/cgroup" / controller
        inner = Path(parts[2].lstrip("/"))
        if ".." in inner.parts:  # a group outside of this name space
            inner = Path()
        yield from (top / inner, *(top / parent for parent in inner.parents))


def _text(path: Path) -> str:
    """What a file of the kernel says; nothing where there is none, as on systems with other parts of it."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
