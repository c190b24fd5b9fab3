"""How good a network's results are: what is printed of a metric, and sample by sample what it was made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from job import Arrays

from edgert.metrics import Metric, metric
from edgert.metrics.boxes import Boxes
from edgert.metrics.shares import Share


@dataclass(frozen=True)
class Score:
    value: float
    low: float  # of the 95 % interval, as `high`
    high: float
    unit: str  # "%" or "dB"
    against: str = ""  # the float network: how many samples are right here alone, and there alone
    hits: tuple[bool, ...] = ()  # of shares: which samples are right


def named(arrays: Arrays) -> list[dict[str, Any]]:
    """Outputs sample by sample; they are in the float network's order already."""
    return [{str(i): array[k] for i, array in enumerate(arrays)} for k in range(len(arrays[0]))]


def score(spec: str, outputs: Arrays, exact: Arrays, targets: Any) -> Score:
    """spec: of edgert.metrics. exact: the float network's outputs, which are the targets where targets are None."""
    judge = metric(spec)
    wanted = _wanted(judge, exact, targets)
    found, before = ([*map(judge.evidence, named(arrays), wanted)] for arrays in (outputs, exact))
    measured = judge.measurement(found)
    pairs = _pairs(judge, before, found)
    hits = tuple(bool(item[0][0]) for item in found) if pairs else ()
    value, low, high = (min(number, FLAWLESS) for number in (measured.value, measured.low, measured.high))
    return Score(value, low, high, judge.unit, pairs, hits)


FLAWLESS = 200.0  # decibels, where there is no noise


def sqnr(outputs: Arrays, exact: Arrays) -> float:
    """Decibels, the mean over the outputs."""
    each = []
    for output, wanted in zip(outputs, exact, strict=True):
        signal = float(np.square(wanted, dtype=np.float64).sum())
        noise = float(np.square(output.reshape(wanted.shape).astype(np.float64) - wanted).sum())
        each.append(min(10 * math.log10(signal / noise), FLAWLESS) if noise > 0 else FLAWLESS)
    return float(np.mean(each))


def _wanted(judge: Metric, exact: Arrays, targets: Any) -> Sequence[Any]:
    if targets is None:
        return [judge.reference(outputs) for outputs in named(exact)]
    if isinstance(targets, list):  # rows (class, centre x, centre y, width, height)
        corners = [
            np.column_stack([rows[:, 0], rows[:, 1:3] - rows[:, 3:] / 2, rows[:, 1:3] + rows[:, 3:] / 2])
            for rows in targets
        ]
        return [Boxes.of(rows) for rows in corners]
    return [int(target) for target in targets]


def _pairs(judge: Metric, before: Sequence[Any], found: Sequence[Any]) -> str:
    if not isinstance(judge, Share):
        return ""
    details = judge.drop(before, found).details
    return f"+{details['only_after_right']} -{details['only_before_right']}"
