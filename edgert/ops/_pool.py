"""What max_pool2d and average_pool2d share: the window."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.ir import Value
from edgert.ops._conv import output_size
from edgert.ops._def import Array, Attrs, TensorSpec

POOL_ATTRS = {
    "kernel_h": 1, "kernel_w": 1, "stride_h": 1, "stride_w": 1,
    "pad_top": 0, "pad_left": 0, "pad_bottom": 0, "pad_right": 0,
}  # fmt: skip

_MAX_TAPS = 1 << 22  # ext/ops/pool2d.c: the sum of so many int8 fits into int32


def _axis_size(size: int, attrs: Attrs, axis: str, before: str, after: str) -> int:
    kernel, dilation, margins = attrs[f"kernel_{axis}"], attrs.get(f"dilation_{axis}", 1), (attrs[before], attrs[after])
    if kernel < 1:
        raise ModelError(f"kernel_{axis} is {kernel}, needed at least 1")
    if max(margins) >= (kernel - 1) * dilation + 1:
        raise ModelError(f"padding along {axis} is {margins[0]} and {margins[1]}, needed less than the window")
    return output_size(size, kernel, attrs[f"stride_{axis}"], dilation, *margins, axis)


def pool_infer(inputs: Sequence[Value | None], attrs: Attrs) -> list[TensorSpec]:
    """x [N, H, W, C] -> [N, OH, OW, C]."""
    (x,) = inputs
    assert x is not None
    if x.dtype not in (DType.FLOAT32, DType.INT8, DType.INT16):
        raise ModelError(f"input is {x.dtype.name}, needed FLOAT32, INT8 or INT16")
    if len(x.shape) != 4:
        raise ModelError(f"input has {len(x.shape)} dimensions, needed 4 (N, H, W, C)")
    if attrs["kernel_h"] * attrs["kernel_w"] > _MAX_TAPS:
        raise ModelError(f"the window has {attrs['kernel_h']}x{attrs['kernel_w']} taps, needed at most {_MAX_TAPS}")
    n, h, w, c = x.shape
    oh = _axis_size(h, attrs, "h", "pad_top", "pad_bottom")
    ow = _axis_size(w, attrs, "w", "pad_left", "pad_right")
    return [TensorSpec((n, oh, ow, c), x.dtype)]


def padding(attrs: Attrs) -> tuple[tuple[int, int], ...]:
    """The margins of x [N, H, W, C], as numpy.pad takes them."""
    return ((0, 0), (attrs["pad_top"], attrs["pad_bottom"]), (attrs["pad_left"], attrs["pad_right"]), (0, 0))


def tap_images(padded: Array, attrs: Attrs) -> Iterator[Array]:
    """For each tap of the window, row by row, what it sees at every output position: arrays [N, OH, OW, C]."""
    dilation_h, dilation_w = attrs.get("dilation_h", 1), attrs.get("dilation_w", 1)
    span_h, span_w = (attrs["kernel_h"] - 1) * dilation_h, (attrs["kernel_w"] - 1) * dilation_w
    for ky in range(attrs["kernel_h"]):
        for kx in range(attrs["kernel_w"]):
            top, left = ky * dilation_h, kx * dilation_w
            rows = slice(top, padded.shape[1] - span_h + top, attrs["stride_h"])
            columns = slice(left, padded.shape[2] - span_w + left, attrs["stride_w"])
            yield padded[:, rows, columns]
