"""How good a network's results are: for a person's table a value with its 95 % interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import detection
import numpy as np
from job import Array, Arrays

RESAMPLES = 500


@dataclass(frozen=True)
class Score:
    value: float
    low: float
    high: float
    unit: str  # "%" or "dB"
    hits: tuple[bool, ...] = ()  # sample by sample, where each is right or wrong

    def against(self, other: Score) -> str:
        """How many samples this one has right that the other has wrong, and the other way round."""
        if not self.hits:
            return ""
        gained = sum(a and not b for a, b in zip(self.hits, other.hits, strict=True))
        lost = sum(b and not a for a, b in zip(self.hits, other.hits, strict=True))
        return f"+{gained} -{lost}"


def share(hits: Array) -> Score:
    """Percent of hits, with Wilson's interval."""
    count, z = len(hits), 1.959964
    p = float(np.mean(hits))
    middle, width = p + z * z / (2 * count), z * math.sqrt(p * (1 - p) / count + z * z / (4 * count * count))
    low, high = ((middle + sign * width) / (1 + z * z / count) for sign in (-1, 1))
    return Score(100 * p, 100 * low, 100 * high, "%", tuple(bool(hit) for hit in hits))


def top1(outputs: Arrays, exact: Arrays, targets: Any) -> Score:
    """outputs: of the network, of the float network; targets: classes."""
    return share(outputs[0].reshape(len(targets), -1).argmax(axis=1) == targets)


def agreement(outputs: Arrays, exact: Arrays, targets: Any) -> Score:
    """Samples whose best class is the float network's."""
    a, b = (results[0].reshape(len(results[0]), -1).argmax(axis=1) for results in (outputs, exact))
    return share(a == b)


def decisions(outputs: Arrays, exact: Arrays, targets: Any) -> Score:
    """Samples whose probability is on the same side of one half as the float network's."""
    return share((outputs[0].ravel() > 0.5) == (exact[0].ravel() > 0.5))


def sqnr(outputs: Arrays, exact: Arrays, targets: Any) -> Score:
    """Decibels, the mean over the outputs. The interval is a bootstrap's over samples."""
    powers = [_powers(output, reference) for output, reference in zip(outputs, exact, strict=True)]

    def value(chosen: Any) -> float:
        return float(np.mean([_decibels(signal[chosen].sum(), noise[chosen].sum()) for signal, noise in powers]))

    return Score(value(slice(None)), *_bootstrap(value, len(exact[0])), "dB")


def _powers(output: Array, reference: Array) -> tuple[Array, Array]:
    """Signal and noise, sample by sample."""
    y = reference.reshape(len(reference), -1).astype(np.float64)
    error = output.reshape(y.shape).astype(np.float64) - y
    return np.square(y).sum(axis=1), np.square(error).sum(axis=1)


def _decibels(signal: float, noise: float) -> float:
    return min(10 * math.log10(signal / noise), 200.0) if noise > 0 else 200.0


def average_precision(outputs: Arrays, exact: Arrays, targets: Sequence[Array]) -> Score:
    images = [
        detection.matched(detection.boxes(output.reshape(85, 22, 22)), labels)
        for output, labels in zip(outputs[0], targets, strict=True)
    ]

    def value(chosen: Sequence[int]) -> float:
        return detection.mean_average_precision([images[i] for i in chosen], [targets[i] for i in chosen])

    return Score(value(range(len(images))), *_bootstrap(value, len(images)), "%")


def _bootstrap(value: Callable[[Any], float], count: int) -> tuple[float, float]:
    rng = np.random.default_rng(0)
    values = [value(rng.integers(0, count, count)) for _ in range(RESAMPLES)]
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
