"""edgert ops: what every importer knows, and what runs it."""

from __future__ import annotations

from collections.abc import Sequence

import click

from edgert.cli._shared import json_option, print_json
from edgert.errors import InputError


@click.command("ops")
@click.argument("source", required=False, metavar="[FORMAT]")
@click.option("--markdown", is_flag=True, help="Print the tables as README.md has them.")
@json_option
def command(source: str | None, markdown: bool, as_json: bool) -> None:
    """List the operators that each format's importer knows, and the kernels of each operator of the runtime.

    FORMAT (onnx, tflite, keras ...) names all that its importer knows.
    """
    from edgert.compile import FORMATS
    from edgert.report import operators
    from edgert.report.console import print_table

    if source is not None:
        chosen = [kind for kind in FORMATS if source.lower() in (kind.name, kind.name.partition(".")[0])]
        if not chosen:
            raise InputError(f"no format is named {source!r}; known are {', '.join(kind.name for kind in FORMATS)}")
        for name in sorted(chosen[0].handlers()):
            click.echo(name)
        return
    if as_json:
        print_json(
            {
                "formats": {kind.name: sorted(kind.handlers()) for kind in FORMATS},
                "operators": operators.kernels_of_operators(),
                "kernels": {name: sets.split() for name, _what, sets in operators.family_rows()},
            }
        )
        return
    sources = [
        (kind.title, " ".join(kind.suffixes) or "folder", kind.needs, f"{len(kind.handlers())} {kind.kinds}")
        for kind in FORMATS
    ]
    tables: list[tuple[Sequence[str], Sequence[Sequence[str]]]] = [
        (operators.SOURCES, sources),
        (operators.OPERATORS, operators.operator_rows()),
        (operators.KERNEL_FAMILIES, operators.family_rows()),
    ]
    for number, (columns, rows) in enumerate(tables):
        if number:
            click.echo()
        if markdown:
            click.echo(operators.markdown(columns, rows), nl=False)
        else:
            print_table(columns, rows)
