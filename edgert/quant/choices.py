"""Tries the ways there are to quantise a graph, and compares their results.

What is right for one network is wrong for another: equalised channels gain decibels on a network with uneven ones and
lose a little on an even one, and a range that keeps every outlier helps where the outlier is the result. So the
choices are measured, on a handful of the calibration samples, by the signal-to-noise ratio of the results.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from edgert.cache import Cache, cache_key
from edgert.ir import Graph
from edgert.progress import Progress, silent
from edgert.quant.graph.clone import clone
from edgert.quant.graph.groups import activation_quants
from edgert.quant.graph.layers import node_schemes
from edgert.quant.graph.rewrite import Rewritten, quantize_graph
from edgert.quant.graph.roots import float_front
from edgert.quant.observe.calibrate import Calibration, calibrate
from edgert.quant.observe.histogram import Histogram
from edgert.quant.observe.judge import Judge
from edgert.quant.observe.measure import keep_results
from edgert.quant.observe.moments import input_moments
from edgert.quant.observe.samples import KeptSamples, Sample
from edgert.quant.rounding.bias import correct_biases
from edgert.quant.rounding.compact import compact
from edgert.quant.rounding.compensate import CompensatingRounder
from edgert.quant.rounding.equalize import equalize
from edgert.quant.rounding.fine import (
    has_four_bits,
    has_two_terms,
    layers_by_noise,
    raised_layers,
    second_terms,
    spared_layers,
)
from edgert.quant.rounding.ranges import CLIPPING, METHODS, MINMAX, Range, input_ranges, tensor_ranges
from edgert.quant.rounding.weights import Rounder
from edgert.quant.schemes import INT16, Plan, Scheme, Weights, layer_name

Pack = Callable[[Graph], bytes]

# Up to so many samples the ends that they reach are widened: on photographs 30 lose 7 dB without it, 60 lose 3 dB.
_UNTIL = ((45, "wider1.3"), (95, "wider1.2"), (math.inf, MINMAX))
_TRUSTED = 24  # samples held back, by which ranges can be told apart
_STRENGTHS = (0.0, 0.5, 1.0)  # of equalisation
_AGAIN = 64  # samples, at most, on which an equalised graph is calibrated again
_MOMENTS = 64  # samples, at most, on which inputs of layers are correlated
_CORRECTED = 32  # samples, at most, on which biases are corrected
# Decibels that a choice must gain. What is clipped is gone, and a rare large value may be the result that matters, a
# detector's hit among a thousand misses, of which the SQNR knows little: clipping must pay for itself. So must layers
# that are float because of it.
_WORTHWHILE = 0.1
_WORTH_CLIPPING = 0.5
_WORTH_FLOAT = 6.0
_WORTH_ON_FEW = 1.5  # samples held back, where another range may seem better by chance
_WORTH_EQUALISING = 1.0  # in another way than int8 weights would have it


@dataclass(frozen=True)
class Choice:
    """A way to quantise, and what it gave."""

    front: bool = False  # linear layers between inputs and logarithms stay float (edgert.quant.graph.roots)
    strength: float = 0.0  # of equalisation; 0 is none
    ranges: str = MINMAX  # how the activations' ranges are chosen: one of edgert.quant.rounding.ranges.METHODS
    exceptions: Mapping[str, str] = field(default_factory=dict)  # another way for some tensors, by name
    compensate: bool = False  # rounding errors of weights for one another (edgert.quant.rounding.compensate)
    correct: bool = False  # biases for what happens before them, layer by layer
    fine: tuple[str, ...] = ()  # int16 layers whose weights have two terms (edgert.quant.rounding.fine)
    spared: tuple[str, ...] = ()  # layers that stay int8 where others have int4 weights
    sqnr: float = 0.0  # decibels, of the results on samples held back


@dataclass(frozen=True)
class _Candidate:
    """A float graph, equalised or not, and what was seen in it."""

    graph: Graph
    seen: Calibration
    means: Mapping[str, Histogram]  # on the samples by which biases are corrected
    inputs: Mapping[str, Range]  # edgert.quant.rounding.ranges.input_ranges
    rescaled: tuple[str, ...]  # tensors whose channels were


class Trials:
    """Quantises copies of a float graph, and remembers what it tried.

    While choices are compared, what calibration saw on the samples held back counts as not seen: what fits the samples
    too well shows there, such as channels that were brought to a range which other samples leave.
    """

    def __init__(
        self,
        graph: Graph,
        plan: Plan,
        seen: Calibration,
        kept: KeptSamples,
        pack: Pack,
        report: Progress,
        cache: Cache | None = None,
        digest: str = "",
    ) -> None:
        """plan: for which ways are compared. seen: of the graph; nothing for weights alone. cache: keeps what choices
        gave. digest: of all samples."""
        self.made: list[Choice] = []
        self._graph, self._plan, self._seen, self._kept = graph, plan, seen, kept
        self._pack, self._report, self._cache = pack, report, cache
        self._known_by = (pack(clone(graph)), digest) if cache is not None else ()
        self.judge = Judge(graph, self._samples(None if seen.whole is seen.shown else True), pack)
        self._candidates: dict[float, _Candidate] = {}
        self._rounders: dict[float, Rounder] = {}

    def search(self) -> Choice:
        """The best choice found; one thing at a time, those first that the others depend on."""
        if not self._seen.whole:
            return Choice()
        if has_four_bits(self._plan.default):
            return self._spared()
        # A few samples held back tell little of what others reach: most stay within the range, the next does not.
        trusted = len(self.judge.samples) >= _TRUSTED
        best = Choice(ranges=next(method for most, method in _UNTIL if self._kept.passed <= most))
        if float_front(self._graph):
            best = self._best([best, replace(best, front=True)], _WORTH_FLOAT)
        best = self._best([best, *self._strengths(best)])
        if trusted:
            best = self._best([best, *(replace(best, ranges=method) for method in METHODS if method not in CLIPPING)])
            if best.ranges != MINMAX:  # headroom is what narrow channels lacked
                best = self._best([best, *self._strengths(best)])
            best = self._best([best, *(replace(best, ranges=method) for method in CLIPPING)], _WORTH_CLIPPING)
        else:
            best = self._best([best, *(replace(best, ranges=method) for method in METHODS)], _WORTH_ON_FEW)
        # What mends errors layer by layer is left out only where that is better: it is what generalises.
        best = self._best([replace(best, correct=True), best])
        best = self._best([replace(best, compensate=True), best])
        return self._refined(best) if self._plan.default == INT16 else best

    def _refined(self, choice: Choice) -> Choice:
        """With second terms of weights for as many layers as it takes to be better than int8 by what is promised."""
        int8 = self._with(Plan()).search()

        def measure(fine: tuple[str, ...]) -> float:
            return self._once(replace(choice, fine=fine)).sqnr

        fine = second_terms(self._noisiest(choice, has_two_terms), measure, choice.sqnr, int8.sqnr)
        return self._once(replace(choice, fine=fine))

    def _spared(self) -> Choice:
        """What is best with int8 weights, with as few layers int8 instead of int4 as it takes to come near to that.

        The noise of int4 weights would hide what is best for the activations. Equalisation alone is chosen again, as it
        makes weights uneven.
        """
        int8 = Plan(replace(self._plan.default, weights=Weights.INT8), self._plan.layers)
        choice = self._once(replace(self._with(int8).search(), compensate=True))
        choice = self._best([choice, *self._strengths(choice)], _WORTH_EQUALISING)

        def measure(spared: tuple[str, ...]) -> float:
            return self._once(replace(choice, spared=spared)).sqnr

        spared = spared_layers(self._noisiest(choice, has_four_bits), measure, choice.sqnr)
        return self._once(replace(choice, spared=spared))

    def _with(self, plan: Plan) -> Trials:
        """The same graph and samples for another plan."""
        return Trials(self._graph, plan, self._seen, self._kept, self._pack, silent)

    def _noisiest(self, choice: Choice, wanted: Callable[[Scheme], bool]) -> list[str]:
        graph = self._candidate(choice.strength).graph
        schemes = node_schemes(graph, self._plan, "float", choice.front)
        return layers_by_noise(graph, schemes, lambda scheme: scheme == self._plan.default and wanted(scheme))

    def _once(self, choice: Choice) -> Choice:
        """The choice with its SQNR, measured unless it has been."""
        alike = (made for made in self.made if replace(made, sqnr=choice.sqnr) == choice)
        return next(alike, None) or self._measured(choice)

    def _strengths(self, choice: Choice) -> list[Choice]:
        """Other strengths of equalisation than the choice's."""
        return [replace(choice, strength=strength) for strength in _STRENGTHS if strength != choice.strength]

    def quantized(self, choice: Choice, plan: Plan, io: str) -> Graph:
        """The quantised graph of a choice."""
        candidate = self._candidate(choice.strength)
        graph = clone(candidate.graph)
        compact(graph, self._quantize(graph, plan, candidate, choice, io, candidate.seen.whole).stored)
        if choice.spared and has_four_bits(plan.default):
            names = ", ".join(choice.spared[:3]) + (" ..." if len(choice.spared) > 3 else "")
            graph.notes.append(
                f"These layers have int8 weights unless they are named ({len(choice.spared)} in all), "
                f"as int4 would lose too much: {names}"
            )
        return graph

    def ranges(self, choice: Choice) -> dict[str, Range]:
        """The ranges of a choice, by the name of the float tensor; channels of the rescaled ones are in new units."""
        candidate = self._candidate(choice.strength)
        return self._ranges(candidate, choice, candidate.seen.whole)

    def rescaled(self, choice: Choice) -> tuple[str, ...]:
        """The names of tensors whose channels a choice rescales."""
        return self._candidate(choice.strength).rescaled

    def _best(self, choices: Iterable[Choice], least_gain: float = _WORTHWHILE) -> Choice:
        """The choice with the highest SQNR; the first one where that gains less than least_gain decibels."""
        measured = [choice if choice in self.made else self._measured(choice) for choice in choices]
        best = max(measured, key=lambda choice: choice.sqnr)
        return best if best.sqnr >= measured[0].sqnr + least_gain else measured[0]

    def _measured(self, choice: Choice) -> Choice:
        choice = replace(choice, sqnr=0.0)
        key = "" if self._cache is None else cache_key("choice", *self._known_by, repr(self._plan), repr(choice))
        entry = None if self._cache is None else self._cache.get(key)
        decibels = self._decibels(choice) if entry is None else float(entry.facts)
        if entry is None and self._cache is not None:
            self._cache.put(key, decibels)
        choice = replace(choice, sqnr=decibels)
        self.made.append(choice)
        self._report("quantise", len(self.made), None)
        return choice

    def _decibels(self, choice: Choice) -> float:
        candidate = self._candidate(choice.strength)
        trial = clone(candidate.graph)
        keep_results(trial)
        self._quantize(trial, self._plan, candidate, choice, "float", candidate.seen.shown)
        return self.judge.decibels(trial)

    def _samples(self, held: bool | None) -> Callable[[int], list[Sample]]:
        return lambda count: self._kept.some(count, held)

    def _shown(self, count: int) -> list[Sample]:
        """Samples that are not held back."""
        return self._kept.some(count, None if self._seen.whole is self._seen.shown else False)

    def _candidate(self, strength: float) -> _Candidate:
        if strength not in self._candidates:
            graph, seen = self._graph, self._seen
            rescaled: tuple[str, ...] = ()
            if strength > 0.0:
                graph = clone(graph)
                factors = equalize(graph, self._seen.shown, strength)
                if factors:
                    by_name = {value.name: factor for value, factor in factors.items()}
                    rescaled = tuple(by_name)
                    again = calibrate(self._pack(clone(graph)), self._shown(_AGAIN))
                    seen = self._seen.rescaled(again, by_name)
            samples = self._shown(_CORRECTED)
            means = calibrate(self._pack(clone(graph)), samples) if samples else {}
            self._candidates[strength] = _Candidate(graph, seen, means, input_ranges(graph, samples), rescaled)
        return self._candidates[strength]

    def _ranges(self, candidate: _Candidate, choice: Choice, seen: Mapping[str, Histogram]) -> dict[str, Range]:
        return tensor_ranges(candidate.graph, seen, choice.ranges, choice.exceptions, candidate.inputs)

    def _rounder(self, choice: Choice, plan: Plan) -> Rounder:
        """int4 always compensates: it would be of no use without."""
        schemes = (plan.default, *plan.layers.values())
        four_bits = any(scheme.weights in (Weights.INT4, Weights.INT4_BLOCK) for scheme in schemes)
        if not (choice.compensate or four_bits) or not self._seen.whole:
            return Rounder()
        if choice.strength not in self._rounders:
            graph = self._candidate(choice.strength).graph
            moments = input_moments(graph, self._pack(clone(graph)), self._shown(_MOMENTS * (4 if four_bits else 1)))
            self._rounders[choice.strength] = CompensatingRounder(moments)
        return self._rounders[choice.strength]

    def _quantize(
        self, graph: Graph, plan: Plan, candidate: _Candidate, choice: Choice, io: str, seen: Mapping[str, Histogram]
    ) -> Rewritten:
        """graph: a clone of the candidate's, or of a part of it."""
        schemes = node_schemes(graph, plan, io, choice.front)
        for node in graph.nodes if choice.spared else ():
            if has_four_bits(schemes[node]) and layer_name(node) in choice.spared and not plan.names(node):
                schemes[node] = replace(schemes[node], weights=Weights.INT8)
        quants: Any = {}
        if seen:
            quants = activation_quants(graph, seen, schemes, self._ranges(candidate, choice, seen))
        fine = (*choice.fine, *raised_layers(plan))
        made = quantize_graph(graph, quants, seen, schemes, io, self._rounder(choice, plan), fine)
        if choice.correct:
            means = {name: histogram.mean() for name, histogram in candidate.means.items()}
            correct_biases(graph, made.sources, means, self._shown(_CORRECTED), self._pack)
        return made
