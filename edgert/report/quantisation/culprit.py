"""Which layer of a quantised model costs its results most, found by bisection.

H(a, b) is the float model in which the layers a to b - 1, in the quantised model's order of execution, are quantised,
and no other. The quantised model runs up to there with the float model's values in place of its own (each tensor is
overwritten after the operator that writes it has run), so that no error comes in; what its layers a to b - 1 make of
them takes the place of the float model's tensors, and everything behind is computed in float. The noise e(a, b) that
the results of H(a, b) have, relative to the signal, is what these layers cost: the rounding of their inputs, weights
and results, as the network behind them passes it on. e(0, n) is the whole quantised model's error.

The layer with the largest e(k, k + 1) is found without trying every k: all layers are one interval at first, and the
interval with the largest e is halved, again and again, until it is a single layer. As long as more layers cost more,
no layer in another interval can cost more than that interval does, and what is found is the costliest layer of all.
Where errors cancel (a bias is corrected for the error of the layers before it, too), it is the costliest of those that
the search came to. After MOST_PROBES values of e, where many layers cost about the same, only the costlier half is
followed.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from edgert.report.console import short_name
from edgert.report.quantisation.twins import Array, Pair, PairedSample, Twins, restore, set_inputs, state, steps

MOST_PROBES = 40


@dataclass(frozen=True)
class Probe:
    """The results' SQNR in decibels when the layers `first` to `last`, both included, are quantised and no other."""

    first: int
    last: int
    sqnr_db: float

    def as_json(self) -> dict[str, object]:
        return {"first": self.first, "last": self.last, "sqnr_db": _finite(self.sqnr_db)}


@dataclass(frozen=True)
class Culprit:
    """The layer that costs most. sqnr_db: of the results when it alone is quantised; total_db: when all layers are.
    share: its error as a part of that of all layers; above 1 where others make up for some."""

    order: int  # among the pairs, in the order of execution
    pair: Pair
    operator: str
    sqnr_db: float
    total_db: float
    share: float
    probes: tuple[Probe, ...]
    layers: int

    def __str__(self) -> str:
        layer = f"{short_name(self.pair.name)} ({self.operator}, layer {self.order} of {self.layers})"
        return f"{layer}: {self.effect} (bisected in {len(self.probes)} runs)"

    @property
    def effect(self) -> str:
        """What the layer does to the results, as a clause."""
        return f"quantised alone, it leaves the results {self.sqnr_db:.1f} dB; all layers leave {self.total_db:.1f} dB"

    def as_json(self) -> dict[str, object]:
        """Infinities as None: JSON has none."""
        return {
            "name": self.pair.name,
            "order": self.order,
            "operator": self.operator,
            "index": self.pair.op,
            "effect": self.effect,
            "sqnr_db": _finite(self.sqnr_db),
            "total_db": _finite(self.total_db),
            "share": _finite(self.share),
            "probes": [probe.as_json() for probe in self.probes],
        }


def find_culprit(
    twins: Twins, samples: Sequence[PairedSample], progress: Callable[[int], None] | None = None
) -> Culprit | None:
    """The costliest layer on these samples, a handful; None where quantisation changes no result. progress: called with
    the number of probes made. See the module's text for the method. A probe runs the float model twice and the
    quantised one once for each sample."""
    prober = _Prober(twins, samples, progress)
    count = len(twins.first)
    total = prober.error(0, count)
    if not total > 0.0:
        return None
    order = _costliest(prober.error, count)
    alone = prober.error(order, order + 1)
    pair = twins.first[order]
    return Culprit(
        order=order,
        pair=pair,
        operator=twins.rounded.session.model.op(pair.op)[0],
        sqnr_db=_decibels(alone),
        total_db=_decibels(total),
        share=alone / total if math.isfinite(total) else 1.0,
        probes=tuple(Probe(a, b - 1, _decibels(error)) for (a, b), error in sorted(prober.known.items())),
        layers=count,
    )


def _costliest(error: Callable[[int, int], float], count: int) -> int:
    """The k for which error(k, k + 1) is largest."""
    probes = 1
    heap = [(-error(0, count), 0, count)]
    while True:
        _, low, high = heapq.heappop(heap)
        if high - low == 1:
            return low
        middle = (low + high) // 2
        halves = sorted((-error(a, b), a, b) for a, b in ((low, middle), (middle, high)))
        probes += 2
        if probes > MOST_PROBES:
            heap, halves = [], halves[:1]
        for half in halves:
            heapq.heappush(heap, half)


class _Prober:
    """Runs H(a, b) and remembers its error."""

    def __init__(self, twins: Twins, samples: Sequence[PairedSample], progress: Callable[[int], None] | None) -> None:
        self.known: dict[tuple[int, int], float] = {}
        self._twins, self._samples, self._progress = twins, samples, progress
        outputs = [info for info in twins.exact.outputs if np.dtype(info.dtype.numpy_name).kind == "f"]
        self._outputs = outputs or list(twins.exact.outputs)
        twins.restart()
        self._exact = [self._results(twins.exact.run(mine)) for mine, _ in samples]

    def error(self, first: int, end: int) -> float:
        """Noise over signal, the mean over all outputs; infinite where a result is not finite."""
        if (first, end) not in self.known:
            self.known[first, end] = self._measure(first, end)
            if self._progress is not None:
                self._progress(len(self.known))
        return self.known[first, end]

    def _measure(self, first: int, end: int) -> float:
        twins = self._twins
        before = {pair.name for pair in twins.first[:first]}
        given = _by_op((pair.op, pair) for pair in twins.pairs if pair.name in before)
        taken = _by_op((pair.exact_op, pair) for pair in twins.first[first:end])
        noise, signal = np.zeros(len(self._outputs)), np.zeros(len(self._outputs))
        twins.restart()
        # The float model runs twice for each sample, as itself and as H: each time with its own state.
        exact_state = own_state = state(twins.exact)
        for (mine, theirs), exact in zip(self._samples, self._exact, strict=True):
            if first > 0:
                restore(twins.exact, exact_state)
                twins.exact.run(mine)
                exact_state = state(twins.exact)
            set_inputs(twins.rounded, theirs)
            for op in steps(twins.rounded):
                for pair in given.get(op, ()):
                    twins.overwrite_rounded(pair)
            restore(twins.exact, own_state)
            set_inputs(twins.exact, mine)
            for pair in taken.get(-1, ()):
                twins.overwrite_exact(pair)
            for op in steps(twins.exact):
                for pair in taken.get(op, ()):
                    twins.overwrite_exact(pair)
            own_state = state(twins.exact)
            found = self._results({info.name: twins.exact.view(info.name) for info in self._outputs})
            with np.errstate(all="ignore"):
                noise += [float(np.square(x - y).sum()) for x, y in zip(exact, found, strict=True)]
                signal += [float(np.square(x).sum()) for x in exact]
        heard = signal > 0.0
        error = float(np.mean(noise[heard] / signal[heard])) if heard.any() else 0.0
        return error if math.isfinite(error) else math.inf

    def _results(self, outputs: dict[str, Array]) -> list[Array]:
        return [outputs[info.name].astype(np.float64) for info in self._outputs]


def _by_op(pairs: Iterable[tuple[int, Pair]]) -> dict[int, list[Pair]]:
    found: dict[int, list[Pair]] = {}
    for op, pair in pairs:
        found.setdefault(op, []).append(pair)
    return found


def _decibels(error: float) -> float:
    if error == 0.0:
        return math.inf
    return -10 * math.log10(error) if math.isfinite(error) else -math.inf


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
