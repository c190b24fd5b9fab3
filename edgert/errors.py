"""What edgert raises. Each error says what was found, what was needed and how to mend it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class EdgertError(Exception):
    """Base of all errors that edgert raises on purpose; its text is one line, fit for a command line."""


class FileFormatError(EdgertError):
    """A file is not what its name says, is cut short, or is damaged."""


class ModelError(EdgertError):
    """A model is well-formed and means something impossible (shapes that do not fit, a missing tensor)."""


class InputError(EdgertError, ValueError):
    """What the caller passed does not fit: a wrong name, shape, dtype, option or data set."""


class OutOfMemoryError(EdgertError, MemoryError):
    """No memory, or the session's memory limit is reached."""


class InvokeError(EdgertError, RuntimeError):
    """An operator failed on the data it was given (an index out of range)."""


class WorkerError(EdgertError, RuntimeError):
    """Work that was handed to an executor was not done: a worker ended, or the scheduler is not there."""


class MissingExtraError(EdgertError, ImportError):
    """A part of edgert needs a package that is not installed."""

    def __init__(self, package: str, purpose: str, extra: str = "build") -> None:
        super().__init__(f"{purpose} needs the package {package!r}: pip install 'edgert[{extra}]'")
        self.package = package


@dataclass(frozen=True)
class Unsupported:
    """One operator that cannot be converted."""

    node: str  # the source node's name
    operator: str  # as the source calls it
    reason: str
    fix: str

    def __str__(self) -> str:
        return f"{self.operator} {self.node!r}: {self.reason}; {self.fix}"


class UnsupportedError(EdgertError):
    """Operators of a source model that cannot be converted: all of them, at once, in `items`."""

    def __init__(self, items: Sequence[Unsupported]) -> None:
        self.items = tuple(items)
        count = len(self.items)
        lines = "\n".join(f"  {line}" for line in self.lines())
        super().__init__(f"{count} operator{'s' if count != 1 else ''} cannot be converted:\n{lines}")

    def lines(self) -> list[str]:
        """A line for every operator and reason, in the order of their first nodes, with the nodes that share them."""
        nodes: dict[tuple[str, str, str], list[str]] = {}
        for item in self.items:
            nodes.setdefault((item.operator, item.reason, item.fix), []).append(item.node)
        return [f"{operator} {_named(names)}: {reason}; {fix}" for (operator, reason, fix), names in nodes.items()]


MOST_NAMED = 4  # nodes of a kind; more are counted


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:MOST_NAMED])
    if len(names) == 1:
        return shown
    more = len(names) - MOST_NAMED
    return f"({len(names)} times: {shown}{f' and {more} more' if more > 0 else ''})"
