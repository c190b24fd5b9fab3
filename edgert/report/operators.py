"""What can be converted and what runs it: the operators of every source format, and the kernels of every operator."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edgert.ops import ALL_OPS
from edgert.ops._kernels import FAMILIES, KERNELS

Row = tuple[str, ...]
SOURCES = ("from", "files", "needs", "known")
OPERATORS = ("operators", "kernels")
KERNEL_FAMILIES = ("kernels", "what", "instruction sets")


def kernels_of_operators() -> dict[str, tuple[str, ...]]:
    """The kernel families that every operator of the runtime runs on."""
    return {op.name: KERNELS.get(op.name, ()) for op in ALL_OPS}


def operator_rows() -> list[Row]:
    """Operators by the kernel families that they share; the last ones have none."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, families in kernels_of_operators().items():
        groups.setdefault(families, []).append(name)
    ordered = sorted(groups.items(), key=lambda item: not item[0])
    return [(", ".join(names), " ".join(families) or "loops of their own") for families, names in ordered]


def family_rows() -> list[Row]:
    return [(name, what, " ".join(sets)) for name, (what, sets) in FAMILIES.items()]


def markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table as README has it."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"
