"""The range of every activation: several ways to choose it from what calibration saw, and what all of them respect.

Which way is best depends on the tensor: a detector's rare hits lie where another network has one broken value. So each
way is tried, and the results decide (edgert.quant.choices).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.dtypes import DType
from edgert.ir import Graph, Node
from edgert.ops import OPS_BY_NAME
from edgert.ops._enums import Activation, UnaryFunction
from edgert.ops._functions import unary_function
from edgert.quant.observe.histogram import Histogram
from edgert.quant.rounding.scales import activation_params

Range = tuple[float, float]  # (low, high) with low <= 0 <= high

MINMAX = "minmax"
_NORMS = {"cubic": 3.0, "mse": 2.0}  # of the error
_PERCENTILES = {"percentile99.999": 99.999, "percentile99.99": 99.99, "percentile99.9": 99.9}
EMA = "ema"
_WIDER = {"wider1.1": 1.1, "wider1.2": 1.2, "wider1.3": 1.3}  # by which the ends of minmax are multiplied
METHODS = (MINMAX, *_WIDER, *_NORMS, *_PERCENTILES, EMA)
CLIPPING = (*_NORMS, *_PERCENTILES, EMA)

_ACTIVATION_BOUNDS: Mapping[Any, Range] = {
    Activation.RELU: (0.0, math.inf),
    Activation.RELU6: (0.0, 6.0),
    Activation.RELU_N1_TO_1: (-1.0, 1.0),
}
_FUNCTION_BOUNDS: Mapping[Any, Range] = {
    UnaryFunction.RELU6: (0.0, 6.0),
    UnaryFunction.RELU_N1_TO_1: (-1.0, 1.0),
    UnaryFunction.SIGMOID: (0.0, 1.0),
    UnaryFunction.HARD_SIGMOID: (0.0, 1.0),
    UnaryFunction.TANH: (-1.0, 1.0),
}
_EMA_KEPT = 0.95  # of the average so far, when a sample's end is added to it
_RARE = 1e-4  # share of a tensor's values that may lie beyond its bulk
_REACH = 4.0  # how far beyond its bulk, in widths of the bulk, a tensor's range may still go
_FRACTIONS = np.concatenate([np.linspace(0.1, 0.5, 21), np.linspace(0.51, 1.0, 50)])
_GRID = 4096  # points on which a function is looked at
_UNSEEN = 0.25  # of the function's own step: what changes less is not told apart behind it
_NUDGES = np.concatenate([[0.0], np.arange(1, 17) / 1024.0])  # by which an input's range may grow
_NUDGE_GAIN = 0.9  # of the noise without; else the plain range stays


def choose_range(histogram: Histogram, method: str = MINMAX, within: Range = (-math.inf, math.inf)) -> Range:
    """The range that `method`, one of METHODS, chooses; within: beyond these ends nothing is worth a step.

    minmax: all that was seen, but for a broken value: each end is first held to _REACH times the bulk, beyond which
    only a share of _RARE lies; rare but regular values, such as a detector's hits, are nearer than that.
    cubic, mse: of the ranges within that, the one in which the expected error |e|^3 or |e|^2 is least. Values inside
    are off by a uniform rounding error of at most half a step, values outside by their distance to the end. The cube
    keeps more of the tails than the square: rounding errors average out in the sums that follow, clipped values are
    off in one direction and do not.
    percentileP: all but a share of (100 - P) percent at each end, of values that are not zero.
    widerF: minmax with both ends F times as far: what other samples will reach where there were few for calibration.
    ema: of every sample's ends the exponential moving average, as training with simulated quantisation takes it.
    """
    if histogram.least == histogram.greatest:
        return 0.0, 0.0
    if method == EMA:
        low, high = _moving_average(histogram.ends)
    elif method in _PERCENTILES:
        low, high = _quantiles(histogram, 1.0 - _PERCENTILES[method] / 100.0)
    else:
        low, high = _without_broken(histogram)
    wider = _WIDER.get(method, 1.0)
    low, high = max(low * wider, within[0]), min(high * wider, within[1])
    return _least_error(histogram, low, high, _NORMS[method]) if method in _NORMS else (low, high)


def tensor_ranges(
    graph: Graph,
    histograms: Mapping[str, Histogram],
    method: str = MINMAX,
    exceptions: Mapping[str, str] | None = None,
    inputs: Mapping[str, Range] | None = None,
) -> dict[str, Range]:
    """The range of every float32 activation that calibration saw, by name.

    exceptions: another method for some tensors, by name. inputs: ranges of inputs, which go before those of minmax
    (input_ranges); no input's range is made wider. What only functions of one operand read is cut where they all have
    become flat: hard_swish is 0 below -3, and sigmoid hardly moves beyond 7. Nor do ranges go beyond what the operator
    can write.
    """
    found: dict[str, Range] = {}
    readers, producers = graph.consumers(), graph.producers()
    outputs = set(graph.outputs)
    for value in graph.values():
        if value.dtype != DType.FLOAT32 or value.constant or value.name not in histograms:
            continue
        histogram = histograms[value.name]
        own = (exceptions or {}).get(value.name, method)
        if value not in producers and own in _WIDER:
            own = MINMAX
        if own == MINMAX and value.name in (inputs or {}):
            found[value.name] = (inputs or {})[value.name]
            continue
        read = readers.get(value, [])
        seen = (-math.inf, math.inf) if value in outputs else told_apart(histogram, read)
        if own in _WIDER and value in producers:
            bounds = _bounds(producers[value])
            seen = max(seen[0], bounds[0]), min(seen[1], bounds[1])
        found[value.name] = choose_range(histogram, own, seen)
    return found


def _bounds(node: Node) -> Range:
    """Between which all results of an operator lie, whatever it reads."""
    function = node.attrs["function"] if node.op == "unary" else node.attrs.get("activation")
    return (_FUNCTION_BOUNDS if node.op == "unary" else _ACTIVATION_BOUNDS).get(function, (-math.inf, math.inf))


def told_apart(histogram: Histogram, readers: Sequence[Node]) -> Range:
    """Between which ends the readers, if all are functions of one operand, tell values apart; else infinite ends."""
    if not readers or histogram.least == histogram.greatest:
        return -math.inf, math.inf
    ends = [(-math.inf, math.inf) if node.op != "unary" else _steep(node, histogram) for node in readers]
    return min(low for low, _ in ends), max(high for _, high in ends)


def _steep(node: Node, histogram: Histogram) -> Range:
    """Where a function is not flat up to the end of what was seen, zero included."""
    attrs = OPS_BY_NAME["unary"].complete(node.attrs)
    x = np.linspace(histogram.least, histogram.greatest, _GRID)
    with np.errstate(all="ignore"):
        y = unary_function(attrs["function"], attrs["alpha"], attrs["beta"])(x)
    if not np.isfinite(y).all():
        return -math.inf, math.inf
    unseen = (max(float(y.max()), 0.0) - min(float(y.min()), 0.0)) / 255.0 * _UNSEEN
    low, high = _flat_until(y, unseen), _GRID - 1 - _flat_until(y[::-1], unseen)
    return min(float(x[low]), 0.0), max(float(x[high]), 0.0)


def _flat_until(y: NDArray[np.float64], unseen: float) -> int:
    """The last index before which y never differs by more than `unseen` from its value there."""
    change = np.maximum(np.maximum.accumulate(y) - y, y - np.minimum.accumulate(y))
    beyond = np.flatnonzero(change > unseen)
    return max(int(beyond[0]) - 1, 0) if len(beyond) else len(y) - 1


def input_ranges(graph: Graph, samples: Sequence[Mapping[str, NDArray[Any]]]) -> dict[str, Range]:
    """For inputs whose values lie on a grid of their own, such as pixels: a range in which they are rounded less.

    Pixels (p - 127.5) / 127.5 lie half a step off int8's levels, all of them, when the range is [-1, 1]: one that is a
    little wider spreads them over the steps. Only inputs are listed for which it pays; samples: to measure it on.
    """
    found: dict[str, Range] = {}
    for value in graph.inputs:
        if value.dtype == DType.FLOAT32 and samples:
            x = np.concatenate([_some(sample[value.name]) for sample in samples]).astype(np.float64)
            low, high = min(float(x.min()), 0.0), max(float(x.max()), 0.0)
            noises = [_noise(x, low * (1.0 + nudge), high * (1.0 + nudge)) for nudge in _NUDGES]
            best = int(np.argmin(noises))
            if noises[best] < _NUDGE_GAIN * noises[0]:
                grown = 1.0 + float(_NUDGES[best])
                found[value.name] = (low * grown, high * grown)
    return found


def _some(array: NDArray[Any]) -> NDArray[Any]:
    flat = array.ravel()
    return flat[:: max(1, flat.size // 4096) | 1]


def _noise(x: NDArray[np.float64], low: float, high: float) -> float:
    params = activation_params(low, high)
    steps = np.clip(np.rint(x / params.scale) + params.zero_point, -128, 127)
    return float(np.square((steps - params.zero_point) * params.scale - x).mean())


def _moving_average(ends: Sequence[Range]) -> Range:
    low, high = ends[0]
    for least, greatest in ends[1:]:
        low = _EMA_KEPT * low + (1.0 - _EMA_KEPT) * least
        high = _EMA_KEPT * high + (1.0 - _EMA_KEPT) * greatest
    return low, high


def _quantiles(histogram: Histogram, rare: float) -> Range:
    """(low, high) between which all but a share of `rare` at each end lie."""
    centres, counts = histogram.centres(), histogram.counts
    if counts.sum() <= 0.0:
        return histogram.least, histogram.greatest
    share = np.cumsum(counts) / counts.sum()
    first, last = (int(i) for i in np.searchsorted(share, [rare, 1.0 - rare]))
    low, high = float(centres[first]), float(centres[min(last, len(centres) - 1)])
    return max(min(low, 0.0), histogram.least), min(max(high, 0.0), histogram.greatest)


def _without_broken(histogram: Histogram) -> Range:
    low, high = _quantiles(histogram, _RARE)
    reach = _REACH * (high - low)
    if reach == 0.0:
        return histogram.least, histogram.greatest
    return max(histogram.least, -reach), min(histogram.greatest, reach)


def _least_error(histogram: Histogram, low: float, high: float, norm: float) -> Range:
    """Both ends are drawn in by a common fraction, then each alone."""
    used = histogram.counts > 0
    centres, counts = np.clip(histogram.centres()[used], low, high), histogram.counts[used]
    error: Callable[[Range], float] = lambda ends: _expected_error(centres, counts, ends, norm)  # noqa: E731
    best = min(((low * f, high * f) for f in _FRACTIONS), key=error)
    best = min(((low * f, best[1]) for f in _FRACTIONS), key=error)
    return min(((best[0], high * f) for f in _FRACTIONS), key=error)


def _expected_error(centres: NDArray[np.float64], counts: NDArray[np.float64], ends: Range, norm: float) -> float:
    step = (ends[1] - ends[0]) / 255.0
    outside = np.maximum(centres - ends[1], 0.0) + np.maximum(ends[0] - centres, 0.0)
    inside = float(counts[outside == 0.0].sum())
    rounding = float((step / 2.0) ** norm / (norm + 1.0))
    return inside * rounding + float((counts * outside**norm).sum())
