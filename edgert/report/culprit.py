"""Which layer of a quantised model costs its results most, found by bisection.

H(k) is the float model in which the first k layers (in the quantised model's order of execution) hold the quantised
model's values, and everything behind them is computed in float: after the operator that writes a tensor of one of these
layers has run, the tensor is overwritten. H(0) is the float model, H(n) has the quantised model's results, and the
noise e(k) that H(k) has in its results, relative to the signal, grows with k. What it grows by from k - 1 to k is what
layer k costs: the rounding of its weights and of its result, as the layers before it feed it and as the float layers
behind it pass it on.

The largest step is found without trying every k: the interval of layers over which e grows most is halved, again and
again, until it is a single layer. As long as e grows, no layer in another interval can cost more than that interval
does, and what is found is the costliest layer of all. Where e falls in places (errors cancel, or a layer's bias was
corrected for what happens before it), it is the costliest of those that the search came to. After MOST_PROBES values
of e (many layers that cost about the same), only the costlier half is followed.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edgert.report.console import short_name
from edgert.report.twins import Array, Pair, PairedSample, Twins, set_inputs, steps

MOST_PROBES = 40


@dataclass(frozen=True)
class Culprit:
    """The layer that costs most. before_db, after_db: SQNR of the results, in decibels, with the layers before it
    quantised, and with it as well; total_db: with all layers quantised. share: what it costs as a part of the whole
    model's error, above 1 where layers behind it make up for some. probes: e(k) by k."""

    order: int  # among the pairs, in the order of execution
    pair: Pair
    operator: str
    before_db: float
    after_db: float
    total_db: float
    share: float
    probes: dict[int, float]
    layers: int

    def __str__(self) -> str:
        layer = f"{short_name(self.pair.name)} ({self.operator}, layer {self.order} of {self.layers})"
        return f"{layer}: {self.effect} (bisected in {len(self.probes)} runs)"

    @property
    def effect(self) -> str:
        """What the layer does to the results, as a clause."""
        before = "no error" if math.isinf(self.before_db) else f"{self.before_db:.1f} dB"
        step = f"quantising it takes the results from {before} to {self.after_db:.1f} dB"
        if self.share > 1.0:
            return (
                f"{step}, of which layers behind it make up for some: all quantised, they have {self.total_db:.1f} dB"
            )
        return f"{step}, {100 * self.share:.0f} % of the error that they have in the end"

    def as_json(self) -> dict[str, object]:
        return {
            "name": self.pair.name,
            "order": self.order,
            "operator": self.operator,
            "index": self.pair.op,
            "effect": self.effect,
            "share": _finite(self.share),
            "sqnr_before_db": _finite(self.before_db),
            "sqnr_after_db": _finite(self.after_db),
            "sqnr_total_db": _finite(self.total_db),
            "probes": [{"layers": k, "sqnr_db": _finite(_decibels(e))} for k, e in sorted(self.probes.items())],
        }


def find_culprit(
    twins: Twins, samples: Sequence[PairedSample], progress: Callable[[int], None] | None = None
) -> Culprit | None:
    """The costliest layer on these samples, a handful; None where quantisation changes no result. progress: called with
    the number of probes made. See the module's text for the method. It runs both models once a probe and sample."""
    prober = _Prober(twins, samples, progress)
    count = len(twins.first)
    if not prober.error(count) > 0.0:
        return None
    step = _largest_step(prober.error, count)
    before, after, total = prober.error(step - 1), prober.error(step), prober.error(count)
    pair = twins.first[step - 1]
    return Culprit(
        order=step - 1,
        pair=pair,
        operator=twins.rounded.session.model.op(pair.op)[0],
        before_db=_decibels(before),
        after_db=_decibels(after),
        total_db=_decibels(total),
        share=(after - before) / total if math.isfinite(total) else 1.0,
        probes=dict(prober.known),
        layers=count,
    )


def _largest_step(error: Callable[[int], float], count: int) -> int:
    """The k from 1 to count at which error(k) - error(k - 1) is largest."""
    probes = 2
    heap = [(-_growth(error(0), error(count)), 0, count)]
    while True:
        _, low, high = heapq.heappop(heap)
        if high - low == 1:
            return high
        middle = (low + high) // 2
        at_middle = error(middle)
        probes += 1
        if probes == MOST_PROBES:
            heap.clear()
        halves = [
            (-_growth(error(low), at_middle), low, middle),
            (-_growth(at_middle, error(high)), middle, high),
        ]
        for half in sorted(halves)[: 2 if probes < MOST_PROBES else 1]:
            heapq.heappush(heap, half)


def _growth(before: float, after: float) -> float:
    return 0.0 if math.isinf(before) else after - before


class _Prober:
    """Runs H(k) and remembers its error."""

    def __init__(self, twins: Twins, samples: Sequence[PairedSample], progress: Callable[[int], None] | None) -> None:
        self.known = {0: 0.0}
        self._twins, self._samples, self._progress = twins, samples, progress
        outputs = [info for info in twins.exact.outputs if np.dtype(info.dtype.numpy_name).kind == "f"]
        self._outputs = outputs or list(twins.exact.outputs)
        twins.restart()
        self._exact = [self._results(twins.exact.run(mine)) for mine, _ in samples]

    def error(self, layers: int) -> float:
        """Noise over signal, the mean over all outputs; infinite where a result is not finite."""
        if layers not in self.known:
            self.known[layers] = self._measure(layers)
            if self._progress is not None:
                self._progress(len(self.known))
        return self.known[layers]

    def _measure(self, layers: int) -> float:
        twins = self._twins
        overwritten: dict[int, list[Pair]] = {}
        for pair in twins.first[:layers]:
            overwritten.setdefault(pair.exact_op, []).append(pair)
        noise, signal = np.zeros(len(self._outputs)), np.zeros(len(self._outputs))
        twins.restart()
        for (mine, theirs), exact in zip(self._samples, self._exact, strict=True):
            twins.rounded.run(theirs)
            set_inputs(twins.exact, mine)
            for pair in overwritten.get(-1, ()):
                twins.overwrite_exact(pair)
            for op in steps(twins.exact):
                for pair in overwritten.get(op, ()):
                    twins.overwrite_exact(pair)
            found = self._results({info.name: twins.exact.view(info.name) for info in self._outputs})
            with np.errstate(all="ignore"):
                noise += [float(np.square(x - y).sum()) for x, y in zip(exact, found, strict=True)]
                signal += [float(np.square(x).sum()) for x in exact]
        heard = signal > 0.0
        error = float(np.mean(noise[heard] / signal[heard])) if heard.any() else 0.0
        return error if math.isfinite(error) else math.inf

    def _results(self, outputs: dict[str, Array]) -> list[Array]:
        return [outputs[info.name].astype(np.float64) for info in self._outputs]


def _decibels(error: float) -> float:
    if error == 0.0:
        return math.inf
    return -10 * math.log10(error) if math.isfinite(error) else -math.inf


def _finite(value: float) -> float | None:
    """JSON has no infinities."""
    return value if math.isfinite(value) else None
