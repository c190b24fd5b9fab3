"""Writes a report wherever it is wanted."""

from __future__ import annotations

import json
from pathlib import Path

from edgert.errors import InputError
from edgert.report.quantisation.facts import Report


def write_report(
    report: Report,
    *,
    html: Path | None = None,
    json_file: Path | None = None,
    tensorboard: Path | None = None,
    visdom: str | None = None,
) -> list[str]:
    """Writes the page, the JSON, TensorBoard's events and Visdom's plots, those of them that are named; returns what
    was written, a line each.

    visdom: the server's URL. Raises InputError for what cannot be written or reached, MissingExtraError for a package
    that is not installed. What needs a package is made before anything is written.
    """
    page = None
    if html is not None:
        from edgert.report.quantisation.html import render

        page = render(report)
    written = []
    if html is not None and page is not None:
        _write(html, page)
        written.append(f"{html} ({len(page.encode()) / 1024:.0f} KiB)")
    if json_file is not None:
        _write(json_file, json.dumps(report.as_json(), indent=1, allow_nan=False) + "\n")
        written.append(str(json_file))
    if tensorboard is not None:
        from edgert.report.quantisation.tensorboard import write_tensorboard

        write_tensorboard(report, tensorboard)
        written.append(f"{tensorboard} (tensorboard --logdir {tensorboard})")
    if visdom is not None:
        from edgert.report.quantisation.visdom import send_visdom

        written.append(f"{send_visdom(report, visdom)} windows at {visdom}")
    return written


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from error
