"""How work that takes long tells how far it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int | None], None]
"""Called with the stage's name, how much of it is done, and how much there is of it where that is known."""


def silent(stage: str, done: int, total: int | None) -> None:
    """A Progress that tells nobody."""
