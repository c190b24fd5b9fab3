"""edgert device: what one device is and has, and switching between the generations of its models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from edgert.cli._device_options import devices_option, devices_that_fail
from edgert.cli._shared import json_option, print_json

if TYPE_CHECKING:
    from edgert.device.devices_file import Device
    from edgert.device.results import DeviceStatus, ModelState

F = TypeVar("F", bound=Callable[..., Any])


@click.group("device")
def command() -> None:
    """Ask a device what it is and has; activate, confirm or roll back a model on it; read its agent's log."""


def _device_arguments(command: F) -> F:
    return click.argument("target", metavar="TARGET")(devices_option(json_option(command)))


def _model_argument(command: F) -> F:
    return click.argument("name", metavar="[MODEL]", required=False)(command)


def _counter_option(text: str) -> Callable[[F], F]:
    return click.option("--counter", type=click.IntRange(1), metavar="N", help=text)


def _device(target: str, devices_file: Path | None) -> Device:
    from edgert.device.devices_file import resolve

    return resolve(target, devices_file)


@command.command("status")
@_device_arguments
def status(target: str, devices_file: Path | None, as_json: bool) -> None:
    """Show what TARGET is, what its agent does, and its models."""
    from edgert.device.control import status as ask

    with devices_that_fail():
        found = ask(_device(target, devices_file))
    if as_json:
        print_json(_facts(found))
    else:
        _print(found)


@command.command("activate")
@_device_arguments
@_model_argument
@_counter_option("Of the generation, where it is not the newest.")
def activate(target: str, devices_file: Path | None, as_json: bool, name: str | None, counter: int | None) -> None:
    """Switch TARGET to the newest MODEL that was pushed with --no-activate."""
    from edgert.device.control import activate as tell

    with devices_that_fail():
        _tell(tell(_device(target, devices_file), None, name, counter), as_json)


@command.command("confirm")
@_device_arguments
@_model_argument
def confirm(target: str, devices_file: Path | None, as_json: bool, name: str | None) -> None:
    """Say that the MODEL that is on trial at TARGET does well: it stays."""
    from edgert.device.control import confirm as tell

    with devices_that_fail():
        _tell(tell(_device(target, devices_file), name), as_json)


@command.command("rollback")
@_device_arguments
@_model_argument
@_counter_option("Of the generation to leave; where it is not current, nothing is done. Default: the current one.")
def rollback(target: str, devices_file: Path | None, as_json: bool, name: str | None, counter: int | None) -> None:
    """Switch TARGET back to the generation of MODEL that was current before."""
    from edgert.device.control import rollback as tell

    with devices_that_fail():
        _tell(tell(_device(target, devices_file), name, counter), as_json)


@command.command("log")
@_device_arguments
def log(target: str, devices_file: Path | None, as_json: bool) -> None:
    """Print the agent's log."""
    from edgert.device.control import log as ask
    from edgert.device.words import plain

    with devices_that_fail():
        text = ask(_device(target, devices_file))
    if as_json:
        print_json({"log": text.splitlines()})
    else:
        for line in text.splitlines():
            print(plain(line))


def _tell(model: ModelState, as_json: bool) -> None:
    if as_json:
        print_json(_model_facts(model))
    else:
        print(f"{model.name} {model.counter} is {model.state}")


def _facts(found: DeviceStatus) -> dict[str, Any]:
    device = found.device
    return {
        "state": found.state,
        "detail": found.detail,
        "progress": None if found.progress is None else list(found.progress),
        "device": {
            "id": device.id,
            "target": device.target,
            "architecture": device.architecture,
            "instruction_sets": list(device.instruction_sets),
            "memory_bytes": device.memory_bytes,
            "page_size": device.page_size,
            "cores": device.cores,
            "runtime": device.runtime,
            "zstd": device.zstd,
            "keys": [key.hex() for key in device.keys],
        },
        "models": [_model_facts(model) for model in found.models],
        "verified": [
            {"name": one.name, "counter": one.counter, "manifest_sha256": one.sha256.hex()} for one in found.verified
        ],
    }


def _model_facts(model: ModelState) -> dict[str, Any]:
    return {
        "name": model.name,
        "counter": model.counter,
        "state": model.state,
        "loads": model.loads,
        "trials": model.trials,
        "previous": model.previous,
        "manifest_sha256": model.sha256.hex(),
    }


def _print(found: DeviceStatus) -> None:
    from edgert.report.console import print_facts, print_table

    device = found.device
    done = "" if found.progress is None else f", {found.progress[0]} of {found.progress[1]} bytes"
    print_facts(
        (
            ("device", device.id),
            ("target", device.target),
            ("architecture", f"{device.architecture}: {' '.join(device.instruction_sets) or 'no instruction sets'}"),
            ("memory", f"{device.memory_bytes / (1 << 30):.1f} GiB, pages of {device.page_size} bytes"),
            ("cores", device.cores),
            ("runtime", f"edgert {device.runtime}{'' if device.zstd else ', without zstd'}"),
            ("keys", " ".join(key.hex() for key in device.keys) or "none; on the device: edgert keys trust"),
            ("agent", f"{found.state}{done}{f' ({found.detail})' if found.detail else ''}"),
        )
    )
    rows: list[tuple[object, ...]] = [
        (one.name, one.counter, one.state, f"{one.loads} of {one.trials}" if one.state == "pending" else "",
         "" if one.previous is None else one.previous)
        for one in found.models
    ]  # fmt: skip
    rows += [(one.name, one.counter, "verified", "", "") for one in found.verified]
    if rows:
        print()
        print_table(("model", "counter", "state", "trial loads", "previous"), rows)
    else:
        print("models        none")
