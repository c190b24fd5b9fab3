"""What a command left behind, and a check of its one line of error."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DIGITS = Path(__file__).resolve().parent.parent.parent / "samples" / "digits"


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Outcome]


def assert_one_line(outcome: Outcome, code: int, *parts: str) -> None:
    """The exit code, and one line on stderr that holds all parts."""
    assert outcome.code == code, outcome
    lines = outcome.err.splitlines()
    assert len(lines) == 1, outcome.err
    assert lines[0].startswith("edgert: ")
    for part in parts:
        assert part in lines[0]
