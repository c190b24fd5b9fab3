"""What was measured, as tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from job import FLOAT
from scores import Score

AUTHORS = "authors"  # the way that ran the authors' own int8 file


def best(ways: dict[str, Any]) -> str:
    """The way with the highest SQNR on calibration samples, or ""."""
    tried = {name: way for name, way in ways.items() if name not in (FLOAT, AUTHORS) and "score" in way}
    return max(tried, key=lambda name: tried[name]["calibration_sqnr"], default="")


def luckiest(ways: dict[str, Any]) -> str:
    """The way with the best result on what is measured: a choice that nobody can make beforehand."""
    tried = {name: way for name, way in ways.items() if name not in (FLOAT, AUTHORS) and "score" in way}
    return max(tried, key=lambda name: (tried[name]["score"].value, tried[name]["sqnr"]), default="")


def markdown(reports: dict[str, Any], peers: Sequence[str], schemes: Sequence[str]) -> str:
    heading = ["network", "measure", "float32", *(f"edgert {scheme}" for scheme in schemes)]
    heading += ["authors' int8", *peers] if peers else []
    lines = ["| " + " | ".join(heading) + " |", "|---" * len(heading) + "|"]
    for name, report in reports.items():
        ways = report["ways"]
        ours = ways["edgert"]
        cells = [name, f"{report['what']}; {report['split']}", _cell(ours.get(FLOAT, {}), exact=True)]
        cells += [_cell(ours.get(scheme, {})) for scheme in schemes]
        if peers:
            cells.append(_cell(ways.get("ai-edge-quantizer", {}).get(AUTHORS, {})))
        for peer in peers:
            tried = ways.get(peer, {})
            chosen, lucky = best(tried), luckiest(tried)
            text = _cell(tried[chosen], chosen) if chosen else "fails" if tried else "-"
            if lucky != chosen:
                text += f"; at best {_value(tried[lucky]['score'])} ({lucky})"
            cells.append(text)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(way: dict[str, Any], name: str = "", exact: bool = False) -> str:
    if "score" not in way:
        return "fails" if "failed" in way else "-"
    score: Score = way["score"]
    text = f"{_value(score)} ({score.low:.1f} to {score.high:.1f}"
    if score.unit == "%" and not exact:
        text += f"; {score.against}" if score.against else ""
        text += f"; {way['sqnr']:.1f} dB"
    return text + (f"; {name})" if name else ")")


def _value(score: Score) -> str:
    return f"{score.value:.1f} {score.unit}"
