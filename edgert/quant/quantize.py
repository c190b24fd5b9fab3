"""Float graph and samples to quantised graphs: calibrates once, and chooses how by what the results lose."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import length_hint

from edgert.cache import Cache
from edgert.errors import InputError
from edgert.ir import Graph
from edgert.progress import Progress, silent
from edgert.quant.choices import Choice as Choice
from edgert.quant.choices import Pack as Pack
from edgert.quant.choices import Trials
from edgert.quant.graph.clone import clone
from edgert.quant.graph.layers import Layer as Layer
from edgert.quant.graph.layers import graph_layers
from edgert.quant.graph.layers import node_schemes as node_schemes
from edgert.quant.graph.pools import pools_to_means
from edgert.quant.note import note
from edgert.quant.observe.calibrate import Calibration, calibrate_apart
from edgert.quant.observe.checks import Normalisation, SampleWatch, data_warnings
from edgert.quant.observe.histogram import Histogram
from edgert.quant.observe.samples import KeptSamples, Sample
from edgert.quant.rounding.ranges import Range
from edgert.quant.schemes import Plan

_KEPT_BYTES = 256 << 20
_LOOKED_AT = 64  # samples, for warnings


class Quantizer:
    """A calibrated float graph, of which quantised ones are made."""

    def __init__(
        self,
        graph: Graph,
        samples: Iterable[Sample] | None,
        pack: Pack,
        plan: Plan | None = None,
        progress: Progress | None = None,
        normalisation: Normalisation = ((), ()),
        cache: Cache | None = None,
    ) -> None:
        """Calibrates on the samples, which may be None for a plan that rounds weights alone.

        graph: is not changed. pack: makes a package of a graph, which it may change. plan: for which the ways to
        quantise are compared; int8 throughout unless given. progress: called for the stages "calibrate", by samples,
        and "quantise", by choices tried. normalisation: mean and std per channel that the model states for pixels, by
        which warnings tell whether the samples fit. cache: keeps what was calibrated and tried, so that the next run
        resumes; it changes no result. Raises InputError as edgert.quant.observe.calibrate.calibrate does.
        """
        self._report = progress or silent
        self.plan = plan or Plan()
        self.graph = clone(graph)
        pools_to_means(self.graph)
        self.kept = KeptSamples(_KEPT_BYTES)
        self._samples = length_hint(samples or ()) or None
        self._seen, self._watch = Calibration(), SampleWatch()
        if samples is not None:
            passing = self.kept.passing(self._watch.passing(samples))
            self._seen = calibrate_apart(pack(clone(self.graph)), passing, self._calibrated, cache)
        elif self.plan.calibrates:
            raise InputError(
                f"{self.plan.default.name} needs calibration samples, by which activations get their ranges"
            )
        self._choice: Choice | None = None
        self.warnings: list[str] = []  # what is wrong with the samples, one sentence each
        digest = self._watch.digest
        self._trials = Trials(self.graph, self.plan, self._seen, self.kept, pack, self._report, cache, digest)
        if self.histograms:
            known, exact = self.kept.some(_LOOKED_AT), self._trials.judge.exact
            self.warnings = data_warnings(self.graph, self._watch, known, normalisation, self.histograms, exact)

    @property
    def histograms(self) -> Mapping[str, Histogram]:
        """What calibration saw of every float32 tensor of the graph, by name; nothing without samples."""
        return self._seen.whole

    @property
    def ranges(self) -> dict[str, Range]:
        """The range chosen for every tensor of histograms, by name; of a tensor whose channels were rescaled, in new
        units. Only after quantized()."""
        assert self._choice is not None
        return self._trials.ranges(self._choice) if self.histograms else {}

    @property
    def layers(self) -> tuple[Layer, ...]:
        """In order of execution, those that compute on float tensors."""
        return graph_layers(self.graph)

    def choose(self) -> list[Choice]:
        """What was tried, the choice taken first. quantized() uses it, and calls this when nobody has."""
        self._report("quantise", 0, None)
        self._choice = best = self._trials.search()
        return [best, *(choice for choice in self._trials.made if choice is not best)]

    def quantized(self, plan: Plan | None = None, io: str = "float") -> Graph:
        """A new quantised graph: of the plan chosen for, or of another. io: see edgert.quant.graph.rewrite."""
        if self._choice is None:
            self.choose()
        assert self._choice is not None
        return self._trials.quantized(self._choice, plan or self.plan, io)

    def note(self, plan: Plan) -> str:
        """What was chosen for a plan, as edgert.quant.note has it. Only after quantized()."""
        assert self._choice is not None
        return note(plan, self._choice, self._trials.rescaled(self._choice))

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
