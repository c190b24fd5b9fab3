"""Transposed convolution as a convolution whose channels become pixels.

y[u] = sum over i, k with i * stride + k = u + crop of x[i] * w[k], on each axis. With u + crop = stride * q + phase,
the taps of one phase are k = phase + stride * j, which read x[q - j]: an ordinary convolution of ceil(kernel / stride)
taps over q. All phases together are one convolution with stride_h * stride_w times the output channels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.errors import ModelError

Array = NDArray[Any]


# Elements of weights with their gaps filled: this many, or so many times the weights.
MOST_SPREAD, MOST_GROWTH = 1 << 22, 64


@dataclass(frozen=True)
class Axis:
    """One spatial axis. The convolution pads its input by before and after; of the pixels that its channels make,
    those from `begin` on are the output."""

    stride: int
    taps: int  # of the convolution
    before: int
    after: int
    begin: int


def axis(size: int, out: int, kernel: int, stride: int, crop: int) -> Axis:
    """How to compute `out` positions from `size`; crop: how many the full result has before the first of them."""
    if min(size, out, kernel, stride) < 1 or crop < 0:
        raise ModelError(f"{size} to {out} positions with kernel {kernel}, stride {stride} and crop {crop}")
    taps = -(-kernel // stride)
    first, last = crop // stride, (crop + out - 1) // stride
    before, after = taps - 1 - first, last - (size - 1)
    if min(before, after) < 0 or after >= taps:
        raise ModelError(f"{out} positions from {size} with kernel {kernel}, stride {stride} and crop {crop}")
    return Axis(stride, taps, before, after, crop - stride * first)


def check_growth(weights: Array, sizes: Sequence[int]) -> None:
    """ModelError when weights that are spread over windows of these sizes would take far more memory than they do."""
    taps = math.prod(weights.shape[-2:])
    spread = weights.size // max(taps, 1) * math.prod(sizes)
    if spread > max(MOST_SPREAD, MOST_GROWTH * weights.size):
        raise ModelError(f"strides or dilations spread its weights over windows of {' x '.join(map(str, sizes))}")


def as_convolution(weights: Array, rows: Axis, columns: Axis, zero_point: int = 0) -> Array:
    """The convolution's weights [stride_h * stride_w * O, taps_h, taps_w, I] from those of the transposed one,
    [O, KH, KW, I]. Taps beyond the kernel hold zero_point."""
    outputs, height, width, inputs = weights.shape
    check_growth(weights.transpose(0, 3, 1, 2), (rows.taps * rows.stride, columns.taps * columns.stride))
    full = ((0, 0), (0, rows.taps * rows.stride - height), (0, columns.taps * columns.stride - width), (0, 0))
    padded = np.pad(weights, full, constant_values=zero_point)
    parts = padded.reshape(outputs, rows.taps, rows.stride, columns.taps, columns.stride, inputs)
    phases = parts[:, ::-1, :, ::-1].transpose(2, 4, 0, 1, 3, 5)  # tap j reads q - j: the last one comes first
    return np.ascontiguousarray(phases).reshape(-1, rows.taps, columns.taps, inputs)
