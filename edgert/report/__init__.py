"""What a person looks at: tables, traces, and the report on what quantisation did to a model.

    from edgert.report import quantisation_report, write_report

    report = quantisation_report(float_package, int8_package, lambda: samples)
    worst = min((layer for layer in report.layers if layer.sqnr_db is not None), key=lambda layer: layer.sqnr_db)
    write_report(report, html=Path("report.html"), json_file=Path("report.json"))

`Report` and what it holds are frozen dataclasses (edgert.report.facts); names are looked up when they are used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgert.report.accuracy import accuracies as accuracies
    from edgert.report.facts import Report as Report
    from edgert.report.gather import quantisation_report as quantisation_report
    from edgert.report.html import render as render
    from edgert.report.write import write_report as write_report

_HOMES = {
    "Report": "edgert.report.facts",
    "accuracies": "edgert.report.accuracy",
    "quantisation_report": "edgert.report.gather",
    "render": "edgert.report.html",
    "write_report": "edgert.report.write",
}

__all__ = ["Report", "accuracies", "quantisation_report", "render", "write_report"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'edgert.report' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value
