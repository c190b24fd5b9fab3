"""edgert push: a package onto devices."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgert.cli._device_options import devices_option, devices_that_fail
from edgert.cli._shared import FILE, CheckFailedError
from edgert.errors import EdgertError, InputError

if TYPE_CHECKING:
    from edgert.device.devices_file import Device
    from edgert.device.results import PushResult

_SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def _moment(_ctx: click.Context, _option: click.Parameter, text: str | None) -> int | None:
    """90d from now, or a date and time of ISO 8601 (the local one where it names no zone), as seconds since 1970."""
    if text is None:
        return None
    if length := re.fullmatch(r"([0-9]{1,6})([mhdw])", text):
        return int(time.time()) + int(length[1]) * _SECONDS[length[2]]
    try:
        moment = int(datetime.fromisoformat(text).timestamp())
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{text!r} is neither a length such as 90d or 12h nor a date such as 2030-12-31."
        ) from None
    if moment <= time.time():
        raise click.BadParameter(f"{text!r} is over.")
    return moment


@click.command("push")
@click.argument("model", type=FILE, metavar="MODEL.ert")
@click.argument("targets", nargs=-1, metavar="TARGET...")
@click.option("--all", "everywhere", is_flag=True, help="To every device of edgert-devices.toml.")
@devices_option
@click.option(
    "--key", type=FILE, metavar="FILE",
    help="What signs: a private key of `edgert keys new`. Default: the device's in edgert-devices.toml, or yours.",
)  # fmt: skip
@click.option("--name", metavar="NAME", help="The model's name on the device. Default: the file's.")
@click.option(
    "--for", "for_targets", multiple=True, metavar="TARGET",
    help="Let only such devices install it (edgert targets). May be repeated. Default: what it was packed for.",
)  # fmt: skip
@click.option("--device-id", multiple=True, metavar="ID", help="Let only this device install it. May be repeated.")
@click.option("--expires", callback=_moment, metavar="WHEN", help="Not to be installed later: 90d, 12h, or 2030-12-31.")
@click.option(
    "--counter", type=click.IntRange(1, (1 << 63) - 1), metavar="N",
    help="Of the generation; devices refuse what is not higher than theirs. Default: the time in seconds.",
)  # fmt: skip
@click.option(
    "--trials", type=click.IntRange(1, 1000), default=3, show_default=True,
    help="Loads until an application must have confirmed it, or the device takes it back.",
)  # fmt: skip
@click.option(
    "--golden", type=click.IntRange(0, 64), default=2, show_default=True, metavar="N",
    help="Seeded runs that the device repeats before it takes the model, beside those that the package brings.",
)  # fmt: skip
@click.option("--no-activate", is_flag=True, help="Send and check it only: edgert device activate switches to it.")
@click.option("--force", is_flag=True, help="Push although just this is current there.")
@click.option("--no-compress", is_flag=True, help="Send it as it is, without zstd.")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each event.")
def command(
    model: Path, targets: tuple[str, ...], everywhere: bool, devices_file: Path | None, key: Path | None,
    name: str | None, for_targets: tuple[str, ...], device_id: tuple[str, ...], expires: int | None,
    counter: int | None, trials: int, golden: int, no_activate: bool, force: bool, no_compress: bool, as_json: bool,
) -> None:  # fmt: skip
    """Push MODEL.ert to devices: signed, resumed where it was cut off, and active at once or not at all.

    \b
    TARGET is one of
      serial:/dev/ttyUSB0?baud=921600        a serial line (&framing=console for Zephyr's)
      ssh://user@host[:port][/home/dir]      what ssh reaches, with your configuration
      adb:SERIAL                             what adb reaches
      file:DIR                               a USB stick, for `edgert agent --once`
      NAME                                   of edgert-devices.toml
    ssh and adb start `edgert` there; ?agent=COMMAND says what that is, where it is not in the path.

    Several targets go in parallel. Exit code 1 means that at least one failed; pushing again resumes.
    """
    from edgert.cli._push_view import JsonLines, bars, json_line
    from edgert.device.options import PushOptions
    from edgert.device.push import push_all

    places = _places(targets, everywhere, devices_file)
    _check_package(model)
    _check_keys(key, places)
    options = PushOptions(
        name=name,
        counter=counter,
        targets=for_targets or None,
        devices=device_id,
        expires=expires,
        trials=trials,
        golden=golden,
        activate=not no_activate,
        force=force,
        compress=not no_compress,
    )
    with nullcontext(JsonLines(json_line)) if as_json else bars(f"preparing {model.name}") as view:
        outcomes = push_all(model, places, key, options, view.progress, finished=view.finished)
    failed = [(place.name, one) for place, one in zip(places, outcomes, strict=True) if isinstance(one, EdgertError)]
    if as_json:
        json_line({"event": "done", "pushed": len(outcomes) - len(failed), "failed": len(failed)})
    elif len(failed) < len(outcomes):
        _print_table(places, outcomes)
    if not failed:
        return
    if len(outcomes) == 1:
        with devices_that_fail():
            raise failed[0][1]
    for where, error in failed:
        text = str(error)
        click.echo(f"edgert: {text if text.startswith(where) else f'{where}: {text}'}", err=True)
    raise CheckFailedError(
        f"{len(failed)} of {len(outcomes)} pushes failed; push again to try just those, or to resume"
    )


def _places(targets: Sequence[str], everywhere: bool, devices_file: Path | None) -> list[Device]:
    from edgert.device.devices_file import FILE_NAME, load, resolve_all

    if everywhere == bool(targets):
        raise InputError("give a TARGET, or --all for every device of edgert-devices.toml; `edgert devices` lists them")
    if not everywhere:
        return resolve_all(targets, devices_file)
    file = load(devices_file)
    if file is None or not file.devices:
        what = f"{file.path} has no devices" if file is not None else f"there is no {FILE_NAME} here or above"
        raise InputError(f"--all: {what}; name the targets, or the file with --devices")
    return resolve_all(file.devices, file.path)


def _check_package(model: Path) -> None:
    with model.open("rb") as file:
        if file.read(8)[4:] != b"ERT1":
            raise InputError(f"{model} is no .ert package; make one of a model with `edgert convert`")


def _check_keys(key: Path | None, places: Sequence[Device]) -> None:
    """Before anything is done: every key is there and can be read; a locked one's passphrase is asked for once."""
    from edgert.manifest.keys import PASSPHRASE, KeyFileError, PrivateKey, default_key_path

    for path in dict.fromkeys(key or place.key or default_key_path() for place in places):
        if not path.exists():
            raise KeyFileError(f"there is no key {path}, which signs what is pushed; make one with `edgert keys new`")
        locked = b"ENCRYPTED" in path.read_bytes()[: 1 << 12]  # a PEM file says so
        if locked and not os.environ.get(PASSPHRASE) and sys.stdin.isatty() and sys.stderr.isatty():
            # Each push looks for it in the environment; the key itself lies nowhere but in its file.
            os.environ[PASSPHRASE] = click.prompt(f"Passphrase of {path}", hide_input=True, err=True)
        PrivateKey.load(path)


def _print_table(places: Sequence[Device], outcomes: Sequence[PushResult | EdgertError]) -> None:
    from edgert.device.results import PushResult
    from edgert.report.console import print_table, size_text

    rows: list[tuple[object, ...]] = []
    for place, one in zip(places, outcomes, strict=True):
        if isinstance(one, PushResult):
            size, sent = size_text(one.bytes_total), size_text(one.bytes_sent)
            resumed = size_text(one.resumed_from) if one.resumed_from else ""
            rows.append((place.name, one.name, one.counter, one.state, size, sent, resumed, f"{one.seconds:.1f}"))
        else:
            rows.append((place.name, "", "", "failed", "", "", "", ""))
    print_table(("target", "model", "counter", "state", "size", "sent", "was there", "seconds"), rows)
