"""The curves of a report, for what shows curves elsewhere: TensorBoard and Visdom get the same ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from edgert.report.quantisation.facts import Distribution, LayerFacts, Report


@dataclass(frozen=True)
class Plot:
    """Curves over the operators of the quantised model, in the order of execution. series: by name, the points
    (operator, value) that are known and finite."""

    name: str
    title: str
    unit: str
    series: dict[str, tuple[tuple[int, float], ...]]


def plots(report: Report) -> list[Plot]:
    """Every curve that has points."""
    layers = report.layers

    def points(value: Callable[[LayerFacts], float | None]) -> tuple[tuple[int, float], ...]:
        found = ((layer.index, value(layer)) for layer in layers)
        return tuple((index, float(number)) for index, number in found if number is not None)

    probes = (report.costliest or {}).get("probes", [])
    first = first_layers(layers)
    made = [
        Plot("sqnr", "SQNR by layer", "dB", {
            "as the models run": points(lambda layer: layer.sqnr_db),
            "by itself": points(lambda layer: layer.own_sqnr_db),
            "results with it alone": tuple(
                (first[probe["first"]].index, probe["sqnr_db"])
                for probe in probes
                if probe["sqnr_db"] is not None and probe["first"] == probe["last"]
            ),
        }),
        Plot("size", "Size by layer", "bytes", {
            "float": points(lambda layer: layer.float_bytes),
            "quantised": points(lambda layer: layer.stored_bytes),
        }),
        Plot("time", "Time by layer", "us", {
            "float": points(lambda layer: layer.float_us if report.exact.us else None),
            "quantised": points(lambda layer: layer.us if report.rounded.us else None),
        }),
        Plot("arena", "Arena over time", "bytes", {
            "in use": tuple((op, float(size)) for op, size in enumerate(report.arena.live_bytes)),
        }),
    ]  # fmt: skip
    known = [Plot(p.name, p.title, p.unit, {name: s for name, s in p.series.items() if s}) for p in made]
    return [plot for plot in known if plot.series]


def first_layers(layers: Sequence[LayerFacts]) -> list[LayerFacts]:
    """Those that are compared, each tensor once: what the bisection counts."""
    named: dict[str, LayerFacts] = {}
    for layer in layers:
        if layer.compared:
            named.setdefault(layer.name, layer)
    return list(named.values())


def histograms(report: Report) -> Iterator[tuple[LayerFacts, Distribution]]:
    for layer in report.layers:
        if layer.distribution is not None:
            yield layer, layer.distribution


def label(layer: LayerFacts) -> str:
    """A layer's number and name, which sort in the order of execution."""
    return f"{layer.index:03d} {layer.name}"


def layer_list(report: Report) -> str:
    """What the numbers of the operators stand for, as a Markdown table."""
    rows = [
        f"| {layer.index} | {_cell(layer.name)} | {layer.operator} | {layer.computes} | {_shape(layer)} |"
        for layer in report.layers
    ]
    return "\n".join(["| # | layer | operator | computes in | result |", "|---|---|---|---|---|", *rows])


def _shape(layer: LayerFacts) -> str:
    return f"{layer.dtype} {list(layer.shape)}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
