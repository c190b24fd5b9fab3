"""Tables and progress for a person at a terminal: with rich where it is installed, in plain text on a device without
it. What goes to a file or a pipe is plain text always."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from edgert.progress import Progress, silent

T = TypeVar("T")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> None:
    """Prints rows under their column names; columns of numbers are aligned to the right."""
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    right = [bool(cells) and all(_is_number(row[i]) for row in cells) for i in range(len(columns))]
    if title:
        print(title)
    if not sys.stdout.isatty():
        _print_plain(columns, cells, right)
        return
    try:
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        _print_plain(columns, cells, right)
        return
    table = Table(header_style="bold", box=SIMPLE_HEAD)
    for name, is_right in zip(columns, right, strict=True):
        table.add_column(name, justify="right" if is_right else "left", no_wrap=True)
    for row in cells:
        table.add_row(*(_escape(cell) for cell in row))
    # As wide as it needs: a narrow terminal wraps lines, where rich would drop columns.
    Console(highlight=False, width=1000).print(table)


def print_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Prints one `name  value` a line; None leaves a line out."""
    known = [(name, str(value)) for name, value in facts if value is not None]
    width = max((len(name) for name, _ in known), default=0)
    for name, value in known:
        print(f"{name:<{width}}  {value}")


def short_name(name: str, width: int = 40) -> str:
    """A node's name for a table: TFLite strings the names of all that it fused together, the first says enough."""
    first = name.split(";")[0]
    return first if len(first) <= width else "..." + first[3 - width :]


def _print_plain(columns: Sequence[str], cells: Sequence[Sequence[str]], right: Sequence[bool]) -> None:
    widths = [max(len(row[i]) for row in (columns, *cells)) for i in range(len(columns))]
    for row in (columns, *cells):
        fields = (cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(row, widths, right, strict=True))
        print("  ".join(fields).rstrip())


def _is_number(cell: str) -> bool:
    try:
        float(cell.rstrip("%x").replace(",", "") or "0")
    except ValueError:
        return False
    return True


def _escape(cell: str) -> str:
    from rich.markup import escape

    return escape(cell)


@contextmanager
def progress(text: str, total: int | None, shown: bool = True) -> Iterator[Callable[[int], None]]:
    """Gives a function that takes how much is done; draws a bar on stderr while a person watches it there."""
    with stages(shown) as report:
        yield lambda done: report(text, done, total)


@contextmanager
def stages(shown: bool = True) -> Iterator[Progress]:
    """Gives what work that takes long tells its progress; a bar on stderr, while a person watches it there, shows the
    stage at hand and, where its extent is known, the time left."""
    if not shown or not sys.stderr.isatty():
        yield silent
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars
    except ImportError:
        yield lambda stage, done, total: print(f"\r\x1b[K{_stage(stage, done, total)}", end="", file=sys.stderr)
        print(file=sys.stderr)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        task, current = bars.add_task("", total=None), ""

        def show(stage: str, done: int, total: int | None) -> None:
            nonlocal current
            if stage != current:
                bars.reset(task)  # the time left is that of the stage
                current = stage
            bars.update(task, description=_stage(stage, done, total), completed=done, total=total)

        yield show


def _stage(stage: str, done: int, total: int | None) -> str:
    if total is not None:
        return f"{stage} {done}/{total}"
    return f"{stage} {done}" if done else stage


def tracked(items: Iterable[T], text: str, total: int | None, shown: bool = True) -> Iterator[T]:
    """The items, with a progress bar while they are gone through."""
    with progress(text, total, shown) as report:
        for done, item in enumerate(items):
            report(done)
            yield item


def size_text(count: int) -> str:
    """Bytes for a person: 53936 -> "52.7 KiB"."""
    if count < 1024:
        return f"{count} bytes"
    return f"{count / 1024:.1f} KiB" if count < 1 << 20 else f"{count / (1 << 20):.2f} MiB"
