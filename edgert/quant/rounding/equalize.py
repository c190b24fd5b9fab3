"""Cross-layer equalisation: channels of unequal range are brought to one range, so that eight bits serve all of them.

A tensor has one scale, which its widest channel sets; a channel a hundred times narrower keeps one or two bits. Since
the network's function does not change when a channel is divided by s > 0 where it is written and multiplied by s where
it is read, the factors can be taken into the weights. Weights have a scale for every output channel, so that dividing
their outputs costs nothing; multiplying what they read does, which is why a strength below 1 may serve better.
Source: Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction" (arXiv:1906.04721),
section 4.1, with the ranges of the activations measured on the calibration samples and not inferred from the weights,
and with channels tied over residual additions, concatenations and several readers (edgert.quant.graph.channels).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.ir import Graph, Node, Value
from edgert.ops import QuantRule
from edgert.quant.graph.channels import ChannelTies
from edgert.quant.graph.groups import rule_of
from edgert.quant.observe.histogram import Histogram

# Of a channel, over all that was seen of it. A narrow one that fires rarely reaches further on other data; brought to
# the whole range, each of many channels would be clipped now and then, where before the widest hid them all.
_HEADROOM = 2.0
_LEAST_FACTOR = 2.0**-6  # what is narrower still on the samples may well be wider on other data
Factors = dict[Value, NDArray[np.float64]]


def equalize(graph: Graph, histograms: Mapping[str, Histogram], strength: float) -> Factors:
    """Equalises in place. The graph's float outputs stay equal within rounding.

    histograms: of every float32 activation, by name. strength: 1 brings every channel to half its tensor's range, where
    it is narrower than that; 0.5 half the way there in logarithms.
    Returns what the channels of each rescaled tensor were divided by.
    """
    factors = channel_factors(graph, histograms, strength)
    for node in graph.nodes:
        if rule_of(node) == QuantRule.WEIGHTED and all(v is None or v.constant for v in node.inputs[1:]):
            _rescale(graph, node, factors)
    return {value: factor for value, factor in factors.items() if (factor != 1.0).any()}


def channel_factors(graph: Graph, histograms: Mapping[str, Histogram], strength: float) -> Factors:
    """What every channel (last axis) of every float32 activation is divided by: in (0, 1], 1 where it must stay.

    Channels that are tied together get the same factor: that of the tensor in which they are widest.
    """
    reach: dict[Value, NDArray[np.float64]] = {}
    for value in graph.values():
        if not value.constant and value.name in histograms:
            reach[value] = histograms[value.name].channel_reach()
    ties = ChannelTies(graph, reach)
    sets = {value: ties.sets(value) for value in ties.values}
    share = np.zeros(ties.bound)
    for value, numbers in sets.items():
        largest = reach[value].max(initial=0.0) if value in reach else 0.0
        if largest > 0.0:
            np.maximum.at(share, numbers, reach[value] / largest)
    share[share == 0.0] = 1.0  # silent on the samples: nothing is known of it
    factor = np.clip(share * _HEADROOM, _LEAST_FACTOR, 1.0) ** strength
    factor[0] = 1.0
    return {value: factor[numbers] for value, numbers in sets.items()}


def _rescale(graph: Graph, node: Node, factors: Factors) -> None:
    """Multiplies a weighted node's weights by what its inputs are divided by, and divides them by its outputs'."""
    x, weights = node.inputs[0], node.inputs[1]
    assert x is not None
    assert weights is not None
    assert weights.data is not None
    read, written = factors[x], factors[node.output]
    if (read == 1.0).all() and (written == 1.0).all():
        return
    data = weights.data.astype(np.float64)
    if node.op == "depthwise_conv2d":
        data = data * (np.repeat(read, data.shape[2] // len(read)) / written)
    elif node.op == "fully_connected":
        data = data * read / written[:, None]
    else:
        outputs, group_channels = data.shape[0], data.shape[3]
        by_group = read.reshape(-1, group_channels)  # [groups, channels of a group]
        by_output = np.repeat(by_group, outputs // len(by_group), axis=0)
        data = data * by_output[:, None, None, :] / written[:, None, None, None]
    node.inputs[1] = _constant(graph, weights, data)
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if bias is not None and bias.data is not None:
        node.inputs[2] = _constant(graph, bias, bias.data.astype(np.float64) / written)


def _constant(graph: Graph, like: Value, data: NDArray[Any]) -> Value:
    """A new constant: the old one may have other readers."""
    return Value(graph.unique_name(f"{like.name}_equalized"), like.shape, like.dtype, None, data.astype(np.float32))
