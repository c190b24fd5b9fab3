"""Bias correction: what rounding adds to the mean of every channel is taken out of the biases.

Rounded weights shift the mean of an output channel by sum((w_rounded - w) * E[x]), and a rounded input that has the
mean E[x] + d by sum(w_rounded * d); the bias can undo both. Borders, where padding takes the place of x, are left out
of account.
Source: Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction" (arXiv:1906.04721),
section 4.2 and appendix D, with the means measured on calibration samples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.dtypes import DType
from edgert.ir import Graph, Node, Value
from edgert.ops import OPS_BY_NAME
from edgert.quant.graph.clone import clone
from edgert.quant.observe.samples import Sample
from edgert.runtime.model import Model


def mean_shift(node: Node, rounded: NDArray[Any], input_mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the rounded weights add to the mean of each output channel, in the output's units.

    node: a weighted float operator; its second input holds the exact weights. rounded: the weights after rounding, as
    real numbers. input_mean: mean of the input for every index of its last axis.
    """
    weights = node.inputs[1]
    assert weights is not None
    assert weights.data is not None
    return response(node.op, rounded.astype(np.float64) - weights.data.astype(np.float64), input_mean)


def response(op: str, weights: NDArray[Any], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Every output channel of a weighted operator without bias, for an input whose channels are constants x[c]."""
    if op == "fully_connected":
        return np.asarray(weights @ x)
    if op == "depthwise_conv2d":
        multiplier = weights.shape[2] // len(x)
        return np.asarray(weights.sum(axis=(0, 1)) * np.repeat(x, multiplier))
    if op == "conv2d":
        outputs, group_channels = weights.shape[0], weights.shape[3]
        groups = len(x) // group_channels
        by_group = weights.sum(axis=(1, 2)).reshape(groups, outputs // groups, group_channels)
        return np.asarray(np.einsum("goc,gc->go", by_group, x.reshape(groups, group_channels))).reshape(outputs)
    raise ValueError(f"{op} is no weighted operator")


def correct_biases(
    graph: Graph,
    sources: Mapping[Value, str],
    float_means: Mapping[str, NDArray[np.float64]],
    samples: Sequence[Sample],
    pack: Callable[[Graph], bytes],
) -> None:
    """Walks through an int8 graph once, in order, and corrects each bias for what happened before it.

    sources: the float tensor that each int8 activation stands for. float_means: of every float tensor on the same
    samples, for each index of its last axis. pack: makes a package of a graph, which it may change. Each operator
    runs by itself on the results of the corrected ones. A graph with variables stays as it is.
    """
    if any(value.variable for value in graph.values()):
        return
    last_reader = {value: i for i, node in enumerate(graph.nodes) for value in node.inputs if value is not None}
    arrays = {value: [_as_input(value, sample[value.name]) for sample in samples] for value in graph.inputs}
    last = max((i for i, node in enumerate(graph.nodes) if _int8_weighted(node, sources)), default=-1)
    for i, node in enumerate(graph.nodes[: last + 1]):
        if _int8_weighted(node, sources):
            x = node.inputs[0]
            assert x is not None
            assert x.quant is not None
            measured = np.mean([a.mean(axis=tuple(range(a.ndim - 1)), dtype=np.float64) for a in arrays[x]], axis=0)
            _shift_bias(node, (measured - x.quant.zero_point) * x.quant.scale - float_means[sources[x]])
        if i < last:
            read = list(dict.fromkeys(v for v in node.inputs if v is not None and not v.constant))
            arrays.update(_run_node(node, read, arrays, len(samples), pack))
            for value in read:
                if last_reader[value] == i:
                    del arrays[value]


def _as_input(value: Value, array: NDArray[Any]) -> NDArray[Any]:
    """A sample as the graph takes it: calibration data are real numbers, and the input may be int8 already."""
    if value.quant is None:
        return array
    real = Value(value.name, value.shape, DType.FLOAT32)
    (integers,) = OPS_BY_NAME["quantize"].run(Node("quantize", [real], [value]), [np.asarray(array, np.float32)])
    return integers


def _int8_weighted(node: Node, sources: Mapping[Value, str]) -> bool:
    weighted = node.op in ("conv2d", "depthwise_conv2d", "fully_connected") and node.inputs[0] in sources
    return weighted and len(node.inputs) > 2  # the second term of weights has no bias (edgert.quant.rounding.fine)


def _shift_bias(node: Node, input_shift: NDArray[np.float64]) -> None:
    x, weights, bias = node.inputs[:3]
    assert x is not None
    assert x.quant is not None
    assert weights is not None
    assert weights.data is not None
    assert weights.quant is not None
    assert bias is not None
    assert bias.data is not None
    shift = response(node.op, weights.data.astype(np.float64), input_shift) * np.asarray(weights.quant.scales)
    steps = bias.data - np.rint(shift / (np.float32(x.quant.scale) * np.asarray(weights.quant.scales, np.float32)))
    limits = np.iinfo(bias.data.dtype)
    bias.data = np.clip(steps, limits.min, limits.max).astype(bias.data.dtype)


def _run_node(
    node: Node,
    read: Sequence[Value],
    arrays: Mapping[Value, Sequence[NDArray[Any]]],
    count: int,
    pack: Callable[[Graph], bytes],
) -> dict[Value, list[NDArray[Any]]]:
    """The node's outputs on every sample."""
    model = Model(pack(clone(Graph("", list(read), list(node.outputs), [node]))))
    runs = [model.run({value.name: arrays[value][k] for value in read}) for k in range(count)]
    return {value: [run[value.name] for run in runs] for value in node.outputs}
