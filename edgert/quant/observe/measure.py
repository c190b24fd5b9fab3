"""How much of a network's results quantisation loses."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.dtypes import DType
from edgert.ir import Graph
from edgert.quant.graph.tail import float_tail
from edgert.quant.observe.samples import Sample
from edgert.runtime.model import Model

Results = list[NDArray[Any]]  # one array for every result, samples along a new first axis
_FLAWLESS = 200.0  # decibels given to a result without any error


def keep_results(graph: Graph) -> None:
    """Cuts a float graph in place down to what the integer part computes: its new outputs are what the float tail
    reads, such as a classifier's scores before softmax, and the old outputs that no tail computes."""
    tail = float_tail(graph)
    in_tail = {value for node in tail for value in node.outputs}
    wanted = [v for v in graph.outputs if v not in in_tail]
    wanted += [value for node in graph.nodes if node in tail for value in node.inputs if value is not None]
    results = []
    for value in dict.fromkeys(wanted):
        if value not in in_tail and not value.constant and not value.variable and value.dtype == DType.FLOAT32:
            results.append(value)
    graph.nodes = [node for node in graph.nodes if node not in tail]
    graph.outputs = results


def run_all(package: bytes, samples: Iterable[Sample]) -> Results:
    """Every output of a package on every sample; variables keep their values from one to the next."""
    model = Model(package)
    names = [info.name for info in model.inputs]
    runs = [model.run({name: sample[name] for name in names}) for sample in samples]
    return [np.stack([run[info.name] for run in runs]).astype(np.float64) for info in model.outputs]


def sqnr(exact: Sequence[NDArray[Any]], rounded: Sequence[NDArray[Any]]) -> float:
    """Signal to quantisation noise in decibels, 10 log10(sum x^2 / sum (x - y)^2), the mean over all results."""
    each = []
    for x, y in zip(exact, rounded, strict=True):
        noise, power = float(np.square(x - y).sum()), float(np.square(x).sum())
        if power > 0.0:
            each.append(10.0 * math.log10(power / noise) if noise > 0.0 else _FLAWLESS)
    return sum(each) / len(each) if each else _FLAWLESS
