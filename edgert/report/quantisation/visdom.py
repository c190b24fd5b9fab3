"""A report sent to a running Visdom server: the curves, the layers' histograms, and the notes."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import numpy as np

from edgert.errors import InputError, MissingExtraError
from edgert.report.quantisation.facts import Distribution, Report
from edgert.report.quantisation.plots import histograms, label, plots

DEFAULT_ENVIRONMENT = "edgert"


def send_visdom(report: Report, url: str, environment: str = DEFAULT_ENVIRONMENT) -> int:
    """Sends every plot to the server at `url` ("http://localhost:8097"), into the environment of that name; returns how
    many windows there are. A window of an earlier report with the same name is replaced.

    Raises InputError when there is no server, or no such address, and MissingExtraError without the package visdom.
    """
    try:
        from visdom import Visdom
    except ImportError as error:
        raise MissingExtraError("visdom", "sending plots to Visdom", "visdom") from error
    server, port, base = _address(url)
    try:
        board = Visdom(
            server=server, port=port, base_url=base, env=environment, raise_exceptions=True, use_incoming_socket=False
        )
        if not board.check_connection():
            raise ConnectionError("nothing answers")
        return _send(board, report)
    except OSError as error:  # what requests raises is one
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"no Visdom server works at {url}: {reason[:200]}; start one with python -m visdom.server"
        ) from error


def _address(url: str) -> tuple[str, int, str]:
    """("http://host", port, base path) of a URL whose scheme may be left out."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    try:
        port = parts.port or (443 if parts.scheme == "https" else 8097)
    except ValueError as error:
        raise InputError(f"{url!r} is no address: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f"{url!r} is no address of a Visdom server, such as http://localhost:8097")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}", port, parts.path.rstrip("/") or "/"


def _send(board: Any, report: Report) -> int:
    windows = 0
    for plot in plots(report):
        steps = sorted({step for points in plot.series.values() for step, _ in points})
        rows = {step: i for i, step in enumerate(steps)}
        y = np.full((len(steps), len(plot.series)), np.nan)
        for column, points in enumerate(plot.series.values()):
            for step, value in points:
                y[rows[step], column] = value
        options = {"title": plot.title, "xlabel": "operator", "ylabel": plot.unit, "legend": list(plot.series)}
        x = np.repeat(np.asarray(steps, np.float64)[:, None], y.shape[1], axis=1)
        board.line(Y=y.squeeze(axis=1) if y.shape[1] == 1 else y, X=x[:, 0] if y.shape[1] == 1 else x,
                   win=plot.name, opts=options)  # fmt: skip
        windows += 1
    for layer, found in histograms(report):
        x, y = _columns(found)
        options = {"title": label(layer), "xlabel": "value", "ylabel": "count", "legend": ["float", "quantised"]}
        board.line(Y=y, X=x, win=f"histogram {label(layer)}", opts=options)
        windows += 1
    board.text(_summary(report), win="summary", opts={"title": "Quantisation"})
    return windows + 1


def _columns(found: Distribution) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    middles = found.low + found.width * (np.arange(len(found.before)) + 0.5)
    x = np.repeat(middles[:, None], 2, axis=1)
    return x, np.stack([found.before, found.after], axis=1).astype(np.float64)


def _summary(report: Report) -> str:
    """As HTML, which is what Visdom's text windows show."""
    from html import escape

    lines = [f"{report.rounded.file}: {report.rounded.file_bytes} bytes, {report.rounded.us:.1f} us a run"]
    lines.append(f"{report.exact.file}: {report.exact.file_bytes} bytes, {report.exact.us:.1f} us a run")
    for row in report.accuracies:
        lines.append(f"{row.metric}, {row.model}: {row.value:.6g} {row.unit} ({row.low:.6g} to {row.high:.6g})")
    if report.costliest is not None:
        lines.append(f"costs most: {report.costliest['text']}")
    return "<br>".join(escape(line) for line in (*lines, *report.notes))
