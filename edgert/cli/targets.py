"""edgert targets: what weights can be packed for."""

from __future__ import annotations

from dataclasses import asdict

import click

from edgert.cli._shared import json_option, print_json


@click.command("targets")
@json_option
def command(as_json: bool) -> None:
    """List what `edgert convert --target NAME` can pack weights for."""
    from edgert.report.console import print_table
    from edgert.targets import targets

    found = targets()
    if as_json:
        print_json({"targets": [asdict(target) for target in found]})
    else:
        rows = [(one.name, one.architecture, " ".join(one.instruction_sets), one.description) for one in found]
        print_table(("target", "architecture", "instruction sets", ""), rows)
