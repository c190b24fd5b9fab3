"""What was measured, as tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from job import FLOAT
from scores import Score

from edgert.metrics.intervals import mcnemar

AUTHORS = "authors"  # the way that ran the authors' own int8 file


def best(ways: dict[str, Any]) -> str:
    """The way with the highest SQNR on calibration samples, or ""."""
    tried = {name: way for name, way in ways.items() if name not in (FLOAT, AUTHORS) and "score" in way}
    return max(tried, key=lambda name: tried[name]["calibration_sqnr"], default="")


def luckiest(ways: dict[str, Any]) -> str:
    """The way with the best result on what is measured: a choice that nobody can make beforehand."""
    tried = {name: way for name, way in ways.items() if name not in (FLOAT, AUTHORS) and "score" in way}
    return max(tried, key=lambda name: (tried[name]["score"].value, tried[name]["sqnr"]), default="")


LEGEND = """\
A share comes with the SQNR of the network's outputs, and float's with its 95 % interval; +a -b: that many samples are
right here alone, and in float alone. In brackets: what a peer has at best, in the way that did best on the very samples
that are measured. Beside the best peer: points or decibels, and McNemar's p of no difference on the same samples.
"""


def markdown(reports: dict[str, Any], peers: Sequence[str], schemes: Sequence[str]) -> str:
    heading = ["network", "measured", "float32", *(f"edgert {scheme}" for scheme in schemes)]
    heading += ["authors' int8", *peers, "beside the best"] if peers else []
    lines = ["| " + " | ".join(heading) + " |", "|---" * len(heading) + "|"]
    for name, report in reports.items():
        ways = report["ways"]
        ours = ways["edgert"]
        cells = [name, report["what"], _float(ours.get(FLOAT, {}))]
        cells += [_cell(ours.get(scheme, {}), pairs=True) for scheme in schemes]
        if peers:
            cells.append(_cell(ways.get("ai-edge-quantizer", {}).get(AUTHORS, {})))
        cells += [_peer(ways.get(peer, {})) for peer in peers]
        if peers:
            cells.append(_lead(ours.get(schemes[0], {}), ways))
        lines.append("| " + " | ".join(cells) + " |")
    splits = [f"* {name}: {report['split']}" for name, report in reports.items()]
    return "\n".join([*lines, "", LEGEND, *splits])


def _float(way: dict[str, Any]) -> str:
    if "score" not in way or way["score"].value >= (200 if way["score"].unit == "dB" else 100):
        return "-"  # it is what the others are compared with
    score: Score = way["score"]
    return f"{_value(score)} ({score.low:.1f} to {score.high:.1f})"


def _peer(tried: dict[str, Any]) -> str:
    chosen, lucky = best(tried), luckiest(tried)
    if not chosen:
        return "fails" if tried else "-"
    text, most = _cell(tried[chosen]), _value(tried[lucky]["score"])
    return text if most == _value(tried[chosen]["score"]) else f"{text} [{most}]"


def _lead(way: dict[str, Any], ways: dict[str, Any]) -> str:
    """Points or decibels that the first scheme is ahead of the best peer by."""
    tried = [peer[best(peer)] for name, peer in ways.items() if name != "edgert" and best(peer)]
    if not tried or "score" not in way:
        return "-"
    other: Score = max(tried, key=lambda item: item["score"].value)["score"]
    mine: Score = way["score"]
    ahead = f"{mine.value - other.value:+.1f}"
    if not mine.hits:
        return ahead
    here = sum(a > b for a, b in zip(mine.hits, other.hits, strict=True))
    there = sum(b > a for a, b in zip(mine.hits, other.hits, strict=True))
    return f"{ahead} (p {mcnemar(here, there):.2f})"


def _cell(way: dict[str, Any], pairs: bool = False) -> str:
    if "score" not in way:
        return "fails" if "failed" in way else "-"
    score: Score = way["score"]
    text = _value(score)
    if score.unit == "%":
        text += f", {way['sqnr']:.1f} dB"
        text += f", {score.against}" if pairs and score.against else ""
    return text


def _value(score: Score) -> str:
    return f"{score.value:.1f} {score.unit}"
