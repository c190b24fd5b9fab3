"""What a person at the line sees: a table that moves on a terminal, with rich, else a line for each result."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from report import Row

KEPT_ROWS = 12  # results that the table still shows


@dataclass
class Board:
    """A board at work. attempts: pushes begun. stage: as edgert.device.push tells it."""

    name: str
    attempts: int = 0
    stage: str = "waiting"
    done: int = 0
    total: int | None = None

    def progress(self, stage: str, done: int, total: int | None) -> None:
        self.stage, self.done, self.total = stage, done, total

    def text(self) -> str:
        return f"{self.stage} {self.done * 100 // self.total} %" if self.total else self.stage


@dataclass
class View:
    """All that is shown."""

    boards: dict[str, Board] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    lines: bool = True  # print each result as it comes

    def begin(self, key: str, name: str) -> Board:
        self.boards[key] = Board(name)
        return self.boards[key]

    def end(self, key: str, row: Row) -> None:
        self.boards.pop(key, None)
        self.rows.append(row)
        if self.lines:
            print(result_line(row), flush=True)

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


def result_line(row: Row) -> str:
    name = row.serial or row.device or row.address
    how = f"{row.model} {row.counter}, {row.seconds:.1f} s" if row.result == "pass" else row.reason
    return f"{row.result.upper()} {name} ({row.address}): {how}"


@contextmanager
def shown() -> Iterator[View]:
    """A view that draws itself while a person watches a terminal and rich is installed."""
    view = View()
    try:
        from rich.live import Live
    except ImportError:
        yield view
        return
    if not sys.stdout.isatty():
        yield view
        return
    view.lines = False
    with Live(get_renderable=lambda: _table(view), refresh_per_second=5):
        yield view


def _table(view: View) -> Any:
    from rich.markup import escape
    from rich.table import Table

    table = Table("board", "result", "", title=_summary(view.rows))
    for row in view.rows[-KEPT_ROWS:]:
        colour = "green" if row.result == "pass" else "red"
        how = f"{row.model} {row.counter}, {row.seconds:.1f} s" if row.result == "pass" else row.reason
        table.add_row(escape(row.serial or row.device or row.address), f"[{colour}]{row.result.upper()}", escape(how))
    for board in view.boards.values():
        table.add_row(escape(board.name), "", escape(board.text()))
    return table


def _summary(rows: list[Row]) -> str:
    passed = sum(row.result == "pass" for row in rows)
    return f"{passed} passed, {len(rows) - passed} failed"
