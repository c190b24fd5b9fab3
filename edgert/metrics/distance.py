"""How far numbers lie from those of the float model, or from labelled ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgert.errors import InputError
from edgert.metrics._def import Array, Evidence, Metric, Outputs, Score
from edgert.metrics.outputs import pick

FLAWLESS_DB = 200.0  # given to an output without any error among others that have some


@dataclass(frozen=True)
class _Distance(Metric):
    """Targets: outputs by name, or one array for the only output (or the one that is named)."""

    output: str | None = None
    needs_labels = False

    def evidence(self, outputs: Outputs, target: Any) -> Evidence:
        """For every output: sum of squares of the target, sum of squared errors, number of values."""
        sums = [_sums(found, wanted, self.spec) for found, wanted in self._pairs(outputs, target)]
        return (np.array(sums, np.float64),)

    def _pairs(self, outputs: Outputs, target: Any) -> list[tuple[Array, Array]]:
        names = list(outputs) if self.output is None else [self.output]
        if not isinstance(target, Mapping):
            if len(names) != 1:
                raise InputError(
                    f"{self.spec}: the target is one array and the model has {len(names)} outputs "
                    f"({', '.join(names)}); name one, as in {self.spec}@{names[0]}"
                )
            target = {names[0]: np.asarray(target)}
        elif self.output is None and len(target) == len(names) and set(target) != set(names):
            target = dict(zip(names, target.values(), strict=True))  # models of two formats name outputs differently
        needed = "numbers"
        return [
            (pick(outputs, name, self.spec, _numbers, needed), pick(target, name, self.spec, _numbers, needed))
            for name in names
        ]


@dataclass(frozen=True)
class Mse(_Distance):
    """Mean squared error of all values; of several outputs, the mean of theirs."""

    unit = ""
    higher_is_better = False

    @property
    def spec(self) -> str:
        return f"mse@{self.output}" if self.output else "mse"

    def score(self, evidence: Sequence[Evidence]) -> Score:
        table = _table(evidence, self.spec)

        def value(weights: Array) -> float:
            _signal, noise, values = np.tensordot(weights, table, 1).T
            return float(np.mean(noise / values))

        return value


@dataclass(frozen=True)
class Sqnr(_Distance):
    """Signal to quantisation noise in decibels, 10 log10(sum x^2 / sum (x - y)^2) over all samples; of several outputs,
    the mean of theirs, in which an output without any noise counts 200 dB. Infinite when there is no noise at all."""

    unit = "dB"

    @property
    def spec(self) -> str:
        return f"sqnr@{self.output}" if self.output else "sqnr"

    def score(self, evidence: Sequence[Evidence]) -> Score:
        table = _table(evidence, self.spec)

        def value(weights: Array) -> float:
            sums = np.tensordot(weights, table, 1)
            return _decibels(sums[:, 0], sums[:, 1])

        return value

    def details(self, evidence: Sequence[Evidence]) -> dict[str, Any]:
        """ "outputs": decibels of each, in the model's order; None where there is no noise, or no signal."""
        sums = _table(evidence, self.spec).sum(0)
        each = [_decibels(signal[None], noise[None]) for signal, noise in zip(sums[:, 0], sums[:, 1], strict=True)]
        return {"outputs": [number if math.isfinite(number) else None for number in each]}


def _decibels(signal: Array, noise: Array) -> float:
    if not noise.any():
        return math.inf
    with np.errstate(divide="ignore"):
        each = np.where(noise == 0, FLAWLESS_DB, 10 * np.log10(signal / np.where(noise == 0, 1, noise)))
    return float(each.mean())


def _table(evidence: Sequence[Evidence], metric: str) -> Array:
    """[samples, outputs, 3]."""
    if len({item[0].shape for item in evidence}) != 1:
        raise InputError(f"{metric}: the samples have different numbers of outputs")
    return np.stack([item[0] for item in evidence])


def _sums(found: Array, wanted: Array, metric: str) -> tuple[float, float, int]:
    if found.size != wanted.size or found.size == 0:
        raise InputError(f"{metric}: an output has shape {list(found.shape)} and its target {list(wanted.shape)}")
    x, y = wanted.astype(np.float64).ravel(), found.astype(np.float64).ravel()
    gap = x - y
    return float(x @ x), float(gap @ gap), x.size


def _numbers(array: Array) -> bool:
    return array.dtype.kind in "fiub"
