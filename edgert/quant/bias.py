"""Bias correction: the mean error that rounding the weights makes is taken out of the bias.

Rounded weights shift the mean of an output channel by sum((w_rounded - w) * E[x]); the bias can undo it exactly.
Source: Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction" (arXiv:1906.04721),
section 4.2, with E[x] measured on the calibration samples. Borders, where padding takes the place of x, are left out of
account.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.ir import Node


def mean_shift(node: Node, rounded: NDArray[Any], input_mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the rounded weights add to the mean of each output channel, in the output's units.

    node: a weighted float operator; its second input holds the exact weights. rounded: the weights after rounding, as
    real numbers. input_mean: mean of the input for every index of its last axis.
    """
    weights = node.inputs[1]
    assert weights is not None
    assert weights.data is not None
    error = rounded.astype(np.float64) - weights.data.astype(np.float64)
    if node.op == "fully_connected":
        return np.asarray(error @ input_mean)
    if node.op == "depthwise_conv2d":
        multiplier = error.shape[2] // len(input_mean)
        return np.asarray(error.sum(axis=(0, 1)) * np.repeat(input_mean, multiplier))
    if node.op == "conv2d":
        outputs, group_channels = error.shape[0], error.shape[3]
        groups = len(input_mean) // group_channels
        by_group = error.sum(axis=(1, 2)).reshape(groups, outputs // groups, group_channels)
        shift = np.einsum("goc,gc->go", by_group, input_mean.reshape(groups, group_channels))
        return np.asarray(shift).reshape(outputs)
    raise ValueError(f"{node.op} is no weighted operator")
