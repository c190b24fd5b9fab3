"""Float graph and samples to int8 graph: tries the ways there are to choose, and keeps what loses least.

What is right for one network is wrong for another: equalised channels gain decibels on a network with uneven ones and
lose a little on an even one, and a range that keeps every outlier helps where the outlier is the result. So the
choices are measured, on a handful of the calibration samples, by the signal-to-noise ratio of the results.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from operator import length_hint

from edgert.dtypes import DType
from edgert.errors import InputError
from edgert.ir import Graph, Node
from edgert.ops import OPS_BY_NAME, QuantRule
from edgert.progress import Progress, silent
from edgert.quant.bias import correct_biases
from edgert.quant.calibrate import calibrate
from edgert.quant.clone import clone
from edgert.quant.compact import compact
from edgert.quant.equalize import equalize
from edgert.quant.forms import settle
from edgert.quant.groups import activation_quants, rule_of
from edgert.quant.histogram import Histogram
from edgert.quant.measure import Results, keep_results, run_all, sqnr
from edgert.quant.norms import float_norms
from edgert.quant.pools import pools_to_means
from edgert.quant.rewrite import Rewritten, quantize_graph
from edgert.quant.samples import KeptSamples, Sample
from edgert.quant.scales import NORMS
from edgert.quant.schemes import FLOAT, Activations, Plan, Scheme, layer_name
from edgert.quant.tail import float_tail

Pack = Callable[[Graph], bytes]

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


@dataclass(frozen=True)
class Layer:
    """A node of the float graph that a plan may speak of."""

    name: str  # edgert.quant.schemes.layer_name
    source: str  # the source node's name
    op: str
    macs: int  # multiply-adds of one invoke
    weights: int  # elements of its constant float inputs
    stays_float: bool  # unless a plan names it: norms, and what computes on results


class Quantizer:
    """A calibrated float graph, of which quantised ones are made."""

    def __init__(
        self,
        graph: Graph,
        samples: Iterable[Sample] | None,
        pack: Pack,
        plan: Plan | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Calibrates on the samples, which may be None for a plan that rounds weights alone.

        graph: is not changed. pack: makes a package of a graph, which it may change. plan: for which the ways to
        quantise are compared; int8 throughout unless given. progress: called for the stages "calibrate", by samples,
        and "quantise", by choices tried. Raises InputError as edgert.quant.calibrate.calibrate does.
        """
        self._report = progress or silent
        self.plan = plan or Plan()
        self.graph = clone(graph)
        pools_to_means(self.graph)
        self.kept = KeptSamples(_KEPT_BYTES)
        self._samples = length_hint(samples or ()) or None
        self.histograms: Mapping[str, Histogram] = {}
        if samples is not None:
            self.histograms = calibrate(pack(clone(self.graph)), self.kept.passing(samples), self._calibrated)
        elif self.plan.calibrates:
            raise InputError(
                f"{self.plan.default.name} needs calibration samples, by which activations get their ranges"
            )
        self._pack = pack
        self._trials: _Trials | None = None
        self._choice: Choice | None = None

    @property
    def layers(self) -> tuple[Layer, ...]:
        """In order of execution, those that compute on float tensors."""
        quiet = float_norms(self.graph) | float_tail(self.graph)
        return tuple(_layer(node, node in quiet) for node in self.graph.nodes if rule_of(node) != QuantRule.FOLLOW)

    def choose(self) -> list[Choice]:
        """What was tried, the choice taken first. quantized() uses it, and calls this when nobody has."""
        self._report("quantise", 0, None)
        self._trials = trials = _Trials(self.graph, self.plan, self.histograms, self.kept, self._pack, self._report)
        if not self.histograms:
            self._choice = Choice()
            return [self._choice]
        best = trials.best([Choice(), *(Choice(strength) for strength in _STRENGTHS)])
        best = trials.best([best, *(replace(best, norm=norm) for norm in NORMS if norm != best.norm)], _WORTH_CLIPPING)
        best = trials.best([best, replace(best, correct=True)])
        self._choice = best
        return [best, *(choice for choice in trials.made if choice is not best)]

    def quantized(self, plan: Plan | None = None, io: str = "float") -> Graph:
        """A new quantised graph: of the plan chosen for, or of another. io: see edgert.quant.rewrite.quantize_graph."""
        if self._choice is None:
            self.choose()
        assert self._trials is not None
        assert self._choice is not None
        return self._trials.quantized(self._choice, plan or self.plan, io)

    def _calibrated(self, count: int) -> None:
        self._report("calibrate", count, self._samples)


def quantize(
    graph: Graph,
    samples: Iterable[Sample] | None,
    pack: Pack,
    io: str = "float",
    progress: Progress | None = None,
    plan: Plan | None = None,
) -> list[Choice]:
    """Quantises `graph` in place; returns what was tried, the choice taken first. The arguments are Quantizer's."""
    quantizer = Quantizer(graph, samples, pack, plan, progress)
    tried = quantizer.choose()
    made = quantizer.quantized(io=io)
    graph.inputs, graph.outputs, graph.nodes = made.inputs, made.outputs, made.nodes
    return tried


def _layer(node: Node, stays_float: bool) -> Layer:
    shapes = [value.shape if value is not None else () for value in node.inputs]
    count = OPS_BY_NAME[node.op].macs
    macs = count(shapes, [value.shape for value in node.outputs]) if count is not None else 0
    constants = [v for v in node.inputs if v is not None and v.constant and v.dtype == DType.FLOAT32]
    weights = sum(math.prod(value.shape) for value in constants)
    return Layer(layer_name(node), node.name, node.op, macs, weights, stays_float)


class _Trials:
    """Quantises copies of the graph and compares their results with the float ones."""

    def __init__(
        self,
        graph: Graph,
        plan: Plan,
        plain: Mapping[str, Histogram],
        kept: KeptSamples,
        pack: Pack,
        report: Progress,
    ) -> None:
        self.made: list[Choice] = []
        self._kept = kept
        self._judges = kept.some(_JUDGES)
        self._pack = pack
        self._report = report
        self._graphs: dict[float, _Candidate] = {}
        self._graph, self._plan, self._plain = graph, plan, plain
        self._exact: Results = []
        if self._judges:
            results = clone(graph)
            keep_results(results)
            self._exact = run_all(pack(results), self._judges)

    def best(self, choices: Iterable[Choice], least_gain: float = _WORTHWHILE) -> Choice:
        """The choice with the highest SQNR; the first, plainest one where that gains less than least_gain decibels."""
        measured = [choice if choice in self.made else self._measured(choice) for choice in choices]
        best = max(measured, key=lambda choice: choice.sqnr)
        return best if best.sqnr >= measured[0].sqnr + least_gain else measured[0]

    def quantized(self, choice: Choice, plan: Plan, io: str) -> Graph:
        """The quantised graph of a choice."""
        candidate = self._candidate(choice.strength)
        graph = clone(candidate.graph)
        compact(graph, self._quantize(graph, plan, candidate, choice, io).stored)
        return graph

    def _measured(self, choice: Choice) -> Choice:
        candidate = self._candidate(choice.strength)
        trial = clone(candidate.graph)
        keep_results(trial)
        self._quantize(trial, self._plan, candidate, choice, "float")
        choice = replace(choice, sqnr=sqnr(self._exact, run_all(self._pack(trial), self._judges)))
        self.made.append(choice)
        self._report("quantise", len(self.made), None)
        return choice

    def _candidate(self, strength: float) -> _Candidate:
        if strength not in self._graphs:
            graph, histograms = self._graph, self._plain
            if strength > 0.0:
                graph = clone(graph)
                if equalize(graph, self._plain, strength):
                    histograms = calibrate(self._pack(clone(graph)), self._kept.some(_AGAIN))
            judged = calibrate(self._pack(clone(graph)), self._judges) if self._judges else {}
            self._graphs[strength] = _Candidate(graph, histograms, judged)
        return self._graphs[strength]

    def _quantize(self, graph: Graph, plan: Plan, candidate: _Candidate, choice: Choice, io: str) -> Rewritten:
        """graph: a clone of the candidate's, or of a part of it."""
        schemes = node_schemes(graph, plan, io)
        quants = activation_quants(graph, candidate.histograms, schemes, choice.norm) if candidate.histograms else {}
        made = quantize_graph(graph, quants, candidate.histograms, schemes, io)
        if choice.correct:
            means = {name: histogram.mean() for name, histogram in candidate.judged.items()}
            correct_biases(graph, made.sources, means, self._judges, self._pack)
        return made


def node_schemes(graph: Graph, plan: Plan, io: str) -> dict[Node, Scheme]:
    """Every node's scheme: the plan's, but float where the recipe wants it and the plan does not name the node."""
    schemes = settle(graph, plan)
    for node in float_norms(graph) | (float_tail(graph) if io == "float" else set()):
        if not plan.names(node) and schemes[node].activations != Activations.FLOAT:
            recurrent = node.op in ("lstm", "gru", "rnn", "svdf")  # their weights are as many as a layer's
            schemes[node] = replace(schemes[node], activations=Activations.FLOAT) if recurrent else FLOAT
    return schemes
