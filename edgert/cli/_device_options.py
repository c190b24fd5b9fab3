"""What the commands that talk to devices share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from edgert.cli._shared import FILE, CheckFailedError

F = TypeVar("F", bound=Callable[..., Any])


def devices_option(command: F) -> F:
    option = click.option(
        "--devices", "devices_file", type=FILE, metavar="FILE",
        help="Where names stand. Default: edgert-devices.toml in this folder, or the nearest above it that has one.",
    )  # fmt: skip
    return option(command)


@contextmanager
def devices_that_fail() -> Iterator[None]:
    """A device that is not there, or says no, is exit code 1: nothing is wrong with the command."""
    from edgert.device.errors import DeviceError

    try:
        yield
    except DeviceError as error:
        raise CheckFailedError(str(error)) from error
