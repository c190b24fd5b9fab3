"""A report as one HTML page that needs nothing else: no network, no other file.

Names in it come from strangers' models. The template escapes them, the embedded data escape what could end their
element, the script sets text and never markup, and the page's content security policy forbids all that the page does
not bring itself: no request leaves it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.resources import files
from typing import Any

from edgert.errors import MissingExtraError
from edgert.report.quantisation.facts import LayerFacts, Report
from edgert.report.quantisation.layout import NODE_HEIGHT, NODE_WIDTH, Placement, place

# SQNR in decibels from which on a layer has a colour, worst first.
_STEPS = (10, 20, 30, 40, 50)


def render(report: Report) -> str:
    """The page. Raises MissingExtraError without the packages of edgert[report]."""
    try:
        from jinja2 import Environment, StrictUndefined, select_autoescape
        from markupsafe import Markup
    except ImportError as error:
        raise MissingExtraError("jinja2", "writing a report as HTML", "report") from error
    page = files("edgert.report.quantisation") / "page"
    style, script, template = (
        (page / name).read_text(encoding="utf-8") for name in ("report.css", "report.js", "report.html")
    )
    environment = Environment(
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(size=size_text, time=time_text, decibels=decibels, number=number, percent=percent)
    placement = _placement(report)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    text: str = environment.from_string(template).render(
        report=report,
        data=Markup(_embedded(report.as_json())),
        placement=Markup(_embedded(_drawing(placement))),
        style=Markup(style),
        script=Markup(script),
        script_digest=digest,
        costliest=_costliest(report),
        choices=[(key, _text(value)) for key, value in sorted(report.choices.items())],
        promise=[(key, _text(value)) for key, value in sorted(report.promise.items())],
        steps=_STEPS,
        level=level,
        weighted=[layer for layer in report.layers if layer.macs],
    )
    return text


def _embedded(value: Any) -> str:
    """JSON that can stand in a script element: nothing in it ends the element or begins a comment."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)  # ASCII alone
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _placement(report: Report) -> Placement:
    """Node 0 is the model's inputs, layer i of the report is node i + 1."""
    node = {layer.index: i for i, layer in enumerate(report.layers, 1)} | {-1: 0}
    edges = [(node[source], node[layer.index]) for layer in report.layers for source in layer.inputs if source in node]
    return place(len(report.layers) + 1, edges)


def _drawing(placement: Placement) -> dict[str, Any]:
    return {
        "width": round(placement.width, 1),
        "height": round(placement.height, 1),
        "node": [NODE_WIDTH, NODE_HEIGHT],
        "centres": [[round(x, 1), round(y, 1)] for x, y in placement.centres],
        "routes": [[a, b, [[round(x, 1), round(y, 1)] for x, y in points]] for a, b, points in placement.routes],
    }


def _costliest(report: Report) -> LayerFacts | None:
    index = (report.costliest or {}).get("index")
    return next((layer for layer in report.layers if layer.index == index), None)


def level(layer: LayerFacts) -> str:
    """The class of a layer's colour: "level0" is the worst, "none" is not compared."""
    if not layer.compared:
        return "none"
    if layer.exact or layer.sqnr_db is None:
        return f"level{len(_STEPS)}" if layer.exact else "level0"
    return f"level{sum(layer.sqnr_db >= step for step in _STEPS)}"


def size_text(count: float | None) -> str:
    """Bytes for a person: 53936 -> "52.7 KiB"."""
    if count is None:
        return ""
    if count < 1024:
        return f"{count:.0f} B"
    return f"{count / 1024:.1f} KiB" if count < 1 << 20 else f"{count / (1 << 20):.2f} MiB"


def time_text(us: float | None) -> str:
    if us is None:
        return ""
    return f"{us:.3g} us" if us < 1000 else f"{us / 1000:.3g} ms"


def decibels(value: float | None, exact: bool = False) -> str:
    if exact:
        return "equal"
    return "" if value is None else f"{value:.1f} dB"


def number(value: float | None, digits: int = 4) -> str:
    return "" if value is None else f"{value:.{digits}g}"


def percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2g} %" if value < 0.1 else f"{100 * value:.0f} %"


def _text(value: Any) -> str:
    """A value of the quantiser's notes on one line."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_text(item)}" for key, item in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(_text(item) for item in value) or "none"
    return json.dumps(value)
