"""What commands share: options, and printing JSON."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from edgert.errors import EdgertError, InputError
from edgert.report.console import size_text as size_text

F = TypeVar("F", bound=Callable[..., Any])

FILE = click.Path(path_type=Path)


class CheckFailedError(EdgertError):
    """A comparison or an accuracy is worse than was asked for: exit code 1."""


def json_option(command: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")(command)


def threads_option(command: F) -> F:
    option = click.option(
        "--threads", type=click.IntRange(1, 32), default=1, show_default=True, help="Threads that share the work."
    )
    return option(command)


def executor_options(command: F) -> F:
    """--jobs and --scheduler, which edgert.executors.open_executor takes."""
    jobs = click.option(
        "--jobs", type=click.IntRange(1), default=1, show_default=True, help="Processes that run models."
    )
    scheduler = click.option(
        "--scheduler", metavar="ADDRESS", help="Run models on the workers of a Dask scheduler, as tcp://host:8786."
    )
    return jobs(scheduler(command))


def cache_option(command: F) -> F:
    option = click.option(
        "--cache",
        metavar="DIR|off",
        help="Where results are kept for another time. Default: EDGERT_CACHE, or the user's.",
    )
    return option(command)


def fusion_option(command: F) -> F:
    option = click.option(
        "--no-fusion", is_flag=True, help="Run every operator by itself, for comparing; ERT_FUSION=off does the same."
    )
    return option(command)


def check_output(output: Path, inputs: Iterable[Path]) -> None:
    """Before any work is done: InputError when `output` cannot be written, or is one of the files that are read."""
    folder = output.parent
    if not folder.is_dir():
        raise InputError(
            f"{output} cannot be written: there is no folder {folder}; make it, or name another file with -o"
        )
    if output.is_dir():
        raise InputError(f"{output} cannot be written: it is a folder; name a file in it")
    for path in inputs:
        if output.exists() and path.exists() and output.samefile(path):
            raise InputError(
                f"{output} is an input of this command and would be overwritten; name another file with -o"
            )


def print_json(value: object) -> None:
    """Prints strict JSON: infinities and NaN become null, and text is escaped where the stream is not UTF-8."""
    encoding = (getattr(sys.stdout, "encoding", None) or "ascii").lower().replace("_", "-")
    print(json.dumps(_finite(value), indent=2, ensure_ascii=encoding not in ("utf-8", "utf8")))


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value
