"""Tries the ways there are to quantise a graph, and compares their results.

What is right for one network is wrong for another: equalised channels gain decibels on a network with uneven ones and
lose a little on an even one, and a range that keeps every outlier helps where the outlier is the result. So the
choices are measured, on a handful of the calibration samples, by the signal-to-noise ratio of the results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from edgert.ir import Graph
from edgert.progress import Progress
from edgert.quant.bias import correct_biases
from edgert.quant.calibrate import calibrate
from edgert.quant.clone import clone
from edgert.quant.compact import compact
from edgert.quant.equalize import equalize
from edgert.quant.groups import activation_quants
from edgert.quant.histogram import Histogram
from edgert.quant.judge import Judge
from edgert.quant.layers import node_schemes
from edgert.quant.measure import keep_results
from edgert.quant.ranges import METHODS, MINMAX, Range, input_ranges, tensor_ranges
from edgert.quant.rewrite import Rewritten, quantize_graph
from edgert.quant.samples import KeptSamples
from edgert.quant.schemes import Plan

Pack = Callable[[Graph], bytes]

_STRENGTHS = (0.5, 1.0)  # of equalisation
_AGAIN = 100  # samples, at most, on which an equalised graph is calibrated again
# Decibels that a choice must gain. What is clipped is gone, and a rare large value may be the result that matters, a
# detector's hit among a thousand misses, of which the SQNR knows little: clipping must pay for itself.
_WORTHWHILE = 0.1
_WORTH_CLIPPING = 0.5


@dataclass(frozen=True)
class Choice:
    """A way to quantise, and what it gave."""

    strength: float = 0.0  # of equalisation; 0 is none
    ranges: str = MINMAX  # how the activations' ranges are chosen: one of edgert.quant.ranges.METHODS
    exceptions: Mapping[str, str] = field(default_factory=dict)  # another way for some tensors, by name
    correct: bool = False  # biases for what happens before them, layer by layer
    sqnr: float = 0.0  # decibels, of the results


@dataclass(frozen=True)
class _Candidate:
    """A float graph, what calibration saw in it, and the means of its tensors on the judging samples."""

    graph: Graph
    histograms: Mapping[str, Histogram]
    judged: Mapping[str, Histogram]
    inputs: Mapping[str, Range]  # edgert.quant.ranges.input_ranges


class Trials:
    """Quantises copies of a float graph, and remembers what it tried."""

    def __init__(
        self,
        graph: Graph,
        plan: Plan,
        histograms: Mapping[str, Histogram],
        kept: KeptSamples,
        pack: Pack,
        report: Progress,
    ) -> None:
        """plan: for which ways are compared. histograms: of the graph, by calibration; none for weights alone."""
        self.made: list[Choice] = []
        self._graph, self._plan, self._histograms, self._kept = graph, plan, histograms, kept
        self._pack, self._report = pack, report
        self._judge = Judge(graph, kept, pack)
        self._candidates: dict[float, _Candidate] = {}

    def search(self) -> Choice:
        """The best choice found; one thing at a time, in the order of what it gains."""
        if not self._histograms:
            return Choice()
        best = self._best([Choice(), *(Choice(strength) for strength in _STRENGTHS)])
        others = [replace(best, ranges=method) for method in METHODS if method != MINMAX]
        best = self._best([best, *others], _WORTH_CLIPPING)
        return self._best([best, replace(best, correct=True)])

    def quantized(self, choice: Choice, plan: Plan, io: str) -> Graph:
        """The quantised graph of a choice."""
        candidate = self._candidate(choice.strength)
        graph = clone(candidate.graph)
        compact(graph, self._quantize(graph, plan, candidate, choice, io).stored)
        return graph

    def _best(self, choices: Iterable[Choice], least_gain: float = _WORTHWHILE) -> Choice:
        """The choice with the highest SQNR; the first, plainest one where that gains less than least_gain decibels."""
        measured = [choice if choice in self.made else self._measured(choice) for choice in choices]
        best = max(measured, key=lambda choice: choice.sqnr)
        return best if best.sqnr >= measured[0].sqnr + least_gain else measured[0]

    def _measured(self, choice: Choice) -> Choice:
        candidate = self._candidate(choice.strength)
        trial = clone(candidate.graph)
        keep_results(trial)
        self._quantize(trial, self._plan, candidate, choice, "float")
        choice = replace(choice, sqnr=self._judge.decibels(trial))
        self.made.append(choice)
        self._report("quantise", len(self.made), None)
        return choice

    def _candidate(self, strength: float) -> _Candidate:
        if strength not in self._candidates:
            graph, histograms = self._graph, self._histograms
            if strength > 0.0:
                graph = clone(graph)
                if equalize(graph, self._histograms, strength):
                    histograms = calibrate(self._pack(clone(graph)), self._kept.some(_AGAIN))
            samples = self._judge.samples
            judged = calibrate(self._pack(clone(graph)), samples) if samples else {}
            self._candidates[strength] = _Candidate(graph, histograms, judged, input_ranges(graph, samples))
        return self._candidates[strength]

    def _quantize(self, graph: Graph, plan: Plan, candidate: _Candidate, choice: Choice, io: str) -> Rewritten:
        """graph: a clone of the candidate's, or of a part of it."""
        schemes = node_schemes(graph, plan, io)
        histograms = candidate.histograms
        ranges = tensor_ranges(candidate.graph, histograms, choice.ranges, choice.exceptions, candidate.inputs)
        quants = activation_quants(graph, histograms, schemes, ranges) if histograms else {}
        made = quantize_graph(graph, quants, histograms, schemes, io)
        if choice.correct:
            means = {name: histogram.mean() for name, histogram in candidate.judged.items()}
            correct_biases(graph, made.sources, means, self._judge.samples, self._pack)
        return made
