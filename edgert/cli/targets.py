"""edgert targets: what weights can be packed for, and what the devices are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from edgert.cli._shared import json_option, print_json, size_text

if TYPE_CHECKING:
    from edgert.targets import Probe, Target


@click.group("targets", invoke_without_command=True)
@json_option
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """List the devices that `edgert convert --target NAME` packs weights for and `edgert push --for NAME` asks for."""
    if context.invoked_subcommand is None:
        _list(as_json)


@command.command("show")
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show one target; "host" is this machine."""
    from edgert.targets import HOST, probe, target

    found = target(name)
    here = probe() if name == HOST else None
    facts = _facts(found) if here is None else {**_facts(found), **_host_facts(here)}
    if as_json:
        print_json(facts)
    else:
        _print(facts)


def _list(as_json: bool) -> None:
    from edgert.report.console import print_table
    from edgert.targets import targets

    found = targets()
    if as_json:
        print_json({"targets": [_facts(one) for one in found]})
    else:
        rows = [(one.name, one.architecture, " ".join(one.instruction_sets), one.description) for one in found]
        print_table(("target", "architecture", "instruction sets", ""), rows)


def _facts(target: Target) -> dict[str, Any]:
    """What differs from device to device is null or an empty list."""
    return {
        "name": target.name,
        "description": target.description,
        "architecture": target.architecture,
        "instruction_sets": list(target.instruction_sets),
        "processor": target.processor or None,
        "cores": target.cores,
        "memory_bytes": list(target.memory_sizes),
        "page_bytes": list(target.page_sizes),
        "transports": list(target.transports),
    }


def _host_facts(probe: Probe) -> dict[str, Any]:
    """What an agent on this machine would tell."""
    return {
        "architecture": probe.architecture,
        "instruction_sets": list(probe.instruction_sets),
        "cores": probe.cores,
        "memory_bytes": [probe.memory_bytes] if probe.memory_bytes else [],
        "page_bytes": [probe.page_size],
    }


def _print(facts: dict[str, Any]) -> None:
    from edgert.report.console import print_facts

    print_facts(
        [
            ("target", facts["name"]),
            ("", facts["description"]),
            ("processor", facts["processor"]),
            ("architecture", facts["architecture"]),
            ("instruction sets", " ".join(facts["instruction_sets"]) or "none that edgert has kernels for"),
            ("cores", facts["cores"]),
            ("memory", ", ".join(size_text(size) for size in facts["memory_bytes"]) or None),
            ("memory pages", " or ".join(size_text(size) for size in facts["page_bytes"]) or None),
            ("reached by", ", ".join(facts["transports"]) or None),
        ]
    )
