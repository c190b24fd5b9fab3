"""Whether a machine has what a package asks for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from edgert.targets.machine import Probe

# Marks among a target's instruction sets that say which of two kernels is quicker there, and are no instructions.
MARKS = ("intel",)


class Requirement(Protocol):
    """What a package may ask of a machine. page_sizes: those that it goes with, in bytes; none: any. memory_bytes: what
    the machine must have in all. Manifests hold such things; a Target is one, too."""

    @property
    def name(self) -> str: ...
    @property
    def architecture(self) -> str: ...
    @property
    def instruction_sets(self) -> tuple[str, ...]: ...
    @property
    def page_sizes(self) -> tuple[int, ...]: ...
    @property
    def memory_bytes(self) -> int: ...


def fits(requirement: Requirement, probe: Probe) -> str | None:
    """None when the machine has all that is asked for; else what it lacks, in a line that begins after "the device"."""
    if requirement.architecture != probe.architecture:
        return f"is {_named(probe.architecture)}, needed {_named(requirement.architecture)} for {requirement.name}"
    lacking = [name for name in requirement.instruction_sets if name not in {*probe.instruction_sets, *MARKS}]
    if lacking:
        has = " ".join(probe.instruction_sets) or "none"
        return f"lacks {' and '.join(lacking)}, needed for {requirement.name} (it has {has})"
    if requirement.page_sizes and probe.page_size not in requirement.page_sizes:
        sizes = " or ".join(str(size) for size in requirement.page_sizes)
        return f"has memory pages of {probe.page_size} bytes, needed {sizes} for {requirement.name}"
    return lacks_memory(requirement.memory_bytes, probe)


def fits_any(requirements: Iterable[Requirement], probe: Probe, memory_bytes: int = 0) -> str | None:
    """None when the machine has the memory, and fits one of the requirements where there are any; else why not."""
    reasons: list[str] = []
    for requirement in requirements:
        reason = fits(requirement, probe)
        if reason is None:
            reasons = []
            break
        reasons.append(reason)
    return "; it ".join(reasons) if reasons else lacks_memory(memory_bytes, probe)


def lacks_memory(needed_bytes: int, probe: Probe) -> str | None:
    """None when the machine has so much memory, or nothing says how much it has."""
    if probe.memory_bytes == 0 or needed_bytes <= probe.memory_bytes:
        return None
    return f"has {_size(probe.memory_bytes)} of memory, needed {_size(needed_bytes)}"


def _named(architecture: str) -> str:
    return {"armv7": "armv7 (a 32-bit system)", "aarch64": "aarch64 (a 64-bit system)"}.get(architecture, architecture)


def _size(size: int) -> str:
    return f"{size / (1 << 10):.1f} KiB" if size < 1 << 20 else f"{size / (1 << 20):.1f} MiB"
