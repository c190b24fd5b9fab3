"""What can be converted and what runs it: the operators of every source format, and the kernels of every operator."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edgert.ops import ALL_OPS
from edgert.ops._kernels import FAMILIES, KERNELS

Row = tuple[str, ...]
SOURCES = ("from", "files", "needs", "known")
OPERATORS = ("operator", "kernels")
KERNEL_FAMILIES = ("kernels", "what", "instruction sets")


def operator_rows() -> list[Row]:
    """Every operator of the runtime and the kernel families that it runs on."""
    return [(op.name, " ".join(KERNELS.get(op.name, ())) or "-") for op in ALL_OPS]


def family_rows() -> list[Row]:
    return [(name, what, " ".join(sets)) for name, (what, sets) in FAMILIES.items()]


def markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table as README has it."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"
