"""Float graph and samples to int8 graph: tries the ways there are to choose, and keeps what loses least.

What is right for one network is wrong for another: equalised channels gain decibels on a network with uneven ones and
lose a little on an even one, and a range that keeps every outlier helps where the outlier is the result. So the
choices are measured, on a handful of the calibration samples, by the signal-to-noise ratio of the results.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from edgert.ir import Graph
from edgert.quant.bias import correct_biases
from edgert.quant.calibrate import calibrate
from edgert.quant.clone import clone
from edgert.quant.equalize import equalize
from edgert.quant.groups import activation_quants
from edgert.quant.histogram import Histogram
from edgert.quant.measure import Results, keep_results, run_all, sqnr
from edgert.quant.norms import float_norms
from edgert.quant.pools import pools_to_means
from edgert.quant.rewrite import quantize_graph
from edgert.quant.samples import KeptSamples, Sample
from edgert.quant.scales import NORMS
from edgert.quant.tail import float_tail

Pack = Callable[[Graph], bytes]
Progress = Callable[[str, int], None]

_STRENGTHS = (0.5, 1.0)  # of equalisation
_KEPT_BYTES = 256 << 20
_AGAIN = 100  # samples, at most, on which an equalised graph is calibrated again
_JUDGES = 16  # samples on which the choices are compared
# Decibels that a choice must gain. What is clipped is gone, and a rare large value may be the result that matters, a
# detector's hit among a thousand misses, of which the SQNR knows little: clipping must pay for itself.
_WORTHWHILE = 0.1
_WORTH_CLIPPING = 0.5


@dataclass(frozen=True)
class Choice:
    """A way to quantise, and what it gave."""

    strength: float = 0.0  # of equalisation; 0 is none
    norm: float = math.inf  # in which ranges are chosen; infinity clips nothing
    correct: bool = False  # biases for what happens before them, layer by layer
    sqnr: float = 0.0  # decibels, of the results


@dataclass(frozen=True)
class _Candidate:
    """A float graph, what calibration saw in it, and the means of its tensors on the judging samples."""

    graph: Graph
    histograms: Mapping[str, Histogram]
    judged: Mapping[str, Histogram]


def quantize(
    graph: Graph, samples: Iterable[Sample], pack: Pack, io: str = "float", progress: Progress | None = None
) -> list[Choice]:
    """Quantises `graph` in place; returns what was tried, the choice taken first.

    pack: makes a package of a graph, which it may change. io: see edgert.quant.rewrite.quantize_graph. progress:
    called with "calibrate" and the number of samples done, then with "quantise" and the number of choices tried.
    Raises InputError as edgert.quant.calibrate.calibrate does.
    """
    report = progress or (lambda stage, count: None)
    pools_to_means(graph)
    kept = KeptSamples(_KEPT_BYTES)
    plain = calibrate(pack(clone(graph)), kept.passing(samples), lambda done: report("calibrate", done))
    report("quantise", 0)
    trials = _Trials(graph, plain, kept, pack, report)
    best = trials.best([Choice(), *(Choice(strength) for strength in _STRENGTHS)])
    best = trials.best([best, *(replace(best, norm=norm) for norm in NORMS if norm != best.norm)], _WORTH_CLIPPING)
    best = trials.best([best, replace(best, correct=True)])
    trials.rewrite(graph, best, io)
    return [best, *(choice for choice in trials.made if choice is not best)]


class _Trials:
    """Quantises copies of the graph and compares their results with the float ones."""

    def __init__(
        self, graph: Graph, plain: Mapping[str, Histogram], kept: KeptSamples, pack: Pack, report: Progress
    ) -> None:
        self.made: list[Choice] = []
        self._kept = kept
        self._judges = kept.some(_JUDGES)
        self._pack = pack
        self._report = report
        self._graphs: dict[float, _Candidate] = {}
        self._graph, self._plain = clone(graph), plain
        results = clone(graph)
        keep_results(results)
        self._exact: Results = run_all(pack(results), self._judges)

    def best(self, choices: Iterable[Choice], least_gain: float = _WORTHWHILE) -> Choice:
        """The choice with the highest SQNR; the first, plainest one where that gains less than least_gain decibels."""
        measured = [choice if choice in self.made else self._measured(choice) for choice in choices]
        best = max(measured, key=lambda choice: choice.sqnr)
        return best if best.sqnr >= measured[0].sqnr + least_gain else measured[0]

    def rewrite(self, graph: Graph, choice: Choice, io: str) -> None:
        """Makes `graph` the int8 graph of a choice."""
        candidate = self._candidate(choice.strength)
        chosen = clone(candidate.graph)
        graph.inputs, graph.outputs, graph.nodes = chosen.inputs, chosen.outputs, chosen.nodes
        self._quantize(graph, candidate, choice, io)

    def _measured(self, choice: Choice) -> Choice:
        candidate = self._candidate(choice.strength)
        trial = clone(candidate.graph)
        keep_results(trial)
        self._quantize(trial, candidate, choice, "float")
        choice = replace(choice, sqnr=sqnr(self._exact, run_all(self._pack(trial), self._judges)))
        self.made.append(choice)
        self._report("quantise", len(self.made))
        return choice

    def _candidate(self, strength: float) -> _Candidate:
        if strength not in self._graphs:
            graph, histograms = self._graph, self._plain
            if strength > 0.0:
                graph = clone(graph)
                if equalize(graph, self._plain, strength):
                    histograms = calibrate(self._pack(clone(graph)), self._kept.some(_AGAIN))
            self._graphs[strength] = _Candidate(graph, histograms, calibrate(self._pack(clone(graph)), self._judges))
        return self._graphs[strength]

    def _quantize(self, graph: Graph, candidate: _Candidate, choice: Choice, io: str) -> None:
        """graph: a clone of the candidate's, or of a part of it."""
        in_float = float_norms(graph) | (float_tail(graph) if io == "float" else set())
        quants = activation_quants(graph, candidate.histograms, choice.norm, in_float)
        sources = quantize_graph(graph, quants, candidate.histograms, in_float, io)
        if choice.correct:
            means = {name: histogram.mean() for name, histogram in candidate.judged.items()}
            correct_biases(graph, sources, means, self._judges, self._pack)
