"""What quantisation did to a model: compared layer by layer, and as a report.

    from edgert.report.quantisation import quantisation_report, write_report

    report = quantisation_report(float_package, int8_package, lambda: samples)
    worst = min((layer for layer in report.layers if layer.sqnr_db is not None), key=lambda layer: layer.sqnr_db)
    write_report(report, html=Path("report.html"), json_file=Path("report.json"))

`Report` and what it holds are frozen dataclasses (edgert.report.quantisation.facts); names are looked up when they are
used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgert.report.quantisation.accuracy import accuracies as accuracies
    from edgert.report.quantisation.facts import Report as Report
    from edgert.report.quantisation.gather import quantisation_report as quantisation_report
    from edgert.report.quantisation.html import render as render
    from edgert.report.quantisation.write import write_report as write_report

_HOMES = {
    "Report": "edgert.report.quantisation.facts",
    "accuracies": "edgert.report.quantisation.accuracy",
    "quantisation_report": "edgert.report.quantisation.gather",
    "render": "edgert.report.quantisation.html",
    "write_report": "edgert.report.quantisation.write",
}

__all__ = ["Report", "accuracies", "quantisation_report", "render", "write_report"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'edgert.report.quantisation' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value
