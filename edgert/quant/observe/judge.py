"""What a quantised graph is judged by: how far its results are from the float ones on some of the samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.ir import Graph, Node, Value
from edgert.quant.graph.clone import clone
from edgert.quant.observe.measure import Results, keep_results, run_all, sqnr
from edgert.quant.observe.samples import Sample

_MOST_SAMPLES = 32
# Of the largest activation on all samples, for results that are as large.
_MOST_BYTES = 512 << 20


class Judge:
    """Knows the float results on its samples. A handful suffices: every element of every result counts."""

    def __init__(self, graph: Graph, some: Callable[[int], Sequence[Sample]], pack: Callable[[Graph], bytes]) -> None:
        """graph: float. some: gives at most so many samples. pack: makes a package of a graph, which it may change."""
        largest = max((4 * math.prod(value.shape) for value in graph.values() if not value.constant), default=1)
        self.samples = some(max(1, min(_MOST_SAMPLES, _MOST_BYTES // (4 * largest))))
        self._pack = pack
        self._axes: list[int | None] = []
        self.exact: Results = []  # the float results on them
        if self.samples:
            results = clone(graph)
            keep_results(results)
            self._axes = _shift_axes(graph, [value.name for value in results.outputs])
            self.exact = self._comparable(run_all(pack(results), self.samples))

    def decibels(self, graph: Graph) -> float:
        """Signal to noise of the results that a quantised graph computes; it may be changed. See keep_results."""
        return sqnr(self.exact, self._comparable(run_all(self._pack(graph), self.samples)))

    def _comparable(self, results: Results) -> Results:
        return [_centred(result, axis) for result, axis in zip(results, self._axes, strict=True)]


def _shift_axes(graph: Graph, names: Sequence[str]) -> list[int | None]:
    """For each result the axis along which a softmax follows, to which a shift of all scores is nothing."""
    axes: list[int | None] = []
    readers = graph.consumers()
    for value in _named(graph, names):
        softmaxes = [_softmax_axis(node) for node in readers.get(value, [])]
        same = len(set(softmaxes)) == 1 and value not in graph.outputs
        axes.append(softmaxes[0] if same else None)
    return axes


def _named(graph: Graph, names: Sequence[str]) -> list[Value]:
    by_name = {value.name: value for value in graph.values()}
    return [by_name[name] for name in names]


def _softmax_axis(node: Node) -> int | None:
    """Counted from the end."""
    rank = len(node.outputs[0].shape)
    return int(node.attrs["axis"]) % rank - rank if node.op in ("softmax", "log_softmax") else None


def _centred(result: NDArray[Any], axis: int | None) -> NDArray[Any]:
    if axis is None:
        return result
    centred: NDArray[Any] = result - np.mean(result, axis=axis, keepdims=True)
    return centred
