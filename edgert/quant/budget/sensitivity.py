"""What every group of layers costs a network's results: each source of rounding errors by itself in the float network.

A unit's weights, and each tensor that lies in or between units, are rounded as the quantised network rounds them, all
else staying exact, and the error of the results is measured on calibration samples. Errors of different sources are
nearly uncorrelated, so that their powers add up; that sum predicts which units are worth raising, and only the metric
on labelled data decides. A few samples do: unlike accuracy, an error is a smooth quantity.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.cache import Cache, cache_key
from edgert.dtypes import DType, QuantParams
from edgert.evaluation import Dataset, evidence_of_each, labelled
from edgert.ir import Graph, Node, Value
from edgert.metrics import Evidence, Metric, Outputs
from edgert.metrics._def import Score
from edgert.ops import OPS_BY_NAME
from edgert.progress import Progress, silent
from edgert.quant.budget.units import Network, work_of
from edgert.quant.graph.clone import clone
from edgert.quant.observe.measure import keep_results
from edgert.quant.observe.samples import Sample
from edgert.quant.schemes import Weights, layer_name

Pack = Callable[[Graph], bytes]

_EXPANDING = ("unpack_int4", "dequantize", "cast", "reshape")  # what stands behind weights that are stored compactly

# Power of the errors of finer weights against those of one int8 term: of two such terms, and of eleven bits.
_FINE = {
    Weights.INT4: 1.0,
    Weights.INT4_BLOCK: 1.0,
    Weights.INT8: 2.0**-16,
    Weights.FLOAT16: 2.0**-10,
    Weights.FLOAT32: 0.0,
}
_MOST_SAMPLES, _FEWEST_SAMPLES = 64, 16
_WORK = 10**12  # multiply-adds of all experiments together, within those numbers of samples


@dataclass(frozen=True)
class Sensitivity:
    """Errors of the results by their source, in units that add up; see OutputLoss.

    Levels are steps of the network's ladder, one for every unit.
    """

    network: Network
    weights: tuple[tuple[float, ...], ...]  # of each unit's rounded weights, by level
    cells: tuple[float, ...]  # of each cell, rounded to eight bits
    samples: int

    def loss(self, levels: Sequence[int]) -> float:
        """Of the results, predicted."""
        own = sum(by_level[level] for by_level, level in zip(self.weights, levels, strict=True))
        rounding = [self.network.rounding(unit, level) for unit, level in enumerate(levels)]
        return own + sum(
            loss * max(rounding[unit] for unit in cell.units)
            for cell, loss in zip(self.network.cells, self.cells, strict=True)
        )

    @cached_property
    def _touching(self) -> tuple[tuple[int, ...], ...]:
        """Numbers of the cells that each unit touches."""
        cells = self.network.cells
        return tuple(
            tuple(i for i, cell in enumerate(cells) if unit in cell.units) for unit in range(len(self.network.units))
        )

    def change(self, levels: Sequence[int], unit: int, level: int) -> float:
        """By which the loss grows when the unit goes to another level."""
        rounding, own = self.network.rounding, self.weights[unit]
        grown = own[level] - own[levels[unit]]
        before, after = rounding(unit, levels[unit]), rounding(unit, level)
        for i in self._touching[unit] if before != after else ():
            others = [rounding(other, levels[other]) for other in self.network.cells[i].units if other != unit]
            grown += self.cells[i] * (max(after, *others) - max(before, *others) if others else after - before)
        return grown

    def share(self, unit: int, levels: Sequence[int]) -> float:
        """The unit's part of the loss: its weights', and of each tensor's a part by how it and others round it."""
        own = self.weights[unit][levels[unit]]
        for i in self._touching[unit]:
            rounding = {other: self.network.rounding(other, levels[other]) for other in self.network.cells[i].units}
            if rounding[unit]:
                own += self.cells[i] * max(rounding.values()) * rounding[unit] / sum(rounding.values())
        return own


@dataclass(frozen=True)
class OutputLoss(Metric):
    """What errors cost the results, in units in which small independent ones add up; targets: the exact results.

    The power of the error by that of the result, the mean over all results. Where a highest score counts, the
    Kullback-Leibler divergence of softmaxes instead, which knows that an error matters where scores are close to each
    other, and that one which all scores share does not.
    """

    classifies: bool = False
    unit = ""
    higher_is_better = False
    needs_labels = False

    @property
    def spec(self) -> str:
        return f"loss:{'divergence' if self.classifies else 'noise'}"

    def evidence(self, outputs: Outputs, target: Any) -> Evidence:
        """[error, result] powers of every result, or [divergence, 1]."""
        pairs = []
        for exact, rounded in zip(target.values(), outputs.values(), strict=True):  # their names may differ
            x, y = exact.astype(np.float64), rounded.astype(np.float64)
            if self.classifies and x.ndim > 1 and x.shape[-1] > 1:
                p, q = _log_softmax(x), _log_softmax(y)
                pairs.append((float((np.exp(p) * (p - q)).sum(-1).mean()), 1.0))
            else:
                pairs.append((float(np.square(x - y).sum()), float(np.square(x).sum())))
        return (np.array(pairs, np.float64).reshape(-1, 2),)

    def score(self, evidence: Sequence[Evidence]) -> Score:
        table = np.array([item[0] for item in evidence])

        def value(weights: NDArray[Any]) -> float:
            sums = np.tensordot(weights, table, 1)
            each = sums[:, 0] / np.where(sums[:, 1] > 0.0, sums[:, 1], 1.0)
            return float(max(each.mean(), 0.0)) if each.size else 0.0

        return value


def _log_softmax(scores: NDArray[Any]) -> NDArray[Any]:
    shifted = scores - scores.max(-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(-1, keepdims=True)))


_Constants = tuple[tuple[str, tuple[NDArray[Any], ...]], ...]  # by layer: its weights and bias


@dataclass(frozen=True)
class _Experiment:
    """What is rounded in the float network."""

    tensors: tuple[tuple[str, QuantParams], ...] = ()
    constants: _Constants = ()


def _equal(some: _Constants, others: _Constants) -> bool:
    """Whether the weights are; biases are no reason to measure again."""
    return len(some) == len(others) and all(np.array_equal(a[1][0], b[1][0]) for a, b in zip(some, others, strict=True))


def measure_sensitivity(
    network: Network,
    exact: Graph,
    rounded: Sequence[Graph | None],
    samples: Callable[[int], Sequence[Sample]],
    pack: Pack,
    classifies: bool = False,
    executor: Executor | None = None,
    cache: Cache | None = None,
    progress: Progress = silent,
    threads: int = 1,
) -> Sensitivity:
    """Measures every unit's weights and every cell.

    exact: the float graph that quantised ones are made of. rounded: for every level what is made of it with all units
    there, None where weights are as good as exact. samples: gives at most so many. pack: makes a package of a graph,
    which it may change. classifies: whether a result's highest element is what counts. cache: keeps what was measured.
    """
    made = [None if graph is None else _Rounded(graph) for graph in rounded]
    assert made[0] is not None
    experiments: list[_Experiment] = []
    places: list[tuple[int, tuple[int, ...]]] = []  # a unit whose weights these levels round so; or a cell
    for number, unit in enumerate(network.units):
        ways: list[tuple[_Constants, list[int]]] = []
        for level, source in enumerate(made):
            constants = () if source is None else source.constants(unit.weighted)
            same = next((alike for known, alike in ways if _equal(known, constants)), None)
            if same is not None:
                same.append(level)
            elif constants:
                ways.append((constants, [level]))
        experiments += [_Experiment(constants=constants) for constants, _ in ways]
        places += [(number, tuple(alike)) for _, alike in ways]
    for number, cell in enumerate(network.cells):
        tensors = made[0].params(cell.tensors)
        if tensors:
            experiments.append(_Experiment(tensors))
            places.append((number, ()))
    work = sum(work_of(node) for node in exact.nodes) * max(len(experiments), 1)
    chosen = samples(min(max(_WORK // max(work, 1), _FEWEST_SAMPLES), _MOST_SAMPLES))

    trial = clone(exact)
    keep_results(trial)
    metric = OutputLoss(classifies)
    data = Dataset.of(chosen, source="calibration samples")
    data = labelled(pack(clone(trial)), data, metric, executor, threads=threads)
    packages = (pack(_with_errors(trial, experiment)) for experiment in experiments)
    weights = [[0.0] * len(network.steps) for _ in network.units]
    cells = [0.0] * len(network.cells)
    losses = _losses(packages, data, metric, executor, cache, threads)
    for done, ((number, levels), loss) in enumerate(zip(places, losses, strict=True), 1):
        for level in levels:
            weights[number][level] = loss
        if not levels:
            cells[number] = loss
        progress("sensitivity", done, len(experiments))
    for number, by_level in enumerate(weights):
        for level in range(1, len(by_level)):
            # What is so fine is not worth measuring, and yet not nothing.
            by_level[level] = by_level[level] or by_level[0] * _FINE[network.scheme(number, level).weights]
    return Sensitivity(network, tuple(map(tuple, weights)), tuple(cells), len(chosen))


def _losses(
    packages: Iterable[bytes],
    data: Dataset,
    metric: OutputLoss,
    executor: Executor | None,
    cache: Cache | None,
    threads: int,
) -> Iterator[float]:
    """Of every package, in order, as soon as it is known."""
    waiting: deque[tuple[str, float | None]] = deque()  # key and, where it was kept, loss

    def unknown() -> Iterator[bytes]:
        for package in packages:
            key = "" if cache is None else cache_key("sensitivity", package, data.digest, metric.spec)
            entry = None if cache is None else cache.get(key)
            waiting.append((key, None if entry is None else float(entry.facts)))
            if entry is None:
                yield package

    for evidence in evidence_of_each(unknown(), data, metric, executor, threads=threads):
        while waiting[0][1] is not None:
            yield waiting.popleft()[1] or 0.0
        key, _ = waiting.popleft()
        loss = metric.score(evidence)(np.ones(len(evidence)))
        if cache is not None:
            cache.put(key, loss)
        yield loss
    while waiting:
        yield waiting.popleft()[1] or 0.0


class _Rounded:
    """What a quantised graph rounds: parameters of tensors and rounded weights, by names of the float graph."""

    def __init__(self, graph: Graph) -> None:
        self._values = {value.name: value for value in graph.values()}
        self._producers = graph.producers()
        self._nodes = {layer_name(node): node for node in graph.nodes if node.outputs}

    def params(self, tensors: Sequence[str]) -> tuple[tuple[str, QuantParams], ...]:
        """Of the tensors that are kept in eight bits."""
        found = []
        for name in tensors:
            value = self._values.get(f"{name}_int8")
            if value is not None and value.dtype == DType.INT8 and value.quant is not None:
                found.append((name, value.quant))
        return tuple(found)

    def constants(self, layers: Sequence[str]) -> _Constants:
        """Weights and bias, as real numbers, of those of the layers that have rounded ones.

        A layer whose weights are a sum of two rounded terms is none of them: together these are as good as exact.
        """
        found = []
        for layer in layers:
            node = self._nodes.get(f"{layer}_int8") or self._nodes.get(f"{layer}_int16") or self._nodes.get(layer)
            if node is None:
                continue
            constants = [self._real(value) for value in node.inputs[1:]]
            if constants and constants[0] is not None:
                found.append((layer, tuple(array for array in constants if array is not None)))
        return tuple(found)

    def _real(self, value: Value | None) -> NDArray[Any] | None:
        """A constant's elements, dequantised; None where the value is no constant."""
        if value is None:
            return None
        data = self._data(value)
        if data is None or value.quant is None:
            return data
        shape = [-1 if i == value.quant.axis else 1 for i in range(data.ndim)]
        scales, zeros = (np.asarray(numbers, np.float64) for numbers in (value.quant.scales, value.quant.zero_points))
        if len(scales) > 1:
            scales, zeros = scales.reshape(shape), zeros.reshape(shape)
        return np.asarray((data.astype(np.float64) - zeros) * scales, np.float32)

    def _data(self, value: Value) -> NDArray[Any] | None:
        """Of a constant, or of what constants unpack to when a model is opened."""
        if value.constant:
            return value.data
        node = self._producers.get(value)
        if node is None or node.op not in _EXPANDING:
            return None
        arrays = [None if v is None else self._data(v) for v in node.inputs]
        if any(array is None for array in arrays):
            return None
        (data,) = OPS_BY_NAME[node.op].run(node, arrays)
        return data


def _with_errors(graph: Graph, experiment: _Experiment) -> Graph:
    """A copy of a float graph with rounded weights, and with tensors that are quantised and dequantised again."""
    graph = clone(graph)
    constants = dict(experiment.constants)
    for node in graph.nodes:
        given = constants.get(layer_name(node)) if node.outputs else None
        if given is not None:
            for i, data in enumerate(given, 1):
                name = graph.unique_name(f"{layer_name(node)}/constant{i}")
                rounded = Value(name, data.shape, DType.FLOAT32, None, data)
                node.inputs[i : i + 1] = [rounded]
    params = dict(experiment.tensors)
    if params:
        _round_tensors(graph, params)
    return graph


def _round_tensors(graph: Graph, params: Mapping[str, QuantParams]) -> None:
    names = {value.name for value in graph.values()}
    nodes: list[Node] = []
    rounded: dict[Value, Value] = {}

    def keep(value: Value) -> None:
        if value.name in params:
            small = Value(_fresh(f"{value.name}_small", names), value.shape, DType.INT8, params[value.name])
            again = Value(_fresh(f"{value.name}_again", names), value.shape, DType.FLOAT32)
            nodes.append(Node("quantize", [value], [small], {}, small.name, ""))
            nodes.append(Node("dequantize", [small], [again], {}, again.name, ""))
            rounded[value] = again

    for value in graph.inputs:
        keep(value)
    for node in graph.nodes:
        node.inputs = [None if value is None else rounded.get(value, value) for value in node.inputs]
        nodes.append(node)
        for value in node.outputs:
            keep(value)
    graph.nodes = nodes
    graph.outputs = [rounded.get(value, value) for value in graph.outputs]


def _fresh(wanted: str, names: set[str]) -> str:
    name, count = wanted, 0
    while name in names:
        count += 1
        name = f"{wanted}_{count}"
    names.add(name)
    return name
