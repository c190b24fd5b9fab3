"""Weights packed for targets: what the table Packed of schemas/ert.fbs holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class PackedTarget:
    """What weights were packed for. instruction_sets: as the runtime names them, apart by blanks."""

    name: str
    architecture: str
    instruction_sets: str


@dataclass(frozen=True)
class Packed:
    """One operator's constants as a kernel wants them. targets: indices of those that they serve."""

    op: int
    kernel: str
    layout: int
    source: int
    checksum: int
    targets: tuple[int, ...]
    data: bytes


@dataclass(frozen=True)
class PackedWeights:
    """All of a file. entries: in rising order of op. buffer_hash: what Buffer.hash states of a buffer's bytes."""

    targets: tuple[PackedTarget, ...]
    entries: tuple[Packed, ...]
    buffer_hash: Callable[[bytes], int]
